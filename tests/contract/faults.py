"""Faults from outside, each from a seed: processes killed, bits flipped, statements that fail.

``python -m tests.contract.faults kill 200 1`` kills 200 writers, ``flips 5000 1`` flips 5,000 bits, ``errors 1000 1``
lets 1,000 statements fail, one a run; each ends with one line. The suite runs short forms of the same.
"""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from routilux.errors import JobDamagedError, JobNotFoundError, StoreError
from routilux.journal import JournalRecord, StoredJob
from routilux.storage.journal_store import JournalStore
from routilux.storage.sqlite import open_sqlite
from tests.contract.writer import payload_of

FILES = ("jobs.db", "jobs.db-wal", "jobs.db.witness")


def kill_writers(folder: Path, rounds: int, seed: int) -> Counter[str]:
    """Kill a writer again and again; after each, all it acknowledged must be there, and what is there must be whole."""
    dice = random.Random(seed)
    path = folder / "jobs.db"
    acknowledged: Counter[str] = Counter()
    seen: Counter[str] = Counter(rounds=rounds)
    for _ in range(rounds):
        lines = run_and_kill(path, dice)
        for line in lines:
            job_id, _, number = line.rpartition(":")
            acknowledged[job_id] = max(acknowledged[job_id], int(number))
        seen["acknowledged"] += len(lines)
        store = open_sqlite(path, read_only=dice.random() < 0.2)  # a reader must see the same, without the owner
        for job_id, seq in acknowledged.items():
            stored = store.load(job_id)
            seen["lost"] += stored.header.seq < seq
            seen["wrong"] += any(found.payload != payload_of(job_id, found.seq) for found in stored.records)
        store.close()
    return seen


