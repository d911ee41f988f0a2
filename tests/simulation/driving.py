"""Runs a plan: steps its jobs, lets things happen to them, brings them to their end, and asks the invariants."""

import copy
import json
import logging
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from routilux import (
    Flow,
    JobFinishedError,
    JobState,
    JobStateError,
    Rate,
    SlotClosedError,
    SlotQueueFullError,
    SnapshotBusyError,
)
from routilux.recovery import ErrorStrategy
from routilux.testing import ManualClock, SimRuntime
from tests.simulation.building import build
from tests.simulation.drawing import Move, Plan, draw
from tests.simulation.invariants import Books, Violation, Watch, check_bounds, check_end, check_idle

MAX_STEPS = 30_000
MAX_SECONDS = 10.0  # of real time, for one seed: beyond it, something spins or hangs
RESTARTS = 2

Trace = list[tuple[str, str, list[Any]]]


class WatchedRuntime(SimRuntime):
    """A SimRuntime that looks at its jobs after each step."""

    def __init__(self, world: "World", seed: int, clock: ManualClock) -> None:
        self.world = world
        self.books: dict[str, Books] = {}
        self.runs: dict[str, Any] = {}  # the latest run of each job, also when it is over
        self.cells: dict[str, list[Any]] = {}
        plan = world.plan
        limits = {name: n if per is None else Rate(n, per) for name, (n, per) in plan.limits.items()}
        super().__init__(
            seed,
            clock=clock,
            observers=[Watch(plan, self.books)] if plan.observed else [],
            resources={"books": self.books, "atomic": world.atomic},
            limits=limits,
            grace_seconds=2.0,
        )

    def _make_run(self, *args: Any) -> Any:
        run = super()._make_run(*args)
        self.runs[run.job.job_id] = run
        self.cells[run.job.job_id] = list(run.cells)
        return run

    def step(self) -> bool:
        did = super().step()
        if self.world.is_over:
            return did
        self.world.count_step()
        for job_id, run in self.runs.items():
            books = self.books[job_id]
            check_bounds(books, run)
            if not did:
                check_idle(books, run)
            if books.problems:
                raise Violation(f"{job_id}: {books.problems[0]}")
        return did


class Member:
    """One job in one runtime."""

    def __init__(self, runtime: WatchedRuntime, job: JobState) -> None:
        self.runtime = runtime
        self.job = job
        self.held: set[str] = set()
        self.restarts = 0

    @property
    def job_id(self) -> str:
        return self.job.job_id

    @property
    def books(self) -> Books:
        return self.runtime.books[self.job_id]

    @property
    def is_live(self) -> bool:
        return not self.job.status.is_final

    @property
    def run(self) -> Any:
        return self.runtime.runs[self.job_id]


