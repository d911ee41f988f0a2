"""One store after the other: each test of the contract runs over every implementation."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from routilux.journal import JournalRecord
from routilux.storage.journal_store import JournalStore
from routilux.storage.memory import MemoryDisk, open_memory
from routilux.storage.sqlite import open_sqlite
from routilux.testing import ManualClock

KINDS = ["memory", "sqlite"]


class Place(Protocol):
    """Where stores can be opened again and again."""

    clock: ManualClock

    def open(self, **options: Any) -> JournalStore: ...

    def crash(self, store: JournalStore) -> None:
        """Forget the store as if its process had died."""


class MemoryPlace:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.disk = MemoryDisk()

    def open(self, **options: Any) -> JournalStore:
        return open_memory(self.disk, clock=self.clock, **options)

    def crash(self, store: JournalStore) -> None:
        self.disk.crash()


class SqlitePlace:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.path = folder / "jobs.db"

    def open(self, **options: Any) -> JournalStore:
        return open_sqlite(self.path, clock=self.clock, **options)

    def crash(self, store: JournalStore) -> None:
        store._tables.close()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
    else:
        yield SqlitePlace(tmp_path)


@pytest.fixture
def opened(place: Place) -> Iterator[JournalStore]:
    store = place.open()
    yield store
    store.close()


@pytest.fixture
def record() -> Callable[..., JournalRecord]:
    """Make a record whose payload tells its number."""

    def make(job_id: str, seq: int, epoch: int = 1, **fields: Any) -> JournalRecord:
        return JournalRecord(job_id, seq, epoch, **({"kind": "commit", "payload": f"{job_id} {seq}".encode()} | fields))

    return make
