"""A dispatcher that runs one ready cell at a time, picked at random from a seed."""

import heapq
import itertools
import random
import threading
from collections.abc import Callable

from routilux.runtime.dispatch import ThreadTimer
from routilux.runtime.ports import Runnable
from routilux.testing.manual_clock import ManualClock


class StepDispatcher:
    """Nothing runs by itself: `step` runs one turn on the calling thread."""

    def __init__(self, seed: int, clock: ManualClock) -> None:
        self._random = random.Random(seed)
        self._clock = clock
        self._ready: list[Runnable] = []
        self._heap: list[tuple[int, int, ThreadTimer]] = []
        self._numbers = itertools.count()
        self.steps = 0
        self.run_loop: Callable[[], bool] = _no_loop

    def submit(self, runnable: Runnable) -> None:
        """Note that it is ready."""
        self._ready.append(runnable)

    def step(self) -> bool:
        """Run one ready cell, of the highest priority, picked at random, else a round of the loop; False if neither is."""
        while self._ready:
            highest = max(runnable.priority for runnable in self._ready)
            best = [index for index, runnable in enumerate(self._ready) if runnable.priority == highest]
            runnable = self._ready.pop(best[self._random.randrange(len(best))])
            runnable.queued = False
            if runnable.ready:
                runnable.ready.pop()
                self.steps += 1
                runnable.turn()
                return True
        return self.run_loop()

    def choose(self, count: int) -> int:
        """Choose at random."""
        return self._random.randrange(count)

    def begin_wait(self) -> bool:
        """Refuse: the only thread never waits."""
        return False

    def end_wait(self) -> None:
        """Do nothing."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Take a step instead of waiting; False if nothing is ready at this moment of the clock."""
        return self.step()

    def is_worker(self) -> bool:
        """Tell that waiting by blocking is fine for nobody here; the runtime steps instead."""
        return False

    def at(self, ticks: int, callback: Callable[[], None]) -> ThreadTimer:
        """Note a timer."""
        timer = ThreadTimer(callback)
        heapq.heappush(self._heap, (ticks, next(self._numbers), timer))
        return timer

    def next_due(self) -> int | None:
        """When the next timer is due, in ticks."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire_due(self) -> bool:
        """Fire the next timer if it is due at the clock's time; False if none is."""
        due = self.next_due()
        if due is None or due > self._clock.ticks():
            return False
        timer = heapq.heappop(self._heap)[2]
        callback, timer.callback = timer.callback, None
        if callback is not None:
            callback()
        return True

    def stop(self, timeout: float | None) -> bool:
        """Forget everything that is ready."""
        self._ready.clear()
        return True


def _no_loop() -> bool:
    return False
