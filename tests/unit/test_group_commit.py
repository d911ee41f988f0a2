"""Group commit: who writes, who calls back, and that nobody is kept for ever."""

import threading
from collections.abc import Callable

import pytest

from routilux.storage.group_commit import MOST_BYTES, MOST_ENTRIES, ROUNDS, Entry, GroupCommit


class Disk:
    """Notes the groups; ``before`` is called before each is written."""

    def __init__(self) -> None:
        self.groups: list[list[object]] = []
        self.before: Callable[[], None] = lambda: None

    def write(self, entries: list[Entry]) -> None:
        self.before()
        self.groups.append([entry.change for entry in entries])
        for entry in entries:
            entry.settle()


def test_all_that_waits_is_written_in_one_group() -> None:
    disk = Disk()
    group = GroupCommit(disk.write)

    def submit_many(error: Exception | None) -> None:
        for number in range(5):
            group.submit(Entry(number, 1, lambda _: None))

    group.submit(Entry("first", 1, submit_many))
    assert disk.groups == [["first"], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize(("size", "groups"), [(1, 3), (MOST_BYTES // 4, 501)])
def test_groups_are_bounded_by_number_and_bytes(size: int, groups: int) -> None:
    disk = Disk()
    group = GroupCommit(disk.write)

    def submit_many(error: Exception | None) -> None:
        for number in range(2 * MOST_ENTRIES):
            group.submit(Entry(number, size, lambda _: None))

    group.submit(Entry("first", 1, submit_many))
    assert len(disk.groups) == groups
    assert [change for each in disk.groups[1:] for change in each] == list(range(2 * MOST_ENTRIES))


def test_others_leave_their_records_to_the_thread_that_writes_and_go_on() -> None:
    disk = Disk()
    group = GroupCommit(disk.write)
    writing, go = threading.Event(), threading.Event()

    def hold() -> None:
        writing.set()
        go.wait(10)

    disk.before = hold
    told: list[str] = []
    leader = threading.Thread(target=group.submit, args=(Entry("one", 1, lambda _: told.append("one")),))
    leader.start()
    writing.wait(10)
    group.submit(Entry("two", 1, lambda _: told.append("two")))  # returns at once
    group.submit(Entry("three", 1, lambda _: told.append("three")))
    assert told == []
    go.set()
    leader.join(10)
    assert told == ["one", "two", "three"]
    assert disk.groups == [["one"], ["two", "three"]]


def test_thread_that_wrote_long_enough_is_relieved_by_the_next_that_comes() -> None:
    disk = Disk()
    group = GroupCommit(disk.write)
    first = threading.get_ident()
    writers: list[int] = []
    relief = threading.Thread(target=lambda: group.submit(Entry("relief", 1, lambda _: None)))

    def note_writer() -> None:
        writers.append(threading.get_ident())
        if len(writers) == ROUNDS + 2:
            relief.start()
            while not group._relief:
                threading.Event().wait(0.001)

    disk.before = note_writer
    count = [0]

    def again(error: Exception | None) -> None:
        count[0] += 1
        if count[0] < 40:
            group.submit(Entry(count[0], 1, again))

    group.submit(Entry("begin", 1, again))
    relief.join(10)
    assert count == [40]
    assert first in writers[: ROUNDS + 2]
    assert first not in writers[ROUNDS + 2 :]


def test_interrupt_while_writing_keeps_the_group_for_the_next() -> None:
    disk = Disk()
    group = GroupCommit(disk.write)

    def interrupt() -> None:
        disk.before = lambda: None
        raise KeyboardInterrupt

    disk.before = interrupt
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        group.submit(Entry("one", 1, lambda _: told.append("one")))
    group.submit(Entry("two", 1, lambda _: told.append("two")))
    assert told == ["one", "two"]
