"""What the store in memory pretends: a disk that forgets, fills up and fails."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from routilux.errors import FencedError, StoreUnavailableError
from routilux.journal import JournalRecord
from routilux.storage.memory import MemoryDisk, full_disk, open_memory

Make = Callable[..., JournalRecord]


@pytest.mark.parametrize("seed", range(20))
def test_crash_forgets_a_suffix_of_what_was_not_synced_never_a_hole(record: Make, seed: int) -> None:
    dice = random.Random(seed)
    disk = MemoryDisk()
    store = open_memory(disk, sync=False)
    for job_id in "ab":
        store.create_job(job_id, "flow", "running", b"begin")
    disk.sync()
    written = {"a": 0, "b": 0}
    order: list[tuple[str, int]] = []
    for _ in range(30):
        job_id = dice.choice("ab")
        written[job_id] += 1
        store.append(record(job_id, written[job_id]))
        order.append((job_id, written[job_id]))
        if dice.random() < 0.2:
            store.save_snapshot(job_id, written[job_id], b"now")
            order.append((job_id, 0))
    keep = dice.randrange(disk.unsynced + 1)
    disk.crash(keep)
    again = open_memory(disk)
    for job_id in "ab":
        kept = max((seq for found, seq in order[:keep] if found == job_id), default=0)
        assert again.load(job_id).header.seq == kept
    again.close()


def test_synced_store_loses_nothing_in_a_crash(record: Make) -> None:
    disk = MemoryDisk()
    store = open_memory(disk)
    store.create_job("a", "flow", "running")
    store.append(record("a", 1))
    disk.crash()
    again = open_memory(disk)
    assert again.load("a").header.seq == 1
    with pytest.raises(FencedError):
        store.append(record("a", 2))  # it does not know that it died


def test_full_disk_holds_the_line_until_there_is_space(record: Make) -> None:
    disk = MemoryDisk()
    store = open_memory(disk)
    store.create_job("a", "flow", "running")
    disk.fail = full_disk
    heard: list[Any] = []
    writer = threading.Thread(target=store.submit, args=(record("a", 1), heard.append))
    writer.start()
    while store.is_ready:
        threading.Event().wait(0.001)
    with pytest.raises(StoreUnavailableError):
        store.create_job("b", "flow", "running")
    disk.fail = lambda: None
    writer.join(2)
    assert heard == [None]
