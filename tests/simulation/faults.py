"""Faults planted into the engine, one line each: the suite must find them.

Each takes pytest's monkeypatch and breaks one promise of the engine.
"""

from collections.abc import Callable
from typing import Any

import pytest

from routilux.item_queue import ItemQueue
from routilux.runtime import failing, outcome, settling
from routilux.runtime.activation import Phase
from routilux.runtime.cell import Cell
from routilux.runtime.job_run import JobRun

Patch = pytest.MonkeyPatch


def lose_a_wake_up(patch: Patch) -> None:
    """A cell lies down without looking once more."""

    def rest(cell: Cell) -> None:
        cell.token.append(None)
        cell.run.release_work()

    patch.setattr(Cell, "_rest", rest)


def take_and_keep_on_no(patch: Patch) -> None:
    """What a policy took stays taken although it said no."""

    def reject(queue: ItemQueue) -> list[Any]:
        queue.taken = None
        with queue.lock:
            return queue.settle()

    patch.setattr(ItemQueue, "reject", reject)


def forget_a_token_of_work(patch: Patch) -> None:
    """A retry is no work, so the job may end before it."""
    original = JobRun.work_until

    def work_until(run: JobRun, due: int, cell: Cell, begin: Callable[[], None]) -> None:
        original(run, due, cell, begin)
        if run.retries and run.work:
            run.work.pop()

    patch.setattr(JobRun, "work_until", work_until)


def lose_items_on_retry(patch: Patch) -> None:
    """The next attempt gets no items."""
    original = failing._retry

    def retry(cell: Any, activation: Any, delay_seconds: float) -> None:
        activation.data = {}
        original(cell, activation, delay_seconds)

    patch.setattr(failing, "_retry", retry)


def park_in_front(patch: Patch) -> None:
    """A parked item overtakes those that wait longer."""
    original = ItemQueue.park

    def park(queue: ItemQueue, *args: Any) -> list[Any]:
        emptied = original(queue, *args)
        if queue.parked and len(queue.parked) > 1:
            queue.parked.appendleft(queue.parked.pop())
        return emptied

    patch.setattr(ItemQueue, "park", park)


def close_too_early(patch: Patch) -> None:
    """A slot closes when the first of its feeders ends."""

    def lower(run: Any, cell: Cell, slot: str) -> None:
        with run.lock:
            cell.feeders[slot] -= 1
            settling.close(cell, slot)

    patch.setattr(settling, "lower", lower)


def overlap_too_much(patch: Patch) -> None:
    """A routine runs one activation more than it may."""
    original = Cell.__init__

    def init(cell: Cell, *args: Any) -> None:
        original(cell, *args)
        if cell.width > 1:
            cell.width += 1

    patch.setattr(Cell, "__init__", init)


def drop_without_counting(patch: Patch) -> None:
    """What is dropped is gone without a word."""
    patch.setattr(ItemQueue, "count_drop", lambda queue, reason, count=1: None)


def keep_the_place(patch: Patch) -> None:
    """A place in a limit is never given back."""
    patch.setattr(outcome, "give_place_back", lambda cell, activation: None)
    patch.setattr(failing, "give_place_back", lambda cell, activation: None)


def commit_twice(patch: Patch) -> None:
    """Effects of an atomic activation happen twice."""
    original = outcome.commit

    def commit(cell: Any, activation: Any) -> None:
        effects = activation.effects
        emissions = list(effects.emissions) if effects is not None else []
        original(cell, activation)
        if emissions and activation.phase is Phase.RETURNED:
            effects.emissions = emissions
            original(cell, activation)

    patch.setattr(outcome, "commit", commit)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    lose_a_wake_up,
    take_and_keep_on_no,
    forget_a_token_of_work,
    lose_items_on_retry,
    park_in_front,
    close_too_early,
    overlap_too_much,
    drop_without_counting,
    keep_the_place,
    commit_twice,
)
