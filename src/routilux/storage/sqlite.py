"""The tables in a SQLite file.

Design: §7.3. WAL with synchronous FULL loses nothing at a power cut, with NORMAL a suffix of the last commits.
"""

import sqlite3
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from routilux.clock import SYSTEM_CLOCK, Clock
from routilux.errors import JobDamagedError, StoreAddressError, StoreDamagedError
from routilux.storage.chain import Head, Row, SnapshotRow
from routilux.storage.journal_store import JournalStore
from routilux.storage.ownership import refuse_network
from routilux.storage.sqlite_file import SQL, SYNC, SqliteFile, value
from routilux.storage.sqlite_rows import Place, head_of, job_columns, last_row_of, state_of
from routilux.storage.tables import JobRows, Move

SWEEP_ROWS = 500


def growth(move: Move) -> int:
    """Give what a move adds to the digest of all jobs."""
    old, new = move.old, move.new
    if old is not None and old.seal is new.seal:
        return new.mark - old.mark
    return value(new) - value(old)


class NotAllMovedError(Exception):
    """Some of the moves did not pass the fence."""


class SqliteTables:
    """The tables. Forgotten records are swept away in the order of the rows, so that each page is touched once."""

    heartbeat_seconds: float | None = None
    is_ready = True

    def __init__(self, file: SqliteFile) -> None:
        self.address = file.address
        self.read_only = file.read_only
        self.owner = file.owner
        self._file = file
        self._places: dict[str, Place] = {}  # of jobs that were written here
        self._next_row = 0  # 0: to be looked up
        self._sweep_at = 0
        self._to_sweep = 0

    def close(self) -> None:
        """Close the file, and let others have it."""
        self._file.close()

    def reopen(self) -> None:
        """Open the file anew."""
        self._file.reopen()
        self._forget()

    def _forget(self) -> None:
        """Look everything up again: a commit that broke may have happened."""
        self._places.clear()
        self._next_row = 0

    def heartbeat(self) -> None:
        """Do nothing: the lock on the file is the lease."""

    # Writing

    def commit(self, moves: Sequence[Move]) -> set[str]:
        """Carry out what passes the fence."""
        if not moves:
            return set()
        with self._file.changing():
            try:
                return self._commit(moves)
            except NotAllMovedError:
                current = [move for move in moves if self._is_current(move)]
                return self._commit(current) if current else set()
            except BaseException:
                self._forget()
                raise

    def _commit(self, moves: Sequence[Move]) -> set[str]:
        places: dict[str, Place] = {}
        with self._file.transaction():
            rows, changes = self._plan(moves, places)
            execute_many = self._file.connection.executemany
            if execute_many(SQL["advance_job"], changes).rowcount < len(changes):
                raise NotAllMovedError
            execute_many(SQL["insert_record"], rows)
            self._sweep()
            fresh = sum(move.old is None for move in moves)
            if not self._file.count(fresh, sum(map(growth, moves))):
                raise NotAllMovedError
        self._places.update(places)
        self._next_row += len(rows)
        return set(places)

    def _plan(self, moves: Sequence[Move], places: dict[str, Place]) -> tuple[list[Any], list[Any]]:
        """Give the rows to insert and the heads to advance; what is rare is carried out at once."""
        rows: list[Any] = []
        changes: list[Any] = []
        row = self._next_row = self._next_row or self._rows("last_row")[0][0] + 1
        for old, new, records, snapshot in moves:
            number, last = self._insert(new) if old is None else self._place(new.job_id)
            for record in records:
                rows.append((row, last, number, record.seq, record.frame))
                last = row
                row += 1
            places[new.job_id] = Place(number, last)
            if old is None:
                self._run("begin_job", number, new.epoch, new.seq, state_of(new, last))
            else:
                changes.append((new.epoch, new.seq, state_of(new, last), number, old.epoch, old.seq))
            if old is None or snapshot or new.seal is not old.seal or new.key_sum != old.key_sum:
                self._change(number, old, new, records, snapshot)
        return rows, changes

    def _run(self, name: str, *parameters: Any) -> None:
        self._file.connection.execute(SQL[name], parameters)

    def _change(
        self, number: int, old: Head | None, new: Head, records: Sequence[Row], snapshot: SnapshotRow | None
    ) -> None:
        if old is not None and new.seal != old.seal:
            self._run("change_job", *job_columns(new), number)
            self._to_sweep += 2 * (new.trim_seq - old.trim_seq)
        if snapshot:
            self._run("save_snapshot", number, *snapshot)
        for record in records:
            if record.key is not None:
                self._run("insert_key", number, record.key, record.seq)

    def _insert(self, head: Head) -> Place:
        values = (head.job_id, head.flow_id, *job_columns(head))
        try:
            number = self._file.connection.execute(SQL["insert_job"], values).lastrowid
        except sqlite3.IntegrityError as error:
            raise NotAllMovedError from error
        return Place(number or 0, 0)

    def _place(self, job_id: str) -> Place:
        place = self._places.get(job_id) or self._find_place(job_id)
        if place is None:
            raise NotAllMovedError
        return place

    def _find_place(self, job_id: str) -> Place | None:
        try:
            return next((Place(number, last_row_of(state)) for number, state in self._rows("find_place", job_id)), None)
        except (struct.error, TypeError) as error:
            raise JobDamagedError(job_id, "its progress cannot be read") from error

    def _sweep(self) -> None:
        """Delete forgotten records among the next rows: twice as many rows as there were forgotten."""
        while self._to_sweep >= SWEEP_ROWS:
            if not 0 < self._sweep_at < self._next_row:
                self._sweep_at = self._rows("first_row")[0][0]
            end = min(self._sweep_at + self._to_sweep, self._next_row)
            self._file.connection.execute(SQL["sweep"], (self._sweep_at, end))
            self._to_sweep -= max(end - self._sweep_at, SWEEP_ROWS)
            self._sweep_at = end

    def _is_current(self, move: Move) -> bool:
        if not self._file.is_ours():
            return False
        stored = self.read_head(move.new.job_id)
        if move.old is None or stored is None:
            return stored is move.old
        return (stored.epoch, stored.seq) == (move.old.epoch, move.old.seq)

    def claim(
        self, limit: int | None, job_ids: Sequence[str] | None, choose: Callable[[Sequence[Head]], list[Move]]
    ) -> set[str]:
        """Have moves chosen, and carry them out: nobody else lives who could hold a job of this file."""
        heads = self.unfinished() if job_ids is None else self.read_heads(job_ids)
        return self.commit(choose([head for head in heads if head.owner != self.owner][:limit]))

    def delete(self, job_ids: Sequence[str]) -> int:
        """Delete jobs; their records are swept away later."""
        with self._file.changing():
            found = [
                (place, head)
                for job_id in job_ids
                if (head := self.read_head(job_id)) and (place := self._find_place(job_id))
            ]
            numbers = [(place.number,) for place, _ in found]
            try:
                with self._file.transaction():
                    for name in ("delete_snapshot", "delete_keys", "delete_progress", "delete_job"):
                        self._file.connection.executemany(SQL[name], numbers)
                    self._to_sweep += sum(2 * (head.seq - head.trim_seq) for _, head in found)
                    self._sweep()
                    if not self._file.count(-len(found), -sum(head.value for _, head in found)):
                        raise NotAllMovedError
            except NotAllMovedError:  # another process has the file
                return 0
        for job_id in job_ids:
            self._places.pop(job_id, None)
        return len(found)

    # Reading

    def _rows(self, name: str, *parameters: Any) -> list[Any]:
        return self._file.rows(name, parameters)

    def read_head(self, job_id: str) -> Head | None:
        """Read one head."""
        return next((head_of(row) for row in self._rows("read_head", job_id)), None)

    def read_heads(self, job_ids: Sequence[str]) -> list[Head]:
        """Read these heads, as far as they are there."""
        return [head for job_id in job_ids if (head := self.read_head(job_id))]

    def read_job(self, job_id: str) -> JobRows | None:
        """Read all of a job as of one moment."""
        try:
            with self._file.moment():
                head, place = self.read_head(job_id), self._find_place(job_id)
                if head is None or place is None:
                    return None if head is None else JobRows(head, None, (), ())
                snapshot = [SnapshotRow(*row) for row in self._rows("read_snapshot", place.number)]
                keys = [row[0] for row in self._rows("read_keys", place.number)]
                return JobRows(head, snapshot[0] if snapshot else None, self._records(head, place), keys)
        except StoreDamagedError as error:
            raise JobDamagedError(job_id, error.problem) from error

    def _records(self, head: Head, place: Place, behind: int | None = None) -> list[Row]:
        begin = head.trim_seq if behind is None else behind
        parameters = {"last": place.last_row, "number": place.number, "behind": begin}
        return [Row(head.job_id, *row) for row in self._file.rows("read_records", parameters)]

    def read_row(self, job_id: str, seq: int) -> Row | None:
        """Read one record."""
        return next((row for row in self._rows_behind(job_id, seq - 1) if row.seq == seq), None)

    def _rows_behind(self, job_id: str, seq: int) -> list[Row]:
        head, place = self.read_head(job_id), self._find_place(job_id)
        return self._records(head, place, max(seq, head.trim_seq)) if head and place else []

    def bytes_behind(self, job_id: str, seq: int) -> int:
        """Sum the frames of the records behind this one."""
        return sum(len(row.frame) for row in self._rows_behind(job_id, seq))

    def find_keys(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Find the records of pairs of job and key."""
        found = {}
        for job_id, key in pairs:
            place = self._places.get(job_id) or self._find_place(job_id)
            for row in self._rows("find_key", place.number, key) if place else ():
                found[job_id, key] = int(row[0])
        return found

    def list_heads(self, status: str | None, limit: int, after: str | None) -> list[Head]:
        """List heads as the jobs were created."""
        found = self._file.rows("list_heads", {"status": status, "limit": limit, "after": after})
        return [head_of(row) for row in found]

    def unfinished(self) -> list[Head]:
        """List all heads of jobs that have not ended."""
        return [head_of(row) for row in self._rows("unfinished")]

    def oldest_finished(self, limit: int) -> list[Head]:
        """List heads of jobs that have ended, those first that ended first."""
        return [head_of(row) for row in self._rows("oldest_finished", limit)]

    def finished_totals(self) -> tuple[int, int]:
        """Count the jobs that have ended, and their bytes."""
        count, size = self._rows("finished_totals")[0]
        return int(count), int(size)


def open_sqlite(
    path: Path,
    *,
    sync: str = "full",
    read_only: bool = False,
    accept_loss: bool = False,
    salvage: Path | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> JournalStore:
    """Open a store in a file; ``accept_loss`` goes on with what is there when commits were lost.

    Raises:
        StoreAddressError: not a place for a file, or one on a network.
        StoreOwnedError: another process runs the jobs of this file.
        StoreVersionError: the file is of a newer format, or of another program.
        StoreDamagedError: the file is damaged as a whole, or lost commits.
        StoreUnavailableError: the file cannot be opened or written at this moment.
    """
    if sync not in SYNC:
        raise StoreAddressError(str(path), f"sync={sync!r} is unknown; it is 'full' or 'normal'")
    if not path.parent.is_dir():
        raise StoreAddressError(str(path), f"the folder {str(path.parent)!r} does not exist")
    if read_only and not path.exists():
        raise StoreAddressError(str(path), "there is no such file to read")
    refuse_network(path)
    file = SqliteFile(path, sync=sync, read_only=read_only, accept_loss=accept_loss)
    return JournalStore(SqliteTables(file), clock, salvage or path.with_name(path.name + ".salvage"))
