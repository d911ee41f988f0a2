"""What a store in a SQLite file promises beyond the contract: damage shown, trouble outlived, one owner, its format."""

import contextlib
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from routilux.errors import (
    FencedError,
    JobDamagedError,
    StoreAddressError,
    StoreDamagedError,
    StoreOwnedError,
    StoreUnavailableError,
    StoreVersionError,
)
from routilux.journal import JournalRecord
from routilux.storage import migrating
from routilux.storage.journal_store import JournalStore
from routilux.storage.opening import open_store
from routilux.storage.ownership import file_system_of, refuse_network
from routilux.storage.sqlite import open_sqlite
from tests.contract.faults import fail_statements, flip_bits, kill_writers

Make = Callable[..., JournalRecord]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def file_of(store: JournalStore) -> Any:
    return store._tables._file  # type: ignore[attr-defined]


def filled(path: Path, record: Make, jobs: str = "abc", records: int = 5) -> None:
    store = open_sqlite(path)
    for job_id in jobs:
        store.create_job(job_id, "flow", "running", b"begin")
        for seq in range(1, records + 1):
            store.append(record(job_id, seq))
    store.close()


def test_nothing_acknowledged_is_lost_when_writers_are_killed(tmp_path: Path) -> None:
    seen = kill_writers(tmp_path, rounds=6, seed=1)
    assert seen["acknowledged"] > 100
    assert (seen["lost"], seen["wrong"]) == (0, 0)


def test_every_flipped_bit_is_found_or_harmless(tmp_path: Path) -> None:
    seen = flip_bits(tmp_path, count=240, seed=3)
    assert seen["silent"] == 0
    assert seen["found"] > 30


def test_statement_that_fails_anywhere_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seen = fail_statements(tmp_path, count=60, seed=1)
    assert (seen["lost"], seen["wrong"]) == (0, 0)


def test_damaged_job_is_put_aside_and_others_go_on(path: Path, record: Make) -> None:
    filled(path, record)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE journal SET frame = CAST(frame || x'00' AS BLOB) WHERE number = 2 AND seq = 3")
    store = open_sqlite(path)
    taken = {header.job_id: header.epoch for header in store.take_over()}
    with pytest.raises(JobDamagedError, match="record 3") as caught:
        store.load("b")
    lines = [json.loads(line) for line in Path(caught.value.salvage or "").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["job_id"] == "b"
    assert [line["whole"] for line in lines[2:]] == [True, True, False, True, True]
    assert [header.job_id for header in store.unfinished() if header.damage] == ["b"]
    with pytest.raises(JobDamagedError):
        store.append(record("b", 6, taken["b"]))
    store.append(record("a", 6, taken["a"]))
    assert store.load("c").header.seq == 5
    with contextlib.suppress(JobDamagedError):
        file_of(store).connection.execute(
            "UPDATE journal SET frame = substr(frame, 1, length(frame) - 1) WHERE row = 8"
        )
    assert store.load("b").header.damage == ""
    store.append(record("b", 6, taken["b"]))
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM journal WHERE number = 2 AND seq = 2",
        "DELETE FROM journal WHERE number = 2 AND seq = 5",
        "UPDATE progress SET seq = 4 WHERE number = 2",
        "UPDATE progress SET state = NULL WHERE number = 9; DELETE FROM progress WHERE number = 2",
        "UPDATE job SET status = 'completed' WHERE number = 2",
        "UPDATE job SET flow_id = 'other' WHERE number = 2",
        "DELETE FROM snapshot WHERE number = 2",
        "UPDATE snapshot SET payload = x'00' WHERE number = 2",
        "INSERT INTO post_key VALUES (2, 'never', 1)",
        "UPDATE journal SET frame = (SELECT frame FROM journal WHERE number = 1 AND seq = 3) WHERE number = 2 AND seq = 3",
    ],
)
def test_whatever_is_changed_behind_its_back_is_found_in_that_job_alone(path: Path, record: Make, change: str) -> None:
    filled(path, record)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(change)
    store = open_sqlite(path)
    with pytest.raises(JobDamagedError):
        store.load("b")
    assert [store.load(job_id).header.seq for job_id in "ac"] == [5, 5]
    assert "b" in {header.job_id for header in store.list_jobs() if header.damage}
    store.close()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DELETE FROM job WHERE number = 2", "2 jobs are there"),
        ("UPDATE job SET job_id = 'copy', number = 9 WHERE number = 2", "its head"),
        ("UPDATE store SET job_count = 2", "does not tell|jobs are there|its head"),
        ("DELETE FROM store; DELETE FROM job", "the file is empty"),
    ],
)
def test_job_that_vanished_is_noticed(path: Path, record: Make, change: str, problem: str) -> None:
    filled(path, record)
    path.with_name("jobs.db.witness").unlink() if "store SET" in change else None
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(change)
    if "number = 9" in change:
        with contextlib.closing(open_sqlite(path)) as store:
            assert [header.damage for header in store.list_jobs()].count("") == 2
        return
    with pytest.raises(StoreDamagedError, match=problem):
        open_sqlite(path)
    open_sqlite(path, accept_loss=True).close()
    open_sqlite(path).close()


