"""Policies that look at the clock.

Design: §4.4; the report's §2.1 and §9.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand
from routilux.errors import BadTypeError, BadValueError
from routilux.explanation import Condition
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, counts_of, new_data


def seconds(value: object, what: str) -> float:
    """Check a length of time in seconds.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadTypeError(f"{what} must be a number of seconds, not {value!r}")
    if not 0 <= value < 1e11:
        raise BadValueError(f"{what} must be at least 0 and finite, not {value!r}")
    return value


@dataclass(frozen=True)
class TimeIntervalPolicy(Policy):
    """See `time_interval_policy`."""

    min_interval_seconds: float

    asks_when_empty = False

    def __post_init__(self) -> None:
        seconds(self.min_interval_seconds, "min_interval_seconds")

    def demand(self, slots: Sequence[str]) -> Demand:
        """An item, and its interval."""
        return Demand(total=1, seconds=self.min_interval_seconds)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when something is new and the interval is over, or nothing more can come."""
        counts = counts_of(slots)
        memory = job_state.memory()
        now = job_state.monotonic()
        last = memory.get("last")
        waited = None if last is None else now - last
        ended = all(slot.is_closed for slot in slots.values())
        facts = (counts, waited, ended)
        if not any(count for _, count in counts):
            return False, {}, None, facts
        left = 0.0 if waited is None else min(self.min_interval_seconds, self.min_interval_seconds - waited)
        if left > 0 and not ended:
            job_state.wake_after(left)
            return False, {}, None, facts
        memory["last"] = now
        message = {"reason": "time_interval_met", "interval": self.min_interval_seconds}
        return True, new_data(slots), message, facts

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Something is new, and the interval is over."""
        counts, waited, ended = facts
        total = sum(count for _, count in counts)
        if ended:
            return (Condition("end of input, items held", total, 1, total >= 1),)
        over = waited is None or waited >= self.min_interval_seconds
        return (
            Condition("count(any slot)", total, 1, total >= 1),
            Condition("seconds since last", "never" if waited is None else waited, self.min_interval_seconds, over),
        )

    def cause(self, facts: Any) -> Any:
        """Nothing new, or too early."""
        return any(count for _, count in facts[0])


def time_interval_policy(min_interval_seconds: float) -> Policy:
    """Activate at once the first time, then at most once per interval, with all new items.

    time_interval_policy(3)
    activates   at once with the first item, then at most once in 3 s
    takes       all new items of every slot
    holds back  what arrives inside an interval, until it ends: no further input is needed
    at end      delivers at once
    full slot   producers wait for the end of the interval
    resume      the interval goes on with its remaining time; overdue = activates once
    explains    count(any slot) 2 of 1 yes; seconds since last 1.5 of 3 no
    picture     in  -abc-d|          one character = 1 s, | = end
                out -[a]--[bc]-([d]|)

    Raises:
        ValueError: the interval is negative or not finite.
        TypeError: the interval is no number.
    """
    return TimeIntervalPolicy(min_interval_seconds)
