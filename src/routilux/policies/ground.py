"""The ground that the catalogue stands on: facts as leaves, exact time, items in order of arrival, checks.

Design: §4.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from routilux.current import current
from routilux.errors import BadTypeError, BadValueError
from routilux.explanation import Condition
from routilux.job import JobState
from routilux.policies.core import DataSlice, Policy, Slots, take_new
from routilux.slot import Slot

Item = tuple[Any, ...]
AT_END = ("hold", "fire")
SECOND = 1_000_000_000
END = ("end of input", True, None, True)
"""The leaf that says: nothing more can come."""

Leaf = tuple[str, Any, Any, bool]
"""One fact of a decision: what was looked at, actual, needed, whether it is met. Plain, so that it can be stored."""


class LeafPolicy(Policy):
    """A policy whose facts are a tuple of leaves; one of them must be met, or with ``needs = "all"`` every one."""

    __slots__ = ()

    needs = "any"

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Turn leaves into conditions."""
        leaves = tuple(Condition(*leaf) for leaf in facts)
        if len(leaves) < 2 or self.needs == "all":
            return leaves
        return (Condition("any", is_met=any(leaf.is_met for leaf in leaves), parts=leaves),)

    def cause(self, facts: Any) -> Any:
        """Which leaves are not met."""
        return tuple(leaf[0] for leaf in facts if not leaf[3])


# --- checks -----------------------------------------------------------------------------------------------------


def whole(value: object, what: str) -> int:
    """Check a number of items.

    Raises:
        TypeError: it is no int.
        ValueError: it is below 1.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadTypeError(f"{what} must be an int, not {value!r}")
    if value < 1:
        raise BadValueError(f"{what} must be at least 1, not {value}")
    return value


def duration(value: object, what: str, optional: bool = False) -> None:
    """Check a length of time above zero.

    Raises:
        TypeError: it is no number.
        ValueError: it is not above zero, or not finite.
    """
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadTypeError(f"{what} must be a number of seconds, not {value!r}")
    if not 0 < value < 1e9:
        raise BadValueError(f"{what} must be above 0 and finite, not {value!r}")


def one_of(value: object, known: tuple[str, ...], what: str) -> None:
    """Check a choice.

    Raises:
        ValueError: it is none of the known.
    """
    if value not in known:
        raise BadValueError(f"{what} must be one of {', '.join(map(repr, known))}, not {value!r}")


def function(value: object, what: str) -> None:
    """Check what will be called.

    Raises:
        TypeError: it cannot be called.
    """
    if not callable(value):
        raise BadTypeError(f"{what} must be a function, not {value!r}")


# --- time, exactly ----------------------------------------------------------------------------------------------


def now_ns(job_state: JobState) -> int:
    """Read the job's clock in nanoseconds since 1970; goes on over a resume, never steps back."""
    clock = job_state._clock
    return clock.epoch_ns(clock.ticks()) + job_state._time_shift


def to_ns(seconds: float) -> int:
    """Give seconds in nanoseconds."""
    return round(seconds * SECOND)


def wake_in(job_state: JobState, nanoseconds: int, keep_alive: bool = False) -> None:
    """Ask to be asked again after exactly that long."""
    job_state.wake_after((max(1, nanoseconds) + 0.5) / SECOND, keep_alive=keep_alive)


def stop_waiting(job_state: JobState) -> None:
    """Give up the timer that was asked for before."""
    job_state._record(job_state._current("stop_waiting")).wake = None


def ask_again(job_state: JobState) -> None:
    """Have the policy asked again after the activation that it grants now, though it takes nothing."""
    of_part = getattr(job_state, "ask_part_again", None)
    if of_part is not None:
        of_part()
        return
    frame = current.get()
    if frame is not None and frame.job_state is job_state:
        frame.cell.nudge()


def ticks_of(slots: Slots) -> int:
    """Read the clock of the slots, in ticks: the time by which items are stamped."""
    for slot in slots.values():
        return slot.queue.clock.ticks()
    raise AssertionError("a policy that looks at items has slots")


