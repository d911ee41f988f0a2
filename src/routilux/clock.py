"""Time: one injected source of it.

Inside, time is an integer: ticks, nanoseconds of a clock that never steps back. At the API it is an
aware UTC datetime. A clock is anchored once to the wall, so stamps never decrease when the wall is set back.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """The door for time. `ticks` is called for each item: keep it a plain builtin where you can."""

    ticks: Callable[[], int]

    def epoch_ns(self, ticks: int) -> int:
        """Convert ticks to nanoseconds since 1970."""

    def from_epoch_ns(self, epoch_ns: int) -> int:
        """Convert nanoseconds since 1970 to ticks of this clock."""

    def wall_ns(self) -> int:
        """Read the wall clock, which may step; only calendars follow it."""


class SystemClock:
    """The machine's monotonic clock, anchored to the wall when it is made."""

    def __init__(self) -> None:
        self.ticks: Callable[[], int] = time.monotonic_ns
        self._offset = time.time_ns() - time.monotonic_ns()

    def epoch_ns(self, ticks: int) -> int:
        """Convert ticks to nanoseconds since 1970."""
        return ticks + self._offset

    def from_epoch_ns(self, epoch_ns: int) -> int:
        """Convert nanoseconds since 1970 to ticks."""
        return epoch_ns - self._offset

    def wall_ns(self) -> int:
        """Read the wall clock, which may step."""
        return time.time_ns()


def to_datetime(epoch_ns: int) -> datetime:
    """Give the aware UTC datetime of nanoseconds since 1970, to the microsecond."""
    return EPOCH + timedelta(microseconds=epoch_ns // 1000)


def to_epoch_ns(moment: datetime) -> int:
    """Give the nanoseconds since 1970 of a datetime; a naive one is read as UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    delta = aware - EPOCH
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000


SYSTEM_CLOCK = SystemClock()
