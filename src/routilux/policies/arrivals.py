"""What a policy with a memory of single items stands on: each item seen once, in order of arrival; yeses that count.

Design: §4.2, §4.6. A yes may not come to an activation (a breakpoint, a composed policy), and an activation may be undone.
So what a yes delivers is only noted, and done with when the policy is asked again and the activation stands.
"""

from typing import Any

from routilux.job import JobState
from routilux.policies.core import DataSlice, Slots
from routilux.policies.ground import Item
from routilux.record import RoutineRecord

DELIVERED = "delivered"


class Arrivals:
    """Goes over the waiting items of all slots in order of arrival, each once; ``marks`` remember how far it came."""

    __slots__ = ("_marks", "_slots", "name", "seq")

    def __init__(self, slots: Slots, marks: dict[str, int]) -> None:
        self._slots = slots
        self._marks = marks
        self.name = ""
        self.seq = 0

    def peek(self) -> Item | None:
        """Give the next item that was not seen, ``name`` and ``seq`` say which; it stays unseen."""
        marks = self._marks
        found: Item | None = None
        for name, slot in self._slots.items():
            pair = slot.queue.next_waiting(marks.get(name, 0))
            if pair is None:
                continue
            marks[name] = pair[0]
            if found is None or pair[1][2] < found[2]:
                self.name, (self.seq, found) = name, pair
        return found

    def step(self) -> None:
        """Remember that it was seen."""
        self._marks[self.name] = self.seq + 1


def note_delivery(job_state: JobState, what: Any) -> None:
    """Note what the yes of now delivers."""
    job_state.memory()[DELIVERED] = (_record(job_state).activation_count + 1, what)


def delivery_to_forget(job_state: JobState) -> Any:
    """Give what the last yes delivered, once, where its activation stands; None if there is nothing to forget."""
    delivered = job_state.memory().pop(DELIVERED, None)
    if delivered is None:
        return None
    number, what = delivered
    record = _record(job_state)
    stands = number <= record.activation_count and number != record.undone
    return what if stands or job_state._host is None else None


def was_overtaken(job_state: JobState) -> bool:
    """Tell, once, whether an activation was undone that was not the last: activations overlapped, items came back."""
    memory = job_state.memory()
    undone = _record(job_state).undone
    if undone == memory.get("undone", 0):
        return False
    memory["undone"] = undone
    return bool(memory.get(DELIVERED, (undone,))[0] != undone)


def _record(job_state: JobState) -> RoutineRecord:
    return job_state._record(job_state._current("a policy with a memory"))


def take_points(slots: Slots, points: list[tuple[str, int]]) -> DataSlice:
    """Take these items, by slot and number; those that no longer wait are passed over."""
    wanted: dict[str, list[int]] = {}
    for name, seq in points:
        wanted.setdefault(name, []).append(seq)
    return {name: [point.data for point in slots[name].consume_points(seqs)] for name, seqs in wanted.items()}
