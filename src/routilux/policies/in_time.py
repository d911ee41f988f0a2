"""Slots read in the order of their items' times: what is late is dropped, what is known is known for certain.

Design: the catalogue of policies.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

from routilux.clock import to_datetime
from routilux.errors import BadTypeError, BadValueError
from routilux.job import JobState
from routilux.policies.core import Slots
from routilux.policies.event_time import TimeOf, arrival_ns, item_time, to_moment
from routilux.policies.ground import Item, now_ns

LATE = "late"


class Timed(NamedTuple):
    """A waiting item and its time, in nanoseconds."""

    time: int
    seq: int
    item: Item


class InTime:
    """The waiting items of some slots in the order of their times; each arrival is looked at once.

    Its marks in the memory are replaced, never changed in place.
    """

    def __init__(self, slots: Slots, time_of: TimeOf | None, job_state: JobState) -> None:
        self._slots = slots
        self._time_of = time_of
        self._job_state = job_state
        self._memory = memory = job_state.memory()
        self._reached: dict[str, int] = dict(memory.get("reached") or {})

    def update(self, names: Iterable[str]) -> None:
        """Look at what came to these slots since; drop what is earlier than the latest of its slot as "late"."""
        if self._time_of is None:
            return
        seen: dict[str, int] = dict(self._memory.get("seen") or {})
        for name in names:
            queue = self._slots[name].queue
            if queue.next_seq == seen.get(name, 0):
                continue
            late = []
            for seq, item in queue.peek_since(seen.get(name, 0)):
                time = self.time(item)
                seen[name] = seq + 1
                if time < self._reached.get(name, time):
                    late.append(seq)
                else:
                    self._reached[name] = time
            if late:
                self._slots[name].drop(late, LATE)
        self._memory["seen"] = seen
        self._memory["reached"] = self._reached

    def time(self, item: Item) -> int:
        """Give the time of an item."""
        if self._time_of is None:
            return arrival_ns(item, self._job_state)
        return item_time(item, self._time_of, self._memory)

    def reached(self, name: str) -> int | None:
        """Give the time before which nothing more of a slot can come; None where nothing came yet."""
        if self._time_of is None:
            return self.now()
        return self._reached.get(name)

    def now(self) -> int:
        """Read the job's clock: the time of what would arrive now."""
        return now_ns(self._job_state)

    def first(self, name: str) -> Timed | None:
        """Look at the earliest waiting item of a slot."""
        pair = self._slots[name].queue.peek_first()
        return None if pair is None else Timed(self.time(pair[1]), *pair)

    def second(self, name: str) -> Timed | None:
        """Look at the waiting item after the earliest."""
        queue = self._slots[name].queue
        with queue.lock:
            pairs = queue.peek(1, 1)
        return Timed(self.time(pairs[0][1]), *pairs[0]) if pairs else None

    def up_to(self, name: str, limit: int) -> list[Timed]:
        """Give the waiting items of a slot up to a time; costs about what is found."""
        return [Timed(self.time(item), seq, item) for seq, item in self._front(name, limit, self.time)]

    def waited(self, name: str, nanoseconds: int) -> list[int]:
        """Give the numbers of the waiting items of a slot that arrived so long ago."""
        limit = self.now() - nanoseconds
        return [seq for seq, _ in self._front(name, limit, lambda item: arrival_ns(item, self._job_state))]

    def _front(self, name: str, limit: int, time: Callable[[Item], int]) -> list[tuple[int, Item]]:
        queue = self._slots[name].queue
        count = 2
        while True:
            with queue.lock:
                found = queue.peek(0, count)
            if len(found) < count or time(found[-1][1]) > limit:
                return [pair for pair in found if time(pair[1]) <= limit]
            count *= 2

    def told(self, time: int | None) -> str:
        """Show a time as the items tell it; that of an arrival as time of day."""
        if time is None:
            return "none"
        if self._time_of is None:
            return f"{to_datetime(time):%H:%M:%S.%f}Z"
        moment = to_moment(time, self._memory)
        return moment.isoformat() if isinstance(moment, datetime) else f"{moment:.10g}"


def tolerance(value: object, what: str, optional: bool = False) -> None:
    """Check a length of time from zero up.

    Raises:
        TypeError: it is no number.
        ValueError: it is below zero, or not finite.
    """
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadTypeError(f"{what} must be a number of seconds, not {value!r}")
    if not 0 <= value < 1e9:
        raise BadValueError(f"{what} must be 0 or more and finite, not {value!r}")
