"""What policies say about themselves is true: random ones, built of one another, asked under random traffic.

Design: §2.5. What holds is claimed for the first activation: a policy may keep something afterwards.
"""

import random
from typing import Any

import pytest

from routilux import Flow, JobState, Routine, Slot
from routilux.demand import demand_of
from routilux.policies import (
    absence_policy,
    all_slots_ready_policy,
    as_of_policy,
    batch_size_policy,
    combine_latest_policy,
    count_or_timeout_policy,
    debounce_policy,
    each_item_policy,
    first_of,
    immediate_policy,
    join_policy,
    latest_policy,
    manual_policy,
    quorum_policy,
    rates_policy,
    schedule_policy,
    sequence_policy,
    session_policy,
    sliding_policy,
    sync_time_policy,
    throttle_policy,
    time_interval_policy,
    until_policy,
    weight_policy,
    window_policy,
    with_latest_policy,
)
from routilux.testing import ManualClock, SimRuntime

SLOTS = ("x", "y")
SINGLE = [
    absence_policy(3),
    all_slots_ready_policy(),
    as_of_policy("x", "y"),
    as_of_policy("y", "x", 3, ord, on_unmatched="drop"),
    batch_size_policy(2),
    batch_size_policy(3),
    batch_size_policy(3, at_end="fire"),
    combine_latest_policy(),
    count_or_timeout_policy(3, 5),
    debounce_policy(2),
    each_item_policy(),
    immediate_policy(),
    join_policy(str.lower),
    join_policy(str.lower, need=1),
    join_policy(str.lower, need=2, at_end="fire"),
    join_policy(str.lower, within_seconds=3, on_expire="fire"),
    join_policy(str.lower, build="y"),
    join_policy(str.lower, build="x", at_end="hold"),
    latest_policy(),
    manual_policy(),
    quorum_policy(1),
    quorum_policy(2),
    quorum_policy(2, 5),
    rates_policy({"x": 2, "y": 1}),
    rates_policy({"x": 1}),
    schedule_policy(every_seconds=3),
    sequence_policy(["x", "y", "x"]),
    sequence_policy([str.islower, str.isupper], 3),
    sequence_policy([str.islower, "y", str.isupper], key=str.lower, contiguity="strict"),
    session_policy(2),
    sliding_policy(3, 2),
    sync_time_policy(1),
    sync_time_policy(2, ord, max_wait_seconds=3),
    throttle_policy(2, 1),
    time_interval_policy(3),
    until_policy(str.isupper),
    weight_policy(3, len),
    window_policy(3),
    window_policy(5, 2, ord, on_late="deliver"),
    with_latest_policy("x"),
]


def random_policy(draw: random.Random, depth: int = 2) -> Any:
    """Draw a policy made of others."""
    if not depth or draw.random() < 0.3:
        return draw.choice(SINGLE)
    one, other = random_policy(draw, depth - 1), random_policy(draw, depth - 1)
    match draw.randrange(7):
        case 0:
            return one & other
        case 1:
            return one | other
        case 2:
            return one.unless(other)
        case 3:
            return one.within(4, draw.choice(("fire", "drop")))
        case 4:
            return one.labelled("absorbs") if "build=" in repr(one) else one.by_key(str.lower)
        case 5:
            return one.labelled("label")
        case _:
            return one.times(2)


