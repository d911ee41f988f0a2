"""The run of one job: its cells, the exact count of what is under way, and its gate.

Design: §5.5, §5.8, §12.

``work`` holds one token for each cell that is READY, RUNNING or in limbo, each activation that is away, each retry, each
timer that keeps the job alive, the open door and the start. When the last token goes, the run settles. Tokens are
touched per transition of a cell, never per item; a list, because appending and popping are atomic.
"""

import logging
import random
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from routilux.clock import Clock
from routilux.current import current
from routilux.errors import (
    EngineError,
    JobFinishedError,
    JobStateError,
    JobTimeoutError,
    ResourceNotFoundError,
    RoutineNotFoundError,
    WaitWouldDeadlockError,
)
from routilux.explanation import Explanation
from routilux.history import DeadLetter, ErrorRecord, ExecutionStatus
from routilux.item_queue import ItemQueue
from routilux.job import JobState
from routilux.runtime import away, backpressure, detaching, explaining, picture, posting, settling
from routilux.runtime.activation import Activation
from routilux.runtime.afterlife import Afterlife
from routilux.runtime.cell import Cell
from routilux.runtime.feeding import Feed, make_cells
from routilux.runtime.gate import Gate
from routilux.runtime.mode import Mode
from routilux.runtime.plan import FlowPlan
from routilux.runtime.ports import Dispatcher, Executor, Observer, Runnable, Timer

logger = logging.getLogger(__name__)


