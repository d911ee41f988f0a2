"""Policies that may activate without an item: schedule, absence, and the one that waits for a call.

Design: §4.4, and the catalogue of policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from routilux import rings
from routilux.clock import to_epoch_ns
from routilux.demand import Demand
from routilux.errors import BadValueError
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, new_data
from routilux.policies.ground import (
    END,
    SECOND,
    LeafPolicy,
    age_of,
    all_closed,
    ask_again,
    drop_new,
    duration,
    newest_at,
    now_ns,
    oldest,
    one_of,
    ticks_of,
    to_ns,
    waiting,
    wake_in,
)

MISFIRES = ("coalesce", "all", "skip")
LONGEST_CRON_SLEEP = 60 * SECOND  # so that a wall clock that was set is noticed


@dataclass(frozen=True)
class SchedulePolicy(LeafPolicy):
    """See `schedule_policy`."""

    cron: str | None = None
    every_seconds: float | None = None
    misfire: str = "coalesce"
    keep_alive: bool = False

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.every_seconds is None):
            raise BadValueError("schedule_policy takes either cron= or every_seconds=")
        duration(self.every_seconds, "every_seconds", optional=True)
        one_of(self.misfire, MISFIRES, "misfire")
        if self.cron is not None:
            _cron_after(self.cron, 0)

    def demand(self, slots: Sequence[str]) -> Demand:
        """Only the clock."""
        return Demand(seconds=self.every_seconds, by_items=False)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes at each tick; sees to being asked again at the next."""
        memory = job_state.memory()
        now = job_state._clock.wall_ns() if self.cron else now_ns(job_state)
        due: int = memory.setdefault("next", self._after(now))
        following = self._after(due)
        missed = following <= now
        if now >= due and missed and self.misfire != "all":
            following = self._after(due, now)
        left = due - now
        if left <= 0:
            memory["next"] = following
        facts: Any = (("seconds to the tick", left / SECOND, 0, left <= 0),)
        if left <= 0 and not (missed and self.misfire == "skip"):
            ask_again(job_state)
            return self.yes(new_data(slots), {"reason": "tick", "seconds_late": -left / SECOND}, facts)
        if slots and all_closed(slots):
            if waiting(slots):
                return self.yes(new_data(slots), {"reason": "end"}, (*facts, END))
            if not self.keep_alive:
                return self.no(facts)
        left = memory["next"] - now
        wake_in(job_state, min(left, LONGEST_CRON_SLEEP) if self.cron else left, self.keep_alive)
        return self.no((("seconds to the tick", left / SECOND, 0, False),))

    def _after(self, tick: int, now: int | None = None) -> int:
        """Give the tick after a tick, or the first after now."""
        if self.cron is not None:
            return _cron_after(self.cron, tick if now is None else now)
        assert self.every_seconds is not None
        every = to_ns(self.every_seconds)
        return tick + every * (1 if now is None else (now - tick) // every + 1)


def _cron_after(expression: str, wall_ns: int) -> int:
    """Give the first tick of a calendar after this time, in UTC."""
    try:
        cronsim = rings.load("cronsim")
    except ImportError as error:
        raise BadValueError("cron= needs the extra 'cron': install routilux[cron], or use every_seconds=") from error
    try:
        found = next(cronsim.CronSim(expression, datetime.fromtimestamp(wall_ns // SECOND, UTC)))
    except (cronsim.CronSimError, StopIteration) as error:
        raise BadValueError(f"cron={expression!r} is no calendar: {error or 'it never comes'}") from error
    return to_epoch_ns(found)


@dataclass(frozen=True)
class AbsencePolicy(LeafPolicy):
    """See `absence_policy`."""

    within_seconds: float
    keep_alive: bool = False

    def __post_init__(self) -> None:
        duration(self.within_seconds, "within_seconds")

    def demand(self, slots: Sequence[str]) -> Demand:
        """Only the clock; what it sees it drops."""
        return Demand(by_items=False, keeps=0)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes once for each silence that lasts too long; arrivals are dropped and start the time anew."""
        memory = job_state.memory()
        now = now_ns(job_state)
        within = to_ns(self.within_seconds)
        last: int = memory.setdefault("last", now)
        silence = now - last
        first = oldest(slots)
        if first is not None:
            silence = max(0, now - age_of(slots, first.item) - last)
            memory["last"] = last = now - max(0, ticks_of(slots) - newest_at(slots))
            for slot in slots.values():
                drop_new(slot, "seen")
        told = memory.pop("told", False) if first is not None else memory.get("told", False)
        facts = (("silent seconds", silence / SECOND, self.within_seconds, silence >= within and not told),)
        if silence >= within and not told:
            if first is None:
                memory["told"] = True
            else:
                ask_again(job_state)
            return self.yes({}, {"reason": "absence", "silent_seconds": silence / SECOND}, facts)
        if not memory.get("told") and (self.keep_alive or not slots or not all_closed(slots)):
            wake_in(job_state, within - (now - last), self.keep_alive)
        return self.no(facts)


@dataclass(frozen=True)
class ManualPolicy(LeafPolicy):
    """See `manual_policy`."""

    asks_when_empty = False

    def demand(self, slots: Sequence[str]) -> Demand:
        """Only a call."""
        return Demand(has_timeout=False, fires_at_end=False, by_items=False, by_hand=True)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """No: it waits to be called."""
        return self.no((("runtime.activate()", "not called", None, False),))


def schedule_policy(
    cron: str | None = None,
    every_seconds: float | None = None,
    misfire: str = "coalesce",
    keep_alive: bool = False,
) -> Policy:
    """Activate when the calendar ticks, also with nothing new.

    schedule_policy(every_seconds=3)
    activates   every 3 s from the start of the job on, the first time after 3 s;
                cron="0 6 * * mon-fri": at these times by the wall clock, in UTC (needs the extra "cron")
    takes       everything new of every slot, maybe nothing
    holds back  what comes between two ticks
    at end      delivers what it holds, and ticks no more (unless keep_alive=True)
    full slot   producers wait for the next tick
    resume      missed ticks: misfire="coalesce" activates once, "all" once for each, "skip" waits for the next
    explains    seconds to the tick 1.5 of 0 no
    picture     in  -a-----b|          one character = 1 s, | = end
                out ---[a]--[]-([b]|)

    Raises:
        ValueError: both or neither of cron and every_seconds; no calendar; a time not above 0; an unknown misfire.
        TypeError: a time that is no number.
    """
    return SchedulePolicy(cron, every_seconds, misfire, keep_alive)


def absence_policy(within_seconds: float, keep_alive: bool = False) -> Policy:
    """Activate when the expected item did not come (a watchdog).

    absence_policy(3)
    activates   when nothing came for 3 s since the last item, or the start of the job; once for each silence
    takes       nothing; arrivals are dropped as "seen"
    holds back  nothing
    at end      watches no more (unless keep_alive=True)
    full slot   no matter: it holds nothing
    resume      the silence goes on with its remaining time; overdue = activates once
    explains    silent seconds 1.5 of 3 no
    picture     in   -a------b-|          one character = 1 s, | = end
                out  ----[]-----|
                drop -a------b

    Raises:
        ValueError: a time not above 0.
        TypeError: a time that is no number.
    """
    return AbsencePolicy(within_seconds, keep_alive)


def manual_policy() -> Policy:
    """Activate only when `runtime.activate(job_id, routine_id)` says so.

    manual_policy()
    activates   when runtime.activate(job_id, routine_id) is called
    takes       everything new of every slot, maybe nothing
    holds back  everything until then
    at end      holds
    full slot   producers wait for the call
    resume      goes on waiting
    explains    runtime.activate() not called no
    picture     in   -a-b-c|          one character = 1 s, | = end
                call ----!
                out  ----[ab]-|
                left c
    """
    return ManualPolicy()
