"""What a store in PostgreSQL promises beyond the contract: leases, fences between executors, connections that break."""

import contextlib
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from routilux.errors import FencedError, JobDamagedError, StoreAddressError, StoreUnavailableError, StoreVersionError
from routilux.journal import JournalRecord
from routilux.storage import opening
from routilux.storage.opening import open_store
from tests.contract.postgres_server import Server, find_programs, running_server

Make = Callable[..., JournalRecord]


def backend_of(store: Any) -> int:
    """The number of the server's process for this store."""
    found: int = store._tables._link._connection().info.backend_pid
    return found


def end_backend(postgres: Any, pid: int) -> None:
    postgres.run(f"SELECT pg_terminate_backend({pid}, 5000)")


def test_two_executors_share_the_jobs_and_take_none_from_the_living(postgres: Any, record: Make) -> None:
    one, two = postgres.open(), postgres.open()
    one.create_job("a", "flow", "running")
    two.create_job("b", "flow", "running")
    assert two.take_over() == []
    with pytest.raises(FencedError):
        two.append(record("a", 1))
    assert {header.job_id for header in two.list_jobs()} == {"a", "b"}
    assert two.delete(["a"]) == 0
    one.close()
    assert [(header.job_id, header.epoch) for header in two.take_over()] == [("a", 2)]
    two.close()


def test_executor_that_slept_beyond_its_lease_is_fenced(postgres: Any, record: Make) -> None:
    sleeper, waker = postgres.open(), postgres.open()
    epoch = sleeper.create_job("a", "flow", "running")
    sleeper.append(record("a", 1, epoch))
    postgres.expire()
    (header,) = waker.take_over()
    waker.append(record("a", 2, header.epoch))
    heard: list[Exception | None] = []
    sleeper.submit(record("a", 2, epoch, payload=b"too late"), heard.append)
    sleeper.submit(record("a", 3, epoch), heard.append)
    assert [type(error) for error in heard] == [FencedError, FencedError]
    assert [found.payload for found in waker.load("a").records] == [b"a 1", b"a 2"]
    sleeper.close()
    waker.append(record("a", 3, header.epoch))
    waker.close()


def test_executor_that_slept_is_fenced_before_the_other_wrote_anything(postgres: Any, record: Make) -> None:
    sleeper, waker = postgres.open(), postgres.open()
    epoch = sleeper.create_job("a", "flow", "running")
    postgres.expire()
    (header,) = waker.take_over()
    with pytest.raises(FencedError):
        sleeper.append(record("a", 1, epoch))
    waker.append(record("a", 1, header.epoch))
    sleeper.close()
    waker.close()


def test_two_executors_with_pauses_never_commit_twice(postgres: Any) -> None:
    dice = random.Random(5)
    stores = [postgres.open(), postgres.open()]
    stores[0].create_job("a", "flow", "running")
    held: dict[Any, tuple[int, int]] = {stores[0]: (0, 1)}
    acknowledged: list[bytes] = []
    for number in range(120):
        store = dice.choice(stores)
        if dice.random() < 0.3:
            postgres.expire()  # a pause beyond the lease, of both
            for header in store.take_over():
                held[store] = (header.seq, header.epoch)
        if store in held:
            seq, epoch = held[store]
            payload = f"{number} of {stores.index(store)}".encode()
            with contextlib.suppress(FencedError):
                store.append(JournalRecord("a", seq + 1, epoch, "commit", payload))
                acknowledged.append(payload)
                held[store] = (seq + 1, epoch)
    assert [found.payload for found in stores[0].load("a").records] == acknowledged
    assert len(acknowledged) > 20
    for store in stores:
        store.close()