class JobRun(Gate):
    """One run of one job. Its methods are called by the runtime, by cells and by timers, from any thread."""

    __slots__ = (
        "cells",
        "clock",
        "commit_lock",
        "counted",
        "dispatcher",
        "door_open",
        "ending",
        "executor",
        "feeds",
        "flow_object",
        "grace_seconds",
        "interrupting",
        "job",
        "keeps_shut",
        "limiter",
        "observers",
        "on_over",
        "parked_tasks",
        "picture_lock",
        "plan",
        "resources",
        "retries",
        "rng",
        "settling",
        "started",
        "submit",
        "timers",
        "waiting",
        "wants_pause",
    )

    is_live = True  # until it lets go of its job, which then has another host

    def __init__(
        self,
        job: JobState,
        flow: Any,
        plan: FlowPlan,
        clock: Clock,
        dispatcher: Dispatcher,
        *,
        observers: tuple[Observer, ...] = (),
        resources: Mapping[str, Any] | None = None,
        limiter: Callable[[str], Any] | None = None,
        executor: Callable[[], Executor] | None = None,
        on_over: Callable[["JobRun"], None] | None = None,
        rng: random.Random | None = None,
        grace_seconds: float = 5.0,
    ) -> None:
        super().__init__(plan.definition.max_workers)
        self.job = job
        self.flow_object = flow
        self.plan = plan
        self.clock = clock
        self.dispatcher = dispatcher
        self.submit: Callable[[Runnable], None] = dispatcher.submit
        self.observers = observers
        self.resources = resources or {}
        self.limiter: Callable[[str], Any] = limiter or _no_limits
        self.executor = executor
        self.on_over = on_over
        self.rng = rng
        self.grace_seconds = grace_seconds
        self.commit_lock = threading.RLock()  # held while atomic effects happen, and while a picture is taken
        self.picture_lock = threading.Lock()  # one picture at a time
        self.waiting: list[Activation] = []  # emitters that wait for room
        self.parked_tasks: dict[Activation, None] = {}  # async logics that wait for room
        self.retries: dict[Any, Timer] = {}  # each of them is work
        self.timers: dict[str, Timer] = {}  # the job's own: its timeout, the grace of its end
        self.ending: tuple[ExecutionStatus, ErrorRecord | None] | None = None
        self.interrupting = False
        self.wants_pause = False
        self.counted = False  # among the running jobs of a flow that limits them
        self.feeds: list[Feed] = []
        self.keeps_shut = False  # the door was shut before the start
        self.door_open = False
        self.settling = False
        self.started = False
        self.cells: list[Cell] = make_cells(self, plan)

    # --- start ----------------------------------------------------------------------------------------------

    def start(self, keep_open: bool, timeout: float | None) -> None:
        """Begin: feed inputs, close what nothing feeds, ask every policy that may say yes at the start."""
        with self.lock:
            if self.is_stopping:
                return  # cancelled before it began
            self.work.append(None)
            if self.observers:
                self.job._status_callbacks.append(lambda _, old, new: self.observe("on_job_status", old, new))
            self.job._set_status(ExecutionStatus.RUNNING)
            if timeout is not None:
                due = self.clock.ticks() + int(timeout * 1e9)
                self.timers["timeout"] = self.at(due, lambda: self.time_out(timeout))
            self._set_mode(Mode.OPEN)
            self.started = True
            settling.begin(self, self.feeds, keep_open and not self.keeps_shut)
        self.tell()
        if self.limbo:
            self.flush_limbo()
        self.release_work()

    def time_out(self, timeout: float) -> None:
        """Fail the job because it took too long."""
        problem = JobTimeoutError(self.job.job_id, timeout)
        self.stop(ExecutionStatus.FAILED, ErrorRecord(type(problem).__name__, str(problem)), self.grace_seconds)

    def let_go(self) -> None:
        """Cut the ties between job, run and cells: the job keeps what it knows, the rest is freed at once."""
        detaching.detach(self)
        self.job._host = Afterlife(self.flow_object, self.plan, self.clock, self.resources, self.interrupting)
        cells, self.cells = self.cells, []
        for cell in cells:
            cell.dissolve()

    def cell(self, routine_id: str) -> Cell:
        """Find a cell.

        Raises:
            RoutineNotFoundError: the flow has none of this id.
        """
        index = self.plan.index.get(routine_id)
        if index is None:
            raise RoutineNotFoundError(routine_id, self.plan.index)
        if not self.cells:
            raise JobFinishedError(self.job.job_id, f"has no live routines any more: it is {self.job.status}")
        return self.cells[index]

    # --- the count ------------------------------------------------------------------------------------------

    def release_work(self) -> None:
        """Give one token back; the run settles with the last one."""
        work = self.work
        work.pop()
        if not work:
            settling.settle(self)

    def work_until(self, due: int, cell: Cell, begin: Callable[[], None]) -> None:
        """Have a cell do something later; until then it counts as work, unless the run stops."""
        key = object()

        def fire() -> None:
            with self.lock:
                if self.retries.pop(key, None) is None:
                    return
                cell.tell(begin)
            self.release_work()

        with self.lock:
            if self.is_stopping:
                return
            self.work.append(None)
            self.retries[key] = self.dispatcher.at(due, fire)

    def at(self, ticks: int, callback: Callable[[], None]) -> Timer:
        """Call back when the clock has reached these ticks."""
        return self.dispatcher.at(ticks, callback)

    def chance(self) -> float:
        """Draw a number from 0 to 1; reproducibly in a simulation."""
        return random.random() if self.rng is None else self.rng.random()

    # --- waiting for room -----------------------------------------------------------------------------------

    @property
    def is_cancelled(self) -> bool:
        """Whether running logics should stop: the job was cancelled, or took too long."""
        return self.interrupting

    def release_emitters(self) -> None:
        """Let everything that waits for room go on."""
        with self.lock:
            for activation in list(self.waiting):
                self.wake_emitter(activation)
            tasks = list(self.parked_tasks)
        for activation in tasks:
            for wake in list(activation.room_waiters or ()):
                wake()

    def wake_emitter(self, activation: Activation) -> None:
        """Let an emitter go on that waits for room; from then on it is work again."""
        with self.lock:
            if activation not in self.waiting:
                return
            self.waiting.remove(activation)
            self.running.append(activation.cell if activation.cell.width == 1 else activation)
            self.work.append(None)
            self.tell_rested()

    def lower(self, cell: Cell, slot: str) -> None:
        """Note that one of those who feed a slot has ended."""
        settling.lower(self, cell, slot)

    # --- what happened --------------------------------------------------------------------------------------

    def fail(self, error: ErrorRecord) -> None:
        """Stop: nothing new starts, what runs finishes and is kept, then the job is failed."""
        self.stop(ExecutionStatus.FAILED, error)

    def crash(self, routine_id: str, error: BaseException) -> None:
        """Fail the job because of a fault of ours, or of an exception that no logic may raise."""
        logger.error("job %s: routine %s broke its turn", self.job.job_id, routine_id, exc_info=error)
        kind = EngineError.__name__ if isinstance(error, Exception) else type(error).__name__
        self.fail(ErrorRecord(kind, f"{type(error).__name__}: {error}", routine_id=routine_id))

    def stop(self, status: ExecutionStatus, error: ErrorRecord | None, grace_seconds: float | None = None) -> bool:
        """Begin the end; False if it has begun already. After the grace what still runs is abandoned."""
        with self.lock:
            if self.is_stopping:
                return False
            self.ending = (status, error)
            self.work.append(None)
            self._set_mode(Mode.STOPPING)
            if not self.started:
                for feed in self.feeds:
                    feed.begin()  # so that the items are in the job, as leftovers
            retries, self.retries = self.retries, {}
            if self.door_open:
                self.door_open = False
                self.work.pop()  # never the last: ours is there
            if error is not None:
                self.job.error = error
        for timer in retries.values():
            timer.cancel()
            self.work.pop()
        if grace_seconds is not None:
            self.interrupting = True
            away.interrupt(self)
            self.timers["grace"] = self.at(self.clock.ticks() + int(grace_seconds * 1e9), self.abandon_all)
        settling.stop_timers(self)
        self.release_emitters()
        self.flush_limbo()
        self.release_work()
        return True

    def pause(self) -> None:
        """Close the gate; the status is paused once nothing runs.

        Raises:
            JobStateError: the run has ended, or has not begun.
        """
        with self.lock:
            if self.is_stopping:
                raise JobStateError(self.job.job_id, f"cannot be paused: it is {self.job.status}")
            if not self.started:
                raise JobStateError(self.job.job_id, "cannot be paused: it waits for its start; cancel it instead")
            self.wants_pause = True
            if self.mode is Mode.OPEN:
                self.close_gate(Mode.PAUSED)
        self.check_rest()

    def resume(self) -> bool:
        """Open the gate of a paused run, or of one that is about to pause."""
        with self.lock:
            if not self.wants_pause or self.is_stopping:
                return False
            self.wants_pause = False
            if self.job._status is ExecutionStatus.PAUSED:
                self.job._set_status(ExecutionStatus.RUNNING)
            if self.mode is Mode.PAUSED:
                self.open_gate()
        self.tell()
        return True

    def retire(self) -> None:
        """End a paused run without a final status: its job goes on in another one."""
        with self.lock:
            self._set_mode(Mode.OVER)
            timers = [*self.timers.values(), *self.retries.values()]
        for timer in timers:
            timer.cancel()
        for cell in self.cells:
            if cell.armed is not None:
                cell.armed[2].cancel()
        self.let_go()
        if self.on_over is not None:
            self.on_over(self)

    def shut_door(self) -> bool:
        """Take no more posts."""
        return settling.shut_door(self)

    def is_mine(self) -> bool:
        """Tell whether the calling code is a logic of this job."""
        frame = current.get()
        return frame is not None and frame.job_state is self.job

    def emit_from_outside(self, job: JobState, routine: Any, event: str, item: Any) -> None:
        """Route an item on behalf of a routine, from code that is in no activation of it."""
        posting.emit_from_outside(self, routine, event, item)

    def abandon_all(self) -> None:
        """Give up what still runs: its effects are discarded, and the job ends without it."""
        for entry in list(self.running):
            if isinstance(entry, Activation):
                self.abandon(entry)
            else:
                for activation in entry.flights:
                    self.abandon(activation)

    def abandon(self, activation: Activation) -> None:
        """Give up one activation whose call does not return."""
        away.abandon(self, activation)

    def end_routine(self, cell: Cell) -> None:
        """Note that a routine has ended: what it alone fed closes."""
        settling.end_routine(self, cell)

    def dropped(self, routine_id: str, slot: str, reason: str, count: int) -> None:
        """Tell history, log and observers that items are gone."""
        self.job._history.append(
            self.clock.ticks(), routine_id, "dropped", {"slot": slot, "reason": reason, "count": count}
        )
        record = self.job._records[routine_id].slots[slot].queue
        total = sum((record.drops or {}).values())
        if total == count or _is_round(total, count):
            logger.warning("job %s: %s of %s.%s dropped so far (%s)", self.job.job_id, total, routine_id, slot, reason)
        if self.observers:
            self.observe("on_items_dropped", routine_id, slot, reason, count)

    def add_dead_letter(self, routine_id: str, items: dict[str, list[Any]], error: ErrorRecord) -> None:
        """Keep the items of a failed activation."""
        job = self.job
        with job._lock:
            job._dead_letter_count += 1
            letter_id = f"{job.job_id}/dead/{job._dead_letter_count}"
            job._dead_letters[letter_id] = DeadLetter(letter_id, routine_id, dict(items), error, job.now())

    def tell(self) -> None:
        """Call the callbacks and observers of changes of status. Without locks."""
        self.job.tell()

    def observe(self, hook: str, *args: Any) -> None:
        """Call one hook of every observer; one that fails is logged."""
        for observer in self.observers:
            try:
                getattr(observer, hook)(self.job, *args)
            except Exception:
                logger.exception("job %s: observer %r failed in %s", self.job.job_id, observer, hook)

    # --- what cells and the job ask -------------------------------------------------------------------------

    def run_nested(self, activation: Activation, cell: Cell) -> bool:
        """Run a turn of a ready cell inside of an activation."""
        return backpressure.run_nested(activation, cell)

    def hold_back(self, activation: Activation, queue: ItemQueue) -> None:
        """Keep an emitter from running away from its consumers."""
        backpressure.hold_back(self, activation, queue)

    def start_away(
        self,
        activation: Activation,
        coroutine: Coroutine[Any, Any, Any],
        done: Callable[[Any, BaseException | None], None],
    ) -> Any:
        """Run a coroutine on the loop."""
        return away.start(self, activation, coroutine, done)

    def room(self, activation: Activation) -> Any:
        """Give an awaitable for room."""
        return away.room(self, activation)

    def explain(self, job: JobState, routine_id: str) -> Explanation:
        """Say why a routine runs or does not run now."""
        try:
            return explaining.explain(self, self.cell(routine_id))
        except (JobFinishedError, IndexError, AttributeError):
            if job._host is self:
                raise
            return job.explain(routine_id)  # it let go of its cells meanwhile: another host answers

    def flow(self) -> Any:
        """Give the Flow."""
        return self.flow_object

    def resource(self, name: str) -> Any:
        """Give a live object of the runtime."""
        try:
            return self.resources[name]
        except KeyError:
            raise ResourceNotFoundError(name, self.resources) from None

    def picture(self, job: JobState, timeout: float | None, interrupted: bool) -> dict[str, Any]:
        """Give a consistent picture of the job."""
        return picture.take(self, timeout, interrupted)

    async def finished(self, job: JobState) -> None:
        """Wait, on the loop of the caller, until this run is over."""
        if self.is_mine():
            raise WaitWouldDeadlockError(job.job_id, "the logic that waits belongs to it")
        await away.finished(self)


def _no_limits(name: str) -> Any:
    raise LookupError(name)


def _is_round(total: int, count: int) -> bool:
    """Whether a power of ten was passed: one line per magnitude, not a flood."""
    power: int = 10 ** (len(str(total)) - 1)
    return total - count < power <= total