class World:
    """Everything that one seed drew, and how it goes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(f"world {plan.seed}")
        self.flow: Flow = build(plan)
        self.steps = 0
        self.is_over = False
        self.atomic = {step.routine_id: _is_atomic(plan, step) for step in plan.steps}
        self.runtimes: list[WatchedRuntime] = []
        self.members: list[Member] = []
        self.trace: Trace = []
        self.tell: Callable[[str], object] = lambda text: None

    def count_step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Violation(f"not at its end after {MAX_STEPS} steps")

    def new_runtime(self, clock: ManualClock) -> WatchedRuntime:
        runtime = WatchedRuntime(self, self.rng.randrange(1_000_000), clock)
        self.runtimes.append(runtime)
        return runtime

    # --- the whole way ------------------------------------------------------------------------------------------

    def play(self) -> Trace:
        """Play the plan to its end and give what happened: status and history of every job."""
        try:
            runtime = self.new_runtime(ManualClock())
            for number in range(self.plan.jobs):
                self.begin(runtime, number)
            for move in self.plan.moves:
                self.make(move)
            for member in list(self.members):
                self.finish(member)
            return self.trace
        finally:
            self.is_over = True
            for runtime in self.runtimes:
                runtime.shutdown(wait=False)

    def begin(self, runtime: WatchedRuntime, number: int) -> None:
        inputs: dict[str, dict[str, list[Any]]] = {
            routine_id: {
                slot: [(f"inputs {routine_id}.{slot} {index}", self.plan.hops) for index in range(count)]
                for slot, count in slots.items()
            }
            for routine_id, slots in self.plan.inputs.items()
        }
        books = Books(self.plan)
        job = JobState(self.flow.flow_id, f"job{number}", clock=runtime.manual_clock)
        runtime.books[job.job_id] = books
        books.fed = [(i[0], rid, slot) for rid, slots in inputs.items() for slot, items in slots.items() for i in items]
        runtime.exec(
            self.flow, job, inputs=inputs, keep_open=self.plan.keep_open, priority=self.rng.choice((0, 0, 0, 1))
        )
        self.members.append(Member(runtime, job))

    def finish(self, member: Member) -> None:
        """Open what is held and close what is open; then the job must end."""
        while True:
            if member.is_live:
                self.move_release(member, None)
                self._release_others(member)
                member.runtime.resume_job(member.job_id)
                member.runtime.close_job(member.job_id)
            if not member.runtime.wait_for_job(member.job_id):
                why = "\n  ".join(str(found) for found in member.runtime.explain_all(member.job_id))
                raise Violation(f"{member.job_id} hangs as {member.job.status}, mode {member.run.mode}:\n  {why}")
            self.check(member)
            history = [tuple(record) for record in member.job.execution_history]
            self.trace.append((member.job_id, str(member.job.status), history))
            if not self.restart(member):
                return

    def check(self, member: Member) -> None:
        check_end(member.books, member.run, member.runtime.cells[member.job_id])
        if member.books.problems:
            raise Violation(f"{member.job_id} ({member.job.status}): {member.books.problems[0]}")

    def _release_others(self, member: Member) -> None:
        """Jobs may wait in line behind others, or for a limit that others hold."""
        for other in self.members:
            if other.runtime is member.runtime and other is not member and other.is_live:
                self.move_release(other, None)
                other.runtime.resume_job(other.job_id)
                other.runtime.close_job(other.job_id)

    # --- moves --------------------------------------------------------------------------------------------------

    def make(self, move: Move) -> None:
        member = self.members[move.pick % len(self.members)]
        self.tell(f"{move} on {member.job!r} at {member.runtime.manual_clock.now.time()}")
        if member.is_live or move.kind in ("steps", "idle", "advance", "post", "explain", "picture", "copy", "restart"):
            getattr(self, f"move_{move.kind}")(member, move)

    def move_steps(self, member: Member, move: Move) -> None:
        for _ in range(1 + move.pick % 13):
            member.runtime.step()

    def move_idle(self, member: Member, move: Move) -> None:
        member.runtime.run_until_idle()

    def move_advance(self, member: Member, move: Move) -> None:
        member.runtime.advance(move.seconds)

    def move_post(self, member: Member, move: Move) -> None:
        step = self._some_step(move)
        if not step.slots:
            return
        slot = step.slots[move.pick % len(step.slots)].name
        for _ in range(1 + move.pick % 3):
            uid = f"post {member.books.spent}.{len(member.books.fed)}"
            try:
                member.runtime.post(member.job_id, step.routine_id, slot, (uid, 1 + move.pick % self.plan.hops))
            except (SlotQueueFullError, SlotClosedError, JobFinishedError):
                return
            member.books.fed.append((uid, step.routine_id, slot))

    def move_pause(self, member: Member, move: Move) -> None:
        try:
            member.runtime.pause_job(member.job_id)
        except (JobStateError, JobFinishedError):
            return

    def move_resume(self, member: Member, move: Move) -> None:
        member.runtime.resume_job(member.job_id)

    def move_cancel(self, member: Member, move: Move) -> None:
        if move.pick % 3 == 0 and member.runtime.cancel_job(member.job_id):
            member.books.cancelled_run = member.job.run

    def move_hold(self, member: Member, move: Move) -> None:
        routine_id = self._some_step(move).routine_id
        if member.is_live:
            member.runtime.hold_routine(member.job_id, routine_id)
            member.held.add(routine_id)

    def move_step_routine(self, member: Member, move: Move) -> None:
        for routine_id in sorted(member.held):
            member.runtime.step_routine(member.job_id, routine_id)

    def move_release(self, member: Member, move: Move | None) -> None:
        for routine_id in sorted(member.held):
            member.runtime.release_routine(member.job_id, routine_id)
        member.held.clear()

    def move_close(self, member: Member, move: Move) -> None:
        member.runtime.close_job(member.job_id)

    def move_explain(self, member: Member, move: Move) -> None:
        for step in self.plan.steps:
            str(member.job.explain(step.routine_id))

    def move_activate(self, member: Member, move: Move) -> None:
        try:
            member.runtime.activate(member.job_id, self._some_step(move).routine_id)
        except JobFinishedError:
            return

    def move_replace(self, member: Member, move: Move) -> None:
        step = self._some_step(move)
        for slot in step.slots:
            points = member.job.slots(step.routine_id)[slot.name].peek_points()
            if points:
                point = points[move.pick % len(points)]
                member.runtime.replace_item(
                    member.job_id, step.routine_id, slot.name, point.seq, (point.data[0], point.data[1] - 1)
                )

    def move_repost(self, member: Member, move: Move) -> None:
        for letter in member.job.dead_letters[:1]:
            try:
                member.runtime.repost(member.job_id, letter.dead_letter_id)
            except (SlotQueueFullError, SlotClosedError, JobFinishedError):
                return
            member.books.reposted += [item[0] for items in letter.items.values() for item in items]

    def move_picture(self, member: Member, move: Move) -> None:
        """Take a picture and look away: it must change nothing."""
        self._picture(member, move)

    def move_copy(self, member: Member, move: Move) -> None:
        """Let a picture of the job live on in another runtime; the job itself goes on too."""
        if len(self.members) < 4 and member.run.started:
            self._move_away(member, move)

    def move_suspend(self, member: Member, move: Move) -> None:
        """Pause the job, store it, and go on in a fresh runtime."""
        self.move_pause(member, move)
        member.runtime.run_until_idle()
        if member.job.status == "paused" and self._move_away(member, move):
            self.members.remove(member)
            member.runtime.cancel_job(member.job_id)

    def move_restart(self, member: Member, move: Move) -> None:
        if member.job.status.is_final:
            self.check(member)
            self.restart(member)
        elif member.job.status == "paused" and not member.run.is_stopping and move.pick % 2:
            self._exec_again(member)

    def restart(self, member: Member) -> bool:
        """Begin the next run of a failed or cancelled job."""
        if member.job.status == "completed" or member.restarts >= RESTARTS or not member.run.started:
            return False
        member.restarts += 1
        self._exec_again(member)
        return True

    def _exec_again(self, member: Member) -> None:
        member.held.clear()
        _begin_run(member.books, member.job)
        member.runtime.exec(self.flow, member.job, keep_open=self.rng.random() < 0.3)

    def _picture(self, member: Member, move: Move) -> dict[str, Any] | None:
        try:
            picture = member.job.serialize(timeout=0, interrupted=move.pick % 3 == 0)
        except SnapshotBusyError:
            return None
        plain: dict[str, Any] = json.loads(json.dumps(picture))
        return plain

    def _move_away(self, member: Member, move: Move) -> bool:
        picture = self._picture(member, move)
        if picture is None or member.job.status == "completed":
            return False
        now = member.runtime.manual_clock.now
        clock = ManualClock(now + timedelta(seconds=self.rng.choice((0, 0, 0.5, 3600, -5))))
        runtime = self.new_runtime(clock)
        job = JobState.deserialize(picture, clock=clock)
        books = runtime.books[job.job_id] = copy.deepcopy(member.books)
        _begin_run(books, job)
        runtime.exec(self.flow, job, keep_open=self.rng.random() < 0.3)
        self.members.append(Member(runtime, job))
        return True

    def _some_step(self, move: Move) -> Any:
        return self.plan.steps[(move.pick // 7) % len(self.plan.steps)]


def _begin_run(books: Books, job: JobState) -> None:
    """What was under way begins again, or is taken up, in the next run."""
    books.working.clear()
    books.under_way.clear()
    books.run_began = max((record.seq + 1 for record in job.execution_history), default=0)


def _is_atomic(plan: Plan, step: Any) -> bool:
    handler = step.handler or plan.handler
    retries = handler is not None and handler.strategy is ErrorStrategy.RETRY
    overlaps = step.max_concurrency > 1 and step.ordered
    return bool(overlaps or (retries if step.atomic is None else step.atomic))


# --- one seed ---------------------------------------------------------------------------------------------------


class _Ear(logging.Handler):
    """Hears what the engine logs as an error: then something of it broke."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(logging.Formatter().format(record))