def test_claimers_at_the_same_moment_share_without_doubles(postgres: Any) -> None:
    dead = postgres.open()
    for number in range(40):
        dead.create_job(f"job {number}", "flow", "running")
    postgres.crash(dead)
    stores = [postgres.open() for _ in range(4)]
    taken: list[str] = []
    start = threading.Barrier(len(stores))

    def claim(store: Any) -> None:
        start.wait()
        while headers := store.take_over(3):
            taken.extend(header.job_id for header in headers)

    threads = [threading.Thread(target=claim, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken += [header.job_id for header in stores[0].take_over()]  # what was locked by others when they looked
    assert sorted(taken) == sorted(f"job {number}" for number in range(40))
    for store in stores:
        store.close()


def test_lease_beyond_its_half_begins_nothing_new(postgres: Any, record: Make) -> None:
    now = [100.0]
    store = postgres.open(lease_seconds=30.0, monotonic=lambda: now[0])
    assert store.heartbeat_seconds == 10
    epoch = store.create_job("a", "flow", "running")
    free = postgres.open()
    free.create_job("b", "flow", "running")
    free.give_up(["b"])
    now[0] += 14.9
    assert store.is_ready
    now[0] += 0.2
    assert not store.is_ready
    assert store.take_over() == []
    store.append(record("a", 1, epoch))  # what was begun may still be written
    store.heartbeat()
    assert store.is_ready
    assert [header.job_id for header in store.take_over()] == ["b"]
    store.close()
    free.close()


def test_lost_connection_is_made_again_and_nothing_is_lost_or_doubled(postgres: Any, record: Make) -> None:
    store = postgres.open()
    store.create_job("a", "flow", "running")
    for seq in range(1, 20):
        if seq % 3 == 0:
            end_backend(postgres, backend_of(store))
        heard: list[Exception | None] = []
        store.submit(record("a", seq), heard.append)
        assert heard == [None]
    assert [found.seq for found in store.load("a").records] == list(range(1, 20))
    store.close()


@pytest.mark.parametrize("happened", [True, False])
def test_commit_whose_answer_is_lost_is_read_back_before_it_is_decided(
    postgres: Any, record: Make, happened: bool
) -> None:
    store = postgres.open()
    store.create_job("a", "flow", "running")
    link, rows = store._tables._link, store._tables._link.rows
    broken: list[str] = []

    def rows_once_broken(name: str, parameters: Any = ()) -> list[Any]:
        if name.startswith("commit") and not broken:
            broken.append(name)
            if happened:
                rows(name, parameters)
            end_backend(postgres, backend_of(store))
        found: list[Any] = rows(name, parameters)
        return found

    link.rows = rows_once_broken
    heard: list[Exception | None] = []
    store.submit(record("a", 1, key="k"), heard.append)
    store.submit(record("a", 2), heard.append)
    assert (heard, broken) == ([None, None], ["commit"])
    assert [found.key for found in store.load("a").records] == ["k", None]
    store.close()


def test_commit_that_happens_after_it_was_given_up_is_recognised(postgres: Any, record: Make) -> None:
    store = postgres.open()
    store.create_job("a", "flow", "running")
    link, rows = store._tables._link, store._tables._link.rows
    late: list[Any] = []

    def rows_with_a_ghost(name: str, parameters: Any = ()) -> list[Any]:
        if name.startswith("commit") and not late:
            late.append(parameters)
            raise StoreUnavailableError("here", "no answer", True)
        if name.startswith("commit") and len(late) == 1:
            late.append(rows(name, late[0]))  # the server carries it out now, just before the second try
        found: list[Any] = rows(name, parameters)
        return found

    link.rows = rows_with_a_ghost
    heard: list[Exception | None] = []
    store.submit(record("a", 1), heard.append)
    store.submit(record("a", 2), heard.append)
    assert heard == [None, None]
    assert [found.seq for found in store.load("a").records] == [1, 2]
    store.close()


def test_server_that_stops_and_starts_under_load_loses_nothing(record: Make, tmp_path: Path) -> None:
    try:
        with running_server() as server:
            restart_under_load(server, record)
    except OSError as error:
        pytest.skip(f"NO POSTGRESQL SERVER: {error}")


def restart_under_load(server: Server, record: Make) -> None:
    store = open_store(server.address)
    acknowledged = {f"job {number}": 0 for number in range(3)}
    stop = threading.Event()

    def write(job_id: str) -> None:
        epoch = store.create_job(job_id, "flow", "running")
        wake = threading.Semaphore(0)
        errors: list[Exception | None] = []

        def done(error: Exception | None) -> None:
            errors.append(error)
            wake.release()

        while not stop.is_set():
            seq = acknowledged[job_id] + 1
            store.submit(record(job_id, seq, epoch), done)
            assert wake.acquire(timeout=30)
            assert errors.pop() is None
            acknowledged[job_id] = seq

    threads = [threading.Thread(target=write, args=(job_id,)) for job_id in acknowledged]
    for thread in threads:
        thread.start()
    for _ in range(2):
        server.stop()
        server.start()
        reached = dict(acknowledged)
        for _ in range(2_000):
            if all(acknowledged[job_id] > reached[job_id] + 3 for job_id in reached):
                break
            stop.wait(0.005)
        else:
            raise AssertionError("stuck")
    stop.set()
    for thread in threads:
        thread.join(30)
    for job_id, seq in acknowledged.items():
        assert [found.seq for found in store.load(job_id).records] == list(range(1, seq + 1))
    store.close()


def test_damaged_job_is_put_aside_and_others_go_on_in_postgres(postgres: Any, record: Make) -> None:
    store = postgres.open()
    for job_id in "ab":
        store.create_job(job_id, "flow", "running")
        for seq in range(1, 4):
            store.append(record(job_id, seq))
    postgres.run("UPDATE routilux.journal SET frame = set_byte(frame, 30, 0) WHERE job_id = 'b' AND seq = 2")
    postgres.run("UPDATE routilux.job SET flow_id = 'x' WHERE job_id = 'b'")
    with pytest.raises(JobDamagedError) as caught:
        store.load("b")
    assert Path(caught.value.salvage or "").exists()
    with pytest.raises(JobDamagedError):
        store.append(record("b", 4))
    store.append(record("a", 4))
    store.close()


def test_newer_schema_is_refused_and_an_empty_database_is_no_store_to_read(postgres: Any) -> None:
    with pytest.raises(StoreAddressError, match="holds no store yet"):
        postgres.open(read_only=True)
    postgres.open().close()
    postgres.run("UPDATE routilux.format SET version = 99")
    for options in ({}, {"read_only": True}):
        with pytest.raises(StoreVersionError, match="format 99"):
            postgres.open(**options)


def test_server_that_cannot_be_reached_is_said_at_once_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        open_store(f"postgresql://someone:hidden@/jobs?host={tmp_path}")
    assert "hidden" not in str(caught.value)
    assert "someone" in str(caught.value)


def test_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "routilux.storage.postgres")
    monkeypatch.delitem(sys.modules, "routilux.storage.postgres_link")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreAddressError, match=r"pip install 'routilux\[postgres\]'"):
        opening.open_store("postgresql://host/jobs")


@pytest.mark.parametrize("programs", find_programs(), ids=str)
def test_every_server_found_here_runs_also_where_we_are_root(programs: Path) -> None:
    with running_server([programs]) as server, psycopg.connect(server.address) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