def age_of(slots: Slots, item: Item) -> int:
    """Tell how long ago an item was enqueued, in nanoseconds."""
    age: int = ticks_of(slots) - item[2]
    return max(0, age)


# --- items ------------------------------------------------------------------------------------------------------


def all_closed(slots: Slots) -> bool:
    """Tell whether nothing more can come; ask before looking at items, as more may come until then."""
    return all(slot.queue.is_closed for slot in slots.values())


def waiting(slots: Slots) -> int:
    """Count what waits in all slots."""
    count = 0
    for slot in slots.values():
        count += slot.queue.waiting
    return count


class Head(NamedTuple):
    """The waiting item that arrived first: when, its slot, its number, itself."""

    at: int
    name: str
    seq: int
    item: Item


def oldest(slots: Slots) -> Head | None:
    """Give the waiting item that arrived first; ties go in slot order."""
    name = ""
    found: tuple[int, Item] | None = None
    for slot_name, slot in slots.items():
        first = slot.queue.peek_first()
        if first is not None and (found is None or first[1][2] < found[1][2]):
            name, found = slot_name, first
    return None if found is None else Head(found[1][2], name, *found)


def newest_at(slots: Slots) -> int:
    """Give when the last waiting item arrived, in ticks; there is one."""
    lasts = (slot.queue.peek_last() for slot in slots.values())
    newest: int = max(last[1][2] for last in lasts if last is not None)
    return newest


def take_oldest(slots: Slots, count: int) -> DataSlice:
    """Take so many items, over all slots in order of arrival."""
    if len(slots) == 1:
        return {name: take_new(slot, count) for name, slot in slots.items()}
    scan = Scan(slots, {})
    for _ in range(count):
        if scan.peek() is None:
            break
        scan.step()
    return scan.take()


def drop_new(slot: Slot, reason: str, count: int | None = None) -> None:
    """Drop what waits, all or the oldest so many."""
    queue = slot.queue
    with queue.lock:
        seqs = [seq for seq, _ in queue.peek(0, count)]
    if seqs:
        slot.drop(seqs, reason)


class Scan:
    """Goes over waiting items once, in order of arrival, and remembers in the memory how far it came.

    Where what it saw was put back, dropped or taken, it begins again; ``is_fresh`` says so. ``name`` and ``seq`` tell
    which item `peek` gave.
    """

    __slots__ = ("_marks", "_memory", "_slots", "is_fresh", "name", "seq")

    def __init__(self, slots: Slots, memory: dict[str, Any]) -> None:
        self._slots = slots
        self._memory = memory
        self.name = ""
        self.seq = 0
        marks: dict[str, list[int]] | None = memory.get("scan")  # by slot: the first seen, the next to see, how many
        self.is_fresh = not marks
        if marks:
            for name, mark in marks.items():
                first = slots[name].queue.peek_first()
                if first is None or first[0] != mark[0]:
                    self.is_fresh = True
        self._marks = {} if self.is_fresh or not marks else {name: list(mark) for name, mark in marks.items()}
        memory["scan"] = self._marks

    def peek(self) -> Item | None:
        """Give the next item that was not seen; it stays unseen."""
        marks = self._marks
        found: Item | None = None
        for name, slot in self._slots.items():
            mark = marks.get(name)
            pair = slot.queue.next_waiting(0 if mark is None else mark[1])
            if pair is not None and (found is None or pair[1][2] < found[2]):
                self.name = name
                self.seq, found = pair
        return found

    def step(self) -> None:
        """Remember that it was seen."""
        seq = self.seq
        mark = self._marks.get(self.name)
        if mark is None:
            self._marks[self.name] = [seq, seq + 1, 1]
        else:
            mark[1] = seq + 1
            mark[2] += 1

    def take(self) -> DataSlice:
        """Take all that was seen, and begin anew behind it."""
        self._memory.pop("scan", None)
        return {name: take_new(self._slots[name], mark[2]) for name, mark in self._marks.items()}


Weigh = Callable[[Any], float]
