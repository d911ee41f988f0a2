"""A clock that moves only when it is told to."""

from datetime import UTC, datetime

from routilux.clock import to_epoch_ns
from routilux.errors import BadValueError

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class ManualClock:
    """Time stands still; `advance` moves wall and monotonic time together, `set_wall` steps the wall alone.

    >>> clock = ManualClock()
    >>> clock.advance(1.5)
    >>> clock.now.isoformat()
    '2026-01-01T12:00:01.500000+00:00'
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = to_epoch_ns(start)
        self._ticks = 0
        self._wall_shift = 0
        self.ticks = self._read

    def _read(self) -> int:
        return self._ticks

    @property
    def now(self) -> datetime:
        """The engine's time."""
        from_start = self._start + self._ticks
        return datetime.fromtimestamp(from_start / 1e9, UTC)

    def epoch_ns(self, ticks: int) -> int:
        """Convert ticks to nanoseconds since 1970."""
        return self._start + ticks

    def from_epoch_ns(self, epoch_ns: int) -> int:
        """Convert nanoseconds since 1970 to ticks."""
        return epoch_ns - self._start

    def wall_ns(self) -> int:
        """Read the wall clock: the time so far, and the steps that `step_wall` made."""
        return self._start + self._ticks + self._wall_shift

    def advance(self, seconds: float) -> None:
        """Move time forward. Timers of a SimRuntime fire only by its own `advance`.

        Raises:
            ValueError: seconds is negative.
        """
        if seconds < 0:
            raise BadValueError(f"time does not run backwards: {seconds}")
        self._ticks += round(seconds * 1e9)

    def advance_to(self, ticks: int) -> None:
        """Move time forward to these ticks."""
        self._ticks = max(self._ticks, ticks)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or a time server would."""
        self._wall_shift += round(seconds * 1e9)
