"""The gate of a run: what may start, who waits for it, and when everything is at rest.

Design: §5.8, §12.
"""

import threading
from collections.abc import Callable
from typing import Any

from routilux.history import ExecutionStatus
from routilux.job import JobState
from routilux.runtime.mode import Mode
from routilux.runtime.ports import Runnable


class Gate:
    """Lets activations start while it is open, keeps cells while it is not; holds the permits of ``max_workers``."""

    __slots__ = (
        "_rested",
        "is_open",
        "limbo",
        "lock",
        "mode",
        "permits",
        "running",
        "starved",
        "work",
    )

    job: JobState
    cells: list[Any]
    submit: Callable[[Runnable], None]

    def __init__(self, workers: int | None) -> None:
        self.lock = threading.RLock()  # guards mode, limbo, starved, permits, and what the run adds
        self._rested: threading.Condition | None = None
        self.mode = Mode.FROZEN  # until it starts
        self.is_open = False  # the mode is OPEN; an attribute, since every activation asks
        self.work: list[None] = []
        self.running: list[Any] = []
        self.limbo: list[Any] = []  # at the gate, or before a breakpoint
        self.starved: list[Any] = []  # in line for a permit to use a worker
        self.permits: list[None] | None = None if workers is None else [None] * workers

    @property
    def rested(self) -> threading.Condition:
        """What those wait on who wait until nothing runs, or for room. Made for the first of them."""
        with self.lock:
            if self._rested is None:
                self._rested = threading.Condition(self.lock)
            return self._rested

    def tell_rested(self) -> None:
        """Let those look who wait. Call it with the lock held."""
        if self._rested is not None:
            self._rested.notify_all()

    def release_work(self) -> None:
        """Give one token of work back. The run knows what the last one means."""
        raise NotImplementedError

    def release_emitters(self) -> None:
        """Let everything that waits for room go on. The run knows what waits."""
        raise NotImplementedError

    def _set_mode(self, mode: Mode) -> None:
        self.mode = mode
        self.is_open = mode is Mode.OPEN

    @property
    def is_stopping(self) -> bool:
        """Whether the run is on its way to its end, or there."""
        return self.mode is Mode.STOPPING or self.mode is Mode.OVER

    def wait_at_gate(self, cell: Any) -> bool:
        """Keep a cell until the gate opens; False if it is open, or the cell has something to hear."""
        with self.lock:
            if self.mode is Mode.OPEN or self.is_stopping or cell.inbox:
                return False
            self.limbo.append(cell)
            return True

    def enter_limbo(self, cell: Any) -> bool:
        """Keep a cell until somebody releases it; False if the run is stopping, or the cell has something to hear."""
        with self.lock:
            if self.is_stopping or cell.inbox:
                return False
            self.limbo.append(cell)
            return True

    def leave_limbo(self, cell: Any) -> bool:
        """Make a kept cell ready; False if it is not kept."""
        with self.lock:
            try:
                self.limbo.remove(cell)
            except ValueError:
                return False
        cell.make_ready()
        return True

    def flush_limbo(self) -> None:
        """Make every kept cell ready, and those with something to continue."""
        with self.lock:
            kept = self.limbo + self.starved
            self.limbo, self.starved = [], []
        for cell in kept:
            cell.make_ready()
        for cell in self.cells:
            if cell.flights:
                cell.wake()

    def close_gate(self, mode: Mode) -> None:
        """Let nothing start; emitters that wait for room go on."""
        with self.lock:
            self._set_mode(mode)
            self.tell_rested()
        self.release_emitters()

    def open_gate(self) -> None:
        """Let things start again."""
        with self.lock:
            if self.is_stopping:
                return
            self._set_mode(Mode.OPEN)
            self.work.append(None)
        self.flush_limbo()
        self.release_work()

    def is_at_rest(self) -> bool:
        """Whether nothing runs that could still take effect. Call it with the lock held."""
        return not self.running and not any(cell.inbox for cell in self.cells)

    def check_rest(self) -> None:
        """Look whether what was waited for has come: nothing runs any more."""
        with self.lock:
            pausing = self.mode is Mode.PAUSED and self.job._status is ExecutionStatus.RUNNING
            if pausing and self.is_at_rest():
                self.job._set_status(ExecutionStatus.PAUSED)
            self.tell_rested()
        self.job.tell()

    def take_permit(self, runnable: Any) -> bool:
        """Take one of the job's permits to use a worker; else it waits in line."""
        assert self.permits is not None
        with self.lock:
            if self.permits:
                self.permits.pop()
                return True
            self.starved.append(runnable)
            return False

    def give_permit(self) -> None:
        """Give a permit back; the next in line takes it."""
        assert self.permits is not None
        with self.lock:
            self.permits.append(None)
            if not self.starved:
                return
            following = self.starved.pop(0)
        following.ready.append(None)
        if not following.queued:
            following.queued = True
            self.submit(following)
