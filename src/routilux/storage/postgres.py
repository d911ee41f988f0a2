"""The tables in PostgreSQL: many executors on one database, each job held by one of them at a time.

Design: §7.3. A job's lease is that of its owner: one row to renew, however many jobs it holds. A lease only says who
may begin; what keeps two owners apart is the fence, epoch and seq, in each commit.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from routilux.clock import SYSTEM_CLOCK, Clock
from routilux.errors import JobDamagedError, StoreAddressError, StoreDamagedError, StoreUnavailableError
from routilux.storage.chain import Head, Row, SnapshotRow
from routilux.storage.journal_store import JournalStore
from routilux.storage.postgres_link import SYNC, PostgresLink
from routilux.storage.tables import JobRows, Move


class PostgresTables:
    """The tables. The lease follows the clock of the database; whether it is fresh, our own monotonic clock."""

    def __init__(self, link: PostgresLink, lease_seconds: float, monotonic: Callable[[], float]) -> None:
        self.address = link.shown
        self.read_only = link.read_only
        self.owner = f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
        self.heartbeat_seconds: float | None = lease_seconds / 3
        self._link = link
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        self._renewed_at = monotonic()
        if not self.read_only:
            link.rows("forget_executors")
            self.heartbeat()

    @property
    def is_ready(self) -> bool:
        """Whether the lease was renewed within its first half."""
        return self._monotonic() - self._renewed_at < self._lease_seconds / 2

    def heartbeat(self) -> None:
        """Renew the lease."""
        before = self._monotonic()  # the lease runs from then at the latest, however long the answer takes
        self._link.rows("renew_lease", (self.owner, self._lease_seconds))
        self._renewed_at = before

    def close(self) -> None:
        """End the lease, so that others need not wait for it."""
        try:
            if not self.read_only:
                self._link.rows("end_lease", (self.owner,))
        except StoreUnavailableError:
            pass  # it ends by itself
        finally:
            self._link.drop()

    def reopen(self) -> None:
        """Let go of the connection; the next call makes a new one."""
        self._link.drop()

    # Writing

    def commit(self, moves: Sequence[Move]) -> set[str]:
        """Carry out what passes the fence: one statement, save where there are snapshots."""
        if not moves:
            return set()
        shots = [move for move in moves if move.snapshot or (move.old and move.new.trim_seq > move.old.trim_seq)]
        if not shots:
            return self._commit(moves)
        with self._link.transaction():
            moved = self._commit(moves)
            for move in shots:
                if move.new.job_id in moved:
                    self._save(move)
        return moved

    def _commit(self, moves: Sequence[Move]) -> set[str]:
        name = "commit_plain" if all(map(is_plain, moves)) else "commit"
        return {row[0] for row in self._link.rows(name, parameters_of(moves))}

    def _save(self, move: Move) -> None:
        if move.snapshot:
            self._link.rows("save_snapshot", move.snapshot)
        self._link.rows("trim_journal", (move.new.job_id, move.new.trim_seq))

    def claim(
        self, limit: int | None, job_ids: Sequence[str] | None, choose: Callable[[Sequence[Head]], list[Move]]
    ) -> set[str]:
        """Have moves chosen among the heads whose owner has no lease, and carry them out."""
        wanted = None if job_ids is None else list(job_ids)
        with self._link.transaction():
            rows = self._link.rows("claimable", {"job_ids": wanted, "limit": limit, "me": self.owner})
            moves = choose([Head(*row) for row in rows])
            return self._commit(moves) if moves else set()

    def delete(self, job_ids: Sequence[str]) -> int:
        """Delete jobs that nobody else holds, or that have ended."""
        return len(self._link.rows("delete_jobs", {"job_ids": list(job_ids), "me": self.owner}))

    # Reading

    def read_head(self, job_id: str) -> Head | None:
        """Read one head."""
        return next(iter(self.read_heads([job_id])), None)

    def read_heads(self, job_ids: Sequence[str]) -> list[Head]:
        """Read these heads, as far as they are there."""
        return [Head(*row) for row in self._link.rows("read_heads", (list(job_ids),))]

    def read_job(self, job_id: str) -> JobRows | None:
        """Read all of a job as of one moment."""
        try:
            with self._link.moment():
                head = self.read_head(job_id)
                if head is None:
                    return None
                snapshots = [SnapshotRow(*row) for row in self._link.rows("read_snapshot", (job_id,))]
                rows = [Row(*row) for row in self._link.rows("read_records", (job_id,))]
                keys = [row[0] for row in self._link.rows("read_keys", (job_id,))]
                return JobRows(head, snapshots[0] if snapshots else None, rows, keys)
        except StoreDamagedError as error:
            raise JobDamagedError(job_id, error.problem) from error

    def read_row(self, job_id: str, seq: int) -> Row | None:
        """Read one record."""
        return next((Row(*row) for row in self._link.rows("read_record", (job_id, seq))), None)

    def bytes_behind(self, job_id: str, seq: int) -> int:
        """Sum the frames of the records behind this one."""
        return int(self._link.rows("bytes_behind", (job_id, seq))[0][0])

    def find_keys(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Find the records of pairs of job and key."""
        wanted = list(pairs)
        found = self._link.rows("find_keys", ([job_id for job_id, _ in wanted], [key for _, key in wanted]))
        return {(job_id, key): seq for job_id, key, seq in found}

    def list_heads(self, status: str | None, limit: int, after: str | None) -> list[Head]:
        """List heads as the jobs were created."""
        found = self._link.rows("list_heads", {"status": status, "limit": limit, "after": after})
        return [Head(*row) for row in found]

    def unfinished(self) -> list[Head]:
        """List all heads of jobs that have not ended."""
        return [Head(*row) for row in self._link.rows("unfinished")]

    def oldest_finished(self, limit: int) -> list[Head]:
        """List heads of jobs that have ended, those first that ended first."""
        return [Head(*row) for row in self._link.rows("oldest_finished", (limit,))]

    def finished_totals(self) -> tuple[int, int]:
        """Count the jobs that have ended, and their bytes."""
        count, size = self._link.rows("finished_totals")[0]
        return int(count), int(size)


