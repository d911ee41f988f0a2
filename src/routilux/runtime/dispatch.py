"""The dispatcher on real threads: workers, and one timer thread that also looks for cells that wait too long.

Design: §5.2.

A worker is woken at once only when all sleep. Otherwise what is ready waits for a worker that is at work; if it has
waited for a short while, the timer thread wakes further ones. So a chain of cheap activations stays on one thread, and
branches that sleep still overlap.
"""

import contextlib
import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from routilux.clock import Clock
from routilux.runtime.ports import Runnable

logger = logging.getLogger(__name__)

PATIENCE = 0.0002  # seconds that something ready may wait before another worker is woken
CROWDED = 0.001  # seconds that the watcher comes late where threads compute in Python
STUCK = 0.01  # seconds without progress after which a further worker is woken even there
WATCH = 0.02  # seconds without anything ready after which the watch is given up


class _Worker:
    """A thread and the lock it sleeps on."""

    __slots__ = ("gate", "thread")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.thread: threading.Thread | None = None


class _Watch:
    """Decides how many workers more are needed, from looks taken a short while apart.

    The watcher itself needs the interpreter to look: where it comes late, threads compute in Python, and one more of
    them would only make all wait for each other. Then only what was stuck for long gets one.
    """

    def __init__(self) -> None:
        self.is_crowded = False  # the last look came late
        self.is_over = False  # nothing was ready for a while
        self._pops = -1
        self._stuck_since = 0.0
        self._quiet_since = 0.0

    def look(self, ready: int, pops: int) -> int:
        """Give the number of workers to wake, for so many ready things and so many that were ever taken."""
        now = time.monotonic()
        is_moving = pops != self._pops
        self._pops = pops
        if is_moving or not ready:
            self._stuck_since = now
        if is_moving or ready:
            self._quiet_since = now
        self.is_over = now - self._quiet_since > WATCH
        if is_moving or not ready:
            return 0
        if not self.is_crowded:
            return ready
        return int(now - self._stuck_since > STUCK)


class ThreadTimer:
    """A call in the future; cancelling leaves an empty entry."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget it."""
        self.callback = None


