-- Format 1. Times are nanoseconds since 1970, save for leases, which follow the clock of the database.

CREATE TABLE routilux.executor (
    owner text PRIMARY KEY,
    lease_until timestamptz NOT NULL
);

CREATE TABLE routilux.job (
    job_id text COLLATE "C" PRIMARY KEY,
    flow_id text NOT NULL,
    status text NOT NULL,
    created_at bigint NOT NULL,
    epoch bigint NOT NULL,
    owner text,
    trim_seq bigint NOT NULL, -- records up to here are forgotten
    snapshot_bytes bigint NOT NULL,
    snapshot_seq bigint NOT NULL,
    seal bytea NOT NULL,
    updated_at bigint NOT NULL,
    seq bigint NOT NULL,
    journal_bytes bigint NOT NULL,
    key_sum bigint NOT NULL,
    tail bytea NOT NULL,
    mark bigint NOT NULL,
    changed_at bigint NOT NULL -- when the seal changed; no index names a column that changes with each record
) WITH (fillfactor = 70);

CREATE INDEX job_in_order ON routilux.job (created_at, job_id);
CREATE INDEX job_unfinished ON routilux.job (created_at, job_id)
    WHERE status NOT IN ('completed', 'failed', 'cancelled');
CREATE INDEX job_finished ON routilux.job (changed_at, job_id)
    WHERE status IN ('completed', 'failed', 'cancelled');

CREATE TABLE routilux.journal (
    job_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    frame bytea NOT NULL,
    PRIMARY KEY (job_id, seq)
);

CREATE TABLE routilux.snapshot (
    job_id text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL,
    payload bytea NOT NULL,
    tail bytea NOT NULL,
    crc bigint NOT NULL
);

CREATE TABLE routilux.post_key (
    job_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (job_id, key)
);
