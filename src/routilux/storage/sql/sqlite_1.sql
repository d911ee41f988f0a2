-- Format 1. Times are nanoseconds since 1970. A later format is a file of its own, with what it changes.
--
-- What changes with each record is a table of its own, small, so that a group of records touches few pages; and records
-- lie in the order in which they came, each with the number of the one before it of its job.

CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    commit_number INTEGER NOT NULL,
    job_count INTEGER NOT NULL,
    digest INTEGER NOT NULL, -- the sum of the seals of all jobs
    seal BLOB NOT NULL
);

CREATE TABLE job (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    flow_id TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT,
    trim_seq INTEGER NOT NULL, -- records up to here are forgotten
    snapshot_bytes INTEGER NOT NULL,
    snapshot_seq INTEGER NOT NULL,
    seal BLOB NOT NULL,
    changed_at INTEGER NOT NULL, -- when this row changed
    total_bytes INTEGER NOT NULL -- as of then
);

CREATE INDEX job_in_order ON job (created_at, job_id);
CREATE INDEX job_unfinished ON job (created_at, job_id) WHERE status NOT IN ('completed', 'failed', 'cancelled');
CREATE INDEX job_finished ON job (changed_at, job_id) WHERE status IN ('completed', 'failed', 'cancelled');

CREATE TABLE progress (
    number INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state BLOB NOT NULL -- updated_at, journal_bytes, key_sum, row of the last record, tail, mark
);

CREATE TABLE journal (
    row INTEGER PRIMARY KEY,
    before INTEGER NOT NULL, -- the row of the record before it of the same job
    number INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    frame BLOB NOT NULL
);

CREATE TABLE snapshot (
    number INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    payload BLOB NOT NULL,
    tail BLOB NOT NULL,
    crc INTEGER NOT NULL
);

CREATE TABLE post_key (
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (number, key)
) WITHOUT ROWID;