def is_plain(move: Move) -> bool:
    """Tell whether a move only adds records without keys: most do, and need a third of the columns."""
    return move.old is not None and move.new.seal == move.old.seal and move.new.key_sum == move.old.key_sum


def parameters_of(moves: Sequence[Move]) -> dict[str, list[Any]]:
    """Turn moves into columns."""
    columns: dict[str, list[Any]] = {
        name: list(column)
        for name, column in zip(Head._fields, zip(*(move.new for move in moves), strict=True), strict=True)
    }
    rows = [row for move in moves for row in move.rows]
    keyed = [row for row in rows if row.key is not None]
    return columns | {
        "old_epoch": [move.old.epoch if move.old else None for move in moves],
        "old_seq": [move.old.seq if move.old else None for move in moves],
        "row_job": [row.job_id for row in rows],
        "row_seq": [row.seq for row in rows],
        "frame": [row.frame for row in rows],
        "key_job": [row.job_id for row in keyed],
        "key": [row.key for row in keyed],
        "key_seq": [row.seq for row in keyed],
    }


def open_postgres(
    address: str,
    *,
    sync: str = "full",
    read_only: bool = False,
    lease_seconds: float = 30.0,
    salvage: Path | None = None,
    clock: Clock = SYSTEM_CLOCK,
    monotonic: Callable[[], float] = time.monotonic,
) -> JournalStore:
    """Open a store in a database; its tables stand in the schema ``routilux``.

    With ``sync="normal"`` a crash of the server, not of this process, may lose the last commits. Jobs of a process that
    died are free once its lease of ``lease_seconds`` is over.

    Raises:
        StoreAddressError: an unknown ``sync``, or nothing to read in that database.
        StoreVersionError: the schema is of a newer format.
        StoreUnavailableError: the server cannot be reached.
    """
    shown = make_conninfo("", **{name: each for name, each in conninfo_to_dict(address).items() if name != "password"})
    if sync not in SYNC:
        raise StoreAddressError(shown, f"sync={sync!r} is unknown; it is 'full' or 'normal'")
    link = PostgresLink(address, shown, sync=sync, read_only=read_only)
    try:
        tables = PostgresTables(link, lease_seconds, monotonic)
    except BaseException:
        link.drop()
        raise
    return JournalStore(tables, clock, salvage or Path(gettempdir()) / "routilux-salvage")