def run_and_kill(path: Path, dice: random.Random) -> list[str]:
    """Let a writer write for a random while; give the complete lines it told."""
    command = [sys.executable, "-m", "tests.contract.writer", str(path), str(dice.randrange(2**31))]
    most = dice.randrange(1, 400)
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout
        lines = [line for _, line in zip(range(most), writer.stdout, strict=False)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


def make_image(folder: Path, checkpointed: bool) -> dict[str, StoredJob]:
    """Make the files as a kill leaves them, or as a clean end does; give what they hold."""
    store = open_sqlite(folder / "open.db")
    for number in range(6):
        job_id = f"job {number}"
        store.create_job(job_id, "flow", "running", b"begin " * 20)
        for seq in range(1, 12):
            key = f"key {seq}" if seq % 4 == 0 else None
            status = "completed" if (number, seq) == (5, 11) else None
            store.append(JournalRecord(job_id, seq, 1, "commit", payload_of(job_id, seq), status, key))
        if number % 2:
            store.save_snapshot(job_id, 7, b"seven " * 30)
    if checkpointed:
        store._tables._file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[attr-defined]
        store.append(JournalRecord("job 0", 12, 1, "commit", payload_of("job 0", 12)))
    expected = {header.job_id: store.load(header.job_id) for header in store.list_jobs()}
    for name in FILES:
        shutil.copy(folder / name.replace("jobs", "open"), folder / name)
    store.close()
    return expected


def flip_bits(folder: Path, count: int, seed: int) -> Counter[str]:
    """Flip a bit, open, look: every flip is either found or harmless."""
    dice = random.Random(seed)
    seen: Counter[str] = Counter(flips=count)
    images = []
    for checkpointed in (False, True):
        image = folder / f"image {checkpointed}"
        image.mkdir()
        images.append((image, make_image(image, checkpointed)))
    for number in range(count):
        image, expected = images[number % 2]
        place = folder / "flipped"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name in FILES:
            shutil.copy(image / name, place / name)
        flip(place / FILES[min(dice.randrange(5), 2) if dice.random() < 0.5 else number // 2 % 3], dice)
        seen[judge(place / "jobs.db", expected)] += 1
    return seen


def flip(path: Path, dice: random.Random) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def judge(path: Path, expected: dict[str, StoredJob]) -> str:
    """Open a store and compare all of it: found, harmless or silent."""
    try:
        store = open_sqlite(path)
    except StoreError:
        return "found"
    try:
        return judge_jobs(store, expected)
    finally:
        store.close()


def judge_jobs(store: JournalStore, expected: dict[str, StoredJob]) -> str:
    """Compare job by job; a damaged one must be shown, the others must be the same."""
    damaged = 0
    try:
        for job_id, wanted in expected.items():
            try:
                same = plain(store.load(job_id)) == plain(wanted)
            except JobDamagedError:
                damaged += 1
                continue
            except JobNotFoundError:
                damaged += any(header.damage for header in store.list_jobs())
                continue
            if not same:
                return "silent"
        listed = store.list_jobs()
        if len(listed) != len(expected):
            return "silent"
        unfinished = {header.job_id for header in store.unfinished()}
        if not damaged and unfinished != {job for job, stored in expected.items() if stored.header.status == "running"}:
            return "silent"
    except StoreError:
        return "found"
    return "found" if damaged else "harmless"


class FailingConnection:
    """A connection one of whose statements fails: before it happened, or after."""

    def __init__(self, connection: sqlite3.Connection, at: int, code: int, happened: bool) -> None:
        self._connection = connection
        self._left = at
        self._code = code
        self._happened = happened

    def execute(self, sql: str, *parameters: Any) -> Any:
        return self._call(self._connection.execute, sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> Any:
        return self._call(self._connection.executemany, sql, *parameters)

    def _call(self, call: Any, sql: str, *parameters: Any) -> Any:
        self._left -= 1
        if self._left or sql == "ROLLBACK":
            return call(sql, *parameters)
        if self._happened:
            call(sql, *parameters)
        elif sql == "COMMIT":
            call("ROLLBACK")
        error = sqlite3.OperationalError("made to fail")
        error.sqlite_errorcode = self._code
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


CODES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC)


def fail_statements(folder: Path, count: int, seed: int) -> Counter[str]:
    """Let one statement of a run of records and snapshots fail; all is acknowledged, once, and there."""
    dice = random.Random(seed)
    seen: Counter[str] = Counter(runs=count)
    for number in range(count):
        path = folder / f"{number}.db"
        store = open_sqlite(path)
        store.create_job("a", "flow", "running")
        file: Any = store._tables._file  # type: ignore[attr-defined]
        file._opened = FailingConnection(file._opened, dice.randrange(1, 60), dice.choice(CODES), dice.random() < 0.5)
        heard: list[Exception | None] = []
        for seq in range(1, 11):
            key = f"key {seq}" if seq % 3 == 0 else None
            store.submit(JournalRecord("a", seq, 1, "commit", payload_of("a", seq), key=key), heard.append)
            if seq % 4 == 0:
                store.save_snapshot("a", seq, payload_of("a", seq))
        seen["wrong"] += heard != [None] * 10
        store.close()
        again = open_sqlite(path)
        stored = again.load("a")
        seen["lost"] += stored.header.seq != 10 or stored.snapshot != payload_of("a", 8)
        seen["wrong"] += any(found.payload != payload_of("a", found.seq) for found in stored.records)
        again.close()
    return seen


def plain(stored: StoredJob) -> tuple[object, ...]:
    """What must be the same."""
    header = stored.header
    head = (header.job_id, header.flow_id, header.status, header.created_at, header.updated_at, header.seq)
    return (head, stored.snapshot, stored.snapshot_seq, stored.records)


def main(kind: str, count: int, seed: int) -> int:
    """Run one kind of fault; say how it went."""
    faults = {"kill": kill_writers, "flips": flip_bits, "errors": fail_statements}
    with tempfile.TemporaryDirectory() as folder:
        seen = faults[kind](Path(folder), count, seed)
    bad = seen["lost"] + seen["wrong"] + seen["silent"]
    print(f"{kind}: seed {seed}: {', '.join(f'{number:,} {name}' for name, number in seen.items())}: {bad} violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
