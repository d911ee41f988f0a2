"""What every store promises."""

import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import pytest

from routilux.errors import (
    DuplicateKeyError,
    DuplicateNameError,
    FencedError,
    JobNotFoundError,
    RecordRefusedError,
    SequenceError,
    StoreClosedError,
    StoreOwnedError,
)
from routilux.journal import VOID, JournalRecord, Retention

Make = Callable[..., JournalRecord]


def test_records_come_back_as_they_were_written_in_order(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running", b"begin")
    written = [
        record("a", 1),
        record("a", 2, payload=b""),
        record("a", 3, payload=bytes(range(256)) * 40),
        record("a", 4, status="paused", key="k\u00fc=\n"),
    ]
    for each in written:
        opened.append(each)
    stored = opened.load("a")
    assert stored.records == tuple(written)
    assert (stored.snapshot, stored.snapshot_seq) == (b"begin", 0)
    assert (stored.header.status, stored.header.seq, stored.header.epoch) == ("paused", 4, 1)


def test_job_without_snapshot_and_records_is_there(opened: Any) -> None:
    opened.create_job("a", "flow", "pending")
    stored = opened.load("a")
    assert (stored.snapshot, stored.snapshot_seq, stored.records) == (None, 0, ())


def test_what_is_acknowledged_outlives_the_process(place: Any, record: Make) -> None:
    store = place.open()
    epoch = store.create_job("a", "flow", "running", b"begin")
    for seq in range(1, 6):
        store.append(record("a", seq, epoch))
    place.crash(store)
    again = place.open()
    assert [found.seq for found in again.load("a").records] == [1, 2, 3, 4, 5]
    again.close()


def test_done_is_called_in_the_order_of_the_records(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    heard: list[Any] = []
    for seq in range(1, 50):
        opened.submit(record("a", seq), lambda error, seq=seq: heard.append((seq, error)))
    assert heard == [(seq, None) for seq in range(1, 50)]


def test_records_submitted_by_a_callback_are_written_too(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")

    def next_one(seq: int, error: Exception | None) -> None:
        assert error is None
        if seq < 300:  # deeper than a stack that calls itself could go at this cost
            opened.submit(record("a", seq + 1), lambda error: next_one(seq + 1, error))

    opened.submit(record("a", 1), lambda error: next_one(1, error))
    assert opened.load("a").header.seq == 300


def test_callback_may_wait_for_the_store(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    heard: list[Any] = []

    def create_another(error: Exception | None) -> None:
        opened.create_job("b", "flow", "running", b"from the callback")
        opened.save_snapshot("a", 1, b"one")
        heard.append(error)

    opened.submit(record("a", 1), create_another)
    assert heard == [None]
    assert opened.load("b").snapshot == b"from the callback"
    assert opened.load("a").snapshot == b"one"


def test_callback_that_fails_stops_nobody(opened: Any, record: Make, caplog: pytest.LogCaptureFixture) -> None:
    opened.create_job("a", "flow", "running")
    opened.submit(record("a", 1), lambda _: 1 / 0)
    opened.append(record("a", 2))
    assert opened.load("a").header.seq == 2
    assert "callback after a commit failed" in caplog.text


def test_many_threads_write_many_jobs_without_gaps(opened: Any, record: Make) -> None:
    told: dict[str, list[int]] = {f"job {number}": [] for number in range(8)}

    def work(job_id: str) -> None:
        epoch = opened.create_job(job_id, "flow", "running")
        for seq in range(1, 41):
            if seq % 5:
                opened.submit(record(job_id, seq, epoch), lambda error, seq=seq: told[job_id].append(seq))
            else:
                opened.append(record(job_id, seq, epoch))
                told[job_id].append(seq)

    threads = [threading.Thread(target=work, args=(job_id,)) for job_id in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job_id, seqs in told.items():
        assert sorted(seqs) == list(range(1, 41))
        assert [found.seq for found in opened.load(job_id).records] == list(range(1, 41))


def test_job_id_that_is_taken_is_refused_and_nothing_changes(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running", b"first")
    opened.append(record("a", 1))
    with pytest.raises(DuplicateNameError):
        opened.create_job("a", "flow", "running", b"second")
    stored = opened.load("a")
    assert (stored.snapshot, stored.header.seq) == (b"first", 1)
    opened.append(record("a", 2))


@pytest.mark.parametrize("seq", [0, 1, 3, -1])
def test_record_out_of_order_is_refused_and_the_right_one_still_taken(opened: Any, record: Make, seq: int) -> None:
    opened.create_job("a", "flow", "running")
    opened.append(record("a", 1))
    with pytest.raises(SequenceError) as caught:
        opened.append(record("a", seq))
    assert caught.value.expected == 2
    opened.append(record("a", 2))


def test_record_of_an_unknown_job_is_refused(opened: Any, record: Make) -> None:
    with pytest.raises(JobNotFoundError):
        opened.append(record("nobody", 1))
    with pytest.raises(JobNotFoundError):
        opened.load("nobody")


def test_record_of_another_epoch_is_refused(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    with pytest.raises(FencedError):
        opened.append(record("a", 1, epoch=2))


@pytest.mark.parametrize(
    "bad",
    [
        {"payload": "text"},
        {"payload": None},
        {"kind": "a\0b"},
        {"key": "a\0b"},
        {"key": "\ud800"},
        {"kind": "x" * 70_000},
        {"status": 7},
    ],
)
def test_poisoned_record_does_not_fail_its_neighbours(opened: Any, record: Make, bad: dict[str, Any]) -> None:
    for job_id in "abc":
        opened.create_job(job_id, "flow", "running")
    heard: dict[tuple[str, int], Exception | None] = {}

    def submit_all(error: Exception | None) -> None:  # from a callback, so that they are one group
        for each in (record("a", 2), record("b", 1, **bad), record("b", 2), record("c", 1)):
            opened.submit(each, lambda error, each=each: heard.update({(each.job_id, each.seq): error}))

    opened.submit(record("a", 1), submit_all)
    assert heard[("a", 2)] is None
    assert heard[("c", 1)] is None
    assert isinstance(heard[("b", 1)], RecordRefusedError)
    assert isinstance(heard[("b", 2)], SequenceError)
    opened.append(record("b", 1))
    assert opened.load("b").header.seq == 1


def test_second_record_of_a_key_is_reported_and_leaves_an_empty_one(place: Any, record: Make) -> None:
    store = place.open()
    store.create_job("a", "flow", "running")
    store.create_job("b", "flow", "running")
    store.append(record("a", 1, key="order 7"))
    store.append(record("b", 1, key="order 7"))
    with pytest.raises(DuplicateKeyError) as caught:
        store.append(record("a", 2, key="order 7", status="failed"))
    assert caught.value.seq == 1
    store.append(record("a", 3))
    assert [(found.kind, found.payload) for found in store.load("a").records][1] == (VOID, b"")
    assert store.load("a").header.status == "running"
    store.close()
    again = place.open()
    assert again.find_key("a", "order 7") == 1
    assert again.find_key("a", "order 8") is None
    epoch = again.take_over(job_ids=["a"])[0].epoch
    again.save_snapshot("a", 3, b"")  # the record is forgotten, its key is not
    with pytest.raises(DuplicateKeyError):
        again.append(record("a", 4, epoch, key="order 7"))
    again.close()


def test_same_key_twice_in_one_group_is_found(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    heard: list[Exception | None] = []

    def submit_both(error: Exception | None) -> None:
        opened.submit(record("a", 2, key="k"), heard.append)
        opened.submit(record("a", 3, key="k"), heard.append)
        opened.submit(record("a", 4), heard.append)

    opened.submit(record("a", 1), submit_both)
    assert [type(error) for error in heard] == [type(None), DuplicateKeyError, type(None)]


def test_snapshot_forgets_the_records_it_contains(place: Any, record: Make) -> None:
    store = place.open()
    store.create_job("a", "flow", "running", b"begin")
    for seq in range(1, 8):
        store.append(record("a", seq))
    store.save_snapshot("a", 5, b"five", "paused")
    stored = store.load("a")
    assert (stored.snapshot, stored.snapshot_seq, stored.header.status) == (b"five", 5, "paused")
    assert [found.seq for found in stored.records] == [6, 7]
    store.close()
    again = place.open()
    assert again.load("a").tail == stored.records
    again.close()


def test_snapshot_may_keep_the_records_for_the_story(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    for seq in range(1, 5):
        opened.append(record("a", seq))
    opened.save_snapshot("a", 3, b"three", trim=False)
    stored = opened.load("a")
    assert [found.seq for found in stored.records] == [1, 2, 3, 4]
    assert [found.seq for found in stored.tail] == [4]
    opened.save_snapshot("a", 4, b"four")
    assert opened.load("a").records == ()


def test_snapshot_of_records_that_are_not_there_is_refused(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    for seq in range(1, 4):
        opened.append(record("a", seq))
    opened.save_snapshot("a", 2, b"two")
    for seq in (4, 1, -1):
        with pytest.raises(SequenceError):
            opened.save_snapshot("a", seq, b"")
    assert opened.load("a").snapshot == b"two"


def test_size_counts_what_is_kept(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running", b"x" * 100)
    first = opened.load("a").header.size_bytes
    opened.append(record("a", 1, payload=b"x" * 1000))
    opened.append(record("a", 2, payload=b"x" * 1000))
    assert first + 2000 < opened.load("a").header.size_bytes < first + 2200
    opened.save_snapshot("a", 1, b"x" * 50)
    assert 1050 < opened.load("a").header.size_bytes < 1150


def test_jobs_are_listed_as_they_were_created_page_by_page(place: Any) -> None:
    store = place.open()
    for number in (3, 1, 2, 5, 4):
        store.create_job(f"job {number}", "flow", "paused" if number > 3 else "running")
        place.clock.advance(1)
    listed = [header.job_id for header in store.list_jobs()]
    assert listed == ["job 3", "job 1", "job 2", "job 5", "job 4"]
    assert [header.job_id for header in store.list_jobs(limit=2, after="job 1")] == ["job 2", "job 5"]
    assert [header.job_id for header in store.list_jobs("paused")] == ["job 5", "job 4"]
    assert [header.job_id for header in store.list_jobs("paused", after="job 5")] == ["job 4"]
    assert store.list_jobs("completed") == []
    store.close()


def test_times_of_a_job_are_those_of_the_clock_and_never_step_back(place: Any, record: Make) -> None:
    store = place.open()
    store.create_job("a", "flow", "running")
    begin = store.load("a").header
    place.clock.advance(5)
    store.append(record("a", 1))
    header = store.load("a").header
    assert header.created_at == begin.created_at == begin.updated_at
    assert header.updated_at == begin.created_at + 5_000_000_000
    store.close()


def test_finished_jobs_are_not_unfinished_and_can_be_taken_on_purpose(place: Any, record: Make) -> None:
    store = place.open()
    for job_id in ("done", "failed", "runs"):
        store.create_job(job_id, "flow", "running")
    store.append(record("done", 1, status="completed"))
    store.append(record("failed", 1, status="failed"))
    assert [header.job_id for header in store.unfinished()] == ["runs"]
    store.append(record("failed", 2, status="running"))
    store.append(record("failed", 3, status="failed"))
    place.crash(store)
    again = place.open()
    assert [header.job_id for header in again.take_over()] == ["runs"]
    (header,) = again.take_over(job_ids=["failed"])
    assert header.epoch == 2
    again.append(record("failed", 4, 2, status="running"))
    assert {found.job_id for found in again.unfinished()} == {"failed", "runs"}
    again.close()


def test_jobs_are_taken_over_in_the_next_epoch_so_many_at_a_time(place: Any, record: Make) -> None:
    store = place.open()
    for number in range(5):
        store.create_job(f"job {number}", "flow", "running")
        place.clock.advance(1)
    place.crash(store)
    again = place.open()
    assert [header.job_id for header in again.take_over(2)] == ["job 0", "job 1"]
    assert [(header.job_id, header.epoch) for header in again.take_over()] == [(f"job {n}", 2) for n in (2, 3, 4)]
    assert again.take_over() == []
    with pytest.raises(FencedError):
        again.append(record("job 0", 1, 1))
    again.append(record("job 0", 1, 2))
    again.close()


def test_record_of_a_job_that_was_not_taken_over_is_refused(place: Any, record: Make) -> None:
    store = place.open()
    store.create_job("a", "flow", "running")
    place.crash(store)
    again = place.open()
    with pytest.raises(FencedError):
        again.append(record("a", 1, 1))
    again.take_over()
    again.append(record("a", 1, 2))
    again.close()


def test_job_given_up_takes_no_more_until_taken_over(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    opened.give_up(["a"])
    assert opened.load("a").header.owner is None
    with pytest.raises(FencedError):
        opened.append(record("a", 1))
    assert [header.epoch for header in opened.take_over()] == [2]
    opened.append(record("a", 1, 2))


def test_deleted_jobs_are_gone_and_their_ids_free(opened: Any, record: Make) -> None:
    for job_id in "ab":
        opened.create_job(job_id, "flow", "running", b"old")
        opened.append(record(job_id, 1, key="k"))
    assert opened.delete(["a", "nobody"]) == 1
    with pytest.raises(JobNotFoundError):
        opened.load("a")
    assert [header.job_id for header in opened.list_jobs()] == ["b"]
    opened.create_job("a", "flow", "running")
    opened.append(record("a", 1, key="k"))
    assert opened.load("a").header.seq == 1


@pytest.mark.parametrize(
    ("retention", "kept"),
    [
        (Retention(), 10),
        (Retention(max_jobs=4), 4),
        (Retention(max_jobs=0), 0),
        (Retention(max_age_seconds=5.5), 5),
        (Retention(max_bytes=3_500), 3),
        (Retention(max_jobs=6, max_bytes=2_500, slice_count=1), 2),
    ],
)
def test_finished_jobs_are_kept_by_age_number_and_size(
    place: Any, record: Make, retention: Retention, kept: int
) -> None:
    store = place.open()
    store.create_job("runs", "flow", "running", b"x" * 9_000)
    place.clock.advance(1)
    for number in range(10):
        store.create_job(f"job {number}", "flow", "running")
        store.append(record(f"job {number}", 1, status="completed"))
        store.save_snapshot(f"job {number}", 1, b"x" * 1_000)
        place.clock.advance(1)
    slices = 0
    while gone := store.prune(retention):
        assert gone <= retention.slice_count
        slices += 1
    left = [header.job_id for header in store.list_jobs()]
    assert left == ["runs", *(f"job {number}" for number in range(10 - kept, 10))]
    assert slices == (10 - kept if retention.slice_count == 1 else min(1, 10 - kept))
    store.close()


def test_closed_store_takes_nothing_and_closing_twice_is_fine(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    opened.close()
    opened.close()
    calls: list[Callable[[], object]] = [
        lambda: opened.append(record("a", 1)),
        lambda: opened.submit(record("a", 1), print),
        lambda: opened.create_job("b", "flow", "running"),
        lambda: opened.load("a"),
        opened.list_jobs,
        opened.take_over,
    ]
    for call in calls:
        with pytest.raises(StoreClosedError, match="open it anew"):
            call()
    assert not opened.is_ready


def test_reader_reads_while_another_writes_and_changes_nothing(place: Any, record: Make) -> None:
    store = place.open()
    store.create_job("a", "flow", "running")
    reader = place.open(read_only=True)
    store.append(record("a", 1))
    assert reader.load("a").header.seq == 1
    store.append(record("a", 2))
    assert reader.list_jobs()[0].seq == 2
    calls: list[Callable[[], object]] = [
        lambda: reader.append(record("a", 3)),
        lambda: reader.delete(["a"]),
        lambda: reader.prune(Retention(max_jobs=0)),
        reader.take_over,
    ]
    for call in calls:
        with pytest.raises(StoreClosedError, match="reading only"):
            call()
    reader.close()
    store.append(record("a", 3))
    store.close()


def test_long_journal_is_forgotten_bit_by_bit_and_stays_whole(opened: Any, record: Make) -> None:
    for job_id in "abc":
        opened.create_job(job_id, "flow", "running")
    for seq in range(1, 901):
        for job_id in "abc":
            opened.submit(record(job_id, seq), lambda error: None)
            if seq % (150 if job_id == "a" else 400) == 0:
                opened.save_snapshot(job_id, seq, str(seq).encode())
    assert [len(opened.load(job_id).records) for job_id in "abc"] == [0, 100, 100]
    opened.delete(["b"])
    assert opened.load("c").header.seq == 900


def test_child_of_a_fork_may_not_use_the_store(opened: Any, record: Make) -> None:
    opened.create_job("a", "flow", "running")
    context = multiprocessing.get_context("fork")
    answers, results = context.Pipe()

    def use() -> None:
        try:
            opened.append(record("a", 1))
        except StoreClosedError as error:
            results.send(str(error))
        else:
            results.send("written")

    child = context.Process(target=use)
    child.start()
    child.join()
    assert "before a fork" in answers.recv()
    opened.append(record("a", 1))


def test_second_store_on_the_same_place_is_refused_by_name(place: Any) -> None:
    if not getattr(place, "is_exclusive", True):
        pytest.skip("many executors share this store")
    store = place.open()
    with pytest.raises(StoreOwnedError) as caught:
        place.open()
    assert caught.value.owner
    store.close()
    place.open().close()