def test_lost_end_of_the_log_is_shown_by_the_witness(path: Path, record: Make) -> None:
    filled(path, record, "a")
    store = open_sqlite(path)
    (header,) = store.take_over()
    for seq in range(6, 10):
        store.append(record("a", seq, header.epoch))
    image = path.with_name("image.db")
    for end in ("", "-wal", ".witness"):
        shutil.copy(f"{path}{end}", f"{image}{end}")
    store.close()
    log = bytearray(Path(f"{image}-wal").read_bytes())
    log[-3000] ^= 1
    Path(f"{image}-wal").write_bytes(log)
    with pytest.raises(StoreDamagedError, match="the last 1 commits are lost"):
        open_sqlite(image)
    with contextlib.closing(open_sqlite(image, accept_loss=True)) as again:
        assert again.load("a").header.seq == 8


def test_missing_file_with_a_witness_does_not_start_empty(path: Path, record: Make) -> None:
    filled(path, record)
    path.unlink()
    with pytest.raises(StoreDamagedError, match="its witness knows"):
        open_sqlite(path)
    with contextlib.closing(open_sqlite(path, accept_loss=True)) as store:
        assert store.list_jobs() == []


def test_copy_without_witness_and_witness_of_nonsense_are_no_harm(path: Path, record: Make) -> None:
    filled(path, record)
    witness = path.with_name("jobs.db.witness")
    for content in (None, b"", b"\xff" * 256, b"0 1 2 3 00" * 9):
        witness.unlink() if content is None else witness.write_bytes(content)
        with contextlib.closing(open_sqlite(path)) as store:
            assert store.load("b").header.seq == 5


def test_fenced_by_another_process_all_work_stops(path: Path, record: Make) -> None:
    store = open_sqlite(path)
    epoch = store.create_job("a", "flow", "running")
    store.append(record("a", 1, epoch))
    with contextlib.closing(sqlite3.connect(path)) as other, other:  # as one that never saw our lock
        other.execute("UPDATE store SET epoch = epoch + 1")
    heard: list[Exception | None] = []
    store.submit(record("a", 2, epoch), heard.append)
    assert isinstance(heard[0], FencedError)
    with pytest.raises(FencedError):
        store.append(record("a", 2, epoch))
    assert store.delete(["a"]) == 0
    assert store.load("a").header.seq == 1
    store.close()


def test_owner_in_another_process_is_named_and_gone_when_killed(path: Path) -> None:
    code = f"import routilux.storage.sqlite as s, pathlib, time; s.open_sqlite(pathlib.Path({str(path)!r})); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(StoreOwnedError, match=f"process {holder.pid} on"):
            open_sqlite(path)
        with contextlib.closing(open_sqlite(path, read_only=True)) as reader:
            assert reader.list_jobs() == []
        holder.kill()
    open_sqlite(path).close()