class ThreadDispatcher:
    """Runs what is ready on up to ``size`` threads, started when first needed."""

    def __init__(self, size: int, clock: Clock, name: str = "routilux") -> None:
        self._size = size
        self._clock = clock
        self._name = name
        self._lanes: list[tuple[int, deque[Runnable]]] = [(0, deque())]
        self._plain = self._lanes[0][1]
        self._idle: list[_Worker] = []
        self._workers: list[_Worker] = []
        self._waits = 0
        self._lock = threading.Lock()  # guards _lanes, _workers, _waits, _stopping
        self._idents: set[int] = set()
        self._stopping = False
        self._pops = 0  # how often something was taken; only compared, so a lost count does no harm
        self._heap: list[tuple[int, int, ThreadTimer]] = []
        self._numbers = itertools.count()
        self._clockwork = threading.Condition(threading.Lock())  # guards _heap, _watching
        self._watching = False
        self._timer_thread: threading.Thread | None = None

    # --- work -----------------------------------------------------------------------------------------------

    def submit(self, runnable: Runnable) -> None:
        """Have it run. From any thread; never blocks."""
        priority = runnable.priority
        lane = self._plain if priority == 0 else self._lane(priority)
        lane.append(runnable)
        if len(self._idle) == len(self._workers):
            self._wake_one()
        elif not self._watching and len(self._workers) <= self._size and self._size > 1:
            self._watch()

    def _lane(self, priority: int) -> deque[Runnable]:
        for known, lane in self._lanes:
            if known == priority:
                return lane
        with self._lock:
            lanes = [*self._lanes, (priority, deque[Runnable]())]
            self._lanes = sorted(lanes, key=lambda pair: -pair[0])
        return self._lane(priority)

    def _next(self) -> Runnable | None:
        for _, lane in self._lanes:
            while lane:
                try:
                    runnable = lane.popleft()
                except IndexError:
                    break
                runnable.queued = False
                self._pops += 1
                try:
                    runnable.ready.pop()
                except IndexError:
                    continue  # it was run by an emitter that waits for it
                return runnable
        return None

    def _wake_one(self) -> bool:
        try:
            worker = self._idle.pop()
        except IndexError:
            return self._start_worker()
        worker.gate.release()
        return True

    def _start_worker(self) -> bool:
        with self._lock:
            if len(self._workers) >= self._size or self._stopping:
                return False
            worker = _Worker()
            worker.thread = threading.Thread(
                target=self._run, args=(worker,), name=f"{self._name}-worker-{len(self._workers) + 1}", daemon=True
            )
            self._workers.append(worker)
            worker.thread.start()  # inside the lock: whoever stops us must find only threads that began
        return True

    def _run(self, worker: _Worker) -> None:
        self._idents.add(threading.get_ident())
        while True:
            runnable = self._next()
            if runnable is not None:
                try:
                    runnable.turn()
                except BaseException:
                    logger.exception("a turn broke its dispatcher's promise")
                continue
            if self._stopping:
                break
            self._idle.append(worker)
            if any(lane for _, lane in self._lanes) or self._stopping:
                try:
                    self._idle.remove(worker)
                except ValueError:
                    worker.gate.acquire()  # somebody woke us meanwhile
                continue
            worker.gate.acquire()
        self._idents.discard(threading.get_ident())

    def choose(self, count: int) -> int:
        """Choose the first."""
        return 0

    # --- blocking workers -----------------------------------------------------------------------------------

    def begin_wait(self) -> bool:
        """Let a worker block, unless it is the last one that does not."""
        with self._lock:
            if threading.get_ident() in self._idents:
                if self._waits >= self._size - 1:
                    return False
                self._waits += 1
        if self._ready_count():
            self._wake_one()
        return True

    def end_wait(self) -> None:
        """End a granted wait."""
        with self._lock:
            if threading.get_ident() in self._idents:
                self._waits -= 1

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Block until notified."""
        condition.wait(timeout)
        return True

    def is_worker(self) -> bool:
        """Tell whether the calling thread is a worker of ours."""
        return threading.get_ident() in self._idents

    def _ready_count(self) -> int:
        return sum(len(lane) for _, lane in self._lanes)

    # --- time -----------------------------------------------------------------------------------------------

    def at(self, ticks: int, callback: Callable[[], None]) -> ThreadTimer:
        """Call back on the timer thread when the clock has reached these ticks."""
        timer = ThreadTimer(callback)
        with self._clockwork:
            first = not self._heap or ticks < self._heap[0][0]
            heapq.heappush(self._heap, (ticks, next(self._numbers), timer))
            self._start_timer_thread()
            if first:
                self._clockwork.notify()
        return timer

    def _watch(self) -> None:
        with self._clockwork:
            self._watching = True
            self._start_timer_thread()
            self._clockwork.notify()

    def _start_timer_thread(self) -> None:
        if self._timer_thread is None and not self._stopping:
            self._timer_thread = threading.Thread(target=self._tick, name=f"{self._name}-timer", daemon=True)
            self._timer_thread.start()

    def _tick(self) -> None:
        watch = _Watch()
        while True:
            due: list[ThreadTimer] = []
            with self._clockwork:
                if self._stopping:
                    return
                now = self._clock.ticks()
                while self._heap and (self._heap[0][0] <= now or self._heap[0][2].callback is None):
                    due.append(heapq.heappop(self._heap)[2])
                if not due:
                    left = (self._heap[0][0] - now) / 1e9 if self._heap else threading.TIMEOUT_MAX
                    patience = min(left, PATIENCE if self._watching else threading.TIMEOUT_MAX)
                    began = time.monotonic()
                    self._clockwork.wait(patience)
                    watch.is_crowded = time.monotonic() - began > patience + CROWDED
            for timer in due:
                self._fire(timer)
            if not self._watching:
                continue
            self._wake(watch.look(self._ready_count(), self._pops))
            if watch.is_over:
                self._watching = False
                self._watching = self._ready_count() > 0

    def _wake(self, count: int) -> None:
        """Wake a worker for each thing that is ready and that nobody took for a while."""
        for _ in range(count):
            if not self._wake_one():
                return

    def _fire(self, timer: ThreadTimer) -> None:
        callback, timer.callback = timer.callback, None
        if callback is None:
            return
        try:
            callback()
        except Exception:
            logger.exception("a timer failed")

    # --- the end --------------------------------------------------------------------------------------------

    def stop(self, timeout: float | None) -> bool:
        """End all threads; False if some did not end in time."""
        with self._lock:
            self._stopping = True
            workers = list(self._workers)
        with self._clockwork:
            self._clockwork.notify_all()
            timer_thread = self._timer_thread
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().gate.release()
        deadline = None if timeout is None else time.monotonic() + timeout
        threads: list[Any] = [worker.thread for worker in workers] + [timer_thread]
        ended = True
        for thread in threads:
            if thread is None or thread is threading.current_thread():
                continue
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            ended = ended and not thread.is_alive()
        return ended
