"""Every door of the engine.

Design: §8, §9. `Clock` stands in `routilux.clock`, since everything needs it.
"""

import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from routilux.explanation import DecisionRecord
from routilux.history import ErrorRecord, ExecutionStatus
from routilux.job import JobState


class Runnable(Protocol):
    """Something that a worker can run for a fair share: a cell, or one of several overlapping activations.

    ``ready`` holds one token while it may be claimed; ``queued`` says that a dispatcher has an entry for it.
    """

    queued: bool
    ready: list[None]

    @property
    def priority(self) -> int:
        """Higher goes first."""

    def turn(self) -> None:
        """Run for a fair share."""


class Timer(Protocol):
    """A call in the future."""

    def cancel(self) -> None:
        """Forget it; does nothing when it already happened."""


class Dispatcher(Protocol):
    """Who runs what is ready, and when timers fire.

    An entry is a hint: whoever gets ``ready.pop()`` runs it, and ``queued`` is set to False before that is tried.
    """

    def submit(self, runnable: Runnable) -> None:
        """Have it run by a worker. From any thread; never blocks."""

    def at(self, ticks: int, callback: Callable[[], None]) -> Timer:
        """Call back, on a thread of the dispatcher, when the clock has reached these ticks."""

    def choose(self, count: int) -> int:
        """Choose among so many that are equally good: 0, or at random in a simulation."""

    def begin_wait(self) -> bool:
        """Ask to block this thread until others make progress; False for the last free worker."""

    def end_wait(self) -> None:
        """Say that a wait that was granted is over."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait, with the condition's lock held, until others make progress; False if there is none to wait for."""

    def is_worker(self) -> bool:
        """Tell whether the calling thread is one of the workers."""

    def stop(self, timeout: float | None) -> bool:
        """End all threads; False if some did not end in time."""


class Executor(Protocol):
    """Where logic runs that is not a plain call: the asyncio loop, another process, a cluster."""

    def start(self, coroutine: Coroutine[Any, Any, Any], done: Callable[[Any, BaseException | None], None]) -> Any:
        """Run it elsewhere and call ``done(result, error)`` once. Gives something with ``cancel()``."""

    def make_room_waiter(self) -> tuple[Any, Callable[[], None]]:
        """Give an awaitable for the running task, and the function that completes it from any thread."""

    def stop(self) -> None:
        """End what runs."""


class Observer:
    """Someone who watches: override what you need. A hook that fails is logged and never hurts a job.

    Hooks are called by the threads that do the work, outside of locks, and must be quick and thread-safe.
    """

    def on_job_status(self, job_state: JobState, old: ExecutionStatus, new: ExecutionStatus) -> None:
        """Hear that the status of a job changed."""

    def on_decision(self, job_state: JobState, routine_id: str, decision: DecisionRecord) -> None:
        """Hear what a policy decided, and why."""

    def on_activation_started(
        self, job_state: JobState, routine_id: str, activation_id: str, attempt: int, items: dict[str, Sequence[int]]
    ) -> None:
        """Hear that a logic is about to run, with the numbers of its items per slot."""

    def on_activation_ended(
        self, job_state: JobState, routine_id: str, activation_id: str, duration_seconds: float, emitted: dict[str, int]
    ) -> None:
        """Hear that an activation took effect, and how many items it emitted per event."""

    def on_activation_failed(
        self, job_state: JobState, routine_id: str, activation_id: str, error: ErrorRecord, answer: str
    ) -> None:
        """Hear that a logic or policy failed, and what follows: stop, continue, retry or skip."""

    def on_items_dropped(self, job_state: JobState, routine_id: str, slot: str, reason: str, count: int) -> None:
        """Hear that items are gone."""
