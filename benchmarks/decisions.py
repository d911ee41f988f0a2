"""What a decision costs: each policy over a backlog, its instructions counted and its time measured.

A decision is all that `runtime.deciding` does: asking the policy, what follows from its answer, up to the activation that
begins or does not. Policies that take a number of items are counted per item taken, out of a backlog; all of them per
decision while items come one by one, to an empty slot or behind a backlog that the policy holds.
Counts are made on `SimRuntime` like those of `benchmarks.guard`.
"""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from benchmarks.measuring import Figure, measure
from routilux import Flow, Routine, policies
from routilux.policies import Policy
from routilux.runtime import deciding
from routilux.testing import SimRuntime

DECIDE = deciding.decide.__code__
BACKLOGS = (10, 100_000)
"""How many items wait behind those that are taken."""
SINK = "sink"
TAKEN = 200
TRICKLED = 20


def weigh_one(item: int) -> int:
    """Give every item the same weight."""
    return 1


def is_any(item: int) -> bool:
    """Say yes to every item."""
    return True


def by_tens(item: int) -> int:
    """Give ten items each the same second."""
    return item // 10


def alone(item: int) -> int:
    """Give each item a second of its own."""
    return item


def is_none(item: int) -> bool:
    """Say no to every item."""
    return False


def has_any(slots: Any, job_state: Any) -> bool:
    """Check whether anything waits."""
    return bool(slots["items"].get_unconsumed_count())


def is_never(slots: Any, job_state: Any) -> bool:
    """Check nothing, and say no."""
    return False


def _emit_two(items: list[int], routine: Routine) -> None:
    for item in items:
        routine.emit("out", item)
        routine.emit("out", item + 1)


@dataclass(frozen=True, slots=True)
class Case:
    """A policy, set so that it looks at one item where it can be; every slot holds the same items."""

    policy: Policy
    slots: tuple[str, ...] = ("items",)
    is_behind_fan_out: bool = False


TWO = ("items", "others")
READY = policies.all_slots_ready_policy()

CASES: dict[str, Case] = {
    "all_slots_ready": Case(policies.all_slots_ready_policy()),
    "batch_size": Case(policies.batch_size_policy(1)),
    "rates": Case(policies.rates_policy({"items": 1})),
    "each_item": Case(policies.each_item_policy()),
    "quorum": Case(policies.quorum_policy(1)),
    "throttle": Case(policies.throttle_policy(1_000_000, per_seconds=1)),
    "count_or_timeout": Case(policies.count_or_timeout_policy(1, within_seconds=5)),
    "weight": Case(policies.weight_policy(1, weigh_one)),
    "until": Case(policies.until_policy(is_any)),
    "sliding": Case(policies.sliding_policy(1)),
    "combine_latest": Case(policies.combine_latest_policy()),
    "with_latest": Case(policies.with_latest_policy("items")),
    "sequence": Case(policies.sequence_policy([is_any, is_any])),
    "window": Case(policies.window_policy(1, time_of=by_tens)),
    "window of one": Case(policies.window_policy(1, time_of=alone)),
    "join": Case(policies.join_policy(alone), TWO),
    "as_of": Case(policies.as_of_policy("items", "others"), TWO),
    "as_of by its time": Case(policies.as_of_policy("items", "others", time_of=alone), TWO),
    "sync_time": Case(policies.sync_time_policy(0, time_of=alone), TWO),
    "gather": Case(policies.gather_policy("split"), is_behind_fan_out=True),
}
COMPOSED: dict[str, Case] = {
    "&": Case(READY & policies.each_item_policy()),
    "|": Case(policies.batch_size_policy(10**9) | READY),
    "unless": Case(READY.unless(policies.batch_size_policy(10**9))),
    "within": Case(READY.within(10**6)),
    "times": Case(READY.times(10**9)),
    "labelled": Case(READY.labelled("ready")),
    "by_key": Case(READY.by_key(by_tens)),
}
"""Policies around all_slots_ready."""

TRICKLE: dict[str, Policy] = {
    "all_slots_ready": CASES["all_slots_ready"].policy,
    "immediate": policies.immediate_policy(),
    "custom": policies.custom_policy(has_any),
    "latest": policies.latest_policy(),
    "time_interval": policies.time_interval_policy(0.5),
    "debounce": policies.debounce_policy(0.5),
    "session": policies.session_policy(0.5),
    "absence": policies.absence_policy(5),
    "schedule": policies.schedule_policy(every_seconds=1),
    "arrival window": policies.window_policy(1),
}
"""Policies that take all that waits, or look at the clock: an item a second, counted per decision."""

HOLDING: dict[str, Policy] = {
    "batch_size": policies.batch_size_policy(10**9),
    "rates": policies.rates_policy({"items": 10**9}),
    "count_or_timeout": policies.count_or_timeout_policy(10**9, 10**6),
    "weight": policies.weight_policy(10**9, weigh_one),
    "until": policies.until_policy(is_none),
    "sliding": policies.sliding_policy(10**9),
    "custom": policies.custom_policy(is_never),
    "debounce": policies.debounce_policy(10**6),
    "session": policies.session_policy(10**6),
    "manual": policies.manual_policy(),
    "schedule": policies.schedule_policy(every_seconds=10**6),
    "arrival window": policies.window_policy(10**6),
    "window": policies.window_policy(10**6, time_of=alone),
    "sequence": policies.sequence_policy([is_any, is_none], max_unfinished=10**9),
}
"""Policies that hold all that comes."""


