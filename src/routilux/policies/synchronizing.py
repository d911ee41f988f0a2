"""Synchronising by time: the best set of one item per slot.

Design: §4, and the catalogue of policies. Source: the approximate-time policy of message_filters, ROS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from routilux.demand import Demand, each
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, take_seqs
from routilux.policies.event_time import TimeOf, check_time_of
from routilux.policies.ground import SECOND, Head, LeafPolicy, age_of, duration, oldest, to_ns, wake_in
from routilux.policies.in_time import InTime, Timed, tolerance

UNMATCHED = "unmatched"
NO_PARTNER = "no partner can come"


class TimeSet(NamedTuple):
    """One item of each slot; ``waits_for`` is the slot that may still bring a closer one, ``until`` that time."""

    members: dict[str, Timed]
    spread: int
    waits_for: str | None
    until: int


@dataclass(frozen=True)
class SyncTimePolicy(LeafPolicy):
    """See `sync_time_policy`."""

    slop_seconds: float
    time_of: TimeOf | None = None
    max_wait_seconds: float | None = None

    needs = "all"
    asks_when_empty = False

    def __post_init__(self) -> None:
        tolerance(self.slop_seconds, "slop_seconds")
        check_time_of(self.time_of)
        duration(self.max_wait_seconds, "max_wait_seconds", optional=True)

    def demand(self, slots: Sequence[str]) -> Demand:
        """One item of each slot, near to each other."""
        timed = self.max_wait_seconds is not None
        return Demand(each(slots, 1), 1, has_timeout=timed, fires_at_end=timed, seconds=self.max_wait_seconds)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes for the oldest best set, once nothing closer can come."""
        return _Sync(self, slots, job_state).ask()


