"""The laws of every policy, over random traffic with store-and-resume at random steps. Design: the catalogue."""

import json
import random
from typing import Any

import pytest

from routilux import Flow, JobState, Routine
from routilux.policies import (
    all_slots_ready_policy,
    as_of_policy,
    batch_size_policy,
    custom_policy,
    debounce_policy,
    first_of,
    immediate_policy,
    join_policy,
    manual_policy,
    schedule_policy,
    sequence_policy,
    sync_time_policy,
    time_interval_policy,
    weight_policy,
    window_policy,
    with_latest_policy,
)
from routilux.testing import ManualClock, SimRuntime
from tests.unit.policies.test_composition import ALL

SLOTS = ("x", "y")
PERMITTED_EMPTY = ("schedule", "absence", "manual")
POLICIES = [
    policy
    for policy in ALL
    if "customer" not in repr(policy) and ", int" not in repr(policy) and "bool" not in repr(policy)
]
MORE = [
    custom_policy(lambda slots, job_state: slots["x"].get_unconsumed_count() > 1),
    first_of(all_slots_ready_policy(), time_interval_policy(4), manual_policy()),
    (immediate_policy() & all_slots_ready_policy()).within(3, "drop"),
    schedule_policy(every_seconds=2, misfire="all"),
    batch_size_policy(2).by_key(str.lower) & time_interval_policy(3),
    weight_policy(3, len, within_seconds=4),
    with_latest_policy("y").by_key(str.lower, max_keys=2, idle_seconds=3),
    debounce_policy(2).by_key(str.lower) | schedule_policy(every_seconds=5),
    schedule_policy(every_seconds=2, misfire="skip"),
    join_policy(str.lower, build="y") & time_interval_policy(3),
    join_policy(str.lower, within_seconds=5, on_expire="fire") | batch_size_policy(4),
    as_of_policy("x", "y", 3, ord) & time_interval_policy(3),
    sync_time_policy(3).by_key(str.isalpha),
    sync_time_policy(5, ord, 5) | debounce_policy(4),
    as_of_policy("x", "y").by_key(str.isalpha),
    (join_policy(str.lower, build="x").within(4, "drop") & immediate_policy()).times(5),
    window_policy(4, 2).by_key(str.lower),
    window_policy(4, 2) & batch_size_policy(1),
    window_policy(4) | batch_size_policy(3),
    batch_size_policy(3) | window_policy(6, 2, ord, 2, "deliver", 2),
    sequence_policy(["x", "y"], within_seconds=3) & time_interval_policy(2),
    sequence_policy([str.isdigit, str.isalpha], 3).by_key(len) | debounce_policy(6),
    batch_size_policy(3) | sequence_policy(["x", "y", "x"], contiguity="strict", key=str.isdigit),
    sequence_policy(["x", "y"]).within(3, "drop"),
]


def flow_of(policy: Any) -> Any:
    def note(*lists: Any, job_state: Any) -> None:
        job_state.append_shared_data("seen", [job_state.monotonic(), *[list(items) for items in lists]])

    target = Routine("t").set_activation_policy(policy).set_logic(note)
    for name in SLOTS:
        target.add_slot(name, max_queue_length=None)
    return Flow("laws", on_leftover="ok").add_routine(target, "t")


class Traffic:
    """One random job: posts, time, storing and resuming, the end."""

    def __init__(self, policy: Any, seed: Any, resumes: Any) -> None:
        self.random = random.Random(seed)
        self.flow = flow_of(policy)
        self.clock = ManualClock()
        self.sim = SimRuntime(seed, clock=self.clock)
        self.job = self.sim.exec(self.flow, keep_open=True)
        self.resumes = resumes
        self.sent = dict.fromkeys(SLOTS, 0)

    def run(self) -> Any:
        for _number in range(30):
            match self.random.randrange(5):
                case 0 | 1 | 2:
                    name = self.random.choice(SLOTS)
                    self.sim.post(self.job.job_id, "t", name, self.random.choice("123456789aAbB"))
                    self.sent[name] += 1
                case 3:
                    self.sim.advance(self.random.choice([0.5, 1, 3, 7]))
                case _:
                    for _ in range(self.random.randrange(4)):
                        self.sim.step()
            if self.resumes and self.random.random() < 0.3:
                self.resume()
        self.sim.close_job(self.job.job_id)
        assert self.sim.wait_for_job(self.job.job_id, 10_000)
        self.sim.shutdown(wait=False)
        return self.job

    def resume(self) -> None:
        stored = json.loads(json.dumps(self.job.serialize()))
        self.sim.shutdown(wait=False)
        past = self.clock.ticks() / 1e9
        self.clock = ManualClock()
        self.clock.advance(past)
        self.sim = SimRuntime(self.random.randrange(100), clock=self.clock)
        self.job = JobState.deserialize(stored, clock=self.clock)
        self.sim.exec(self.flow, self.job, keep_open=True)


def consumed(job: Any) -> Any:
    found = {name: [] for name in SLOTS}  # type: ignore[var-annotated]
    for record in job.execution_history:
        if record.routine_id == "t" and isinstance(record.data.get("items"), dict):
            for name, seqs in record.data["items"].items():
                found[name] += seqs
    return found


def absorbed(job: Any, name: str) -> set[int]:
    """Which items went into the memory of the policy: consumed, but by no activation."""
    return {point.seq for point in job.slots("t")[name].consumed_points()}.difference(consumed(job)[name])


@pytest.mark.parametrize("resumes", [False, True], ids=["live", "resumed"])
@pytest.mark.parametrize("policy", POLICIES + MORE, ids=repr)
def test_every_item_ends_once(policy: Any, resumes: Any) -> None:
    for seed in range(12):
        traffic = Traffic(policy, seed, resumes)
        job = traffic.run()
        taken = consumed(job)
        for name in SLOTS:
            dropped = sum(job.drops.get(("t", name), {}).values())
            left = job.slots("t")[name].get_unconsumed_count()
            assert len(taken[name]) == len(set(taken[name])), (seed, "consumed twice")
            kept = len(absorbed(job, name))
            assert not kept or f"build='{name}'" in repr(policy), (seed, name, "consumed by nobody")
            assert len(taken[name]) + dropped + left + kept == traffic.sent[name], (seed, name, dropped, left, kept)


@pytest.mark.parametrize("policy", POLICIES + MORE, ids=repr)
def test_the_same_traffic_gives_the_same_decisions(policy: Any) -> None:
    for seed in range(3):
        first, second = (Traffic(policy, seed, False).run() for _ in range(2))
        assert first.get_shared_data("seen") == second.get_shared_data("seen")
        decisions = [[(d.should_activate, d.at) for d in job.explain("t").decisions] for job in (first, second)]
        assert decisions[0] == decisions[1]


@pytest.mark.parametrize("policy", POLICIES + MORE, ids=repr)
def test_the_explanation_agrees_with_the_decision(policy: Any) -> None:
    for seed in range(6):
        for decision in Traffic(policy, seed, seed % 2 == 1).run().explain("t").decisions:
            if decision.conditions and decision.conditions[0].name != "activated by hand":
                met = all(condition.is_met for condition in decision.conditions)
                assert met == decision.should_activate, (seed, str(decision))


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_only_policies_that_promise_it_activate_with_nothing(policy: Any) -> None:
    if not any(name in repr(policy) for name in PERMITTED_EMPTY):
        for seed in range(6):
            seen = Traffic(policy, seed, False).run().get_shared_data("seen", [])
            assert all(any(lists) for _, *lists in seen)
