"""What a policy with a memory of single items stands on: each item seen once, in order of arrival; yeses that count.

Design: §4.2, §4.6. A yes may not come to an activation (a breakpoint, a composed policy), and an activation may be undone.
So what a yes delivers is only noted, and done with when the policy is asked again and the activation stands.
"""

from typing import Any

from routilux.job import JobState
from routilux.policies.core import Slots
from routilux.policies.ground import Item

DELIVERED = "delivered"


class Arrivals:
    """Goes over the waiting items of all slots in order of arrival, each once; ``marks`` remember how far it came."""

    __slots__ = ("_marks", "_queues", "name", "seq")

    def __init__(self, slots: Slots, marks: dict[str, int]) -> None:
        self._queues = [(name, slot.queue) for name, slot in slots.items()]
        self._marks = marks
        self.name = ""
        self.seq = 0

    def peek(self) -> Item | None:
        """Give the next item that was not seen, ``name`` and ``seq`` say which; it stays unseen."""
        marks = self._marks
        found: Item | None = None
        for name, queue in self._queues:
            pair = queue.next_waiting(marks.get(name, 0))
            if pair is not None:
                marks[name] = pair[0]
                if found is None or pair[1][2] < found[2]:
                    self.name = name
                    self.seq, found = pair
        return found

    def step(self) -> None:
        """Remember that it was seen."""
        self._marks[self.name] = self.seq + 1


class Drops:
    """What is to be dropped, told to the slots at once: a backlog of unwanted items is one line of the history."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[int]] = {}

    def add(self, name: str, seq: int, reason: str) -> None:
        """Note an item."""
        self._found.setdefault((name, reason), []).append(seq)

    def carry_out(self, slots: Slots) -> None:
        """Drop what was noted."""
        for (name, reason), seqs in self._found.items():
            slots[name].drop(seqs, reason)
        self._found.clear()


class Deliveries:
    """What the yeses of one policy delivered, over the memory of its job."""

    __slots__ = ("_memory", "_record", "is_by_hand")

    def __init__(self, job_state: JobState, memory: dict[str, Any]) -> None:
        self._memory = memory
        self._record = job_state._asking("a policy with a memory")
        self.is_by_hand = job_state._host is None

    def note(self, what: Any) -> None:
        """Note what the yes of now delivers."""
        self._memory[DELIVERED] = (self._record.activation_count + 1, what)

    def done(self) -> Any:
        """Give what the last yes delivered, once, where its activation stands; None if nothing is done."""
        delivered = self._memory.pop(DELIVERED, None)
        if delivered is None:
            return None
        number, what = delivered
        record = self._record
        return what if self.is_by_hand or (number <= record.activation_count and number != record.undone) else None

    def was_overtaken(self) -> bool:
        """Tell, once, whether an earlier activation than the last was undone: they overlapped, and items came back."""
        memory = self._memory
        undone = self._record.undone
        if not undone or undone == memory.get("undone"):
            return False
        memory["undone"] = undone
        delivered = memory.get(DELIVERED)
        return delivered is None or bool(delivered[0] != undone)
