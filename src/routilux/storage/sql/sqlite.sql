-- name: read_progress
SELECT epoch, commit_number, job_count, digest, seal FROM store

-- name: forget_progress
DELETE FROM store

-- name: first_progress
INSERT INTO store (one, epoch, commit_number, job_count, digest, seal) VALUES (1, ?, ?, ?, ?, ?)

-- name: set_progress
UPDATE store SET epoch = ?, commit_number = ?, job_count = ?, digest = ?, seal = ? WHERE epoch = ?

-- name: insert_job
INSERT INTO job (job_id, flow_id, status, created_at, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal,
    changed_at, total_bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: begin_job
INSERT INTO progress (number, epoch, seq, state) VALUES (?, ?, ?, ?)

-- name: advance_job
UPDATE progress SET epoch = ?, seq = ?, state = ? WHERE number = ? AND epoch = ? AND seq = ?

-- name: change_job
UPDATE job SET status = ?, created_at = ?, epoch = ?, owner = ?, trim_seq = ?, snapshot_bytes = ?, snapshot_seq = ?,
    seal = ?, changed_at = ?, total_bytes = ?
WHERE number = ?

-- name: insert_record
INSERT INTO journal (row, before, number, seq, frame) VALUES (?, ?, ?, ?, ?)

-- name: insert_key
INSERT INTO post_key (number, key, seq) VALUES (?, ?, ?)

-- name: save_snapshot
INSERT OR REPLACE INTO snapshot (number, job_id, seq, payload, tail, crc) VALUES (?, ?, ?, ?, ?, ?)

-- name: last_row
SELECT coalesce(max(row), 0) FROM journal

-- name: first_row
SELECT coalesce(min(row), 0) FROM journal

-- name: sweep
DELETE FROM journal
WHERE row >= ? AND row < ?
    AND NOT EXISTS (SELECT 1 FROM job WHERE job.number = journal.number AND journal.seq > job.trim_seq)

-- name: find_place
SELECT number, state FROM job JOIN progress USING (number) WHERE job_id = ?

-- name: read_head
SELECT job_id, flow_id, status, created_at, job.epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, seq, state
FROM job LEFT JOIN progress USING (number) WHERE job_id = ?

-- name: all_heads
SELECT job_id, flow_id, status, created_at, job.epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, seq, state
FROM job LEFT JOIN progress USING (number)

-- name: list_heads
SELECT job_id, flow_id, status, created_at, job.epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, seq, state
FROM job LEFT JOIN progress USING (number)
WHERE (:status IS NULL OR status = :status)
    AND (:after IS NULL OR (created_at, job_id) > (SELECT created_at, job_id FROM job WHERE job_id = :after))
ORDER BY created_at, job_id LIMIT :limit

-- name: unfinished
SELECT job_id, flow_id, status, created_at, job.epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, seq, state
FROM job LEFT JOIN progress USING (number)
WHERE status NOT IN ('completed', 'failed', 'cancelled') ORDER BY created_at, job_id

-- name: oldest_finished
SELECT job_id, flow_id, status, created_at, job.epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, seq, state
FROM job LEFT JOIN progress USING (number)
WHERE status IN ('completed', 'failed', 'cancelled') ORDER BY changed_at, job_id LIMIT ?

-- name: finished_totals
SELECT count(*), coalesce(sum(total_bytes), 0) FROM job WHERE status IN ('completed', 'failed', 'cancelled')

-- name: read_snapshot
SELECT job_id, seq, payload, tail, crc FROM snapshot WHERE number = ?

-- name: read_records
WITH RECURSIVE chain (row, before) AS (
    SELECT row, before FROM journal WHERE row = :last AND number = :number AND seq > :behind
    UNION ALL
    SELECT journal.row, journal.before FROM chain JOIN journal ON journal.row = chain.before
    WHERE journal.number = :number AND journal.seq > :behind AND journal.row < chain.row
)
SELECT seq, frame FROM chain JOIN journal USING (row) ORDER BY row

-- name: read_keys
SELECT key FROM post_key WHERE number = ?

-- name: find_key
SELECT seq FROM post_key WHERE number = ? AND key = ?

-- name: delete_job
DELETE FROM job WHERE number = ?

-- name: delete_progress
DELETE FROM progress WHERE number = ?

-- name: delete_snapshot
DELETE FROM snapshot WHERE number = ?

-- name: delete_keys
DELETE FROM post_key WHERE number = ?
