"""A store in memory, over a pretended disk that can forget, fill up and fail: for tests and simulation.

Design: §7.3.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from routilux.clock import SYSTEM_CLOCK, Clock
from routilux.errors import StoreOwnedError, StoreUnavailableError
from routilux.storage.chain import Head, Row, SnapshotRow
from routilux.storage.journal_store import JournalStore
from routilux.storage.tables import JobRows, Move

Table = dict[str, Any]


class MemoryDisk:
    """What outlives a store. Not thread-safe by itself: a store writes from one thread at a time.

    ``fail`` is called before each write, and may raise `StoreUnavailableError`. Commits of a store that does not sync
    are kept as what would undo them, until `sync` or `crash`.
    """

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.rows: dict[str, dict[int, Row]] = {}
        self.snapshots: dict[str, SnapshotRow] = {}
        self.keys: dict[str, dict[str, int]] = {}
        self.holder: str | None = None
        self.fail: Callable[[], None] = lambda: None
        self._undo: list[list[tuple[Table, str, Any]]] = []

    def begin(self) -> None:
        """Begin what is undone together."""
        self.fail()
        self._undo.append([])

    def put(self, table: Table, key: str, value: Any) -> None:
        """Write an entry; None removes it."""
        self._undo[-1].append((table, key, table.get(key)))
        store(table, key, value)

    def sync(self) -> None:
        """Make all commits so far durable."""
        self._undo.clear()

    @property
    def unsynced(self) -> int:
        """How many commits a crash may forget."""
        return len(self._undo)

    def crash(self, keep: int = 0) -> None:
        """Lose power: forget all unsynced commits but the first ``keep``; nobody holds the disk any more."""
        for commit in reversed(self._undo[keep:]):
            for table, key, value in reversed(commit):
                store(table, key, value)
        self._undo.clear()
        self.holder = None


def store(table: Table, key: str, value: Any) -> None:
    """Write an entry of a table; None removes it."""
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


class MemoryTables:
    """The tables on a `MemoryDisk`."""

    address = "memory:"
    heartbeat_seconds: float | None = None
    is_ready = True

    def __init__(self, disk: MemoryDisk, sync: bool, read_only: bool) -> None:
        self.owner = f"store {uuid.uuid4().hex[:8]} in memory"
        self.read_only = read_only
        self._disk = disk
        self._sync = sync
        if read_only:
            return
        if disk.holder is not None:
            raise StoreOwnedError(self.address, disk.holder)
        disk.holder = self.owner

    def close(self) -> None:
        """Let go of the disk."""
        if self._disk.holder == self.owner:
            self._disk.sync()
            self._disk.holder = None

    def reopen(self) -> None:
        """Do nothing: there is no handle."""

    def heartbeat(self) -> None:
        """Do nothing: there is no lease."""

    def commit(self, moves: Sequence[Move]) -> set[str]:
        """Carry out what passes the fence."""
        if self._disk.holder != self.owner:
            return set()
        self._disk.begin()
        moved = {move.new.job_id for move in moves if self._is_current(move)}
        for move in moves:
            if move.new.job_id in moved:
                self._carry_out(move)
        if self._sync:
            self._disk.sync()
        return moved

    def _is_current(self, move: Move) -> bool:
        stored = self._disk.heads.get(move.new.job_id)
        if move.old is None or stored is None:
            return stored is move.old
        return (stored.epoch, stored.seq) == (move.old.epoch, move.old.seq)

    def _carry_out(self, move: Move) -> None:
        disk, job_id = self._disk, move.new.job_id
        disk.put(disk.heads, job_id, move.new)
        rows = {seq: row for seq, row in disk.rows.get(job_id, {}).items() if seq > move.new.trim_seq}
        rows.update((row.seq, row) for row in move.rows if row.seq > move.new.trim_seq)
        disk.put(disk.rows, job_id, rows)
        if move.snapshot:
            disk.put(disk.snapshots, job_id, move.snapshot)
        keys = {row.key: row.seq for row in move.rows if row.key is not None}
        if keys:
            disk.put(disk.keys, job_id, disk.keys.get(job_id, {}) | keys)

    def claim(
        self, limit: int | None, job_ids: Sequence[str] | None, choose: Callable[[Sequence[Head]], list[Move]]
    ) -> set[str]:
        """Have moves chosen, and carry them out: nobody else lives who could hold a job."""
        heads = self.unfinished() if job_ids is None else self.read_heads(job_ids)
        return self.commit(choose([head for head in heads if head.owner != self.owner][:limit]))

    def read_head(self, job_id: str) -> Head | None:
        """Read one head."""
        return self._disk.heads.get(job_id)

    def read_heads(self, job_ids: Sequence[str]) -> list[Head]:
        """Read these heads, as far as they are there."""
        return [self._disk.heads[job_id] for job_id in job_ids if job_id in self._disk.heads]

    def read_job(self, job_id: str) -> JobRows | None:
        """Read all of a job."""
        head = self._disk.heads.get(job_id)
        if head is None:
            return None
        rows = sorted(self._disk.rows.get(job_id, {}).values(), key=lambda row: row.seq)
        return JobRows(head, self._disk.snapshots.get(job_id), rows, list(self._disk.keys.get(job_id, {})))

    def read_row(self, job_id: str, seq: int) -> Row | None:
        """Read one record."""
        return self._disk.rows.get(job_id, {}).get(seq)

    def bytes_behind(self, job_id: str, seq: int) -> int:
        """Sum the frames of the records behind this one."""
        return sum(len(row.frame) for row in self._disk.rows.get(job_id, {}).values() if row.seq > seq)

    def find_keys(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Find the records of pairs of job and key."""
        keys = self._disk.keys
        return {(job_id, key): keys[job_id][key] for job_id, key in pairs if key in keys.get(job_id, {})}

    def list_heads(self, status: str | None, limit: int, after: str | None) -> list[Head]:
        """List heads as the jobs were created."""
        last = self._disk.heads.get(after) if after is not None else None
        begin = (last.created_at, last.job_id) if last else None
        heads = [head for head in self._in_order() if status in (None, head.status)]
        return [head for head in heads if begin is None or (head.created_at, head.job_id) > begin][:limit]

    def _in_order(self) -> list[Head]:
        return sorted(self._disk.heads.values(), key=lambda head: (head.created_at, head.job_id))

    def unfinished(self) -> list[Head]:
        """List all heads of jobs that have not ended."""
        return [head for head in self._in_order() if not head.is_final]

    def oldest_finished(self, limit: int) -> list[Head]:
        """List heads of jobs that have ended, those first that ended first."""
        final = [head for head in self._disk.heads.values() if head.is_final]
        return sorted(final, key=lambda head: (head.updated_at, head.job_id))[:limit]

    def finished_totals(self) -> tuple[int, int]:
        """Count the jobs that have ended, and their bytes."""
        final = [head for head in self._disk.heads.values() if head.is_final]
        return len(final), sum(head.journal_bytes + head.snapshot_bytes for head in final)

    def delete(self, job_ids: Sequence[str]) -> int:
        """Delete jobs."""
        disk = self._disk
        disk.begin()
        found = [job_id for job_id in job_ids if job_id in disk.heads]
        for job_id in found:
            tables: tuple[Table, ...] = (disk.heads, disk.rows, disk.snapshots, disk.keys)
            for table in tables:
                disk.put(table, job_id, None)
        if self._sync:
            disk.sync()
        return len(found)


def open_memory(
    disk: MemoryDisk | None = None, *, sync: bool = True, read_only: bool = False, clock: Clock = SYSTEM_CLOCK
) -> JournalStore:
    """Open a store in memory; with ``sync=False`` a crash of the disk forgets a suffix of the commits.

    Raises:
        StoreOwnedError: another store is open on this disk.
    """
    return JournalStore(MemoryTables(disk or MemoryDisk(), sync, read_only), clock)


def full_disk() -> None:
    """Fail like a full disk: for ``MemoryDisk.fail``."""
    raise StoreUnavailableError("memory:", "no space is left")
