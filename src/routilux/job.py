"""JobState: everything that one run of a flow knows. It can be stored and resumed.

Design: §1, §5, §6, §7.
"""

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Generator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from routilux.clock import SYSTEM_CLOCK, Clock, to_datetime
from routilux.current import current
from routilux.errors import BadValueError, NoActivationError, RoutineNotFoundError
from routilux.explanation import Explanation
from routilux.history import DeadLetter, ErrorRecord, ExecutionStatus, Leftovers
from routilux.job_data import JobData, activation_id_of
from routilux.record import Groups, ParkedItem, RoutineRecord
from routilux.slot import Slot
from routilux.snapshot import picture_of, restore

logger = logging.getLogger(__name__)

StatusCallback = Callable[["JobState", ExecutionStatus, ExecutionStatus], object]
CompleteCallback = Callable[["JobState"], object]


class JobHost(Protocol):
    """What a JobState asks of the run it is in, while it is in one."""

    def explain(self, job: Any, routine_id: str) -> Explanation: ...
    def flow(self) -> Any: ...
    def resource(self, name: str) -> Any: ...
    def emit_from_outside(self, job: Any, routine: Any, event: str, item: Any) -> None: ...
    def picture(self, job: Any, timeout: float | None, interrupted: bool) -> dict[str, Any]: ...
    async def finished(self, job: Any) -> None: ...
    @property
    def is_cancelled(self) -> bool: ...


