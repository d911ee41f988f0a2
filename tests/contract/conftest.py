"""One store after the other: each test of the contract runs over every implementation."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from routilux.journal import JournalRecord
from routilux.storage.journal_store import JournalStore
from routilux.storage.memory import MemoryDisk, open_memory
from routilux.storage.postgres import open_postgres
from routilux.storage.sqlite import open_sqlite
from routilux.testing import ManualClock
from tests.contract.postgres_server import Server, running_server

KINDS = ["memory", "sqlite", "postgres"]


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


class PostgresPlace:
    is_exclusive = False

    def __init__(self, address: str, folder: Path) -> None:
        self.clock = ManualClock()
        self.address = address
        self.folder = folder

    def open(self, **options: Any) -> JournalStore:
        return open_postgres(self.address, clock=self.clock, salvage=self.folder, **options)

    def crash(self, store: JournalStore) -> None:
        store._tables._link.drop()  # type: ignore[attr-defined]
        self.expire()

    def run(self, sql: str) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(sql.encode())

    def expire(self) -> None:
        """Let all leases be over."""
        self.run("UPDATE routilux.executor SET lease_until = clock_timestamp() - interval '1 second'")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(running_server())
        except OSError as error:
            pytest.skip(f"NO POSTGRESQL SERVER: {error}")


@pytest.fixture
def postgres(server: Server, tmp_path: Path) -> PostgresPlace:
    place = PostgresPlace(server.address, tmp_path)
    place.run("DROP SCHEMA IF EXISTS routilux CASCADE")
    return place


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        return MemoryPlace()
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    found: PostgresPlace = request.getfixturevalue("postgres")
    return found


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
