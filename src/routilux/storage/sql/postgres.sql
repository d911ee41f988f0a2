-- name: begin_format
SELECT pg_advisory_xact_lock(7815291342)

-- name: has_format
SELECT to_regclass('routilux.format') IS NOT NULL

-- name: read_format
SELECT version FROM routilux.format

-- name: make_format
CREATE SCHEMA IF NOT EXISTS routilux;
CREATE TABLE routilux.format (version integer NOT NULL);
INSERT INTO routilux.format VALUES (0)

-- name: set_format
UPDATE routilux.format SET version = %s

-- name: forget_executors
DELETE FROM routilux.executor WHERE lease_until < clock_timestamp() - interval '1 day'

-- name: renew_lease
INSERT INTO routilux.executor (owner, lease_until) VALUES (%s, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until

-- name: end_lease
DELETE FROM routilux.executor WHERE owner = %s

-- name: commit
WITH fresh AS (
    INSERT INTO routilux.job (job_id, flow_id, status, created_at, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq,
        seal, updated_at, seq, journal_bytes, key_sum, tail, mark, changed_at)
    SELECT job_id, flow_id, status, created_at, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq,
        seal, updated_at, seq, journal_bytes, key_sum, tail, mark, updated_at
    FROM unnest(%(job_id)s::text[], %(flow_id)s::text[], %(status)s::text[], %(created_at)s::bigint[],
        %(epoch)s::bigint[], %(owner)s::text[], %(trim_seq)s::bigint[], %(snapshot_bytes)s::bigint[],
        %(snapshot_seq)s::bigint[], %(seal)b::bytea[], %(updated_at)s::bigint[], %(seq)s::bigint[],
        %(journal_bytes)s::bigint[], %(key_sum)s::bigint[], %(tail)b::bytea[], %(mark)s::bigint[],
        %(old_epoch)s::bigint[])
        AS new (job_id, flow_id, status, created_at, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq,
            seal, updated_at, seq, journal_bytes, key_sum, tail, mark, old_epoch)
    WHERE old_epoch IS NULL
    ON CONFLICT DO NOTHING
    RETURNING job_id
), moved AS (
    UPDATE routilux.job SET status = new.status, epoch = new.epoch, owner = new.owner, trim_seq = new.trim_seq,
        snapshot_bytes = new.snapshot_bytes, snapshot_seq = new.snapshot_seq, seal = new.seal,
        updated_at = new.updated_at, seq = new.seq, journal_bytes = new.journal_bytes, key_sum = new.key_sum,
        tail = new.tail, mark = new.mark,
        changed_at = CASE WHEN job.seal = new.seal THEN job.changed_at ELSE new.updated_at END
    FROM unnest(%(job_id)s::text[], %(status)s::text[], %(epoch)s::bigint[], %(owner)s::text[],
        %(trim_seq)s::bigint[], %(snapshot_bytes)s::bigint[], %(snapshot_seq)s::bigint[], %(seal)b::bytea[],
        %(updated_at)s::bigint[], %(seq)s::bigint[], %(journal_bytes)s::bigint[], %(key_sum)s::bigint[],
        %(tail)b::bytea[], %(mark)s::bigint[], %(old_epoch)s::bigint[], %(old_seq)s::bigint[])
        AS new (job_id, status, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, updated_at, seq,
            journal_bytes, key_sum, tail, mark, old_epoch, old_seq)
    WHERE job.job_id = new.job_id AND job.epoch = new.old_epoch AND job.seq = new.old_seq
    RETURNING job.job_id
), passed AS (
    SELECT job_id FROM fresh UNION ALL SELECT job_id FROM moved
), added AS (
    INSERT INTO routilux.journal (job_id, seq, frame)
    SELECT job_id, seq, frame
    FROM unnest(%(row_job)s::text[], %(row_seq)s::bigint[], %(frame)b::bytea[]) AS row (job_id, seq, frame)
        JOIN passed USING (job_id)
), keyed AS (
    INSERT INTO routilux.post_key (job_id, key, seq)
    SELECT job_id, key, seq
    FROM unnest(%(key_job)s::text[], %(key)s::text[], %(key_seq)s::bigint[]) AS row (job_id, key, seq)
        JOIN passed USING (job_id)
)
SELECT job_id FROM passed

-- name: commit_plain
WITH moved AS (
    UPDATE routilux.job SET updated_at = new.updated_at, seq = new.seq, journal_bytes = new.journal_bytes,
        tail = new.tail, mark = new.mark
    FROM unnest(%(job_id)s::text[], %(old_epoch)s::bigint[], %(old_seq)s::bigint[], %(updated_at)s::bigint[],
        %(seq)s::bigint[], %(journal_bytes)s::bigint[], %(tail)b::bytea[], %(mark)s::bigint[])
        AS new (job_id, old_epoch, old_seq, updated_at, seq, journal_bytes, tail, mark)
    WHERE job.job_id = new.job_id AND job.epoch = new.old_epoch AND job.seq = new.old_seq
    RETURNING job.job_id
), added AS (
    INSERT INTO routilux.journal (job_id, seq, frame)
    SELECT job_id, seq, frame
    FROM unnest(%(row_job)s::text[], %(row_seq)s::bigint[], %(frame)b::bytea[]) AS row (job_id, seq, frame)
        JOIN moved USING (job_id)
)
SELECT job_id FROM moved

-- name: save_snapshot
INSERT INTO routilux.snapshot (job_id, seq, payload, tail, crc) VALUES (%s, %s, %b, %b, %s)
ON CONFLICT (job_id) DO UPDATE SET seq = excluded.seq, payload = excluded.payload, tail = excluded.tail,
    crc = excluded.crc

-- name: trim_journal
DELETE FROM routilux.journal WHERE job_id = %s AND seq <= %s

-- name: claimable
SELECT job_id, flow_id, status, created_at, epoch, job.owner, trim_seq, snapshot_bytes, snapshot_seq, seal, updated_at,
    seq, journal_bytes, key_sum, tail, mark
FROM routilux.job
WHERE CASE WHEN %(job_ids)s::text[] IS NULL THEN status NOT IN ('completed', 'failed', 'cancelled')
        ELSE job_id = ANY (%(job_ids)s::text[]) END
    AND job.owner IS DISTINCT FROM %(me)s::text
    -- No join: of a row that changed before its lock was had, only what depends on the row itself is looked at again,
    -- and the lease of its former owner would stand for that of the new one.
    AND COALESCE((SELECT executor.lease_until < clock_timestamp() FROM routilux.executor
        WHERE executor.owner = job.owner), true)
ORDER BY created_at, job_id LIMIT %(limit)s::bigint
FOR UPDATE OF job SKIP LOCKED

-- name: read_heads
SELECT job_id, flow_id, status, created_at, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, updated_at,
    seq, journal_bytes, key_sum, tail, mark
FROM routilux.job WHERE job_id = ANY (%s::text[])

-- name: list_heads
SELECT job_id, flow_id, status, created_at, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, updated_at,
    seq, journal_bytes, key_sum, tail, mark
FROM routilux.job
WHERE (%(status)s::text IS NULL OR status = %(status)s::text)
    AND (%(after)s::text IS NULL
        OR (created_at, job_id) > (SELECT last.created_at, last.job_id FROM routilux.job AS last
            WHERE last.job_id = %(after)s::text))
ORDER BY created_at, job_id LIMIT %(limit)s

-- name: unfinished
SELECT job_id, flow_id, status, created_at, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, updated_at,
    seq, journal_bytes, key_sum, tail, mark
FROM routilux.job WHERE status NOT IN ('completed', 'failed', 'cancelled') ORDER BY created_at, job_id

-- name: oldest_finished
SELECT job_id, flow_id, status, created_at, epoch, owner, trim_seq, snapshot_bytes, snapshot_seq, seal, updated_at,
    seq, journal_bytes, key_sum, tail, mark
FROM routilux.job WHERE status IN ('completed', 'failed', 'cancelled') ORDER BY changed_at, job_id LIMIT %s

-- name: finished_totals
SELECT count(*), coalesce(sum(journal_bytes + snapshot_bytes), 0)::bigint
FROM routilux.job WHERE status IN ('completed', 'failed', 'cancelled')

-- name: read_snapshot
SELECT job_id, seq, payload, tail, crc FROM routilux.snapshot WHERE job_id = %s

-- name: read_records
SELECT job_id, seq, frame FROM routilux.journal WHERE job_id = %s ORDER BY seq

-- name: read_record
SELECT job_id, seq, frame FROM routilux.journal WHERE job_id = %s AND seq = %s

-- name: bytes_behind
SELECT coalesce(sum(length(frame)), 0)::bigint FROM routilux.journal WHERE job_id = %s AND seq > %s

-- name: read_keys
SELECT key FROM routilux.post_key WHERE job_id = %s

-- name: find_keys
SELECT job_id, key, seq FROM routilux.post_key
    JOIN unnest(%s::text[], %s::text[]) AS wanted (job_id, key) USING (job_id, key)

-- name: delete_jobs
WITH gone AS (
    DELETE FROM routilux.job
    WHERE job_id = ANY (%(job_ids)s::text[])
        AND (status IN ('completed', 'failed', 'cancelled') OR owner IS NULL OR owner = %(me)s::text
            OR NOT EXISTS (SELECT 1 FROM routilux.executor
                WHERE executor.owner = job.owner AND executor.lease_until >= clock_timestamp()))
    RETURNING job_id
), records AS (
    DELETE FROM routilux.journal WHERE job_id IN (SELECT job_id FROM gone)
), snapshots AS (
    DELETE FROM routilux.snapshot WHERE job_id IN (SELECT job_id FROM gone)
), keys AS (
    DELETE FROM routilux.post_key WHERE job_id IN (SELECT job_id FROM gone)
)
SELECT job_id FROM gone