class Job:
    """A job whose only routine has a policy and so many items before it."""

    def __init__(self, case: Case, backlog: int = 0) -> None:
        sink = Routine(SINK).set_activation_policy(case.policy).set_logic(self._take)
        for name in case.slots:
            sink.add_slot(name, max_queue_length=None)
        flow = Flow("decisions", on_leftover="ok").add_routine(sink)
        self.sim = SimRuntime(seed=1)
        self.taken = self.taken_first = 0
        self.slots = case.slots
        items = list(range(backlog))
        if case.is_behind_fan_out:
            self.job_id = self._fan_out(flow, items)
        else:
            self.job_id = self.sim.exec(flow, inputs={SINK: dict.fromkeys(case.slots, items)}, keep_open=True).job_id

    def _fan_out(self, flow: Flow, items: list[int]) -> str:
        """Have a fan-out emit two items for each, and the sink wait with all of them."""
        split = (
            Routine("split").add_slot("in", max_queue_length=None).set_activation_policy(policies.each_item_policy())
        )
        flow.add_routine(split.set_logic(_emit_two)).connect("split", "out", SINK, "items")
        job = self.sim.exec(flow, keep_open=True)
        self.sim.hold_routine(job.job_id, SINK)
        for item in items[::2]:
            self.sim.post(job.job_id, "split", "in", item)
        self.sim.run_until_idle()
        self.sim.release_routine(job.job_id, SINK)
        return job.job_id

    def _take(self, *lists: list[int]) -> None:
        count = sum(map(len, lists))
        self.taken += count
        self.taken_first = self.taken_first or count

    def take(self) -> None:
        """Let it take items of its backlog."""
        while self.taken < TAKEN and self.sim.step():
            pass

    @property
    def has_begun(self) -> bool:
        """Whether it activated for the first time: before that it looks at all that came, once."""
        return self.taken > 0

    def feed(self, count: int) -> None:
        """Give it an item a second."""
        for number in range(count):
            for name in self.slots:
                self.sim.post(self.job_id, "sink", name, number)
            self.sim.run_until_idle()
            self.sim.advance(1)


def instructions(case: Case, backlog: int) -> float:
    """Count the instructions of deciding per item taken: the same every time on one Python version."""
    job = Job(case, backlog + TAKEN)
    count = _counted(job.take, lambda: job.has_begun)[0] / (job.taken - job.taken_first)
    job.sim.shutdown(wait=False)
    return count


def instructions_of_arrivals(case: Case, backlog: int) -> float:
    """Count the instructions of the first decision per item that came: what is looked at once."""
    job = Job(case, backlog)
    count = _counted(job.take, lambda: not job.has_begun)[0] / (backlog * len(case.slots))
    job.sim.shutdown(wait=False)
    return count


def instructions_of_a_trickle(policy: Policy, backlog: int = 0) -> float:
    """Count the instructions of a decision while items come one by one, behind so many that are held."""
    job = Job(Case(policy), backlog)
    job.sim.run_until_idle()
    job.feed(2)
    counted, decisions = _counted(lambda: job.feed(TRICKLED))
    job.sim.cancel_job(job.job_id)
    job.sim.shutdown(wait=False)
    return counted / decisions


def _counted(work: Callable[[], None], when: Callable[[], bool] = lambda: True) -> tuple[int, int]:
    """Count instructions inside of decisions, and decisions."""
    counted = decisions = 0
    inside = False

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal counted, inside
        if event == "opcode":
            counted += 1
        elif event == "return" and frame.f_code is DECIDE:
            inside = False
        return count

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal decisions, inside
        if frame.f_code is DECIDE and frame.f_locals["cell"].routine_id == SINK and when():
            inside = True
            decisions += 1
        if not inside:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return count

    before = sys.gettrace()
    gc.disable()  # what others left to be finalized would be counted here
    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return counted, decisions


def seconds(case: Case, backlog: int) -> float:
    """Measure deciding, per item taken."""
    job = Job(case, backlog + TAKEN)
    spent, _ = _timed(job.take)
    job.sim.shutdown(wait=False)
    return spent / job.taken


def seconds_of_a_trickle(policy: Policy, backlog: int) -> float:
    """Measure a decision while items come one by one, behind so many that are held."""
    job = Job(Case(policy), backlog)
    job.sim.run_until_idle()
    spent, decisions = _timed(lambda: job.feed(TRICKLED))
    job.sim.cancel_job(job.job_id)
    job.sim.shutdown(wait=False)
    return spent / decisions


def _timed(work: Callable[[], None]) -> tuple[float, int]:
    """Measure the seconds inside of decisions, and count them."""
    decide = deciding.decide
    spent = 0.0
    decisions = 0

    def timed(cell: Any) -> Any:
        nonlocal spent, decisions
        if cell.routine_id != SINK:
            return decide(cell)
        decisions += 1
        begin = time.perf_counter()
        found = decide(cell)
        spent += time.perf_counter() - begin
        return found

    deciding.decide = timed  # for the time of this measurement
    try:
        work()
    finally:
        deciding.decide = decide
    return spent, decisions


def figures(quick: bool, repetitions: int) -> list[Figure]:
    """Each policy at each backlog that it takes from or holds, and with nothing waiting; in µs."""
    backlogs = (10, 1_000) if quick else BACKLOGS
    found = [
        measure(f"{name} {backlog:,}", "deciding, per item taken", partial(seconds, case, backlog), 1, repetitions)
        for name, case in (CASES | COMPOSED).items()
        for backlog in backlogs
    ]
    for name, policy in TRICKLE.items():
        once = partial(seconds_of_a_trickle, policy, 0)
        found.append(measure(f"{name}, one by one", "a decision", once, 1, repetitions))
    for name, policy in HOLDING.items():
        for backlog in backlogs:
            once = partial(seconds_of_a_trickle, policy, backlog)
            found.append(measure(f"{name} holds {backlog:,}", "a decision, mostly no", once, 1, repetitions))
    return found
