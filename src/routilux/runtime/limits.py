"""Limits over all jobs of a runtime, for scarce things outside: so many at once, or so many per time.

Design: §5.8.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from routilux.clock import Clock
from routilux.errors import BadValueError
from routilux.runtime.ports import Timer


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` activations may start within any ``per_seconds``.

    Raises:
        ValueError: a number is not positive.
    """

    count: int
    per_seconds: float

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise BadValueError(f"a rate needs a count of at least 1, not {self.count!r}")
        if isinstance(self.per_seconds, bool) or not isinstance(self.per_seconds, int | float) or self.per_seconds <= 0:
            raise BadValueError(f"a rate needs per_seconds above 0, not {self.per_seconds!r}")


class Limit:
    """So many places; who finds none waits in line, first come first served, and holds no thread."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()  # guards _free and _line
        self._free = count
        self._line: deque[Any] = deque()

    def acquire(self, cell: Any) -> bool | None:
        """Take a place; if there is none the cell goes to limbo and is made ready when one is free.

        None says that the cell could not go to limbo: it has something else to do first.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                self.taken()
                return True
            if not cell.run.enter_limbo(cell):
                return None
            self._line.append(cell)
            return False

    def taken(self) -> None:
        """Hear that a place was taken. Called with the lock held."""

    def release(self) -> None:
        """Give a place back when the activation has ended."""
        self.free_one()

    def cancel(self) -> None:
        """Give a place back that was not used after all."""
        self.free_one()

    def free_one(self) -> None:
        """Let the next in line look again; one whose job has stopped meanwhile is passed over."""
        with self._lock:
            self._free += 1
        while True:
            with self._lock:
                if not self._line or not self._free:
                    return
                cell = self._line.popleft()
            if cell.run.leave_limbo(cell):
                return


class RateLimit(Limit):
    """So many starts within a time: a place comes back when the time has passed."""

    def __init__(self, rate: Rate, clock: Clock, at: Callable[[int, Callable[[], None]], Timer]) -> None:
        super().__init__(rate.count)
        self._period = int(rate.per_seconds * 1e9)
        self._clock = clock
        self._at = at

    def taken(self) -> None:
        """Have the place back after the period."""
        self._at(self._clock.ticks() + self._period, self.free_one)

    def release(self) -> None:
        """Do nothing: only time gives places back."""

    def cancel(self) -> None:
        """Do nothing: the place was taken when the routine was asked."""
