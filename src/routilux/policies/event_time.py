"""The time of an item: when it arrived, or what ``time_of(data)`` says, as whole nanoseconds.

Design: the catalogue of policies.
"""

from collections.abc import Callable
from datetime import datetime
from math import isfinite
from typing import Any

from routilux.clock import to_datetime, to_epoch_ns
from routilux.errors import BadTypeError, BadValueError
from routilux.job import JobState
from routilux.policies.ground import SECOND, Item, function

Moment = float | datetime
"""Seconds (int or float, from any zero) or an aware datetime."""
TimeOf = Callable[[Any], Moment]
KIND = "kind of time"
NUMBER, DATETIME = "seconds", "datetimes"


def check_time_of(value: object) -> None:
    """Check what tells the time of an item; None is its time of arrival.

    Raises:
        TypeError: it cannot be called.
    """
    if value is not None:
        function(value, "time_of")


def item_time(item: Item, time_of: TimeOf | None, memory: dict[str, Any]) -> int:
    """Give the time of an item in nanoseconds: its own, or (in ticks of the job's clock) that of its arrival.

    Ticks of one run mean nothing in the next: for a memory, use `arrival_ns`. The memory remembers which kind of time the items of this policy tell.

    Raises:
        TypeError: ``time_of`` gave no time, a naive datetime, or another kind than before.
        ValueError: it gave a number that is not finite.
    """
    if time_of is None:
        return int(item[2])
    moment = time_of(item[0])
    if type(moment) is int and memory.get(KIND) == NUMBER:  # most often
        return moment * SECOND
    kind = DATETIME if isinstance(moment, datetime) else NUMBER
    if memory.setdefault(KIND, kind) != kind:
        raise BadTypeError(f"time_of gave {memory[KIND]} before and {moment!r} now: one kind per policy")
    return to_ticks(moment)


def arrival_ns(item: Item, job_state: JobState) -> int:
    """Give when an item arrived, in nanoseconds since 1970 as `now_ns` counts them: the same over a resume."""
    return job_state._clock.epoch_ns(int(item[2])) + job_state._time_shift


def to_ticks(moment: object) -> int:
    """Give a moment in nanoseconds: of a number since its own zero, of a datetime since 1970.

    Raises:
        TypeError: it is no number and no aware datetime.
        ValueError: it is not finite.
    """
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            raise BadTypeError(f"time_of must give an aware datetime, not {moment!r}: give it a tzinfo")
        return to_epoch_ns(moment)
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise BadTypeError(f"time_of must give seconds or an aware datetime, not {moment!r}")
    if not isfinite(moment):
        raise BadValueError(f"time_of must give a finite number of seconds, not {moment!r}")
    return round(moment * SECOND)


def to_moment(ticks: int, memory: dict[str, Any]) -> Moment:
    """Give nanoseconds back as the kind of time that the items told."""
    return to_datetime(ticks) if memory.get(KIND) == DATETIME else ticks / SECOND
