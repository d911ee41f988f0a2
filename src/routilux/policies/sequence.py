"""The policy that finds an ordered pattern in what arrives.

Design: §4, and the catalogue of policies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand
from routilux.errors import BadTypeError, BadValueError
from routilux.job import JobState
from routilux.policies.core import Answer, DataSlice, Policy, Slots, take_seqs
from routilux.policies.ground import LeafPolicy, duration, function, one_of, whole
from routilux.policies.matching import Point, Search, Step

Key = Callable[[Any], Any] | str
CONTIGUITY = ("relaxed", "strict")
END_OF_PATTERN = ("every step matched", True, None, True)


@dataclass(frozen=True)
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

    def demand(self, slots: Sequence[str]) -> Demand:
        """One item for each step."""
        named = [what for _, what in self.steps if isinstance(what, str)]
        timed = self.within_seconds is not None
        return Demand(
            {name: named.count(name) for name in named},
            len(self.steps),
            has_timeout=timed,
            fires_at_end=timed,
            seconds=self.within_seconds,
            named=tuple(dict.fromkeys(named)),
        )

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes for each match, in the order in which they were completed."""
        search = Search(self, slots, job_state)
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
    return {name: take_seqs(slots[name], seqs) for name, seqs in wanted.items()}


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
    dropped as "broken sequence", and the search goes on with the second. Where another policy took
    an item of a match, that match is given up when it would be complete, and the search goes on with its other items.

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
    return SequencePolicy(_steps_of(steps), within_seconds, key, contiguity, max_unfinished)