@contextlib.contextmanager
def small_disk(store: JournalStore) -> Iterator[Callable[[], None]]:
    """Give the file no more pages, until the function that is given is called."""
    connection = file_of(store).connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")

    def free() -> None:
        with file_of(store).lock:
            connection.execute("PRAGMA max_page_count = 1000000")

    yield free


def test_full_disk_loses_nothing_and_goes_on_within_a_second_of_space(path: Path, record: Make) -> None:
    store = open_sqlite(path)
    store.create_job("a", "flow", "running")
    store.append(record("a", 1))
    heard: list[Any] = []
    with small_disk(store) as free:
        writer = threading.Thread(
            target=store.submit, args=(record("a", 2, payload=b"x" * 100_000), lambda error: heard.append((2, error)))
        )
        writer.start()
        wait_until(lambda: not store.is_ready)
        store.submit(record("a", 3), lambda error: heard.append((3, error)))
        with pytest.raises(StoreUnavailableError, match="full"):
            store.append(record("a", 4))
        assert store.load("a").header.seq == 1
        assert heard == []
        free()
        begin = time.monotonic()
        writer.join()
        assert time.monotonic() - begin < 1
    assert heard == [(2, None), (3, None)]
    assert store.is_ready
    assert store.load("a").header.seq == 3
    store.close()


def test_closing_on_a_full_disk_tells_what_was_not_written(path: Path, record: Make) -> None:
    store = open_sqlite(path)
    store.create_job("a", "flow", "running")
    heard: list[Any] = []
    with small_disk(store):
        writer = threading.Thread(target=store.submit, args=(record("a", 1, payload=b"x" * 100_000), heard.append))
        writer.start()
        wait_until(lambda: not store.is_ready)
        store.close()
        writer.join()
    assert isinstance(heard[0], StoreUnavailableError)
    with contextlib.closing(open_sqlite(path)) as again:
        assert again.load("a").header.seq == 0


def test_write_error_of_the_system_is_outlived_with_a_new_handle(path: Path, record: Make) -> None:
    store = open_sqlite(path)
    store.create_job("a", "flow", "running")
    before = file_of(store).connection
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size + 5_000, hard))
    heard: list[Any] = []
    try:
        writer = threading.Thread(target=store.submit, args=(record("a", 1, payload=b"x" * 50_000), heard.append))
        writer.start()
        wait_until(lambda: not store.is_ready)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.join(5)
    assert heard == [None]
    assert file_of(store).connection is not before
    assert store.load("a").header.seq == 1
    store.close()


class BrokenCommit:
    """A connection whose next commits fail: after they happened, or before."""

    def __init__(self, connection: sqlite3.Connection, happened: bool, code: int) -> None:
        self._connection = connection
        self._happened = happened
        self._code = code

    def execute(self, sql: str, *parameters: Any) -> Any:
        if sql != "COMMIT":
            return self._connection.execute(sql, *parameters)
        self._connection.execute("COMMIT" if self._happened else "ROLLBACK")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = self._code
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_BUSY])
def test_commit_that_broke_is_read_back_before_it_is_decided(
    path: Path, record: Make, happened: bool, code: int
) -> None:
    store = open_sqlite(path)
    store.create_job("a", "flow", "running")
    file = file_of(store)
    whole = file.connection
    file._opened = BrokenCommit(whole, happened, code)
    heard: list[Any] = []
    mending = threading.Timer(0.01, lambda: setattr(file, "_opened", whole))
    if code == sqlite3.SQLITE_BUSY:
        mending.start()  # the handle stays; an I/O error makes the store open a new one
    store.submit(record("a", 1, key="k"), heard.append)
    mending.cancel()
    assert heard == [None]
    store.append(record("a", 2))
    assert [found.key for found in store.load("a").records] == ["k", None]
    store.close()
    open_sqlite(path).close()


