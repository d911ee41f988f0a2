"""The last item may come, and its slot close, at any moment while a policy looks: it belongs to what was held."""

from collections.abc import Callable
from typing import Any

import pytest

from routilux import JobState, Slot
from routilux.item_queue import ItemQueue
from routilux.policies import (
    as_of_policy,
    batch_size_policy,
    count_or_timeout_policy,
    debounce_policy,
    session_policy,
    sliding_policy,
    until_policy,
    weight_policy,
    window_policy,
    with_latest_policy,
)
from routilux.testing import ManualClock


class BusySlots(dict[str, Slot]):
    """Slots to which something happens at the n-th time that somebody looks at them."""

    def __init__(self, slot: Slot, moment: int, event: Callable[[], None]) -> None:
        super().__init__({"in": slot})
        self.left = moment
        self.event = event

    def _look(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.event()

    def __getitem__(self, name: str) -> Slot:
        self._look()
        return super().__getitem__(name)

    def items(self) -> Any:
        self._look()
        return super().items()

    def values(self) -> Any:
        self._look()
        return super().values()


def delivered(policy: Any, moment: int) -> tuple[list[Any], bool]:
    """Give what a policy delivers of "a" and, from that moment on, "b" and the end; and whether that moment came."""
    clock = ManualClock()
    slot, job = Slot("in", clock=clock), JobState("by hand", clock=clock)
    job.current_routine_id = "t"

    def event() -> None:
        slot.enqueue("b")
        slot.queue.is_closed = True

    slots = BusySlots(slot, moment, event)
    slot.enqueue("a")
    found = [policy(slots, job).data_slice.get("in", []) for _ in range(2)]
    came = slots.left <= 0
    if not came:
        slots.left = 0
        event()
    found += [policy(slots, job).data_slice.get("in", []) for _ in range(3)]
    return [items for items in found if items], came


@pytest.mark.parametrize(
    "policy",
    [
        batch_size_policy(3, at_end="fire"),
        count_or_timeout_policy(3, within_seconds=5),
        debounce_policy(3),
        session_policy(3),
        sliding_policy(3, at_end="fire"),
        until_policy(str.isupper, at_end="fire"),
        weight_policy(3, len, at_end="fire"),
        window_policy(3),
        window_policy(3, time_of=ord),
        batch_size_policy(3, at_end="fire").by_key(len),
        session_policy(3).by_key(len),
        batch_size_policy(3).within(5) | session_policy(3),
    ],
    ids=repr,
)
def test_the_last_item_goes_with_what_is_held(policy: Any) -> None:
    came, moment = True, 0
    while came:
        moment += 1
        found, came = delivered(policy, moment)
        assert found == [["a", "b"]], f"it came at look {moment}"
    assert moment > 1


@pytest.mark.parametrize(
    "policy", [with_latest_policy("x"), as_of_policy("x", "y", time_of=int), as_of_policy("x", "y")], ids=repr
)
@pytest.mark.parametrize("moment", range(1, 12))
def test_the_last_primary_item_finds_what_waits_for_it(policy: Any, moment: int, monkeypatch: Any) -> None:
    clock = ManualClock()
    x, y, job = Slot("x", clock=clock), Slot("y", clock=clock), JobState("by hand", clock=clock)
    job.current_routine_id = "t"
    y.enqueue(1)
    left, peek_first = moment, ItemQueue.peek_first

    def peek_and_be_late(queue: ItemQueue) -> Any:
        nonlocal left
        found = peek_first(queue)
        left -= 1
        if left == 0:
            x.enqueue(2)
            x.queue.is_closed = y.queue.is_closed = True
        return found

    monkeypatch.setattr(ItemQueue, "peek_first", peek_and_be_late)
    found = [policy({"x": x, "y": y}, job).data_slice for _ in range(12)]
    assert [data for data in found if data] == [{"x": [2], "y": [1]}]
    assert left <= 0
