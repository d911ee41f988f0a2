"""Runtime: runs many jobs on one pool of threads, without blocking its callers.

Design: §5, §5.8.
"""

import itertools
import os
import random
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from routilux import rings
from routilux.clock import Clock as ClockPort
from routilux.clock import SystemClock
from routilux.current import current
from routilux.definition import choice
from routilux.errors import (
    BadTypeError,
    DefinitionError,
    JobStateError,
    RuntimeClosedError,
    WaitWouldDeadlockError,
)
from routilux.explanation import JobExplanation
from routilux.flow import Flow
from routilux.history import ExecutionStatus
from routilux.job import JobState
from routilux.registry import FlowRegistry, flow_registry
from routilux.routine import positive, positive_seconds
from routilux.runtime import detaching, explaining, posting
from routilux.runtime.dispatch import ThreadDispatcher
from routilux.runtime.feeding import Feed
from routilux.runtime.holding import Hold
from routilux.runtime.job_run import JobRun
from routilux.runtime.limits import Limit, Rate, RateLimit
from routilux.runtime.plan import FlowPlan, plan_of
from routilux.runtime.ports import Dispatcher, Executor, Observer
from routilux.runtime.roster import Roster


class Shutdown(NamedTuple):
    """What a shutdown left: jobs it gave up, and jobs that stay paused. Both empty: everything ended."""

    abandoned: tuple[str, ...]
    paused: tuple[str, ...]


