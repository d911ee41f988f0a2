"""Museum M5: gathers that follow lineage: chained, nested, empty, failing, resumed at every step."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, Routine, SlotQueueFullError, all_slots_ready_policy
from routilux.policies import batch_size_policy, gather_policy
from routilux.runtime import cell
from routilux.testing import SimRuntime

one = all_slots_ready_policy()
Sizes = dict[str, list[int]]


def source(*items: Any) -> Routine:
    def logic(routine: Routine) -> None:
        for item in items:
            routine.emit("out", item)

    return Routine("source").set_logic(logic)


def fan_out(name: str = "split", policy: Any = one) -> Routine:
    """Emit a number n as n items ``[n, 0] … [n, n - 1]``; a list as its elements."""

    def logic(items: list[Any], routine: Routine) -> None:
        for item in items:
            for part in [[item, k] for k in range(item)] if isinstance(item, int) else item:
                routine.emit("out", part)

    return Routine(name).set_logic(logic).set_activation_policy(policy)


def work(fails: Callable[[Any], bool] = lambda item: False, name: str = "work", **options: Any) -> Routine:
    def logic(items: list[Any], routine: Routine) -> None:
        for item in items:
            if fails(item):
                raise ValueError(f"no {item}")
            routine.emit("out", item)

    return Routine(name, **options).set_logic(logic).set_activation_policy(one)


def collect(policy: Any = None, name: str = "collect", **slot: Any) -> Routine:
    def logic(items: list[Any], job_state: JobState, routine: Routine, policy_message: dict[str, Any]) -> None:
        failed = [failure["error"] for failure in policy_message["failed"]]
        job_state.append_shared_data(name, [sorted(items, key=str), failed, policy_message["lost"]])
        routine.emit("out", items)

    return Routine(name).add_slot("items", **slot).set_logic(logic).set_activation_policy(policy or gather_policy())


def chain(*routines: Routine, flow_id: str = "gathering", **options: Any) -> Flow:
    flow = Flow(flow_id, on_leftover="ok", **options)
    for made in routines:
        flow.add_routine(made)
    for left, right in itertools.pairwise(routines):
        flow.connect(left.name, "out", right.name, next(iter(right.slots), "items"))
    return flow


def run(flow: Flow, seed: int = 0) -> JobState:
    sim = SimRuntime(seed=seed)
    job = sim.exec(flow)
    assert sim.wait_for_job(job.job_id, 1e6)
    sim.shutdown(wait=False)
    return job


def found(job: JobState, name: str = "collect") -> list[Any]:
    return sorted(job.get_shared_data(name, []), key=str)


def group(size: int, *without: int) -> list[Any]:
    return [[size, k] for k in range(size) if k not in without]


# --- exact members ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_m5_each_group_comes_once_with_exactly_its_members_also_the_empty_one(seed: int) -> None:
    job = run(chain(source(3, 0, 1, 5), fan_out(), work(), collect()), seed)
    assert job.status == "completed"
    assert found(job) == sorted(([group(n), [], 0] for n in (3, 0, 1, 5)), key=str)
    assert not job.leftovers
    assert not job.drops


@pytest.mark.parametrize("seed", range(8))
def test_m5_members_that_overlap_and_overtake_each_other_are_kept_apart(seed: int) -> None:
    middle = work(max_concurrency=4, ordered=False)
    job = run(chain(source(*range(7)), fan_out(), middle, work(name="more"), collect(gather_policy("split"))), seed)
    assert found(job) == sorted(([group(n), [], 0] for n in range(7)), key=str)


def test_m5_a_failing_child_is_seen_and_the_others_come() -> None:
    child = work(lambda item: item == [3, 1]).set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
    job = run(chain(source(3, 2), fan_out(), child, collect()))
    assert found(job) == [[group(2), [], 0], [group(3, 1), ["ValueError: no [3, 1]"], 0]]
    assert len(job.dead_letters) == 1


def test_m5_a_child_that_is_tried_again_is_waited_for() -> None:
    tries: list[Any] = []

    def fails_once(item: Any) -> bool:
        tries.append(item)
        return item == [3, 1] and tries.count(item) == 1

    child = work(fails_once).set_error_handler(ErrorHandler(ErrorStrategy.RETRY, retry_delay=5))
    job = run(chain(source(3, 2), fan_out(), child, collect()))
    assert found(job) == [[group(2), [], 0], [group(3), [], 0]]


def test_m5_a_worker_that_is_out_of_service_ends_the_groups_and_says_what_was_lost() -> None:
    child = work(lambda item: item == [3, 0]).set_error_handler(ErrorHandler(ErrorStrategy.SKIP))
    job = run(chain(source(3), fan_out(), child, collect()))
    assert found(job) == [[[], ["ValueError: no [3, 0]"], 2]]


def test_m5_a_fan_out_that_fails_gives_what_it_had_emitted() -> None:
    def logic(items: list[int], routine: Routine) -> None:
        routine.emit("out", [9, 9])
        raise ValueError("half way")

    splitter = Routine("split").set_logic(logic).set_activation_policy(one)
    job = run(chain(source(1), splitter.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE)), work(), collect()))
    assert found(job) == [[[[9, 9]], ["ValueError: half way"], 0]]


def test_items_that_a_routine_on_the_way_holds_for_ever_end_the_group_as_lost() -> None:
    pairs = work(name="pairs").set_activation_policy(batch_size_policy(2))
    job = run(chain(source(3), fan_out(), pairs, collect()))
    assert found(job) == [[[[3, 0], [3, 1]], [], 1]]


def test_a_slot_shorter_than_a_group_grows_instead_of_losing_members() -> None:
    job = run(chain(source(20), fan_out(), work(), collect(max_queue_length=3)))
    assert found(job) == [[sorted(group(20), key=str), [], 0]]
    assert not job.drops


def test_items_dropped_on_the_way_are_counted_as_lost() -> None:
    hurried = work(name="hurried").add_slot("items", max_queue_length=2, on_full="drop")
    job = run(chain(source(9), fan_out(), hurried, collect()))
    [[members, failed, lost]] = found(job)
    assert (len(members) + lost, failed) == (9, [])
    assert lost == job.drops["hurried", "items"]["full"] > 0


def test_a_refused_emission_is_no_member() -> None:
    def logic(items: list[int], routine: Routine, job_state: JobState) -> None:
        for number in range(4):
            try:
                routine.emit("out", number)
            except SlotQueueFullError:
                job_state.append_shared_data("refused", number)

    strict = work(name="strict").add_slot("items", max_queue_length=2, on_full="fail")
    job = run(chain(source(1), Routine("split").set_logic(logic).set_activation_policy(one), strict, collect()))
    [[members, failed, lost]] = found(job)
    assert sorted([*members, *job.get_shared_data("refused")]) == [0, 1, 2, 3]
    assert (failed, lost) == ([], 0)


# --- k of them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_gather_that_needs_two_takes_two_and_drops_what_is_late(seed: int) -> None:
    job = run(chain(source(5, 1, 0), fan_out(), work(), collect(gather_policy(need=2))), seed)
    sizes = sorted(len(members) for members, _, _ in found(job))
    assert sizes[:2] == [0, 1]  # those can get no more
    assert 2 <= sizes[2] <= 5
    assert job.drops.get(("collect", "items"), {}).get("late", 0) == 5 - sizes[2]
    assert not job.leftovers


# --- chained and nested ---------------------------------------------------------------------------------------


def nested() -> Flow:
    """Outer lists, each element a number that is fanned out again: gathered twice."""

    def total(items: list[Any], routine: Routine, job_state: JobState, policy_message: dict[str, Any]) -> None:
        job_state.append_shared_data("inner", len(items))
        routine.emit("out", len(items))

    inner = Routine("inner").add_slot("items").set_logic(total).set_activation_policy(gather_policy(of="second"))
    return chain(
        source([2, 0, 3], [], [1]),
        fan_out("first"),
        fan_out("second"),
        work(),
        inner,
        collect(gather_policy(of="first")),
    )


def chained() -> Flow:
    """What one gather gives is fanned out, worked on, and gathered again."""
    again = collect(gather_policy(of="collect"), name="again")
    return chain(source(3, 0, 2), fan_out(), work(), collect(), fan_out("split_again"), work(name="more"), again)


def check_nested(job: JobState) -> None:
    assert job.status == "completed"
    assert found(job) == [[[0, 2, 3], [], 0], [[1], [], 0], [[], [], 0]]
    assert sorted(job.get_shared_data("inner")) == [0, 1, 2, 3]


def check_chained(job: JobState) -> None:
    assert job.status == "completed"
    expected = sorted(([group(n), [], 0] for n in (3, 0, 2)), key=str)
    assert found(job) == expected
    assert found(job, "again") == expected


def failing() -> Flow:
    child = work(lambda item: item == [3, 1], atomic=True).set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
    return chain(source(3, 0, 2), fan_out(), child, collect())


def check_failing(job: JobState) -> None:
    assert found(job) == sorted([[group(3, 1), ["ValueError: no [3, 1]"], 0], [[], [], 0], [group(2), [], 0]], key=str)


SCENARIOS: dict[str, tuple[Callable[[], Flow], Callable[[JobState], None]]] = {
    "nested": (nested, check_nested),
    "chained": (chained, check_chained),
    "failing": (failing, check_failing),
}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", SCENARIOS)
def test_m5_gathers_come_once_in_any_order_of_steps(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "SHARE", 1)  # each activation is a step
    build, check = SCENARIOS[name]
    check(run(build(), seed))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SCENARIOS)
def test_m5_a_job_stored_at_any_step_gathers_the_same(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "SHARE", 1)  # each activation is a step
    build, check = SCENARIOS[name]
    for steps in range(10_000):
        sim = SimRuntime(seed=seed)
        job = sim.exec(build())
        for _ in range(steps):
            sim.step()
        if job.status.is_final:
            break
        picture = json.loads(json.dumps(job.serialize()))
        sim.shutdown(wait=False)
        other = SimRuntime(seed=seed + steps)
        resumed = JobState.deserialize(picture, clock=other.clock)
        other.exec(build(), resumed)
        assert other.wait_for_job(resumed.job_id, 1e6), f"stored after step {steps}, seed {seed}"
        check(resumed)
        other.shutdown(wait=False)
    assert steps > 10


@pytest.mark.parametrize("seed", range(6))
def test_a_stopped_gather_delivers_the_same_group_when_the_job_goes_on(seed: int) -> None:
    tries: list[Any] = []

    def logic(items: list[Any], job_state: JobState) -> None:
        tries.append(items)
        if len(tries) == 2:
            raise ValueError("not now")
        job_state.append_shared_data("collect", items)

    flow = chain(source(2, 0, 3), fan_out(), work(), Routine("collect").add_slot("items").set_logic(logic))
    flow.routine("collect").set_activation_policy(gather_policy())
    sim = SimRuntime(seed=seed)
    job = sim.exec(flow)
    sim.run_until_idle()
    assert job.status == "failed"
    sim.exec(flow, job)
    sim.run_until_idle()
    assert job.status == "completed"
    assert found(job) == sorted([group(2), [], group(3)], key=str)
    assert not job.leftovers


# --- what does not take part --------------------------------------------------------------------------------------


def test_items_outside_of_a_fan_out_carry_nothing() -> None:
    flow = chain(source(2), fan_out(), work(), collect(), work(name="after"))
    metadata = {}
    sim = SimRuntime(seed=1)
    job = sim.exec(flow)
    sim.run_until_idle()
    for routine_id in flow.routines:
        for name, slot in job.slots(routine_id).items():
            metadata[routine_id, name] = {str(point.metadata) for point in slot.consumed_points()}
    carried = "{'lineage': (('collect', 1),)}"
    assert metadata["split", "items"] == metadata["after", "items"] == {"None"}
    assert metadata["work", "items"] == metadata["collect", "items"] == {carried}


def test_an_item_from_outside_belongs_to_no_group_and_is_left_over() -> None:
    sim = SimRuntime(seed=1)
    job = sim.exec(chain(source(2), fan_out(), work(), collect()), keep_open=True)
    sim.post(job.job_id, "collect", "items", "stray")
    sim.close_job(job.job_id)
    assert sim.wait_for_job(job.job_id, 10)
    assert found(job) == [[group(2), [], 0]]
    assert [(left.routine_id, left.count) for left in job.leftovers] == [("collect", 1)]