class _Sync:
    """The slots of one job, while the policy is asked."""

    def __init__(self, policy: SyncTimePolicy, slots: Slots, job_state: JobState) -> None:
        self._policy = policy
        self._slots = slots
        self._job_state = job_state
        self._slop = to_ns(policy.slop_seconds)
        self._ended = [name for name in slots if slots[name].queue.is_closed]  # before looking at items
        self._times = InTime(slots, policy.time_of, job_state)
        self._wakes: list[int] = []

    def ask(self) -> Answer:
        """Drop what can match nothing, then deliver the best set or wait."""
        self._times.update(self._slots)
        ended = [name for name in self._ended if not self._slots[name].queue.waiting]
        if ended:
            self._drop_all()
            return self._no(tuple((f"count({name})", 0, 1, False) for name in ended))
        firsts = self._matchable()
        if any(first is None for first in firsts.values()):
            return self._lacking([name for name, first in firsts.items() if first is None])
        heads = {name: first for name, first in firsts.items() if first is not None}
        best = self._best(heads)
        if best.waits_for is None:
            return self._deliver(best, heads, "sync")
        head = oldest(self._slots)
        if head is not None and self._has_waited(head):
            return self._deliver(best, heads, "timeout")
        return self._closer_may_come(best.waits_for, best)

    # --- what can match nothing -----------------------------------------------------------------------------

    def _drop_all(self) -> None:
        """Drop what waits, as one slot can bring nothing more."""
        for slot in self._slots.values():
            if slot.queue.waiting:
                slot.drop([point.seq for point in slot.peek_points()], NO_PARTNER)

    def _matchable(self) -> dict[str, Timed | None]:
        """Drop what is too early for the others, or where a later item is nearer to all; give what is first then."""
        while True:
            firsts = {name: self._times.first(name) for name in self._slots}
            pivot = max((time for time in map(self._earliest, firsts, firsts.values()) if time is not None), default=0)
            is_full = all(first is not None for first in firsts.values())
            stands = True
            for name, first in firsts.items():
                if first is None or first.time == pivot:
                    continue
                too_early = self._times.up_to(name, pivot - self._slop - 1)
                nearer = self._times.up_to(name, pivot)[:-1] if is_full else []
                seqs = {timed.seq for timed in [*too_early, *nearer]}
                if seqs:
                    self._slots[name].drop(seqs, UNMATCHED)
                    stands = False
            if stands:
                return firsts

    def _earliest(self, name: str, first: Timed | None) -> int | None:
        """Give the time before which a slot has nothing to offer."""
        return self._times.reached(name) if first is None else first.time

    # --- the best set ---------------------------------------------------------------------------------------

    def _best(self, heads: dict[str, Timed]) -> TimeSet:
        """Move the earliest member on for as long as the set may become closer; the latest, the pivot, stays."""
        chosen = dict(heads)
        pivot = max(timed.time for timed in chosen.values())
        best, spread = dict(chosen), _spread(chosen)
        while spread:
            name = min(chosen, key=lambda name: chosen[name].time)
            if chosen[name].time == pivot:
                break
            following = self._times.second(name)
            if following is None:
                until = pivot + spread
                is_certain = name in self._ended or (self._times.reached(name) or 0) >= until
                return TimeSet(best, spread, None if is_certain else name, until)
            chosen[name] = following
            if following.time - pivot >= spread:
                break
            if _spread(chosen) < spread:
                best, spread = dict(chosen), _spread(chosen)
        return TimeSet(best, spread, None, pivot)

    def _deliver(self, best: TimeSet, heads: dict[str, Timed], reason: str) -> Answer:
        for name, timed in best.members.items():
            if heads[name].seq != timed.seq:
                self._slots[name].drop([heads[name].seq], UNMATCHED)
        data = {name: take_seqs(self._slots[name], [timed.seq]) for name, timed in best.members.items()}
        if not all(data.values()):  # a producer superseded one at this moment: what was taken goes back
            return self._no(())
        seconds = best.spread / SECOND
        facts = (("spread", seconds, f"at most {self._policy.slop_seconds}", True), (f"by {reason}", None, None, True))
        return self._policy.yes(data, {"reason": reason, "spread_seconds": seconds}, facts)

    # --- waiting --------------------------------------------------------------------------------------------

    def _lacking(self, names: list[str]) -> Answer:
        """Wait for slots that have nothing; drop what waited for too long."""
        limit = self._policy.max_wait_seconds
        if limit is not None:
            reason = f"no item of {', '.join(names)} in time"
            for name, slot in self._slots.items():
                overdue = self._times.waited(name, to_ns(limit))
                if overdue:
                    slot.drop(overdue, reason)
        if self._policy.time_of is None:
            head = oldest(self._slots)
            if head is not None:
                self._wakes.append(self._slop + 1 - age_of(self._slots, head.item))
        return self._no(tuple((f"count({name})", 0, 1, False) for name in names))

    def _closer_may_come(self, name: str, best: TimeSet) -> Answer:
        if self._policy.time_of is None:
            self._wakes.append(best.until - self._times.now())
        needed = f"{self._times.told(best.until)} (a closer one may come)"
        return self._no(((f"time({name})", self._times.told(self._times.reached(name)), needed, False),))

    def _no(self, leaves: Any) -> Answer:
        """Decline; wake when something becomes certain, or has waited for too long."""
        head = oldest(self._slots)
        limit = self._policy.max_wait_seconds
        if head is not None and limit is not None:
            age = age_of(self._slots, head.item)
            self._wakes.append(to_ns(limit) - age)
            leaves = (*leaves, ("age(oldest)", age / SECOND, limit, False))
        if head is not None and self._wakes:
            wake_in(self._job_state, min(self._wakes))
        return self._policy.no(leaves or (("count(every slot)", 0, 1, False),))

    def _has_waited(self, head: Head) -> bool:
        limit = self._policy.max_wait_seconds
        return limit is not None and age_of(self._slots, head.item) >= to_ns(limit)


def _spread(chosen: dict[str, Timed]) -> int:
    times = [timed.time for timed in chosen.values()]
    return max(times) - min(times)


def sync_time_policy(
    slop_seconds: float, time_of: TimeOf | None = None, max_wait_seconds: float | None = None
) -> Policy:
    """Activate with one item of each slot, of times as near to each other as can be.

    Times are those of arrival, or what ``time_of(data)`` gives: seconds, or aware datetimes. The message of the logic
    is ``{"reason": "sync" | "timeout", "spread_seconds": …}``.

    sync_time_policy(2, time_of=int)
    activates   when a set within 2 s is there and no closer one with its latest item can come: the slot of its earliest
                item has passed it, or is closed; 0 = equal times, at once; by arrival when the time has passed
    takes       one item of each slot; older ones are dropped as "unmatched", out of order ones as "late"
    holds back  items that may find partners; for max_wait_seconds at most, then the best set that is there goes,
                or what waits is dropped as "no item of y in time"
    at end      nothing: what is left when a slot has closed is dropped as "no partner can come"
    full slot   a silent slot fills the others: give max_wait_seconds
    resume      the times that the slots have reached are stored with the job
    explains    time(x) 1 of 5 (a closer one may come) no
    picture     x    1-----4---7-|          one character = 1 s, | = end
                y    --3-5-----6-9|
                out  ------[43]-----[76]|
                drop ------1---5-9

    Raises:
        ValueError: a slop below 0, a time not above 0.
        TypeError: a time that is no number, a ``time_of`` that cannot be called.
    """
    return SyncTimePolicy(slop_seconds, time_of, max_wait_seconds)
