"""What a store keeps of a job: records in order, a header, a snapshot. Plain values; payloads are opaque bytes.

Design: §7.3. Times are nanoseconds since 1970.
"""

from dataclasses import dataclass
from typing import NamedTuple

VOID = "void"


class JournalRecord(NamedTuple):
    """One transition of a job.

    ``seq`` is dense per job and begins at 1. ``epoch`` is that of the job's header when it was created or taken over.
    ``status`` is the job's new status where the record changes it. ``key`` is unique per job: a second record of the
    same key is stored as an empty one of the kind `VOID`, so that those behind it keep their numbers.
    """

    job_id: str
    seq: int
    epoch: int
    kind: str
    payload: bytes
    status: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class JobHeader:
    """What a list shows of a job. ``seq`` is that of its last record; ``size_bytes`` counts snapshot and journal.

    ``owner`` names the executor that holds the job, if any. ``damage`` says why the job cannot be loaded, else "".
    """

    job_id: str
    flow_id: str
    status: str
    created_at: int
    updated_at: int
    seq: int
    epoch: int
    owner: str | None = None
    size_bytes: int = 0
    damage: str = ""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as stored: the snapshot, and all records that are kept.

    The snapshot contains the records up to ``snapshot_seq``; only those behind it are to be replayed. Without a
    snapshot ``snapshot_seq`` is 0.
    """

    header: JobHeader
    snapshot: bytes | None
    snapshot_seq: int
    records: tuple[JournalRecord, ...]

    @property
    def tail(self) -> tuple[JournalRecord, ...]:
        """The records behind the snapshot."""
        return tuple(record for record in self.records if record.seq > self.snapshot_seq)


@dataclass(frozen=True, slots=True)
class Retention:
    """Which finished jobs are deleted, the oldest first: older than, more than, or together larger than this.

    ``slice_count`` is how many go in one transaction.
    """

    max_age_seconds: float | None = None
    max_jobs: int | None = None
    max_bytes: int | None = None
    slice_count: int = 500
