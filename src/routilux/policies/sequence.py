"""The policy that finds an ordered pattern in what arrives.

Design: §4, and the catalogue of policies. The memory holds the numbers of the items of unfinished matches, which wait
in their slots. All of it is changed in place, so that it agrees with how far arrivals were looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routilux.errors import BadTypeError, BadValueError
from routilux.job import JobState
from routilux.policies.arrivals import Arrivals, Deliveries
from routilux.policies.core import Answer, DataSlice, Policy, Slots, take_numbered
from routilux.policies.ground import (
    LeafPolicy,
    all_closed,
    duration,
    function,
    one_of,
    stop_waiting,
    to_ns,
    wake_in,
    whole,
)

Step = tuple[str, Callable[[Any], Any] | str]
"""The name of a step, and what its item is: one that the function says yes to, or any of the slot of this name."""
Key = Callable[[Any], Any] | str
Point = tuple[str, int]
CONTIGUITY = ("relaxed", "strict")
END_OF_PATTERN = ("every step matched", True, None, True)


@dataclass(frozen=True, repr=False)
class SequencePolicy(LeafPolicy):
    """See `sequence_policy`."""

    steps: tuple[Step, ...]
    within_seconds: float | None = None
    key: Key | None = None
    contiguity: str = "relaxed"
    max_unfinished: int = 1000

    asks_when_empty = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _steps_of(self.steps))
        duration(self.within_seconds, "within_seconds", optional=True)
        if self.key is not None and not isinstance(self.key, str):
            function(self.key, "key")
        one_of(self.contiguity, CONTIGUITY, "contiguity")
        whole(self.max_unfinished, "max_unfinished")

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes for each match, in the order in which they were completed."""
        search = _Search(self, slots, job_state)
        complete = search.next_match()
        if complete is not None:
            number, key, points = complete
            search.deliveries.note(number)
            message: dict[str, Any] = {"reason": "sequence", "steps": _told(self.steps, points)}
            if self.key is not None:
                message["key"] = key
            return self.yes(_taken(slots, points), message, (END_OF_PATTERN,))
        furthest, count = search.progress()
        search.see_to_expiry(job_state)
        return self.no(self._why_not(furthest, count))

    def _why_not(self, furthest: int, unfinished: int) -> Any:
        leaf = ("steps matched", furthest, len(self.steps), False)
        return (
            leaf,
            ("next step", self.steps[furthest][0], None, False),
            ("unfinished matches", unfinished, None, False),
        )

    def key_of(self, data: Any) -> Any:
        """Give the key of an item; None where the policy has none."""
        if self.key is None:
            return None
        if callable(self.key):
            return self.key(data)
        return data[self.key] if isinstance(data, Mapping) else getattr(data, self.key)


def _told(steps: tuple[Step, ...], points: list[Point]) -> list[tuple[str, str]]:
    """Tell in which slot the item of each step came."""
    return [(step[0], point[0]) for step, point in zip(steps, points, strict=True)]


def _taken(slots: Slots, points: list[Point]) -> DataSlice:
    wanted: dict[str, list[int]] = {}
    for name, seq in points:
        if name in wanted:
            wanted[name].append(seq)
        else:
            wanted[name] = [seq]
    return {name: take_numbered(slots[name], seqs) for name, seqs in wanted.items()}


def _steps_of(given: Any) -> tuple[Step, ...]:
    """Name every step.

    Raises:
        TypeError: a step is neither a function nor the name of a slot.
        ValueError: fewer than two steps.
    """
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
        raise BadTypeError(f"steps is a list of slot names and functions, or a mapping of names to them, not {given!r}")
    steps = tuple(_step(*pair) for pair in given.items()) if isinstance(given, Mapping) else tuple(map(_named, given))
    if len(steps) < 2:
        raise BadValueError(f"a sequence has at least two steps, not {[name for name, _ in steps]}")
    return steps


def _named(step: Any) -> Step:
    if isinstance(step, tuple) and len(step) == 2:
        return _step(*step)
    return _step(step if isinstance(step, str) else getattr(step, "__name__", repr(step)), step)


def _step(name: Any, what: Any) -> Step:
    if not isinstance(name, str) or not (isinstance(what, str) or callable(what)):
        raise BadTypeError(f"a step is the name of a slot or a function, not {what!r}")
    return name, what


class _Search:
    """The unfinished matches of one job, while the policy is asked."""

    def __init__(self, policy: SequencePolicy, slots: Slots, job_state: JobState) -> None:
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
        self._arrivals = Arrivals(slots, state["marks"])
        self._now = next(iter(slots.values())).queue.clock.ticks()
        delivered = deliveries.done()
        if delivered is not None:
            state["ready"] = [match for match in state["ready"] if match[0] != delivered]

    def next_match(self) -> tuple[int, Any, list[Point]] | None:
        """Go on looking at arrivals until a match is complete."""
        ready: list[Any] = self._state["ready"]
        while True:
            while ready and not self._wait(ready[0][2]):
                ready.pop(0)
            if ready:
                number, key, points = ready[0]
                return number, key, points
            item = self._arrivals.peek()
            self._expire(self._now if item is None else item[2])
            if item is None:
                return None
            point = (self._arrivals.name, self._arrivals.seq)
            self._arrivals.step()
            self._offer(point, item)

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
            self._slots[point[0]].drop([point[1]], "no step")

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
        self._slots[first[0]].drop([first[1]], "broken sequence")
        for name, seq in rest:
            item = self._slots[name].queue.waiting_item(seq)
            if item is not None:
                self._offer((name, seq), item)
        return True

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
            self._slots[name].drop([seq], reason)

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


def sequence_policy(
    steps: Sequence[Callable[[Any], Any] | str | Step] | Mapping[str, Callable[[Any], Any] | str],
    within_seconds: float | None = None,
    key: Key | None = None,
    contiguity: str = "relaxed",
    max_unfinished: int = 1000,
) -> Policy:
    """Activate when items arrived that match the steps of a pattern, one after the other.

    A step is a function that says yes to its item, or the name of a slot, whose items all fit. Steps are named by a
    mapping, or else by their functions and slots. ``key`` is a function or the name of a field: each key has matches of
    its own. Arrivals are looked at once, in order. Each goes to the oldest unfinished match that it continues, or else
    begins one, or else is dropped as "no step": unfinished matches overlap, but no item is in two. With
    contiguity="strict" an item that does not continue the match of its key breaks it: the first item of that match is
    dropped as "broken sequence", and the search goes on with the second. A match of which another policy took an item
    away is given up when it would be complete.

    sequence_policy({"begins": str.islower, "ends": str.isupper}, within_seconds=4)
    activates   when every step of a match has its item, in order; the last within 4 s of the first
    takes       the items of that match, out of the middle of their slots
    holds back  the items of unfinished matches, at most 4 s; then they are dropped as "expired"
    at end      holds the items of unfinished matches
    full slot   holds at most max_unfinished matches, the oldest are dropped as "too many unfinished";
                a slot shorter than what they need never completes one without within_seconds
    resume      unfinished matches go on with their remaining time; each item is looked at once
    explains    any of (steps matched 1 of 2 no ; next step ends no ; unfinished matches 1 no)
    picture     in   -a-bB-C1-d----e|          one character = 1 s, | = end
                out  ----[aB]-[bC]--------|
                drop -------1-----d
                left e

    Raises:
        ValueError: fewer than two steps, a time not above 0, a number below 1, an unknown contiguity.
        TypeError: a step that is neither a function nor a name, a bad key, a time that is no number.
    """
    return SequencePolicy(steps, within_seconds, key, contiguity, max_unfinished)  # type: ignore[arg-type]
