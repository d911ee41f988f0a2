"""The store of durable jobs alone, beside a bare group-commit loop over SQLite in the same run."""

import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import Figure, compare, measure, timed
from routilux.journal import JournalRecord
from routilux.storage.journal_store import JournalStore
from routilux.storage.sqlite import open_sqlite

JOBS = 100
IN_FLIGHT = 64
PAYLOAD = bytes(230)


def figures(quick: bool, repetitions: int) -> list[Figure]:
    """Records in groups and one by one: the bare loop, the store, and the store as a share of the loop."""
    found = []
    for name, what, group, count in (
        ("store", f"{IN_FLIGHT} in flight", IN_FLIGHT, 10_000 if quick else 40_000),
        ("store serial", "one after the other", 1, 500 if quick else 2_000),
    ):
        bare, ours = bare_loop(group, count), store_loop(group, count)
        found.append(measure(f"{name} bare", f"record in a bare loop, {what}", bare, count, repetitions))
        found.append(measure(name, f"record in the store, {what}", ours, count, repetitions))
        found.append(compare(f"{name} share", f"the store to the bare loop, {what}", bare, ours, repetitions))
    return found


def bare_loop(group: int, count: int) -> Callable[[], float]:
    """Insert rows with the same payload, so many per commit, into a table that only grows."""

    def once() -> float:
        with tempfile.TemporaryDirectory() as folder:
            connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(
                "CREATE TABLE journal (number INTEGER PRIMARY KEY, job_id TEXT, seq INTEGER, payload BLOB)"
            )
            seconds = timed(lambda: insert(connection, group, count))
            connection.close()
        return seconds

    return once


def insert(connection: sqlite3.Connection, group: int, count: int) -> None:
    statement = "INSERT INTO journal (job_id, seq, payload) VALUES (?, ?, ?)"
    for seq in range(count // group):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, [(f"job-{job:032}", seq, PAYLOAD) for job in range(group)])
        connection.execute("COMMIT")


def store_loop(in_flight: int, count: int) -> Callable[[], float]:
    """Submit records of many jobs; each acknowledgement submits the next, so that so many are always in flight."""

    def once() -> float:
        with tempfile.TemporaryDirectory() as folder:
            store = open_sqlite(Path(folder) / "jobs.db")
            job_ids = [f"job-{job:032}" for job in range(JOBS)]
            for job_id in job_ids:
                store.create_job(job_id, "flow", "running")
            seconds = timed(Stream(store, job_ids, in_flight, count).run)
            store.close()
        return seconds

    return once


class Stream:
    """So many records in flight, job after job."""

    def __init__(self, store: JournalStore, job_ids: list[str], in_flight: int, count: int) -> None:
        self._store = store
        self._resting = deque(job_ids)
        self._flying: deque[str] = deque()
        self._seqs = dict.fromkeys(job_ids, 0)
        self._in_flight = in_flight
        self._left = count
        self._landed = 0
        self._count = count

    def run(self) -> None:
        """Submit all, beginning in a callback, so that the first group is full."""
        self._submit(self._fill)
        assert self._landed == self._count

    def _fill(self, error: Exception | None) -> None:
        self._done(error)
        for _ in range(min(self._in_flight, self._left) - 1):
            self._submit(self._done)

    def _submit(self, done: Callable[[Exception | None], None]) -> None:
        job_id = self._resting.popleft()
        self._flying.append(job_id)
        self._seqs[job_id] = seq = self._seqs[job_id] + 1
        self._left -= 1
        self._store.submit(JournalRecord(job_id, seq, 1, "commit", PAYLOAD), done)

    def _done(self, error: Exception | None) -> None:
        assert error is None, error
        self._landed += 1
        self._resting.append(self._flying.popleft())
        if self._left:
            self._submit(self._done)
