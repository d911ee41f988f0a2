"""The door behind which the backends lie: tables that change in atomic groups, nothing more."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from routilux.storage.chain import Head, Row, SnapshotRow


class Move(NamedTuple):
    """What one group changes of one job; carried out only where the stored head has the epoch and seq of ``old``.

    Without ``old`` the job is new; without ``snapshot`` the stored one stays. The journal up to ``new.trim_seq`` is
    forgotten.
    """

    old: Head | None
    new: Head
    rows: Sequence[Row] = ()
    snapshot: SnapshotRow | None = None


class JobRows(NamedTuple):
    """All that is stored of a job, as of one moment."""

    head: Head
    snapshot: SnapshotRow | None
    rows: Sequence[Row]
    keys: Sequence[str]


class Tables(Protocol):
    """One backend. Safe from any thread, but only one thread at a time calls what changes something.

    Every method raises `StoreUnavailableError` where trying again may help.
    """

    address: str
    owner: str
    read_only: bool
    heartbeat_seconds: float | None

    @property
    def is_ready(self) -> bool:
        """Whether new work may be begun."""

    def close(self) -> None:
        """Let go of everything."""

    def reopen(self) -> None:
        """Throw the handle away and make a new one; what was committed is verified."""

    def commit(self, moves: Sequence[Move]) -> set[str]:
        """Carry out what passes the fence, durably and all of it or nothing; give the ids of those jobs."""

    def claim(
        self, limit: int | None, job_ids: Sequence[str] | None, choose: Callable[[Sequence[Head]], list[Move]]
    ) -> set[str]:
        """Have moves chosen among the heads that nobody else holds, and carry them out."""

    def heartbeat(self) -> None:
        """Renew the lease."""

    def read_head(self, job_id: str) -> Head | None:
        """Read one head."""

    def read_heads(self, job_ids: Sequence[str]) -> list[Head]:
        """Read these heads, as far as they are there."""

    def read_job(self, job_id: str) -> JobRows | None:
        """Read all of a job as of one moment, records in order."""

    def read_row(self, job_id: str, seq: int) -> Row | None:
        """Read one record."""

    def bytes_behind(self, job_id: str, seq: int) -> int:
        """Sum the frames of the records behind this one."""

    def find_keys(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Find the records of pairs of job and key."""

    def list_heads(self, status: str | None, limit: int, after: str | None) -> list[Head]:
        """List heads as the jobs were created."""

    def unfinished(self) -> list[Head]:
        """List all heads of jobs that have not ended."""

    def oldest_finished(self, limit: int) -> list[Head]:
        """List heads of jobs that have ended, those first that ended first."""

    def finished_totals(self) -> tuple[int, int]:
        """Count the jobs that have ended, and their bytes."""

    def delete(self, job_ids: Sequence[str]) -> int:
        """Delete jobs that nobody else holds, or that have ended."""
