"""What makes damage visible: a checksum in each record, the hash of the record before it, a seal on each head.

Design: §7.3. A record is stored as a frame: checksum, hash of the frame before, length of the names, names, payload.
A head names the hash of the last frame, so a tail cannot go missing unseen either.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from routilux.history import ExecutionStatus
from routilux.journal import JobHeader, JournalRecord

NO_SNAPSHOT = -1
FIRST_LINK = bytes(8)
FINAL = frozenset(str(status) for status in ExecutionStatus if status.is_final)
KEY_SUM = 2**62  # fits the signed integers of all databases
FRAME_HEAD = 4 + 8 + 2
HOT = struct.Struct(">qqqq8s")


class Head(NamedTuple):
    """What is stored of a job as a whole.

    The first nine fields change seldom, and ``seal`` is their hash; the others change with each record, and ``mark`` is
    their checksum, together with the seal. ``tail`` is the hash of the last frame; ``journal_bytes`` counts the frames that
    are kept: those behind ``trim_seq``.
    """

    job_id: str
    flow_id: str
    status: str
    created_at: int
    epoch: int
    owner: str | None
    trim_seq: int
    snapshot_bytes: int
    snapshot_seq: int
    seal: bytes
    updated_at: int
    seq: int
    journal_bytes: int
    key_sum: int
    tail: bytes
    mark: int

    @property
    def is_whole(self) -> bool:
        """Whether it is what was written; fields of another type are not."""
        try:
            return self == self.sealed()
        except (TypeError, ValueError, struct.error):
            return False

    @property
    def value(self) -> int:
        """What it adds to the digest of all jobs."""
        return int.from_bytes(self.seal[:4], "big") + self.mark

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.status in FINAL

    def sealed(self) -> "Head":
        """Give it with the seal and the mark that fit."""
        return self.marked(seal_of(self))

    def marked(self, seal: bytes) -> "Head":
        """Give it with this seal, and the mark that fits."""
        hot = self[10:15]
        return Head(*self[:9], seal, *hot, mark_of(seal, hot))

    def header(self, damage: str = "") -> JobHeader:
        """Give what others see of it."""
        return JobHeader(
            self.job_id,
            self.flow_id,
            self.status,
            self.created_at,
            self.updated_at,
            self.seq,
            self.epoch,
            self.owner,
            self.journal_bytes + self.snapshot_bytes,
            damage or ("" if self.is_whole else "its head is not what was written"),
        )


class Row(NamedTuple):
    """A record as stored."""

    job_id: str
    seq: int
    frame: bytes
    key: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the frame is what was written."""
        return zlib.crc32(self.frame[4:]) == int.from_bytes(self.frame[:4], "big")

    @property
    def previous(self) -> bytes:
        """The hash of the frame before."""
        return self.frame[4:12]


class SnapshotRow(NamedTuple):
    """A snapshot as stored: with the hash of the last frame it contains, and a checksum over all."""

    job_id: str
    seq: int
    payload: bytes
    tail: bytes
    crc: int


def seal_of(head: Head) -> bytes:
    """Hash the fields that change seldom."""
    return hashlib.blake2b(repr(head[:9]).encode(), digest_size=8).digest()


def mark_of(seal: bytes, hot: tuple[int, int, int, int, bytes]) -> int:
    """Sum the fields that change with each record."""
    return zlib.crc32(HOT.pack(*hot) + seal)


def frame_of(record: JournalRecord, previous: bytes) -> bytes:
    """Make the frame of a record behind the one of this hash.

    Raises:
        ValueError: names that hold a NUL, or are too long together.
    """
    job_id, seq, epoch, kind, payload, status, key = record
    rest = f"{_tagged(status)}\0{_tagged(key)}" if status is not None or key is not None else "\0"
    names = f"{job_id}\0{seq}\0{epoch}\0{kind}\0{rest}".encode()
    if names.count(0) != 5 or len(names) > 65_535:
        raise ValueError("job id, kind, status and key hold a NUL or are too long")
    body = previous + len(names).to_bytes(2, "big") + names + payload
    return zlib.crc32(body).to_bytes(4, "big") + body


def record_of(frame: bytes) -> JournalRecord:
    """Read a frame back.

    Raises:
        ValueError: it is no frame.
    """
    end = FRAME_HEAD + int.from_bytes(frame[12:FRAME_HEAD], "big")
    job_id, seq, epoch, kind, status, key = frame[FRAME_HEAD:end].decode().split("\0")
    return JournalRecord(job_id, int(seq), int(epoch), kind, frame[end:], _optional(status), _optional(key))


def _tagged(text: str | None) -> str:
    return "" if text is None else "=" + text


def _optional(text: str) -> str | None:
    return text[1:] if text else None


def hash_of(frame: bytes) -> bytes:
    """Hash a frame."""
    return hashlib.blake2b(frame, digest_size=8).digest()


def key_sum(keys: Iterable[str]) -> int:
    """Give a number that tells this set of keys from others, whatever their order."""
    return sum(int.from_bytes(hash_of(key.encode()), "big") for key in keys) % KEY_SUM


def seal_snapshot(job_id: str, seq: int, payload: bytes, tail: bytes) -> SnapshotRow:
    """Make the row of a snapshot."""
    return SnapshotRow(job_id, seq, payload, tail, _snapshot_crc(job_id, seq, payload, tail))


def _snapshot_crc(job_id: str, seq: int, payload: bytes, tail: bytes) -> int:
    return zlib.crc32(repr((job_id, seq)).encode() + tail + payload)


def find_damage(head: Head, snapshot: SnapshotRow | None, rows: Sequence[Row], keys: Iterable[str]) -> str | None:
    """Say what is wrong with a stored job; None where every byte is what was written."""
    if not head.is_whole:
        return "its head is not what was written"
    if (snapshot.seq if snapshot else NO_SNAPSHOT) != head.snapshot_seq:
        return f"its snapshot at {head.snapshot_seq} is missing"
    if snapshot and _snapshot_crc(*snapshot[:4]) != snapshot.crc:
        return f"the checksum of its snapshot at {snapshot.seq} is wrong"
    if key_sum(keys) != head.key_sum:
        return "its keys are not those that were written"
    return _chain_damage(head, snapshot, rows)


def _chain_damage(head: Head, snapshot: SnapshotRow | None, rows: Sequence[Row]) -> str | None:
    links = {0: FIRST_LINK} | ({snapshot.seq: snapshot.tail} if snapshot else {})
    seq = head.trim_seq
    before = links.get(seq)
    for row in rows:
        seq += 1
        if row.seq != seq:
            return f"record {seq} is missing"
        if not row.is_whole or record_of(row.frame)[:2] != row[:2]:
            return f"the checksum of record {seq} is wrong"
        if before is not None and row.previous != before:
            return f"record {seq} does not follow the one before it"
        before = hash_of(row.frame)
        if links.get(seq, before) != before:
            return f"record {seq} is not the one that the snapshot contains"
    if seq != head.seq:
        return f"record {seq + 1} is missing"
    return None if before == head.tail else f"record {head.seq} is not the last that was written"