class JobState(JobData):
    """One run of a flow: status, queues, namespaces, history, result. Safe from any thread.

    The Runtime makes it; make one yourself to call policies by hand in tests, or to give ``exec`` its id.

    >>> job = JobState(flow_id="orders")
    >>> job.update_routine_state("a", {"count": 1})
    >>> job.get_routine_state("a", "count"), str(job.status)
    (1, 'pending')
    """

    __slots__ = (
        "__weakref__",
        "_by_hand",
        "_complete_callbacks",
        "_dead_letter_count",
        "_dead_letters",
        "_host",
        "_leftovers",
        "_news",
        "_params",
        "_parked",
        "_status",
        "_status_callbacks",
        "_teller",
        "_telling",
        "_time_shift",
        "_waiters",
        "error",
        "flow_id",
        "priority",
        "run",
    )

    def __init__(
        self,
        flow_id: str,
        job_id: str | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(job_id or f"job-{secrets.token_hex(8)}", clock)
        self.flow_id = flow_id
        self.error: ErrorRecord | None = None
        self.run = 1
        self.priority = 0
        self._params: Mapping[str, Any] = MappingProxyType(dict(params or {}))
        self._status = ExecutionStatus.PENDING
        self._host: JobHost | None = None
        self._by_hand: str | None = None
        self._time_shift = 0  # nanoseconds added so that the job's time never steps back over a resume
        self._status_callbacks: list[StatusCallback] = []
        self._complete_callbacks: list[CompleteCallback] = []
        self._news: list[tuple[ExecutionStatus, ExecutionStatus]] = []
        self._telling = [None]  # a token: who holds it tells the news
        self._teller = 0  # the thread that tells now: it must not wait for itself
        self._waiters: list[Any] = []
        self._leftovers = Leftovers()
        self._dead_letters: dict[str, DeadLetter] = {}
        self._dead_letter_count = 0
        self._parked: list[ParkedItem] = []

    # --- what it is -----------------------------------------------------------------------------------------

    @property
    def status(self) -> ExecutionStatus:
        """Where the job stands; compares with plain strings."""
        return self._status

    @property
    def params(self) -> Mapping[str, Any]:
        """What `exec` was given as ``params``; read-only."""
        return self._params

    @property
    def leftovers(self) -> Leftovers:
        """Items that nobody had consumed when the job ended; falsy when there are none."""
        return self._leftovers

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """Items whose activation failed under CONTINUE and that were not posted again."""
        with self._lock:
            return list(self._dead_letters.values())

    @property
    def drops(self) -> dict[tuple[str, str], dict[str, int]]:
        """How many items were dropped, per (routine_id, slot) and reason."""
        return {
            (routine_id, name): dict(slot.queue.drops)
            for routine_id, record in list(self._records.items())
            for name, slot in record.slots.items()
            if slot.queue.drops
        }

    @property
    def unrouted(self) -> dict[tuple[str, str], int]:
        """How many emissions had no connection, per (routine_id, event)."""
        return {
            (routine_id, event): count
            for routine_id, record in list(self._records.items())
            for event, count in (record.unrouted or {}).items()
        }

    def slots(self, routine_id: str) -> Mapping[str, Slot]:
        """Give the slots of one routine, to look at.

        Raises:
            RoutineNotFoundError: the job has none of this id.
        """
        record = self._records.get(routine_id)
        if record is None:
            raise RoutineNotFoundError(routine_id, self._records)
        return MappingProxyType(record.slots)

    # --- the activation around the caller -------------------------------------------------------------------

    @property
    def current_routine_id(self) -> str | None:
        """The routine whose policy or logic asks; set it by hand to call a policy in a test."""
        frame = current.get()
        if frame is not None and frame.job_state is self:
            routine_id: str = frame.routine_id
            return routine_id
        return self._by_hand

    @current_routine_id.setter
    def current_routine_id(self, routine_id: str | None) -> None:
        self._by_hand = routine_id

    @property
    def activation_id(self) -> str | None:
        """The id of the activation around the caller, the same over retries: an idempotency key."""
        frame = current.get()
        if frame is None or frame.job_state is not self or not frame.number:
            return None
        return activation_id_of(self.job_id, frame.routine_id, frame.number)

    @property
    def attempt(self) -> int:
        """Which attempt of its activation the caller is, from 1; 0 outside of one."""
        frame = current.get()
        return frame.attempt if frame is not None and frame.job_state is self else 0

    @property
    def boundary(self) -> int:
        """How many yields of this activation have taken effect."""
        frame = current.get()
        return frame.boundary if frame is not None and frame.job_state is self else 0

    @property
    def is_cancelled(self) -> bool:
        """Whether the logic should stop: the job is being cancelled, or its activation is over."""
        frame = current.get()
        if frame is not None and frame.job_state is self and frame.is_over:
            return True
        if self._host is not None:
            return self._host.is_cancelled
        return self._status is ExecutionStatus.CANCELLED

    def memory(self) -> dict[str, Any]:
        """Give the memory of the policy that asks: its own, stored with the job, under its routine.

        Raises:
            NoActivationError: no routine is current.
        """
        record = self._asking("memory")
        memory = record.memory
        if memory is None:
            memory = record.memory = {}
        return memory

    def _asking(self, call: str) -> RoutineRecord:
        """Give the record of the routine whose policy asks."""
        frame = current.get()
        if frame is not None and frame.job_state is self:
            record: RoutineRecord = frame.cell.record
            return record
        return self._record(self._current(call))

    def groups(self) -> Groups:
        """Give what the routine that asks gathers: a group for each activation of its fan-out.

        Raises:
            NoActivationError: no routine is current.
        """
        return self._asking("groups").groups or Groups()

    def _current(self, call: str) -> str:
        routine_id = self.current_routine_id
        if routine_id is None:
            raise NoActivationError(call, "no routine is current; by hand, set job_state.current_routine_id first")
        return routine_id

    # --- time -----------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Read the job's clock: aware UTC, never decreasing."""
        return to_datetime(self._clock.epoch_ns(self._clock.ticks()) + self._time_shift)

    def monotonic(self) -> float:
        """Read the job's clock in seconds: for differences; goes on over a resume, never steps back."""
        return (self._clock.epoch_ns(self._clock.ticks()) + self._time_shift) / 1e9

    def wake_after(self, seconds: float, *, keep_alive: bool = False) -> None:
        """Ask to be asked again: for policies that say no. One timer per routine, the last call wins.

        The timer keeps the job alive while the routine has unconsumed items, or with ``keep_alive``.

        Raises:
            ValueError: seconds is negative or no finite number.
            NoActivationError: no routine is current.
        """
        if not 0 <= seconds < 1e11:
            raise BadValueError(f"wake_after takes seconds from 0 up, not {seconds!r}")
        self._asking("wake_after").wake = (self._clock.ticks() + int(seconds * 1e9), keep_alive)

    # --- questions to the run -------------------------------------------------------------------------------

    def explain(self, routine_id: str) -> Explanation:
        """Say why a routine runs, or does not run now.

        Raises:
            RoutineNotFoundError: the flow has none of this id.
        """
        if self._host is None:
            return Explanation(routine_id, f"is not running: the job is {self._status}")
        return self._host.explain(self, routine_id)

    def get_flow(self) -> Any:
        """Give the Flow this job runs, or None while it runs nowhere."""
        return self._host.flow() if self._host is not None else None

    def resource(self, name: str) -> Any:
        """Give a live object that the Runtime was made with.

        Raises:
            ResourceNotFoundError: it was given none of this name.
            NoActivationError: the job is in no runtime.
        """
        if self._host is None:
            raise NoActivationError("resource", f"job {self.job_id} is in no runtime")
        return self._host.resource(name)

    # --- being told -----------------------------------------------------------------------------------------

    def on_status_change(self, callback: StatusCallback) -> None:
        """Have ``callback(job_state, old, new)`` called at each change, in order, outside of locks."""
        with self._lock:
            self._status_callbacks.append(callback)

    def on_complete(self, callback: CompleteCallback) -> None:
        """Have ``callback(job_state)`` called once when this run ends; at once if it has ended."""
        with self._lock:
            if not (self._status.is_final and not self._news):
                self._complete_callbacks.append(callback)
                return
        _guarded(callback, self)

    def _set_status(self, new: ExecutionStatus) -> None:
        """Change the status; the engine calls `tell` afterwards, without locks."""
        with self._lock:
            old = self._status
            if old is not new:
                self._status = new
                self._news.append((old, new))

    def tell(self) -> None:
        """Call the callbacks of all changes that were not told yet, in order, one thread at a time."""
        while self._news:
            try:
                token = self._telling.pop()
            except IndexError:
                return  # whoever tells now looks again
            self._teller = threading.get_ident()
            try:
                self._tell_next()
            finally:
                self._teller = 0
                self._telling.append(token)

    def _tell_next(self) -> None:
        while self._news:
            old, new = self._news[0]
            for callback in list(self._status_callbacks):
                _guarded(callback, self, old, new)
            while completed := self._next_completed(new):
                for complete in completed:
                    _guarded(complete, self)
            if new.is_final or new is ExecutionStatus.PAUSED:
                self.wake_waiters()

    def _next_completed(self, new: ExecutionStatus) -> list[CompleteCallback]:
        """Give who must hear of an end; with nobody left the change is told, and only then may waiters go on."""
        with self._lock:
            completed: list[CompleteCallback] = []
            if new.is_final:
                completed, self._complete_callbacks = self._complete_callbacks, []
            if not completed:
                self._news.pop(0)
        return completed

    def wake_waiters(self) -> None:
        """Let those who wait for a change of status look."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.release()

    def wait_until(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        """Block until the predicate holds and all was told; looked at when the job pauses or ends."""
        deadline = None if timeout is None else self._clock.ticks() + int(timeout * 1e9)
        while True:
            waiter = threading.Lock()
            waiter.acquire()
            self._waiters.append(waiter)  # before looking: a change after the look releases it
            if predicate() and self.is_told:
                self._forget_waiter(waiter)
                return True
            left = -1.0 if deadline is None else max(0.0, (deadline - self._clock.ticks()) / 1e9)
            if not waiter.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
                self._forget_waiter(waiter)
                return predicate() and self.is_told

    @property
    def is_told(self) -> bool:
        """Whether every callback of past changes was called, as far as the caller can wait for it."""
        return not self._news or self._teller == threading.get_ident()

    def _forget_waiter(self, waiter: Any) -> None:
        with contextlib.suppress(ValueError):
            self._waiters.remove(waiter)

    def __await__(self) -> Generator[Any, None, "JobState"]:
        """Wait, from asyncio, until this run has ended."""
        if self._host is not None and not self._status.is_final:
            yield from self._host.finished(self).__await__()
        return self

    # --- storing --------------------------------------------------------------------------------------------

    def serialize(self, timeout: float | None = None, interrupted: bool = False) -> dict[str, Any]:
        """Give a consistent, JSON-compatible picture of the job, also while it runs.

        Waits up to ``timeout`` seconds for live activations to return or yield.

        Raises:
            SnapshotBusyError: live activations did not; ``interrupted=True`` records them as interrupted instead.
            CodecError: a value that cannot be stored, with its path.
        """
        if self._host is not None:
            return self._host.picture(self, timeout, interrupted)
        return picture_of(self, ())

    @classmethod
    def deserialize(cls, data: Mapping[str, Any], *, clock: Clock = SYSTEM_CLOCK) -> "JobState":
        """Take back what `serialize` gave.

        Raises:
            StateVersionError: the data is of an unknown version, or none at all.
            CodecError: the data is damaged.
        """
        job: JobState = restore(cls, data, clock)
        return job

    def __repr__(self) -> str:
        return f"<JobState {self.job_id} of {self.flow_id}: {self._status}>"


def _guarded(callback: Callable[..., object], *args: Any) -> None:
    try:
        callback(*args)
    except Exception:
        logger.exception("a callback of job %s failed", args[0].job_id)
