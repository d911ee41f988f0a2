"""The unfinished matches of a pattern: what `sequence_policy` searches with.

Design: the catalogue of policies. The memory holds the numbers of the items of unfinished matches, which wait in their
slots. All of it is changed in place, so that it agrees with how far arrivals were looked at.
"""

from collections.abc import Callable
from typing import Any, Protocol

from routilux.job import JobState
from routilux.policies.arrivals import Arrivals, Deliveries, Drops
from routilux.policies.core import Slots
from routilux.policies.ground import all_closed, stop_waiting, to_ns, wake_in

Step = tuple[str, Callable[[Any], Any] | str]
"""The name of a step, and what its item is: one that the function says yes to, or any of the slot of this name."""
Point = tuple[str, int]


class Pattern(Protocol):
    """What is searched for."""

    @property
    def steps(self) -> tuple[Step, ...]: ...
    @property
    def within_seconds(self) -> float | None: ...
    @property
    def contiguity(self) -> str: ...
    @property
    def max_unfinished(self) -> int: ...
    def key_of(self, data: Any, /) -> Any: ...


class Search:
    """The unfinished matches of one job, while the policy is asked."""

    def __init__(self, policy: Pattern, slots: Slots, job_state: JobState) -> None:
        self._policy = policy
        self._slots = slots
        self._shift = job_state._time_shift
        memory = job_state.memory()
        self.deliveries = deliveries = Deliveries(job_state, memory)
        if deliveries.was_overtaken():
            memory.pop("state", None)
        state = memory.get("state")
        if state is None:
            state = {"marks": {}, "open": {}, "first": 0, "next": 0, "keys": {}, "ready": []}
            memory["state"] = state
        self._state: dict[str, Any] = state
        self._open: dict[int, list[Any]] = state["open"]  # by number, oldest first: key, begun at, points
        self._drops = Drops()
        self._arrivals = Arrivals(slots, state["marks"])
        self._now = next(iter(slots.values())).queue.clock.ticks()
        delivered = deliveries.done()
        if delivered is not None:
            state["ready"] = [match for match in state["ready"] if match[0] != delivered]

    def next_match(self) -> tuple[int, Any, list[Point]] | None:
        """Go on looking at arrivals until a match is complete."""
        try:
            return self._search()
        finally:
            self._drops.carry_out(self._slots)

    def _search(self) -> tuple[int, Any, list[Point]] | None:
        ready: list[Any] = self._state["ready"]
        while True:
            while ready and not self._wait(ready[0][2]):
                self._offer_again(ready.pop(0)[2])
            if ready:
                number, key, points = ready[0]
                return number, key, points
            item = self._arrivals.peek()
            self._expire(self._now if item is None else item[2])
            if item is None:
                return None
            point = (self._arrivals.name, self._arrivals.seq)
            self._offer(point, item)
            self._arrivals.step()

    def _offer(self, point: Point, item: Any) -> None:
        key = self._policy.key_of(item[0])
        chosen = self._oldest_that_waits_for(key, point, item)
        if chosen is None and self._policy.contiguity == "strict" and self._break(key):
            self._offer(point, item)
            return
        if chosen is not None:
            self._advance(chosen, point)
        elif self._is(0, point, item):
            self._begin(key, point, item[2])
        else:
            self._drops.add(*point, "no step")

    def _is(self, step: int, point: Point, item: Any) -> bool:
        what = self._policy.steps[step][1]
        return point[0] == what if isinstance(what, str) else bool(what(item[0]))

    def _oldest_that_waits_for(self, key: Any, point: Point, item: Any) -> int | None:
        """Find the oldest unfinished match of this key that this item continues."""
        by_step: dict[int, list[int]] | None = self._state["keys"].get(key)
        if by_step is None:
            return None
        waiting = [numbers[0] for step, numbers in by_step.items() if self._is(step, point, item)]
        return min(waiting, default=None)

    def _begin(self, key: Any, point: Point, at: int) -> None:
        number: int = self._state["next"]
        self._state["next"] = number + 1
        self._open[number] = [key, self._epoch(at), [point]]
        self._place(key, 1, number)
        if len(self._open) > self._policy.max_unfinished:
            self._drop(self._first(), "too many unfinished")

    def _advance(self, number: int, point: Point) -> None:
        key, _, points = self._open[number]
        self._unplace(key, len(points), number)
        points.append(point)
        if len(points) < len(self._policy.steps):
            self._place(key, len(points), number)
            return
        del self._open[number]
        self._state["ready"].append([number, key, points])

    def _place(self, key: Any, step: int, number: int) -> None:
        numbers = self._state["keys"].setdefault(key, {}).setdefault(step, [])
        numbers.append(number)

    def _unplace(self, key: Any, step: int, number: int) -> None:
        by_step = self._state["keys"][key]
        by_step[step].remove(number)  # the oldest of its step: it stands in front
        if not by_step[step]:
            del by_step[step]
        if not by_step:
            del self._state["keys"][key]

    def _break(self, key: Any) -> bool:
        """Give up the unfinished match of a key: its first item is dropped, the rest is looked at anew."""
        numbers = next(iter(self._state["keys"].get(key, {}).values()), None)
        if not numbers:
            return False
        _, _, points = self._remove(numbers[0])
        first, *rest = points
        self._drops.add(first[0], first[1], "broken sequence")
        self._offer_again(rest)
        return True

    def _offer_again(self, points: list[Point]) -> None:
        for point in points:
            item = self._slots[point[0]].queue.waiting_item(point[1])
            if item is not None:
                self._offer(point, item)

    # --- the end of unfinished ones -------------------------------------------------------------------------

    def _first(self) -> int:
        """Find the oldest unfinished match; there is one. Remembers where, so that looking costs nothing."""
        first: int = self._state["first"]
        while first not in self._open:
            first += 1
        self._state["first"] = first
        return first

    def _expire(self, at: int) -> None:
        if self._policy.within_seconds is None:
            return
        limit = self._epoch(at) - to_ns(self._policy.within_seconds)
        while self._open and self._open[first := self._first()][1] <= limit:
            self._drop(first, "expired")

    def _drop(self, number: int, reason: str) -> None:
        for name, seq in self._remove(number)[2]:
            self._drops.add(name, seq, reason)

    def _remove(self, number: int) -> list[Any]:
        found = self._open.pop(number)
        self._unplace(found[0], len(found[2]), number)
        return found

    def _wait(self, points: list[Point]) -> bool:
        """Tell whether all these items still wait: other policies may take or drop them too."""
        return all(self._slots[name].queue.waiting_item(seq) is not None for name, seq in points)

    def _epoch(self, ticks: int) -> int:
        return next(iter(self._slots.values())).queue.clock.epoch_ns(ticks) + self._shift

    def progress(self) -> tuple[int, int]:
        """Tell how far the oldest unfinished match is, and how many there are."""
        return (len(self._open[self._first()][2]) if self._open else 0), len(self._open)

    def see_to_expiry(self, job_state: JobState) -> None:
        """Wake when the oldest unfinished match expires; not where nothing can complete it any more."""
        within = self._policy.within_seconds
        if within is None or not self._open:
            return
        if all_closed(self._slots):
            stop_waiting(job_state)
        else:
            wake_in(job_state, self._open[self._first()][1] + to_ns(within) - self._epoch(self._now))
