"""Flows whose outcome is known, to be stored and resumed at each step. What a job did stands in the job itself."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from routilux import (
    ErrorHandler,
    ErrorStrategy,
    Flow,
    JobState,
    Routine,
    SnapshotBusyError,
    all_slots_ready_policy,
    batch_size_policy,
    time_interval_policy,
)
from routilux.policies import sequence_policy, throttle_policy, window_policy
from routilux.testing import ManualClock, SimRuntime


@dataclass
class Scenario:
    """A flow, how it is started, and what the job must say at its end."""

    build: Callable[[], Flow]
    expected: Callable[[JobState], None]
    exec_options: dict[str, Any] = field(default_factory=dict)
    resume_options: dict[str, Any] = field(default_factory=dict)


def emit_numbers(count: int, event: str = "out") -> Callable[..., None]:
    def logic(routine: Routine) -> None:
        for number in range(count):
            routine.emit(event, number)

    return logic


def note(items: list[Any], job_state: JobState) -> None:
    for item in items:
        job_state.append_shared_data("seen", item)


def passing_on(name: str, length: int, **options: Any) -> Routine:
    def logic(items: list[Any], routine: Routine) -> None:
        for item in items:
            routine.emit("out", item)

    return Routine(name, **options).add_slot("items", max_queue_length=length).set_logic(logic)


def sink(length: int = 1000, policy: Any = None) -> Routine:
    made = Routine("sink").add_slot("items", max_queue_length=length).set_logic(note)
    return made if policy is None else made.set_activation_policy(policy)


def wired(*routines: Routine, last_event: str = "out") -> Flow:
    """A chain: each routine's "out" goes to the next one's "items"."""
    flow = Flow("resumed", on_leftover="ok")
    for made in routines:
        flow.add_routine(made)
    for left, right in itertools.pairwise(routines):
        flow.connect(left.name, "out", right.name, "items")
    return flow


def source(count: int, **options: Any) -> Routine:
    return Routine("source", **options).set_logic(emit_numbers(count))


def sees(*items: Any, in_order: bool = True) -> Callable[[JobState], None]:
    def check(job: JobState) -> None:
        assert job.status == "completed", (job.status, job.error)
        seen = job.get_shared_data("seen", [])
        found = seen if in_order else sorted(seen)
        assert found == list(items), f"saw {found}, not {list(items)}"
        assert not job.drops, job.drops
        assert not job.leftovers, str(job.leftovers)

    return check


# --- the flows --------------------------------------------------------------------------------------------------


def chain_of_tiny_slots() -> Scenario:
    one = all_slots_ready_policy()
    return Scenario(
        lambda: wired(source(12), passing_on("a", 1), passing_on("b", 2).set_activation_policy(one), sink(1)),
        sees(*range(12)),
    )


def atomic_chain() -> Scenario:
    return Scenario(
        lambda: wired(
            source(12, atomic=True), passing_on("a", 1, atomic=True), passing_on("b", 2, atomic=True), sink(1)
        ),
        sees(*range(12)),
    )


def generator_source() -> Scenario:
    def logic(routine: Routine, job_state: JobState) -> Iterator[None]:
        for number in range(job_state.get_routine_state("source", "next", 0), 12):
            routine.emit("out", number)
            job_state.update_routine_state("source", {"next": number + 1})
            yield

    return Scenario(lambda: wired(Routine("source").set_logic(logic), passing_on("a", 2), sink(1)), sees(*range(12)))


def generator_in_the_middle() -> Scenario:
    def logic(items: list[int], routine: Routine, job_state: JobState) -> Iterator[None]:
        for item in items[job_state.boundary :]:
            routine.emit("out", item)
            yield

    def build() -> Flow:
        middle = Routine("middle").add_slot("items", max_queue_length=5).set_logic(logic)
        return wired(source(12), middle.set_activation_policy(batch_size_policy(3)), sink(1))

    return Scenario(build, sees(*range(12)))


def async_generator() -> Scenario:
    async def logic(items: list[int], routine: Routine, job_state: JobState) -> AsyncIterator[None]:
        for item in items[job_state.boundary :]:
            routine.emit("out", item)
            yield
            await asyncio.sleep(1)

    def build() -> Flow:
        middle = Routine("middle").add_slot("items", max_queue_length=5).set_logic(logic)
        return wired(source(6), middle.set_activation_policy(batch_size_policy(3)), sink(1))

    return Scenario(build, sees(*range(6)))


def atomic_async() -> Scenario:
    async def logic(items: list[int], routine: Routine) -> None:
        for item in items:
            await routine.emit("out", item)
            await asyncio.sleep(1)

    def build() -> Flow:
        middle = Routine("middle", atomic=True).add_slot("items", max_queue_length=5).set_logic(logic)
        return wired(source(6), middle.set_activation_policy(batch_size_policy(3)), sink(1))

    return Scenario(build, sees(*range(6)))


def live_async() -> Scenario:
    async def logic(items: list[int], routine: Routine) -> None:
        for item in items:
            await routine.emit("out", item)
            await asyncio.sleep(0.5)

    def build() -> Flow:
        middle = Routine("middle").add_slot("items", max_queue_length=2).set_logic(logic)
        return wired(source(6), middle.set_activation_policy(batch_size_policy(2)), sink(1))

    return Scenario(build, sees(*range(6)))


def join_of_two() -> Scenario:
    def logic(left: list[int], right: list[int], job_state: JobState) -> None:
        note([*zip(left, right, strict=True)], job_state)

    def build() -> Flow:
        flow = Flow("resumed")
        flow.add_routine(source(8)).add_routine(Routine("other").set_logic(emit_numbers(8)))
        join = Routine("join").add_slot("left", max_queue_length=2).add_slot("right", max_queue_length=3)
        flow.add_routine(join.set_logic(logic).set_activation_policy(batch_size_policy(2)))
        return flow.connect("source", "out", "join", "left").connect("other", "out", "join", "right")

    return Scenario(build, sees(*[(n, n) for n in range(8)]))


def batches_with_a_rest() -> Scenario:
    def check(job: JobState) -> None:
        assert job.status == "completed"
        assert job.get_shared_data("seen") == list(range(9)), job.get_shared_data("seen")
        assert job.leftovers.item_count == 1, str(job.leftovers)

    return Scenario(lambda: wired(source(10), passing_on("a", 2), sink(4, batch_size_policy(3))), check)


def retries() -> Scenario:
    def logic(items: list[int], routine: Routine, job_state: JobState) -> None:
        for item in items:
            routine.emit("out", item)
        if items[0] % 3 == 0 and job_state.attempt < 3:
            raise ValueError(f"attempt {job_state.attempt} of {items}")

    def check(job: JobState) -> None:
        sees(*range(8))(job)
        failures = [line for line in job.execution_history if line.event_name == "retry"]
        attempts = [line.data["attempt"] for line in failures]
        assert attempts == [1, 2] * 3, attempts

    def build() -> Flow:
        middle = Routine("middle").add_slot("items", max_queue_length=2).set_logic(logic)
        middle.set_activation_policy(batch_size_policy(1))
        middle.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=4, retry_delay=10))
        return wired(source(8), middle, sink(1))

    return Scenario(build, check)


def dead_letters() -> Scenario:
    def logic(items: list[int], routine: Routine) -> None:
        if items[0] % 3 == 0:
            raise ValueError(str(items))
        routine.emit("out", items[0])

    def check(job: JobState) -> None:
        sees(1, 2, 4, 5, 7)(job)
        dead = [letter.items["items"] for letter in job.dead_letters]
        assert dead == [[0], [3], [6]], dead

    def build() -> Flow:
        middle = Routine("middle").add_slot("items", max_queue_length=2).set_logic(logic)
        middle.set_activation_policy(batch_size_policy(1)).set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
        return wired(source(8), middle, sink(1))

    return Scenario(build, check)


def skipped_routine() -> Scenario:
    def logic(items: list[int], routine: Routine) -> None:
        if items[0] == 3:
            raise ValueError(str(items))
        routine.emit("out", items[0])

    def check(job: JobState) -> None:
        assert job.status == "completed"
        assert job.get_shared_data("seen") == [0, 1, 2], job.get_shared_data("seen")
        assert job.drops == {("middle", "items"): {"skipped": 5}}, job.drops

    def build() -> Flow:
        middle = Routine("middle").add_slot("items", max_queue_length=2).set_logic(logic)
        middle.set_activation_policy(batch_size_policy(1)).set_error_handler(ErrorHandler(ErrorStrategy.SKIP))
        return wired(source(8), middle, sink(1))

    return Scenario(build, check)


def interval() -> Scenario:
    def logic(routine: Routine, job_state: JobState) -> Iterator[None]:
        for number in range(job_state.boundary, 6):
            routine.emit("out", number)
            yield

    def build() -> Flow:
        start = Routine("source").set_logic(logic)
        slow = passing_on("slow", 3).set_activation_policy(time_interval_policy(10))
        return wired(start, slow, sink(1, time_interval_policy(3)))

    return Scenario(build, sees(*range(6)))


def countdown_cycle() -> Scenario:
    def logic(items: list[int], routine: Routine, job_state: JobState) -> None:
        note(items, job_state)
        for item in items:
            if item >= 10:
                routine.emit("again", item - 10)

    def build() -> Flow:
        flow = Flow("resumed").add_routine(Routine("loop").add_slot("items", max_queue_length=4).set_logic(logic))
        return (
            flow.add_routine(passing_on("back", 2))
            .connect("loop", "again", "back", "items")
            .connect("back", "out", "loop", "items")
        )

    tens = [value for value in range(33) if value % 10 in (1, 2)]
    return Scenario(build, sees(*tens, in_order=False), {"inputs": {"loop": {"items": [31, 32]}}})


def overlapping(ordered: bool) -> Scenario:
    async def logic(items: list[int], routine: Routine) -> None:
        await asyncio.sleep(10 - items[0])
        routine.emit("out", items[0])

    def build() -> Flow:
        middle = Routine("middle", max_concurrency=3, ordered=ordered, atomic=True).add_slot(
            "items", max_queue_length=2
        )
        return wired(source(7), middle.set_logic(logic).set_activation_policy(batch_size_policy(1)), sink(1))

    return Scenario(build, sees(*range(7), in_order=ordered))


def overlapping_plain() -> Scenario:
    def build() -> Flow:
        middle = passing_on("middle", 2, max_concurrency=3).set_activation_policy(batch_size_policy(1))
        return wired(source(9), middle, sink(1))

    return Scenario(build, sees(*range(9)))


def parked_inputs() -> Scenario:
    def build() -> Flow:
        return wired(passing_on("a", 2), sink(1))

    return Scenario(build, sees(*range(9)), {"inputs": {"a": {"items": list(range(9))}}})


def two_consumers_of_one_source() -> Scenario:
    def build() -> Flow:
        flow = wired(source(8), passing_on("a", 1), sink(2))
        return (
            flow.add_routine(passing_on("c", 1))
            .connect("source", "out", "c", "items")
            .connect("c", "out", "sink", "items")
        )

    return Scenario(build, sees(*sorted([*range(8), *range(8)]), in_order=False))


def hopping_windows() -> Scenario:
    def logic(items: list[int], job_state: JobState) -> None:
        note([tuple(items)], job_state)

    def build() -> Flow:
        windows = Routine("windows").add_slot("items", max_queue_length=5).set_logic(logic)
        return wired(source(7), windows.set_activation_policy(window_policy(4, 2, time_of=int)))

    return Scenario(build, sees((0, 1), (0, 1, 2, 3), (2, 3, 4, 5), (4, 5, 6), (6,)))


def windows_by_arrival() -> Scenario:
    def logic(routine: Routine, job_state: JobState) -> Iterator[None]:
        for number in range(job_state.boundary, 6):
            routine.emit("out", number)
            yield

    def build() -> Flow:
        slow = passing_on("slow", 3).set_activation_policy(throttle_policy(1, per_seconds=3))
        return wired(Routine("source").set_logic(logic), slow, sink(5, window_policy(5)))

    return Scenario(build, sees(*range(6)))


def sequence_of_two() -> Scenario:
    def is_low(item: int) -> bool:
        return item % 4 < 2

    def is_high(item: int) -> bool:
        return item % 4 > 1

    def logic(items: list[int], job_state: JobState) -> None:
        note([tuple(items)], job_state)

    def build() -> Flow:
        pairs = Routine("pairs").add_slot("items", max_queue_length=4).set_logic(logic)
        return wired(source(8), pairs.set_activation_policy(sequence_policy([is_low, is_high], within_seconds=60)))

    return Scenario(build, sees((0, 2), (1, 3), (4, 6), (5, 7)))


SCENARIOS: dict[str, Scenario] = {
    "chain of tiny slots": chain_of_tiny_slots(),
    "atomic chain": atomic_chain(),
    "generator source": generator_source(),
    "generator in the middle": generator_in_the_middle(),
    "async generator": async_generator(),
    "atomic async": atomic_async(),
    "live async": live_async(),
    "join of two": join_of_two(),
    "batches with a rest": batches_with_a_rest(),
    "retries": retries(),
    "dead letters": dead_letters(),
    "skipped routine": skipped_routine(),
    "interval": interval(),
    "countdown cycle": countdown_cycle(),
    "overlapping, ordered": overlapping(True),
    "overlapping, unordered": overlapping(False),
    "overlapping, plain": overlapping_plain(),
    "parked inputs": parked_inputs(),
    "hopping windows": hopping_windows(),
    "windows by arrival": windows_by_arrival(),
    "sequence of two": sequence_of_two(),
    "two consumers": two_consumers_of_one_source(),
}


# --- storing and resuming ---------------------------------------------------------------------------------------


def one_step(sim: SimRuntime) -> None:
    """One step of the simulation, or up to the next timer."""
    if not sim.step():
        due = sim.stepper.next_due()
        if due is not None:
            sim.manual_clock.advance_to(due)


def stored(job: JobState) -> dict[str, Any] | None:
    """A picture as another process would read it; None while a live activation stands in the way."""
    try:
        plain = job.serialize(timeout=0)
    except SnapshotBusyError:
        return None
    picture: dict[str, Any] = json.loads(json.dumps(plain))
    return picture


class Sims:
    """Makes simulations, and ends all of them when the test is over."""

    def __init__(self) -> None:
        self._made: list[SimRuntime] = []

    def fresh(self, seed: int = 0, **options: Any) -> SimRuntime:
        sim = SimRuntime(seed=seed, **options)
        self._made.append(sim)
        return sim

    def revived(self, picture: dict[str, Any], seed: int = 0, **options: Any) -> tuple[SimRuntime, JobState]:
        """A new runtime, whose clock has another origin, and the job as it was stored."""
        clock = ManualClock()
        clock.advance(1000 + seed)
        return self.fresh(seed, clock=clock, **options), JobState.deserialize(picture, clock=clock)

    def picture_after(self, scenario: Scenario, steps: int, seed: int = 0) -> tuple[dict[str, Any] | None, bool]:
        """Run so many steps and store the job; tell whether it had ended."""
        sim = self.fresh(seed)
        job = sim.exec(scenario.build(), **scenario.exec_options)
        for _ in range(steps):
            one_step(sim)
        ended = job.status.is_final
        return (None if ended else stored(job)), ended

    def end(self) -> None:
        while self._made:
            self._made.pop().shutdown(wait=False)
