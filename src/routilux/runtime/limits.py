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
    """So many places; who finds none waits in line, first come first served, and holds no thread.

    A cell in line counts as work of its job. A free place is given to the first in line before it is woken.
    """

    counts_starts = False

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()  # guards _free, _line, and in_line and places of the cells
        self._free = count
        self._line: deque[Any] = deque()

    def acquire(self, cell: Any) -> bool:
        """Take a place; if there is none the cell stands in line, and is told when it has got one."""
        with self._lock:
            if cell.places:
                cell.places -= 1
                return True
            if self._free and not self._line:
                self._free -= 1
                return True
            if not cell.in_line:
                cell.in_line = True
                cell.run.work.append(None)
                self._line.append(cell)
            return False

    def began(self) -> bool:
        """Hear that an activation begins in a place; True if it must be given back at the end."""
        return True

    def release(self) -> None:
        """Give a place back: its activation has ended, or never began."""
        with self._lock:
            self._free += 1
        self._serve()

    def leave(self, cell: Any) -> None:
        """Take a cell out of the line, and back what it was given: its job stops or pauses."""
        with self._lock:
            was_in_line, cell.in_line = cell.in_line, False
            if was_in_line:
                self._line.remove(cell)
            self._free += cell.places
            cell.places = 0
        if was_in_line:
            cell.run.release_work()
        self._serve()

    def _serve(self) -> None:
        """Give free places to those in line."""
        while True:
            with self._lock:
                if not self._line or not self._free:
                    return
                self._free -= 1
                cell = self._line.popleft()
                cell.in_line = False
                cell.places += 1
            cell.go_on()
            cell.run.release_work()


class RateLimit(Limit):
    """So many starts within a time: a place comes back when the time has passed."""

    counts_starts = True

    def __init__(self, rate: Rate, clock: Clock, at: Callable[[int, Callable[[], None]], Timer]) -> None:
        super().__init__(rate.count)
        self._period = int(rate.per_seconds * 1e9)
        self._clock = clock
        self._at = at

    def began(self) -> bool:
        """Have the place back after the period, whatever becomes of the activation."""
        self._at(self._clock.ticks() + self._period, self.release)
        return False
