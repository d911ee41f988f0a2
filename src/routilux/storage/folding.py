"""A group of changes folded into one move per job: pure, so that it can be done again after a failed commit."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from routilux.errors import DuplicateKeyError, DuplicateNameError, FencedError, RoutiluxError, SequenceError
from routilux.journal import VOID, JournalRecord
from routilux.storage.chain import (
    FIRST_LINK,
    KEY_SUM,
    NO_SNAPSHOT,
    Head,
    Row,
    SnapshotRow,
    frame_of,
    hash_of,
    key_sum,
    mark_of,
    seal_snapshot,
)
from routilux.storage.group_commit import Entry
from routilux.storage.tables import Move


class NewJob(NamedTuple):
    """A job to be stored."""

    job_id: str
    flow_id: str
    status: str
    snapshot: bytes | None


class NewSnapshot(NamedTuple):
    """A snapshot to be stored."""

    job_id: str
    seq: int
    payload: bytes
    status: str | None
    trim: bool


class Facts(NamedTuple):
    """What folding must know of the store."""

    head_of: Callable[[str], Head]  # raises an error of ours where the job cannot be written
    hash_at: Callable[[str, int], bytes | None]
    bytes_behind: Callable[[str, int], int]
    known_keys: Mapping[tuple[str, str], int]
    owner: str
    now: int


class Folded(NamedTuple):
    """A move, the entries that it carries out, and those of them whose key was there already."""

    move: Move
    landing: list[Entry]
    duplicates: dict[Entry, DuplicateKeyError] | None


class JobFold:
    """One job within a group: entries go in, a move comes out."""

    __slots__ = (
        "_facts",
        "_journal_bytes",
        "_keys",
        "_rows",
        "_seq",
        "_snapshot",
        "_status",
        "_tail",
        "_trim",
        "duplicates",
        "head",
        "landing",
        "old",
    )

    def __init__(self, old: Head | None, head: Head, facts: Facts) -> None:
        self.old = old
        self.head = head
        self.landing: list[Entry] = []
        self.duplicates: dict[Entry, DuplicateKeyError] | None = None
        self._facts = facts
        self._rows: list[Row] = []
        self._seq, self._tail = head.seq, head.tail
        self._status = head.status
        self._journal_bytes = head.journal_bytes
        self._keys: dict[str, int] | None = None
        self._snapshot: SnapshotRow | None = None
        self._trim = head.trim_seq

    def add(self, entry: Entry) -> None:
        """Take a change, or settle it with the reason why not."""
        try:
            change = entry.change
            self._record(entry, change) if type(change) is JournalRecord else self._take(change)
        except RoutiluxError as error:
            entry.settle(error)
            return
        self.landing.append(entry)

    def _record(self, entry: Entry, record: JournalRecord) -> None:
        check(record, self.head.epoch, self._seq)
        if record.key is not None:
            record = self._first_of_key(entry, record)
        frame = frame_of(record, self._tail)
        self._rows.append(Row(record.job_id, record.seq, frame, record.key))
        self._seq, self._tail = record.seq, hash_of(frame)
        self._journal_bytes += len(frame)
        if record.status is not None:
            self._status = str(record.status)

    def _first_of_key(self, entry: Entry, record: JournalRecord) -> JournalRecord:
        """Remember the key; a second record of it becomes an empty one, so that those behind it keep their numbers."""
        key = str(record.key)
        if self._keys is None:
            self._keys = {}
        seq = self._keys.get(key) or self._facts.known_keys.get((record.job_id, key))
        if not seq:
            self._keys[key] = record.seq
            return record
        self.duplicates = self.duplicates or {}
        self.duplicates[entry] = DuplicateKeyError(record.job_id, key, seq)
        return record._replace(kind=VOID, payload=b"", status=None, key=None)

    def _take(self, change: NewJob | NewSnapshot) -> None:
        if isinstance(change, NewJob):
            if self.old is not None or self.landing:
                raise DuplicateNameError("job", change.job_id)
            if change.snapshot is not None:
                self._snapshot = seal_snapshot(change.job_id, 0, change.snapshot, FIRST_LINK)
            return
        tail = self._hash_at(change.seq)
        latest = self._snapshot.seq if self._snapshot else self.head.snapshot_seq
        if tail is None or change.seq < latest:
            raise SequenceError(change.job_id, change.seq, self._seq)
        self._snapshot = seal_snapshot(change.job_id, change.seq, change.payload, tail)
        if change.trim:
            self._trim = change.seq
            self._journal_bytes = self._bytes_behind(change.seq)
        if change.status is not None:
            self._status = change.status

    def _hash_at(self, seq: int) -> bytes | None:
        if seq == self._seq:
            return self._tail
        written = seq - self.head.seq - 1
        if 0 <= written < len(self._rows):
            return hash_of(self._rows[written].frame)
        return self.head.tail if seq == self.head.seq else self._facts.hash_at(self.head.job_id, seq)

    def _bytes_behind(self, seq: int) -> int:
        fresh = sum(len(row.frame) for row in self._rows if row.seq > seq)
        return fresh + (self._facts.bytes_behind(self.head.job_id, seq) if seq < self.head.seq else 0)

    def move(self) -> Move:
        """Give what is to be done."""
        head, snapshot = self.head, self._snapshot
        now = max(self._facts.now, head.updated_at)
        keys = (head.key_sum + key_sum(self._keys)) % KEY_SUM if self._keys else head.key_sum
        hot = (now, self._seq, self._journal_bytes, keys, self._tail)
        if snapshot is None and self.old is not None and self._status == head.status:
            return Move(self.old, Head._make((*head[:10], *hot, mark_of(head.seal, hot))), self._rows)
        cold = (head.job_id, head.flow_id, self._status, head.created_at, head.epoch, head.owner, self._trim)
        shot = (len(snapshot.payload), snapshot.seq) if snapshot else (head.snapshot_bytes, head.snapshot_seq)
        return Move(self.old, Head._make((*cold, *shot, b"", *hot, 0)).sealed(), self._rows, snapshot)


def fold(entries: Iterable[Entry], facts: Facts) -> list[Folded]:
    """Fold a group into one move per job; entries that cannot be taken are settled."""
    by_job: dict[str, list[Entry]] = {}
    for entry in entries:
        by_job.setdefault(entry.change.job_id, []).append(entry)
    return [found for mine in by_job.values() if (found := fold_job(mine, facts))]


def fold_job(entries: list[Entry], facts: Facts) -> Folded | None:
    """Fold the changes of one job; None where none can be taken."""
    change = entries[0].change
    try:
        if len(entries) == 1 and type(change) is JournalRecord and change.key is None and change.status is None:
            return fold_plain(entries, change, facts)
        found = begin(change, facts)
    except RoutiluxError as error:
        for entry in entries:
            entry.settle(error)
        return None
    for entry in entries:
        found.add(entry)
    return Folded(found.move(), found.landing, found.duplicates) if found.landing else None


def fold_plain(entries: list[Entry], record: JournalRecord, facts: Facts) -> Folded:
    """Fold one plain record: what `JobFold` would give, for most of all groups, in a third of the time."""
    head = facts.head_of(record.job_id)
    check(record, head.epoch, head.seq)
    frame = frame_of(record, head.tail)
    now = facts.now if facts.now > head.updated_at else head.updated_at  # noqa: FURB136 - the call costs as much again
    hot = (now, record.seq, head.journal_bytes + len(frame), head.key_sum, hash_of(frame))
    new = Head._make(head[:10] + hot + (mark_of(head.seal, hot),))
    return Folded(Move(head, new, (Row(record.job_id, record.seq, frame),)), entries, None)


def check(record: JournalRecord, epoch: int, seq: int) -> None:
    """Refuse a record of another epoch, or one that is not the next."""
    if record.epoch != epoch:
        raise FencedError(record.job_id, record.epoch)
    if record.seq != seq + 1:
        raise SequenceError(record.job_id, record.seq, seq + 1)


def begin(change: NewJob | NewSnapshot | JournalRecord, facts: Facts) -> JobFold:
    """Begin with the head of a job, a fresh one for a new job."""
    if not isinstance(change, NewJob):
        head = facts.head_of(change.job_id)
        return JobFold(head, head, facts)
    now = facts.now
    cold = (change.job_id, change.flow_id, change.status, now, 1, facts.owner, 0, 0, NO_SNAPSHOT, b"")
    return JobFold(None, Head(*cold, now, 0, 0, 0, FIRST_LINK, 0), facts)