@contextmanager
def listening() -> Iterator[_Ear]:
    logger = logging.getLogger("routilux")
    ear = _Ear()
    level, propagates = logger.level, logger.propagate
    logger.addHandler(ear)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield ear
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
        logger.propagate = propagates


@contextmanager
def _hurry(seconds: float) -> Iterator[None]:
    """Break off what spins or blocks in one step."""

    def stop(*_: object) -> None:
        raise Violation(f"nothing comes back after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def play(seed: int) -> Trace:
    """Play one seed once.

    Raises:
        Violation: an invariant does not hold.
    """
    with listening() as ear, _hurry(MAX_SECONDS):
        trace = World(draw(seed)).play()
    if ear.heard:
        raise Violation(ear.heard[0])
    return trace


def check_seed(seed: int) -> None:
    """Play one seed twice: it keeps every invariant, and the same happens both times."""
    first, second = play(seed), play(seed)
    if first != second:
        raise Violation(_first_difference(first, second))


def _first_difference(first: Trace, second: Trace) -> str:
    for one, other in zip(first, second, strict=False):
        for record, again in zip(one[2], other[2], strict=False):
            if record != again:
                return f"the same seed went another way: {record} and then {again}"
    return f"the same seed ended differently: {[x[:2] for x in first]} and then {[x[:2] for x in second]}"