class Runtime:
    """Runs jobs. Safe from any thread; a context manager that drains on exit.

    ``resources`` are live objects for logics, never stored; ``limits`` maps names to a number of activations at once or
    a `Rate`; ``keep_finished`` jobs can still be found after their end; a cancelled job ends within ``grace_seconds``.

    >>> from routilux import Flow, Routine
    >>> flow = Flow("sum")
    >>> source = Routine("source").set_logic(lambda routine: [routine.emit("n", i) for i in range(4)] and None)
    >>> total = Routine("total").set_logic(lambda n, job_state: job_state.set_result(sum(n)))
    >>> _ = flow.add_routine(source).add_routine(total).connect("source", "n", "total", "n")
    >>> with Runtime(thread_pool_size=2) as runtime:
    ...     job = runtime.exec(flow)
    ...     runtime.wait_for_job(job.job_id, timeout=10)
    True
    """

    def __init__(
        self,
        thread_pool_size: int = 10,
        *,
        store: Any = None,
        resources: Mapping[str, Any] | None = None,
        limits: Mapping[str, int | Rate] | None = None,
        clock: ClockPort | None = None,
        observers: Iterable[Observer] = (),
        registry: FlowRegistry = flow_registry,
        keep_finished: int = 1000,
        grace_seconds: float = 5.0,
        dispatcher: Dispatcher | None = None,
        executor: Callable[[], Executor] | None = None,
        seed: int | None = None,
    ) -> None:
        positive(thread_pool_size, "thread_pool_size")
        if store is not None:
            raise DefinitionError(f"no store is installed that could open {store!r}; leave store=None")
        self.clock: ClockPort = clock or SystemClock()
        self.registry = registry
        self.grace_seconds = grace_seconds
        self._dispatcher: Dispatcher = dispatcher or ThreadDispatcher(thread_pool_size, self.clock)
        self._observers = tuple(observers)
        self._resources = dict(resources or {})
        self._limits = {name: self._make_limit(name, limit) for name, limit in (limits or {}).items()}
        self._make_executor = executor
        self._executor: Executor | None = None
        self._rng = None if seed is None else random.Random(seed)
        self._prefix = "sim" if seed is not None else secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        self._roster = Roster(keep_finished)
        self._lock = threading.Lock()  # guards _executor and _report
        self._report: Shutdown | None = None

    def _make_limit(self, name: str, limit: int | Rate) -> Limit:
        if isinstance(limit, Rate):
            return RateLimit(limit, self.clock, self._dispatcher.at)
        return Limit(positive(limit, f"limits[{name!r}]"))

    # --- starting jobs --------------------------------------------------------------------------------------

    def exec(
        self,
        flow_name: str | Flow,
        job_state: JobState | None = None,
        *,
        inputs: Mapping[str, Mapping[str, Iterable[Any]]] | None = None,
        params: Mapping[str, Any] | None = None,
        keep_open: bool = False,
        timeout: float | None = None,
        priority: int = 0,
    ) -> JobState:
        """Start a job and return at once; or begin the next run of a paused, failed or cancelled one.

        ``inputs`` maps routine ids to slots to items, fed at the start; ``keep_open`` keeps the job waiting for posts
        until `close_job`; ``timeout`` is seconds for the run; jobs of a higher ``priority`` go first.

        Raises:
            FlowNotFoundError: no flow is registered under the name.
            InvalidFlowError: the flow cannot run.
            JobStateError: the state belongs to another flow, runs at this moment, or is completed.
            RoutineNotFoundError, SlotNotFoundError: ``inputs`` names something unknown.
            RuntimeClosedError: the runtime was shut down, or belongs to another process.
        """
        self._check_open()
        flow = self._flow(flow_name)
        definition = flow.checked()
        plan = plan_of(definition)
        for routine in plan.routines:
            limit = routine.definition.limit
            if limit is not None and limit not in self._limits:
                raise DefinitionError(
                    f"routine {routine.routine_id!r} asks for the limit {limit!r}; this runtime has "
                    f"{sorted(self._limits) or 'none'}: Runtime(limits={{{limit!r}: 5}})"
                )
        feeds = posting.checked_inputs(plan, inputs)
        seconds = flow.timeout if timeout is None else positive_seconds(timeout, "timeout")
        if isinstance(priority, bool) or not isinstance(priority, int):
            raise BadTypeError(f"priority must be an int, not {priority!r}")
        job = self._job(flow, job_state, params)
        host = job._host
        try:
            flow.freeze(definition)
            job.priority = priority
            run = self._make_run(job, flow, plan)
            detaching.attach(run)
            run.feeds += [Feed(run, routine_id, slot, data) for routine_id, slot, data in feeds]
            self._roster.begin(run, lambda: run.start(keep_open, seconds))
        except BaseException:
            if job._host is host:
                job._host = None
            raise
        return job

    def _flow(self, flow_name: str | Flow) -> Flow:
        if isinstance(flow_name, Flow):
            return flow_name
        if not isinstance(flow_name, str):
            raise BadTypeError(f"exec takes the name of a registered flow or a Flow, not {flow_name!r}")
        return self.registry.find(flow_name)

    def _job(self, flow: Flow, given: JobState | None, params: Mapping[str, Any] | None) -> JobState:
        if params is not None and not isinstance(params, Mapping):
            raise BadTypeError(f"params is a mapping, not {params!r}")
        if given is None:
            job_id = f"job-{self._prefix}-{next(self._numbers)}"
            return JobState(flow.flow_id, job_id, params=params, clock=self.clock)
        if not isinstance(given, JobState):
            raise BadTypeError(f"exec takes a JobState to resume, not {given!r}")
        if given.flow_id != flow.flow_id:
            raise JobStateError(given.job_id, f"belongs to flow {given.flow_id!r}, not to {flow.flow_id!r}")
        known = self._roster.unfinished(given.job_id)
        if known is not None and known.job is not given:
            raise JobStateError(given.job_id, "is in this runtime already; cancel or forget that one first")
        detaching.prepare(given, self.clock, params)
        return given

    def _make_run(self, job: JobState, flow: Flow, plan: FlowPlan) -> JobRun:
        return JobRun(
            job,
            flow,
            plan,
            self.clock,
            self._dispatcher,
            observers=self._observers,
            resources=self._resources,
            limiter=self._limits.__getitem__,
            executor=self._loop,
            on_over=self._roster.over,
            rng=self._rng,
            grace_seconds=self.grace_seconds,
        )

    # --- feeding --------------------------------------------------------------------------------------------

    def post(self, job_id: str, routine_id: str, slot: str, data: Any, timeout: float | None = None) -> None:
        """Put an item into a slot of a job, from outside.

        Raises:
            SlotQueueFullError: there is no room; with ``timeout`` (seconds), not in time either.
            SlotClosedError: nothing feeds the slot any more, and the job is not kept open.
            JobFinishedError: the job has ended.
            JobNotFoundError, RoutineNotFoundError, SlotNotFoundError: something is unknown.
        """
        self._check_open()
        posting.post(self._run(job_id), routine_id, slot, data, timeout)

    def close_job(self, job_id: str) -> bool:
        """Take no more posts for a job that was kept open; it ends when its work is done. False if it was not open."""
        run = self._run_if_any(job_id)
        return run is not None and run.shut_door()

    def repost(self, job_id: str, dead_letter_id: str) -> None:
        """Post the items of a dead letter again.

        Raises:
            DeadLetterNotFoundError: the job has none of this id.
            SlotQueueFullError, SlotClosedError, JobFinishedError: as for `post`; the dead letter stays.
        """
        self._check_open()
        posting.repost(self._run(job_id), dead_letter_id)

    def activate(self, job_id: str, routine_id: str) -> None:
        """Activate a routine once, whatever its policy says, with all that is new.

        Raises:
            JobFinishedError: the job or the routine has ended.
        """
        self._check_open()
        posting.activate(self._run(job_id), routine_id)

    def replace_item(self, job_id: str, routine_id: str, slot: str, seq: int, data: Any) -> None:
        """Replace the data of a waiting item; recorded in the history.

        Raises:
            ItemNotFoundError: no item of this number waits there.
        """
        posting.replace_item(self._run(job_id), routine_id, slot, seq, data)

    # --- finding and waiting --------------------------------------------------------------------------------

    def get_job(self, job_id: str) -> JobState | None:
        """Find a job, also one that ended lately; None if it is not known."""
        return self._roster.get(job_id)

    def list_jobs(self, status: str | ExecutionStatus | None = None) -> list[JobState]:
        """List jobs in the order of their start, all or those of one status.

        Raises:
            ValueError: there is no such status.
        """
        wanted = None if status is None else choice(ExecutionStatus, status, "status")
        return [job for job in self._roster.jobs() if wanted is None or job.status is wanted]

    def wait_for_job(self, job_id: str, timeout: float | None = None) -> bool:
        """Wait until a job's run has ended; False if that takes longer than ``timeout`` seconds.

        Raises:
            JobNotFoundError: it is not known.
            WaitWouldDeadlockError: a logic asks, and the wait could never end.
        """
        job = self._job_of(job_id)
        if job.status.is_final and job.is_told:
            return True
        granted = self._may_wait(job)
        try:
            return job.wait_until(lambda: job.status.is_final, timeout)
        finally:
            if granted:
                self._dispatcher.end_wait()

    def wait_until_all_jobs_finished(self, timeout: float | None = None) -> bool:
        """Wait until no job is unfinished; paused and kept-open jobs count as unfinished."""
        self._check_process()
        if self._dispatcher.is_worker() or current.get() is not None:
            raise WaitWouldDeadlockError("(all)", "a logic would wait for its own job too")
        return self._roster.wait_for(lambda: not self._roster.runs(), timeout)

    def _may_wait(self, job: JobState) -> bool:
        frame = current.get()
        if frame is not None and frame.job_state is job:
            raise WaitWouldDeadlockError(job.job_id, "the logic that waits belongs to it")
        if not self._dispatcher.is_worker():
            if frame is not None:
                raise WaitWouldDeadlockError(job.job_id, "an async logic would block its loop; await the job instead")
            return False
        if not self._dispatcher.begin_wait():
            raise WaitWouldDeadlockError(job.job_id, "no worker would be left to run it")
        return True

    def _job_of(self, job_id: str) -> JobState:
        self._check_process()
        return self._roster.job(job_id)

    def _run(self, job_id: str) -> JobRun:
        self._check_process()
        return self._roster.run(job_id)

    def _run_if_any(self, job_id: str) -> JobRun | None:
        self._check_process()
        return self._roster.live_run(job_id)

    def explain_all(self, job_id: str) -> JobExplanation:
        """Say why a job is not finished: what keeps it, and every routine that has not ended, those that matter first.

        `str` of it fits on a screen, `to_dict()` is complete; iterating gives an `Explanation` for each routine.

        Raises:
            JobNotFoundError: it is not known.
        """
        job = self._job_of(job_id)
        run = self._roster.unfinished(job_id)
        ahead = None if run is None else self._roster.ahead_of(run)
        return explaining.explain_job(job, run, ahead)

    # --- control --------------------------------------------------------------------------------------------

    def cancel_job(self, job_id: str) -> bool:
        """Cancel a job: nothing new starts, it ends within the grace. False if it had ended or was ending."""
        run = self._run_if_any(job_id)
        return run is not None and run.stop(ExecutionStatus.CANCELLED, None, self.grace_seconds)

    def pause_job(self, job_id: str, timeout: float | None = None) -> bool:
        """Let a job come to rest: nothing new starts; it is paused once all that runs reached a boundary.

        Returns at once whether it is paused; with ``timeout``, waits so many seconds for it.

        Raises:
            JobStateError: it has ended, or has not begun.
        """
        run = self._run(job_id)
        run.pause()
        if timeout is not None:
            run.job.wait_until(lambda: run.job.status is not ExecutionStatus.RUNNING, timeout)
        return run.job.status is ExecutionStatus.PAUSED

    def resume_job(self, job_id: str) -> bool:
        """Let a paused job go on. False if it is not paused."""
        run = self._run_if_any(job_id)
        return run is not None and run.resume()

    def hold_routine(
        self, job_id: str, routine_id: str, when: Callable[[dict[str, list[Any]]], Any] | None = None
    ) -> None:
        """Stop a routine before its next activation, or the next one whose items meet ``when``; the rest goes on."""
        run = self._run(job_id)
        cell = run.cell(routine_id)
        cell.hold = Hold(when)
        cell.nudge()
        run.leave_limbo(cell)  # it may stand before an older breakpoint

    def step_routine(self, job_id: str, routine_id: str) -> bool:
        """Let a held routine run once more. False if it is not held."""
        run = self._run(job_id)
        cell = run.cell(routine_id)
        if cell.hold is None:
            return False
        cell.hold.step()
        run.leave_limbo(cell)
        return True

    def release_routine(self, job_id: str, routine_id: str) -> bool:
        """Let a held routine go on. False if it is not held."""
        run = self._run(job_id)
        cell = run.cell(routine_id)
        hold, cell.hold = cell.hold, None
        if hold is None:
            return False
        hold.is_standing = False
        run.leave_limbo(cell)
        return True

    def forget_job(self, job_id: str) -> None:
        """Forget a job that has ended.

        Raises:
            JobStateError: it has not ended.
        """
        self._check_process()
        self._roster.forget(job_id)

    # --- the end --------------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Shutdown:
        """End the runtime: drain (``wait``) or cancel, then end all threads. The second call does nothing.

        Kept-open jobs are closed first. What has not ended after ``timeout`` seconds is cancelled and named.
        """
        if os.getpid() != self._pid:
            return Shutdown((), ())  # a forked child: the threads and the jobs are its parent's
        if current.get() is not None:
            raise WaitWouldDeadlockError("(all)", "a logic would shut down the runtime that runs it")
        self._roster.close()
        if self._report is not None:
            return self._report
        if wait:
            for run in self._roster.runs():
                run.shut_door()
            self._drain(timeout)
        remaining = self._roster.runs()
        paused = tuple(run.job.job_id for run in remaining if run.job.status is ExecutionStatus.PAUSED)
        abandoned = tuple(run.job.job_id for run in remaining if run.job.job_id not in paused)
        for run in remaining:
            if run.job.job_id not in paused:
                run.stop(ExecutionStatus.CANCELLED, None, self.grace_seconds if not wait else 0.05)
        self._drain(self.grace_seconds + 1.0 if not wait else 1.0)
        for run in self._roster.runs():
            if run.job.job_id not in paused:
                run.abandon_all()
        self._dispatcher.stop(1.0)
        if self._executor is not None:
            self._executor.stop()
        with self._lock:
            self._report = Shutdown(
                abandoned if wait else tuple(j for j in abandoned if self._roster.unfinished(j)), paused
            )
            return self._report

    def _drain(self, timeout: float | None) -> bool:
        return self._roster.wait_for(self._is_drained, timeout)

    def _is_drained(self) -> bool:
        return all(run.job.status is ExecutionStatus.PAUSED for run in self._roster.runs())

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeClosedError("it was made in another process, and threads do not survive a fork")

    def _check_open(self) -> None:
        self._check_process()
        if self._roster.is_closed:
            raise RuntimeClosedError

    def _loop(self) -> Executor:
        with self._lock:
            if self._executor is None:
                make = self._make_executor or rings.load("routilux.engines.async_loop").LoopExecutor
                self._executor = make()
            return self._executor

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.shutdown(wait=kind is None)

    def __repr__(self) -> str:
        return f"<Runtime: {len(self._roster.runs())} unfinished jobs>"
