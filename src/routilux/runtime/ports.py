"""Every door of the engine.

Design: §8, §9. `Clock` stands in `routilux.clock`, since everything needs it.
"""

import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from routilux.explanation import DecisionRecord
from routilux.history import ErrorRecord, ExecutionStatus
from routilux.job import JobState
from routilux.journal import JobHeader, JournalRecord, Retention, StoredJob


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


class Store(Protocol):
    """Where durable jobs are kept. All methods may be called from any thread.

    A job is *held* by the store that created it or took it over; only there can it be written, in its epoch.
    ``done`` is called once, without a lock, by whichever thread writes, in the order of the job's records. A call may
    write for others before it returns. Every method raises `StoreClosedError` once the store is closed.
    """

    address: str
    heartbeat_seconds: float | None  # how often `heartbeat` must be called, if at all

    @property
    def is_ready(self) -> bool:
        """Whether new work may be begun: not while the disk is full or a lease was not renewed in time."""

    def close(self) -> None:
        """Write what waits, give all jobs up, close. Twice is fine."""

    def create_job(
        self,
        job_id: str,
        flow_id: str,
        status: str,
        snapshot: bytes | None = None,
        done: Callable[[Exception | None], None] | None = None,
    ) -> int:
        """Store a new job, held here; give its epoch. With ``done`` it does not wait for the disk.

        Raises:
            DuplicateNameError: a job of this id is stored.
            StoreUnavailableError: the store cannot write.
        """

    def submit(self, record: JournalRecord, done: Callable[[Exception | None], None]) -> None:
        """Write a record; ``done(None)`` once it is durable, else with the error.

        Errors: FencedError (now and for every later record of the job), SequenceError, DuplicateKeyError,
        RecordRefusedError, JobDamagedError. While the store cannot write, records wait, in order.
        """

    def append(self, record: JournalRecord) -> None:
        """Write a record and wait until it is durable.

        Raises:
            StoreUnavailableError: the store cannot write; the record was not taken.
            StoreError: the errors of `submit`.
        """

    def save_snapshot(
        self, job_id: str, seq: int, payload: bytes, status: str | None = None, *, trim: bool = True
    ) -> None:
        """Store the job as it was after record ``seq``; ``trim`` forgets the records up to there. Waits.

        Raises:
            FencedError: the job is not held here.
            SequenceError: an older snapshot than the stored one, or a record that is not there.
            StoreUnavailableError: the store cannot write.
        """

    def take_over(self, limit: int | None = None, job_ids: Sequence[str] | None = None) -> list[JobHeader]:
        """Hold unfinished jobs that nobody else holds, or these; each in its next epoch, durably.

        Damaged ones are left out, and shown by `list_jobs`.
        """

    def give_up(self, job_ids: Sequence[str]) -> None:
        """Hold these jobs no more, so that another executor can take them over."""

    def heartbeat(self) -> None:
        """Renew the leases of the jobs held here."""

    def load(self, job_id: str) -> StoredJob:
        """Read a job, and check every byte of it.

        Raises:
            JobNotFoundError: no such job.
            JobDamagedError: its data is damaged; appends are refused until a later `load` finds it whole.
        """

    def find_key(self, job_id: str, key: str) -> int | None:
        """Give the number of the record of this key."""

    def list_jobs(self, status: str | None = None, limit: int = 100, after: str | None = None) -> list[JobHeader]:
        """List jobs as they were created, those behind the job ``after``."""

    def unfinished(self) -> list[JobHeader]:
        """List all jobs that have not ended, damaged ones too."""

    def delete(self, job_ids: Sequence[str]) -> int:
        """Delete jobs that are held here or by nobody; give how many there were."""

    def prune(self, retention: Retention) -> int:
        """Delete one slice of finished jobs that are kept too long; give how many. Call again until it is 0."""


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