class Traffic:
    """Random items, time and an end, for a policy that is asked by hand."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.clock = ManualClock()
        self.job = fresh_job(self)
        self.slots = {name: Slot(name, clock=self.clock) for name in SLOTS}

    def counts(self) -> dict[str, int]:
        return {name: slot.get_unconsumed_count() for name, slot in self.slots.items()}

    def go_on(self) -> None:
        """Let one thing happen: an item, some time, seldom the end."""
        kind = self.draw.random()
        is_over = self.slots["x"].is_closed
        if kind < 0.7 and not is_over:
            self.slots[self.draw.choice(SLOTS)].enqueue(self.draw.choice("abAB"))
        elif kind < 0.95 or is_over:
            self.clock.advance(self.draw.choice((0.5, 3)))
        else:
            for slot in self.slots.values():
                slot.queue.close()


def fresh_job(traffic: Traffic) -> JobState:
    """A job without memory, under the clock of some traffic."""
    job = JobState("f", clock=traffic.clock)
    job.current_routine_id = "t"
    return job


def reaches(demand: Any, counts: dict[str, int]) -> bool:
    """Whether the numbers of a demand are there."""
    return (
        all(counts.get(name, 0) >= count for name, count in demand.items.items())
        and sum(counts.values()) >= demand.total
        and sum(count > 0 for count in counts.values()) >= demand.slot_count
    )


@pytest.mark.parametrize("seed", range(300))
def test_a_policy_activates_as_it_says_for_the_first_time(seed: int) -> None:
    draw = random.Random(seed)
    policy = SINGLE[seed] if seed < len(SINGLE) else random_policy(draw)
    demand = demand_of(policy, SLOTS)
    for _ in range(10):
        traffic = Traffic(draw)
        for _ in range(25):
            counts = traffic.counts()
            decision = policy(traffic.slots, traffic.job)
            if decision.should_activate:
                assert not demand.never, policy
                assert sum(counts.values()) >= demand.least_total, policy
                assert all(counts[name] >= count for name, count in demand.least_items.items()), policy
                assert sum(count > 0 for count in counts.values()) >= demand.least_slots, policy
                took = {name: counts[name] - left for name, left in traffic.counts().items()}
                if demand.takes is not None and demand.is_strict and demand.is_enough:
                    assert took == {name: demand.takes.get(name, 0) for name in SLOTS}, policy
                break
            assert not (demand.is_enough and demand.needs_items and reaches(demand, counts)), policy
            traffic.go_on()


@pytest.mark.parametrize("seed", range(200))
def test_a_part_that_is_said_to_be_never_reached_never_decides(seed: int) -> None:
    draw = random.Random(seed)
    one, other = random_policy(draw, 1), random_policy(draw, 1)
    if not demand_of(one, SLOTS).is_ready_whenever(demand_of(other, SLOTS)):
        return
    traffic = Traffic(draw)
    for _ in range(40):
        both = first_of(one, other)
        decision = both(traffic.slots, traffic.job)
        if decision.should_activate:
            break
        assert not other(traffic.slots, fresh_job(traffic)).should_activate, both
        traffic.go_on()


def random_flow(draw: random.Random) -> Flow:
    """Some sources and some routines with policies, wired at random; every logic emits an item, at first."""

    def pass_on(x: Any, y: Any, *, routine: Any, job_state: Any) -> None:
        if job_state.mutate_shared_data("activations", lambda count: count + 1, 0) < 30:
            routine.emit("out", "a")

    flow = Flow("random", on_leftover="ok")
    for number in range(draw.randint(0, 2)):
        flow.add_routine(Routine("s").set_logic(lambda routine: routine.emit("out", "a")), f"s{number}")
    for number in range(draw.randint(1, 5)):
        made = Routine("r").set_logic(pass_on)
        made.add_slot("x").add_slot("y").set_activation_policy(random_policy(draw, 1))
        flow.add_routine(made, f"r{number}")
    ids = list(flow.routines)
    for target_id, slot in [(key, slot) for key in ids if key.startswith("r") for slot in SLOTS]:
        if draw.random() < 0.8:
            flow.connect(draw.choice(ids), "out", target_id, slot)
    return flow


@pytest.mark.parametrize("seed", range(150))
def test_what_is_said_never_to_start_never_starts(seed: int) -> None:
    flow = random_flow(random.Random(seed))
    findings = flow.validate()
    if any(finding.is_error for finding in findings):
        return
    sim = SimRuntime(seed=seed)
    job = sim.exec(flow, keep_open=True)
    sim.advance(20)
    ran = {record.routine_id for record in job._records.values() if record.activation_count}
    for finding in findings:
        if finding.code in ("R103", "R104", "R105"):
            named = {part.split(".")[0] for part in finding.place.split(" -> ")}
            assert not named & ran, (finding, [repr(flow.routine(key).activation_policy) for key in named])
    sim.cancel_job(job.job_id)
    sim.shutdown(wait=False)
