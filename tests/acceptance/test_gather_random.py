"""Gathers in random flows: whatever stands between a fan-out and its gather, each group comes once, with its own."""

import json
import random
from typing import Any

import pytest

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, Routine, all_slots_ready_policy, time_interval_policy
from routilux.policies import batch_size_policy, each_item_policy, gather_policy
from routilux.testing import SimRuntime

SEEDS = range(150)
FAN_OUTS = 5


def split(items: list[int], routine: Routine) -> None:
    for item in items:
        for part in range(item):
            routine.emit("out", f"{item}.{part}")


class Between:
    """The routines between: drawn once, built anew for each runtime."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.count = rng.randint(1, 4)
        self.sizes = rng.sample(range(8), FAN_OUTS)
        self.links: list[tuple[str, str]] = []
        for number in range(self.count):
            before = ["split", *(f"w{earlier}" for earlier in range(number))]
            self.links += [(source, f"w{number}") for source in rng.sample(before, rng.randint(1, len(before)))]
        ends = [f"w{n}" for n in range(self.count) if all(source != f"w{n}" for source, _ in self.links)]
        others = [f"w{n}" for n in range(self.count) if f"w{n}" not in ends and rng.random() < 0.3]
        self.links += [(end, "collect") for end in [*ends, *others]]
        self.choices = [rng.random() for _ in range(20 * self.count)]
        self.mixes = False

    def flow(self) -> Flow:
        draws = iter(self.choices)
        flow = Flow("random", on_leftover="ok")
        flow.add_routine(Routine("source").set_logic(self._source))
        flow.add_routine(Routine("split").set_logic(split).set_activation_policy(all_slots_ready_policy()))
        for number in range(self.count):
            flow.add_routine(self._worker(f"w{number}", lambda: next(draws)))
        collect = Routine("collect").add_slot("items", 5).set_logic(collected)
        flow.add_routine(collect.set_activation_policy(gather_policy(of="split")))
        flow.connect("source", "out", "split", "items")
        for source, target in self.links:
            flow.connect(source, "out", target, "items")
        return flow

    def _source(self, routine: Routine) -> None:
        for size in self.sizes:
            routine.emit("out", size)

    def _worker(self, name: str, draw: Any) -> Routine:
        overlap = draw() < 0.4
        made = Routine(name, max_concurrency=3 if overlap else 1, ordered=draw() < 0.5, atomic=draw() < 0.5 or None)
        made.add_slot("items", 1 + int(draw() * 6), on_full="stretch" if draw() < 0.3 else "wait")
        policies = [None, None, all_slots_ready_policy(), each_item_policy()]
        if draw() < 0.25:
            self.mixes = True
            policies = [batch_size_policy(2, at_end="fire"), batch_size_policy(3), time_interval_policy(1)]
        policy = policies[int(draw() * len(policies))]
        if policy is not None:
            made.set_activation_policy(policy)
        fails = draw() < 0.4
        strategy = (ErrorStrategy.CONTINUE, ErrorStrategy.RETRY, ErrorStrategy.SKIP)[int(draw() * 3)]
        made.set_error_handler(ErrorHandler(strategy, retry_delay=1, max_retries=2))

        def logic(items: list[str], routine: Routine, job_state: JobState) -> None:
            for item in items:
                if fails and hash_of(item) == 0 and (strategy is not ErrorStrategy.RETRY or job_state.attempt == 1):
                    raise ValueError(item)
                routine.emit("out", f"{item}{name}")

        return made.set_logic(logic)


def hash_of(item: str) -> int:
    return sum(map(ord, item)) % 5


def collected(items: list[str], job_state: JobState, policy_message: dict[str, Any]) -> None:
    job_state.append_shared_data("groups", [policy_message["group"], items, len(policy_message["failed"])])


def play(seed: int, resumes: bool) -> tuple[Between, JobState]:
    between = Between(seed)
    rng = random.Random(f"play {seed}")
    sim = SimRuntime(seed=seed)
    job = sim.exec(between.flow())
    for _ in range(3 if resumes else 0):
        for _ in range(rng.randint(0, 12)):
            sim.step()
        if job.status.is_final:
            break
        picture = json.loads(json.dumps(job.serialize()))
        sim.shutdown(wait=False)
        sim = SimRuntime(seed=rng.randrange(1000))
        job = JobState.deserialize(picture, clock=sim.clock)
        sim.exec(between.flow(), job)
    assert sim.wait_for_job(job.job_id, 1e5), f"seed {seed}: {sim.explain_all(job.job_id)}"
    sim.shutdown(wait=False)
    return between, job


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_each_fan_out_is_gathered_once_with_its_own(seed: int, resumes: bool) -> None:
    between, job = play(seed, resumes)
    groups = job.get_shared_data("groups", [])
    assert job.status == "completed", (seed, job.error)
    assert sorted(number for number, _, _ in groups) == list(range(1, FAN_OUTS + 1)), seed
    assert not job.drops.get(("collect", "items")), seed
    assert not job.leftovers or all(left.routine_id != "collect" for left in job.leftovers), seed
    members = [item for _, items, _ in groups for item in items]
    assert len(members) == job.slots("collect")["items"].get_queue_state()["enqueued_count"], seed
    for number, items, _ in groups:
        roots = {item.split(".")[0] for item in items}
        assert between.mixes or roots <= {str(between.sizes[number - 1])}, (seed, number, items)
