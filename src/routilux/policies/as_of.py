"""The as-of join: each item of one slot with the newest item of another that is not later.

Design: §4, and the catalogue of policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand
from routilux.errors import BadTypeError, BadValueError
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, take_seqs
from routilux.policies.event_time import TimeOf, check_time_of
from routilux.policies.ground import SECOND, LeafPolicy, one_of, to_ns
from routilux.policies.in_time import InTime, Timed, tolerance
from routilux.slot import Slot

SUPERSEDED = "superseded"
TOO_OLD = "too old"
NO_PRIMARY = "no primary item can come"
UNMATCHED = "unmatched"


@dataclass(frozen=True)
class AsOfPolicy(LeafPolicy):
    """See `as_of_policy`."""

    primary: str
    lookup: str
    tolerance_seconds: float | None = None
    time_of: TimeOf | None = None
    on_unmatched: str = "fire"

    needs = "all"
    asks_when_empty = False

    def __post_init__(self) -> None:
        for name in (self.primary, self.lookup):
            if not isinstance(name, str):
                raise BadTypeError(f"primary and lookup are names of slots, not {name!r}")
        if self.primary == self.lookup:
            raise BadValueError(f"primary and lookup must be two slots, not both {self.primary!r}")
        tolerance(self.tolerance_seconds, "tolerance_seconds", optional=True)
        check_time_of(self.time_of)
        one_of(self.on_unmatched, ("fire", "drop"), "on_unmatched")

    def demand(self, slots: Sequence[str]) -> Demand:
        """One primary item."""
        named = (self.primary, self.lookup)
        never = f"pairs two slots, and there are {len(slots)}" if len(slots) > 2 else ""
        return Demand({self.primary: 1}, 1, has_timeout=False, fires_at_end=False, named=named, never=never)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes for the oldest primary item, once nothing better for it can come."""
        if set(slots) != {self.primary, self.lookup}:
            raise BadValueError(f"{self!r} pairs two slots, but there are {', '.join(slots)}")
        return _AsOf(self, slots, job_state).ask()


class _AsOf:
    """The two sides in one job, while the policy is asked."""

    def __init__(self, policy: AsOfPolicy, slots: Slots, job_state: JobState) -> None:
        self._policy = policy
        self._memory = job_state.memory()
        self._primary: Slot = slots[policy.primary]
        self._lookup: Slot = slots[policy.lookup]
        self._has_primary_ended = self._primary.queue.is_closed  # before looking at items: more may come until then
        self._has_lookup_ended = self._lookup.queue.is_closed
        self._times = InTime(slots, policy.time_of, job_state)
        self._times.update([policy.lookup])
        self._matched: list[Any] | None = self._memory.get("matched")

    def ask(self) -> Answer:
        """Deliver the oldest primary item, drop it, or wait."""
        while (first := self._times.first(self._policy.primary)) is not None:
            best = self._newest_until(first.time)
            if not self._is_certain(first.time):
                return self._policy.no(self._facts_of_waiting(first.time))
            found = self._in_tolerance(first.time, best)
            if found is not None or self._policy.on_unmatched == "fire":
                return self._deliver(first, found, best)
            self._primary.drop([first.seq], UNMATCHED)
        self._tidy()
        return self._policy.no(((f"count({self._policy.primary})", 0, 1, False),))

    def _newest_until(self, time: int) -> Timed | None:
        """Give the newest waiting lookup item until a time; those before it can match nothing more."""
        found = self._times.up_to(self._policy.lookup, time)
        if len(found) > 1:
            self._lookup.drop([timed.seq for timed in found[:-1]], SUPERSEDED)
        return found[-1] if found else None

    def _is_certain(self, time: int) -> bool:
        if self._policy.time_of is None or self._has_lookup_ended:
            return True
        reached = self._times.reached(self._policy.lookup)
        return reached is not None and reached > time

    def _in_tolerance(self, time: int, best: Timed | None) -> list[Any] | None:
        """Give time and data of the match, if there is one that is near enough."""
        found = self._matched if best is None else [best.time, best.item[0]]
        if found is None or found[0] > time:
            return None
        limit = self._policy.tolerance_seconds
        if limit is None or time - found[0] <= to_ns(limit):
            return found
        if best is not None:
            self._lookup.drop([best.seq], TOO_OLD)
        return None

    def _deliver(self, first: Timed, found: list[Any] | None, best: Timed | None) -> Answer:
        policy = self._policy
        if found is not None and best is not None:
            self._memory["matched"] = found
            take_seqs(self._lookup, [best.seq])
        data = {policy.primary: take_seqs(self._primary, [first.seq]), policy.lookup: [found[1]] if found else []}
        if not data[policy.primary]:  # a producer superseded it at this moment: what was taken goes back
            return policy.no(self._facts_of_waiting(first.time))
        age = None if found is None else (first.time - found[0]) / SECOND
        facts = ((f"count({policy.primary})", 1, 1, True), (f"age({policy.lookup})", age, None, True))
        return policy.yes(data, {"reason": "as_of" if found else UNMATCHED, "age_seconds": age}, facts)

    def _facts_of_waiting(self, time: int) -> Any:
        reached = self._times.reached(self._policy.lookup)
        needed = f"after {self._times.told(time)}"
        return ((f"time({self._policy.lookup})", self._times.told(reached), needed, False),)

    def _tidy(self) -> None:
        """Drop what no primary item can ask for any more."""
        if self._has_primary_ended:
            self._lookup.drop([point.seq for point in self._lookup.peek_points()], NO_PRIMARY)
        elif self._policy.time_of is None:
            self._newest_until(self._times.now())


def as_of_policy(
    primary: str,
    lookup: str,
    tolerance_seconds: float | None = None,
    time_of: TimeOf | None = None,
    on_unmatched: str = "fire",
) -> Policy:
    """Activate for each primary item, with the newest lookup item that is not later than it.

    Times are those of arrival, or what ``time_of(data)`` gives: seconds, or aware datetimes. The message of the logic
    is ``{"reason": "as_of" | "unmatched", "age_seconds": …}``.

    as_of_policy("x", "y", time_of=int)
    activates   for the oldest item of x, when the time of y has passed it or y is closed; by arrival at once
    takes       that item; delivers the newest item of y not later than it, which stays in the job for the next ones;
                none within tolerance_seconds: delivers an empty list, or on_unmatched="drop"
    holds back  items of x until y has passed them; items of y until x has passed them
    at end      delivers what waits of x; what y still has is dropped as "no primary item can come"
    full slot   x fills while y is silent; items of y are dropped as "superseded", "too old" or "late" (before one seen)
    resume      the last match and the time of y are stored with the job
    explains    time(y) 4 of after 6 no
    picture     x    -3--68--|          one character = 1 s, | = end
                y    1-24--7-9|
                out  ---[32]--[64]-[87]|
                drop --1-----9

    Raises:
        ValueError: twice the same slot, a tolerance below 0, an unknown ``on_unmatched``.
        TypeError: a slot that is no name, a tolerance that is no number, a ``time_of`` that cannot be called.
    """
    return AsOfPolicy(primary, lookup, tolerance_seconds, time_of, on_unmatched)