def test_interrupt_in_the_middle_loses_and_doubles_nothing(path: Path, record: Make) -> None:
    store = open_sqlite(path)
    store.create_job("a", "flow", "running")
    file = file_of(store)
    note, calls = file._witness.write, []

    def interrupted(progress: Any) -> None:
        calls.append(progress)
        if len(calls) == 1:
            raise KeyboardInterrupt
        note(progress)

    file._witness.write = interrupted
    heard: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        store.submit(record("a", 1), heard.append)
    store.submit(record("a", 2), heard.append)
    assert heard == [None, None]
    store.close()
    with contextlib.closing(open_sqlite(path)) as again:
        assert again.load("a").header.seq == 2


def test_newer_format_and_foreign_files_are_refused_and_left_alone(path: Path, record: Make) -> None:
    filled(path, record)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match="format 99"):
        open_sqlite(path)
    assert path.read_bytes() == before
    foreign = path.with_name("foreign.db")
    with contextlib.closing(sqlite3.connect(foreign)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = foreign.read_bytes()
    with pytest.raises(StoreVersionError, match="another program"):
        open_sqlite(foreign)
    assert foreign.read_bytes() == before
    text = path.with_name("text.db")
    text.write_text("this is no database, and long enough to be looked at " * 9, encoding="utf-8")
    with pytest.raises(StoreDamagedError):
        open_sqlite(text)


def test_older_format_is_copied_and_brought_forward(path: Path, record: Make) -> None:
    filled(path, record)
    script = "ALTER TABLE job ADD COLUMN added TEXT;"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        migrating.migrate(connection, path, 2, lambda number: script)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(added), count(*) FROM job").fetchone() == (0, 3)
    with contextlib.closing(open_sqlite(path.with_name("jobs.db.format-1"))) as store:
        assert store.load("b").header.seq == 5


def test_migration_that_fails_changes_nothing(path: Path, record: Make) -> None:
    filled(path, record)
    with contextlib.closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.OperationalError):
        migrating.migrate(connection, path, 2, lambda number: "ALTER TABLE job ADD COLUMN x; SELECT nonsense;")
    with contextlib.closing(open_sqlite(path)) as store:
        assert store.load("b").header.seq == 5


@pytest.mark.parametrize("sync", ["full", "normal"])
def test_modes_of_waiting_for_the_disk(path: Path, record: Make, sync: str) -> None:
    with contextlib.closing(open_sqlite(path, sync=sync)) as store:
        level = file_of(store).connection.execute("PRAGMA synchronous").fetchone()[0]
        assert level == {"full": 2, "normal": 1}[sync]
        assert file_of(store).connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_addresses_that_cannot_work_say_why(tmp_path: Path) -> None:
    for address, problem in (
        (tmp_path / "no" / "jobs.db", "does not exist"),
        ("mysql://host/jobs", "no such kind"),
        (f"sqlite:///{tmp_path}/no/jobs.db", "does not exist"),
    ):
        with pytest.raises(StoreAddressError, match=problem):
            open_store(address)
    with pytest.raises(StoreAddressError, match="sync='twice'"):
        open_store(tmp_path / "jobs.db", sync="twice")
    with pytest.raises(StoreAddressError, match="no such file"):
        open_store(tmp_path / "jobs.db", read_only=True)
    open_store(f"sqlite:///{tmp_path}/jobs.db").close()
    assert (tmp_path / "jobs.db").exists()


def test_file_on_a_network_is_refused_where_the_system_tells(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda rw\n"
        f"30 22 0:40 / {tmp_path}/shared\\040disk rw,relatime shared:1 - nfs4 host:/export rw\n",
        encoding="utf-8",
    )
    assert file_system_of(tmp_path / "jobs.db", mounts) == "ext4"
    with pytest.raises(StoreAddressError, match="nfs4"):
        refuse_network(tmp_path / "shared disk" / "jobs.db", mounts)
    refuse_network(tmp_path / "jobs.db", mounts)
    refuse_network(tmp_path / "jobs.db", tmp_path / "missing")


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for another thread, at most five seconds."""
    pause = threading.Event()
    for _ in range(5_000):
        if happened():
            return
        pause.wait(0.001)
    raise AssertionError("it did not happen")
