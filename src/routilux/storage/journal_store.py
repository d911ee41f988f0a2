"""The store of durable jobs over any backend: fences, groups, keys, trouble, quarantine, retention.

Design: §7.3. Backends keep tables (`tables.py`); all rules stand here, once.
"""

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from routilux.clock import SYSTEM_CLOCK, Clock
from routilux.errors import (
    DuplicateNameError,
    FencedError,
    JobDamagedError,
    JobNotFoundError,
    RecordRefusedError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
)
from routilux.journal import JobHeader, JournalRecord, Retention, StoredJob
from routilux.storage.chain import FINAL, Head, find_damage, hash_of, record_of
from routilux.storage.folding import Facts, Folded, NewJob, NewSnapshot, fold
from routilux.storage.group_commit import Done, Entry, GroupCommit
from routilux.storage.retention import expired
from routilux.storage.salvage import write_salvage
from routilux.storage.tables import JobRows, Move, Tables

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
RECORD_BYTES = 100  # what a record takes beside its payload, about

logger = logging.getLogger(__name__)


class JournalStore:
    """A `Store` over the tables of one backend. ``salvage`` is the folder for what is left of damaged jobs."""

    def __init__(self, tables: Tables, clock: Clock = SYSTEM_CLOCK, salvage: Path | None = None) -> None:
        self.address = tables.address
        self.heartbeat_seconds = tables.heartbeat_seconds
        self._tables = tables
        self._clock = clock
        self._salvage = salvage
        self._group = GroupCommit(self._write)
        self._ending = threading.Event()  # no more retries
        self._is_closed = False
        self._process = os.getpid()
        self._trouble: StoreUnavailableError | None = None
        self._fatal: StoreDamagedError | None = None
        self._heads: dict[str, Head] = {}  # jobs held here; guarded by the token of writing, as what is in doubt
        self._in_doubt: list[Folded] = []
        self._lost: dict[str, StoreError] = {}  # jobs that take no more records, and why

    # Writing

    @property
    def is_ready(self) -> bool:
        """Whether new work may be begun."""
        return self._trouble is None and not (self._is_closed or self._fatal) and self._tables.is_ready

    def create_job(
        self, job_id: str, flow_id: str, status: str, snapshot: bytes | None = None, done: Done | None = None
    ) -> int:
        """Store a new job, held here; give its epoch."""
        change = NewJob(str(job_id), str(flow_id), str(status), snapshot)
        self._put(change, size_of(snapshot), done)
        return 1

    def submit(self, record: JournalRecord, done: Done) -> None:
        """Write a record; ``done(None)`` once it is durable, else with the error."""
        self._check_open()
        self._group.submit(Entry(record, size_of(record.payload), done))

    def append(self, record: JournalRecord) -> None:
        """Write a record and wait until it is durable."""
        self._put(record, size_of(record.payload), None)

    def save_snapshot(
        self, job_id: str, seq: int, payload: bytes, status: str | None = None, *, trim: bool = True
    ) -> None:
        """Store the job as it was after record ``seq``; wait."""
        change = NewSnapshot(job_id, seq, payload, None if status is None else str(status), trim)
        self._put(change, size_of(payload), None)

    def _put(self, change: NewJob | NewSnapshot | JournalRecord, size: int, done: Done | None) -> None:
        self._check_open()
        entry = Entry(change, size, done)
        if done:
            self._group.submit(entry)
            return
        if self._trouble:
            raise self._trouble
        self._group.wait_for(entry)
        if entry.error:
            raise entry.error

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreClosedError(self.address, "is closed")
        if self._tables.read_only:
            raise StoreClosedError(self.address, "is open for reading only")
        if self._fatal:
            raise self._fatal
        self._check_process()

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise StoreClosedError(self.address, "was opened before a fork, by the parent process")

    def _write(self, entries: list[Entry]) -> None:
        """Settle every entry: durable, refused, or given up when the store closes."""
        pause = FIRST_PAUSE
        while entries := [entry for entry in entries if not entry.settled]:
            try:
                self._attempt(entries)
            except StoreUnavailableError as error:
                if not self._hold_on(error, pause):
                    settle_all(entries, self._fatal or error)
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - anything a backend makes of a value it cannot take
                self._in_doubt = []
                self._refuse(entries, error)
                return
        self._end_trouble()

    def _refuse(self, entries: list[Entry], error: Exception) -> None:
        if len(entries) == 1:
            refused = RecordRefusedError(entries[0].change.job_id, f"{type(error).__name__}: {error}")
            refused.__cause__ = error
            entries[0].settle(refused)
            return
        for entry in entries:  # one by one, so that only the poisoned one is refused
            self._write([entry])

    def _attempt(self, entries: list[Entry]) -> None:
        if self._in_doubt:
            self._reconcile()
            entries = [entry for entry in entries if not entry.settled]
        keyed = [
            (entry.change.job_id, str(entry.change.key))
            for entry in entries
            if type(entry.change) is JournalRecord and entry.change.key is not None
        ]
        known = self._tables.find_keys(keyed) if keyed else {}
        now = self._clock.epoch_ns(self._clock.ticks())
        facts = Facts(self._head_of, self._hash_at, self._tables.bytes_behind, known, self._tables.owner, now)
        self._in_doubt = folds = fold(entries, facts)
        if not folds:
            return
        moved = self._tables.commit([found.move for found in folds])
        for found in folds:
            new = found.move.new
            self._land(found, new if new.job_id in moved else self._landed_before(found.move))
        self._in_doubt = []

    def _reconcile(self) -> None:
        """Find out which moves of a broken commit have happened: it may have."""
        heads = self._tables.read_heads([found.move.new.job_id for found in self._in_doubt])
        stored = {head.job_id: head for head in heads}
        for found in self._in_doubt:
            head = stored.get(found.move.new.job_id)
            if head == found.move.new:
                self._land(found, head)
            elif head != found.move.old:
                self._land(found, None)
        self._in_doubt = []

    def _landed_before(self, move: Move) -> Head | None:
        """Give the head of a move that a connection which broke has carried out after all, behind our back."""
        head = self._tables.read_head(move.new.job_id) if move.old and move.rows else None
        return head if head and (head.epoch, head.tail) == (move.new.epoch, move.new.tail) else None

    def _land(self, found: Folded, head: Head | None) -> None:
        if head is None:
            self._lose(found)
            return
        self._remember(head)
        if self._lost:
            self._lost.pop(head.job_id, None)
        for entry in found.landing:
            entry.settle(found.duplicates.get(entry) if found.duplicates else None)

    def _remember(self, head: Head) -> None:
        if head.status in FINAL:
            self._heads.pop(head.job_id, None)
        else:
            self._heads[head.job_id] = head

    def _lose(self, found: Folded) -> None:
        job_id = found.move.new.job_id
        error: Exception = DuplicateNameError("job", job_id)
        if found.move.old is not None:
            self._heads.pop(job_id, None)
            error = self._lost[job_id] = FencedError(job_id, found.move.old.epoch)
            logger.error("job %s: another executor has taken it over; its work here is discarded", job_id)
        settle_all(found.landing, error)

    def _head_of(self, job_id: str) -> Head:
        if self._lost and job_id in self._lost:
            raise self._lost[job_id]
        held = self._heads.get(job_id)
        if held is not None:
            return held
        head = self._tables.read_head(job_id)
        if head is None:
            raise JobNotFoundError(job_id)
        if head.owner != self._tables.owner:
            raise FencedError(job_id, head.epoch)
        if not head.is_whole:
            raise JobDamagedError(job_id, "its head is not what was written")
        return head

    def _hash_at(self, job_id: str, seq: int) -> bytes | None:
        row = self._tables.read_row(job_id, seq)
        return hash_of(row.frame) if row else None

    # Trouble

    def _hold_on(self, error: StoreUnavailableError, pause: float) -> bool:
        if self._trouble is None:
            logger.error("%s", error)
        self._trouble = error
        if self._ending.wait(pause):
            return False
        if error.handle_lost:
            self._reopen()
        return self._fatal is None

    def _reopen(self) -> None:
        try:
            self._tables.reopen()
        except StoreUnavailableError as again:
            self._trouble = again  # the next attempt meets it too
        except StoreDamagedError as lost:
            logger.critical("%s", lost)
            self._fatal = lost

    def _end_trouble(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            logger.warning("store %s writes again", self.address)

    # Holding jobs

    def take_over(self, limit: int | None = None, job_ids: Sequence[str] | None = None) -> list[JobHeader]:
        """Hold unfinished jobs that nobody else holds, or these; each in its next epoch, durably."""
        self._check_open()
        chosen: dict[str, Head] = {}

        def choose(heads: Sequence[Head]) -> list[Move]:
            now = self._clock.epoch_ns(self._clock.ticks())
            moves = [next_epoch(head, self._tables.owner, now) for head in heads if head.is_whole]
            chosen.update((move.new.job_id, move.new) for move in moves)
            return moves

        with self._group.alone():
            taken = self._tables.claim(limit, job_ids, choose) if self._tables.is_ready else set()
            held = [head for job_id, head in chosen.items() if job_id in taken]
            for head in held:
                self._lost.pop(head.job_id, None)
                self._remember(head)
        return [head.header() for head in held]

    def give_up(self, job_ids: Sequence[str]) -> None:
        """Hold these jobs no more."""
        self._check_open()
        with self._group.alone():
            self._give_up(job_ids)

    def _give_up(self, job_ids: Sequence[str]) -> None:
        heads = [head for head in self._tables.read_heads(job_ids) if head.owner == self._tables.owner]
        self._tables.commit([Move(head, head._replace(owner=None).sealed()) for head in heads if head.is_whole])
        for job_id in job_ids:
            self._heads.pop(job_id, None)

    def heartbeat(self) -> None:
        """Renew the leases of the jobs held here."""
        self._check_open()
        self._tables.heartbeat()

    # Reading

    def load(self, job_id: str) -> StoredJob:
        """Read a job, and check every byte of it."""
        found = self._read_job(job_id)
        problem = damage_of(found)
        if problem:
            self._lost[job_id] = error = JobDamagedError(job_id, problem, self._save_remains(found, problem))
            logger.error("%s", error)
            raise error
        if isinstance(self._lost.get(job_id), JobDamagedError):
            del self._lost[job_id]
        payload, seq = (found.snapshot.payload, found.snapshot.seq) if found.snapshot else (None, 0)
        return StoredJob(found.head.header(), payload, seq, tuple(record_of(row.frame) for row in found.rows))

    def _read_job(self, job_id: str) -> JobRows:
        self._check_readable()
        try:
            found = self._tables.read_job(job_id)
        except JobDamagedError as error:
            self._lost[job_id] = error
            raise
        if found is None:
            raise JobNotFoundError(job_id)
        return found

    def _save_remains(self, found: JobRows, problem: str) -> str | None:
        if self._salvage is None or self._tables.read_only:
            return None
        try:
            return str(write_salvage(self._salvage, found, problem))
        except OSError as error:
            logger.warning("job %s: no salvage file can be written: %s", found.head.job_id, error)
            return None

    def find_key(self, job_id: str, key: str) -> int | None:
        """Give the number of the record of this key."""
        self._check_readable()
        return self._tables.find_keys([(job_id, key)]).get((job_id, key))

    def list_jobs(self, status: str | None = None, limit: int = 100, after: str | None = None) -> list[JobHeader]:
        """List jobs as they were created, those behind the job ``after``."""
        self._check_readable()
        return [self._header(head) for head in self._tables.list_heads(status, limit, after)]

    def unfinished(self) -> list[JobHeader]:
        """List all jobs that have not ended, damaged ones too."""
        self._check_readable()
        return [self._header(head) for head in self._tables.unfinished()]

    def _header(self, head: Head) -> JobHeader:
        lost = self._lost.get(head.job_id)
        return head.header(lost.problem if isinstance(lost, JobDamagedError) else "")

    def _check_readable(self) -> None:
        if self._is_closed:
            raise StoreClosedError(self.address, "is closed")
        self._check_process()

    # Forgetting

    def delete(self, job_ids: Sequence[str]) -> int:
        """Delete jobs that are held here or by nobody; give how many there were."""
        self._check_open()
        with self._group.alone():
            return self._delete(job_ids)

    def prune(self, retention: Retention) -> int:
        """Delete one slice of finished jobs that are kept too long; give how many."""
        self._check_open()
        now = self._clock.epoch_ns(self._clock.ticks())
        with self._group.alone():
            oldest = [head for head in self._tables.oldest_finished(retention.slice_count) if head.is_whole]
            over = expired(oldest, self._tables.finished_totals(), now, retention)
            return self._delete(over) if over else 0

    def _delete(self, job_ids: Sequence[str]) -> int:
        count = self._tables.delete(job_ids)
        for job_id in job_ids:
            self._heads.pop(job_id, None)
            self._lost.pop(job_id, None)
        return count

    # The end

    def close(self) -> None:
        """Write what waits, give all jobs up, close."""
        if self._is_closed or os.getpid() != self._process:
            return
        self._ending.set()
        with self._group.alone():
            if not self._is_closed:
                self._is_closed = True
                self._part()

    def _part(self) -> None:
        try:
            if not self._tables.read_only and not self._in_doubt:
                self._give_up(list(self._heads))
        except StoreUnavailableError as error:
            logger.warning("jobs are not given up: %s", error)
        finally:
            self._tables.close()


def size_of(payload: object) -> int:
    """Say about how much a record writes; what is not bytes is refused later, as a record of its own."""
    return RECORD_BYTES + (len(payload) if isinstance(payload, bytes) else 0)


def damage_of(found: JobRows) -> str | None:
    """Say what is wrong with a job; a field of another type is damage too."""
    try:
        return find_damage(found.head, found.snapshot, found.rows, found.keys)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        return f"it cannot be read: {type(error).__name__}: {error}"


def next_epoch(head: Head, owner: str, now: int) -> Move:
    """Make the move that gives a job to an executor."""
    new = head._replace(epoch=head.epoch + 1, owner=owner, updated_at=max(now, head.updated_at))
    return Move(head, new.sealed())


def settle_all(entries: Sequence[Entry], error: Exception) -> None:
    """Give all the same answer."""
    for entry in entries:
        entry.settle(error)
