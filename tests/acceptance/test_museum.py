"""The museum of BEHAVIOURS.md: bugs that users of other systems really had, step by step on one thread."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from operator import itemgetter
from typing import Any

import pytest

from routilux import (
    ErrorHandler,
    ErrorStrategy,
    Flow,
    JobState,
    Routine,
    all_slots_ready_policy,
    batch_size_policy,
    time_interval_policy,
)
from routilux.policies import join_policy
from tests.acceptance.resuming import Sims, emit_numbers, note, sink, source, stored, wired

SEEDS = range(5)


def seen(job: JobState) -> list[Any]:
    found: list[Any] = job.get_shared_data("seen", [])
    return found


def pairs(left: list[Any], right: list[Any], job_state: JobState) -> None:
    note([*zip(left, right, strict=True)], job_state)


def joining(first: Routine, length: int | None = 1000, **slot_options: Any) -> Flow:
    """The events "a" and "b" of one routine meet in a join."""
    join = Routine("join").set_activation_policy(all_slots_ready_policy()).set_logic(pairs)
    join.add_slot("left", max_queue_length=length, **slot_options)
    join.add_slot("right", max_queue_length=length, **slot_options)
    flow = Flow("joining").add_routine(first).add_routine(join)
    return flow.connect(first.name, "a", "join", "left").connect(first.name, "b", "join", "right")


# --- M1, M2, M4: what is never sent -----------------------------------------------------------------------------


def test_m1_join_whose_other_side_never_comes_ends_and_says_who_could_have_sent_it(
    sims: Sims, caplog: pytest.LogCaptureFixture
) -> None:
    sim = sims.fresh()
    job = sim.exec(joining(Routine("router").set_logic(emit_numbers(3, "a"))))
    assert sim.wait_for_job(job.job_id, timeout=10)
    assert (job.status, seen(job)) == ("completed", [])
    leftover = job.leftovers[0]
    assert (leftover.routine_id, leftover.slot, leftover.count) == ("join", "left", 3)
    assert "'right'" in leftover.explanation
    assert "'router'" in leftover.explanation
    assert sum("nobody consumed" in record.message for record in caplog.records) == 1


def test_m1_join_explains_itself_while_the_other_side_can_still_come(sims: Sims) -> None:
    async def logic(routine: Routine) -> None:
        routine.emit("a", 1)
        await asyncio.sleep(100)
        routine.emit("b", 2)

    sim = sims.fresh()
    job = sim.exec(joining(Routine("router").set_logic(logic)))
    sim.advance(1)
    text = str(job.explain("join"))
    assert "1 of 'left'" in text
    assert "'right' can still get items from 'router', which is running" in text
    sim.advance(100)
    assert (job.status, seen(job)) == ("completed", [(1, 2)])


def test_m2_join_in_a_branch_that_is_not_taken_ends_without_spinning(sims: Sims) -> None:
    asked: list[int] = []

    def policy(slots: Any, job_state: JobState) -> Any:
        asked.append(1)
        return False, {}, None

    flow = joining(Routine("router").set_logic(emit_numbers(3, "taken")))
    flow.add_routine(Routine("after").add_slot("items").set_activation_policy(policy).set_logic(note))
    flow.add_routine(sink())
    flow.connect("join", "out", "after", "items").connect("router", "taken", "sink", "items")
    sim = sims.fresh()
    job = sim.exec(flow)
    assert sim.run_until_idle() < 30
    assert (job.status, seen(job), bool(job.leftovers)) == ("completed", [0, 1, 2], False)
    assert len(asked) <= 3


def test_m4_event_that_is_never_emitted_into_a_shared_slot_costs_nothing(sims: Sims) -> None:
    router = Routine("router").add_event("never").add_event("often").set_logic(emit_numbers(20, "often"))
    flow = Flow("shared").add_routine(router).add_routine(sink(3, batch_size_policy(2)))
    flow.connect("router", "never", "sink", "items").connect("router", "often", "sink", "items")
    sim = sims.fresh()
    job = sim.exec(flow)
    sim.run_until_idle()
    assert (job.status, seen(job), job.drops) == ("completed", list(range(20)), {})


# --- M3: feedback -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_m3_feedback_into_a_join_that_also_gets_an_initial_item_keeps_its_order(seed: int, sims: Sims) -> None:
    def logic(value: list[int], total: list[int], routine: Routine, job_state: JobState) -> None:
        note([(value[0], total[0])], job_state)
        routine.emit("total", value[0] + total[0])

    fold = Routine("fold").add_slot("value", 2).add_slot("total", 1).set_logic(logic)
    fold.set_activation_policy(all_slots_ready_policy())
    flow = Flow("fold", on_leftover="ok").add_routine(source(5)).add_routine(fold)
    flow.connect("source", "out", "fold", "value").connect("fold", "total", "fold", "total")
    sim = sims.fresh(seed)
    job = sim.exec(flow, inputs={"fold": {"total": [0]}})
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", [(0, 0), (1, 0), (2, 1), (3, 3), (4, 6)])
    assert job.slots("fold")["total"].peek_all_new() == [10]
    assert not job.drops


# --- M6: a join by key ------------------------------------------------------------------------------------------


def shuffled_source(name: str, keys: int, seed: int) -> Routine:
    """Three items per key, keys interleaved, with shuffled delays in between."""

    async def logic(routine: Routine) -> AsyncIterator[None]:
        rng = random.Random(f"{name} {seed}")
        order = [key for key in range(keys) for _ in range(3)]
        rng.shuffle(order)
        counts = [0] * keys
        for position, key in enumerate(order):
            routine.emit("out", (key, counts[key]))
            counts[key] += 1
            if position % 300 == 0:
                await asyncio.sleep(rng.random())
                yield

    return Routine(name).set_logic(logic)


def test_m6_join_by_key_never_mixes_a_thousand_interleaved_keys(sims: Sims) -> None:
    def logic(left: list[Any], right: list[Any]) -> None:
        assert left == right
        got.setdefault(left[0][0], []).append(left[0][1])

    got: dict[int, list[int]] = {}
    join = Routine("join").add_slot("left", None).add_slot("right", None).set_logic(logic)
    flow = Flow("keys").add_routine(shuffled_source("l", 1000, 1)).add_routine(shuffled_source("r", 1000, 2))
    flow.add_routine(join.set_activation_policy(join_policy(itemgetter(0))))
    flow.connect("l", "out", "join", "left").connect("r", "out", "join", "right")
    sim = sims.fresh()
    job = sim.exec(flow)
    assert sim.wait_for_job(job.job_id, timeout=1000)
    assert (job.status, str(job.error), bool(job.leftovers)) == ("completed", "None", False)
    assert got == {key: [0, 1, 2] for key in range(1000)}


# --- M7, M8, M9: windows and what comes after -------------------------------------------------------------------


def count_or_timeout(count: int, seconds: float) -> Any:
    def policy(slots: Any, job_state: JobState) -> Any:
        slot, memory = slots["items"], job_state.memory()
        waiting = slot.get_unconsumed_count()
        if not waiting:
            return False, {}, None
        first = memory.setdefault("first", job_state.monotonic())
        left = first + seconds - job_state.monotonic()
        if waiting < count and left > 0 and not slot.is_closed:
            job_state.wake_after(left)
            return False, {}, None
        del memory["first"]
        return True, {"items": slot.consume_all_new()}, None

    return policy


def batches(items: list[Any], job_state: JobState) -> None:
    note([(job_state.now().second, items)], job_state)


def batching(policy: Any) -> Flow:
    return Flow("b").add_routine(Routine("sink").add_slot("items").set_activation_policy(policy).set_logic(batches))


def test_m7_timer_starts_again_with_the_items_after_a_timeout(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(batching(count_or_timeout(3, 10)), keep_open=True)
    for items in ([1], [2], [3, 4, 5], [6]):
        for item in items:
            sim.post(job.job_id, "sink", "items", item)
        sim.advance(12)
    assert seen(job) == [(10, [1]), (22, [2]), (24, [3, 4, 5]), (46, [6])]
    sim.close_job(job.job_id)
    sim.run_until_idle()
    assert (job.status, bool(job.leftovers)) == ("completed", False)


def test_m8_unrelated_item_after_a_satisfied_window_activates_nothing(sims: Sims) -> None:
    sim = sims.fresh()
    flow = joining(Routine("router").set_logic(lambda routine: None))
    job = sim.exec(flow, inputs={"join": {"left": [1], "right": [2]}}, keep_open=True)
    sim.run_until_idle()
    sim.post(job.job_id, "join", "left", 3)
    sim.advance(100)
    assert seen(job) == [(1, 2)]
    assert job.slots("join")["left"].get_unconsumed_count() == 1


@pytest.mark.parametrize("policy", [None, batch_size_policy(1), all_slots_ready_policy(), count_or_timeout(1, 9)])
@pytest.mark.parametrize("seed", SEEDS)
def test_m9_items_that_arrive_while_the_routine_runs_are_consumed_without_a_further_event(
    policy: Any, seed: int, sims: Sims
) -> None:
    async def logic(items: list[int], job_state: JobState) -> None:
        await asyncio.sleep(1)
        note(items, job_state)

    target = Routine("sink").add_slot("items").set_logic(logic)
    if policy is not None:
        target.set_activation_policy(policy)
    sim = sims.fresh(seed)
    job = sim.exec(Flow("f").add_routine(target), keep_open=True)
    sim.post(job.job_id, "sink", "items", 0)
    sim.advance(0.5)
    for item in (1, 2, 3):
        sim.post(job.job_id, "sink", "items", item)
    sim.advance(10)
    assert seen(job) == [0, 1, 2, 3]


# --- M11: the history -------------------------------------------------------------------------------------------


def numbers_of(job: JobState, routine_id: str) -> list[Any]:
    lines = [line for line in job.execution_history if (line.routine_id, line.event_name) == (routine_id, "activated")]
    return [(line.data["activation_id"], list(line.data["items"]["items"])) for line in lines]


def test_m11_history_tells_which_items_caused_an_activation(sims: Sims) -> None:
    ids: list[str | None] = []

    def logic(items: list[int], job_state: JobState) -> None:
        ids.append(job_state.activation_id)

    target = Routine("sink").add_slot("items", 5).set_activation_policy(batch_size_policy(3)).set_logic(logic)
    sim = sims.fresh()
    job = sim.exec(wired(source(9), target))
    sim.run_until_idle()
    assert numbers_of(job, "sink") == [(ids[0], [0, 1, 2]), (ids[1], [3, 4, 5]), (ids[2], [6, 7, 8])]
    points = {point.seq: point.data for point in job.slots("sink")["items"].consumed_points()}
    assert all(points[seq] == seq for seq in points)


def test_m11_history_is_exact_where_the_policy_takes_items_out_of_order(sims: Sims) -> None:
    def newest_two(slots: Any, job_state: JobState) -> Any:
        points = slots["items"].peek_points()[-2:]
        if len(points) < 2:
            return False, {}, None
        return True, {"items": [point.data for point in slots["items"].consume_points(points)]}, None

    target = Routine("sink").add_slot("items").set_activation_policy(newest_two).set_logic(note)
    sim = sims.fresh()
    job = sim.exec(Flow("f").add_routine(target), inputs={"sink": {"items": list(range(6))}})
    sim.run_until_idle()
    assert seen(job) == [4, 5, 2, 3, 0, 1]
    assert [numbers for _, numbers in numbers_of(job, "sink")] == [[4, 5], [2, 3], [0, 1]]


# --- M15: full slots and who is to blame ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_m15_full_join_slot_is_resolved_by_rule_and_named(
    seed: int, sims: Sims, caplog: pytest.LogCaptureFixture
) -> None:
    sim = sims.fresh(seed)
    job = sim.exec(joining(Routine("router").set_logic(emit_numbers(10, "a")), 2))
    assert sim.wait_for_job(job.job_id, timeout=10)
    assert (job.status, job.drops) == ("completed", {("join", "left"): {"full": 8}})
    assert job.leftovers.item_count == 2
    warnings = [record.message for record in caplog.records if "dropping" in record.message]
    assert len(warnings) == 1
    assert "join" in warnings[0]
    assert "left" in warnings[0]
    listed = [line for line in job.execution_history if line.routine_id == "join" and "drop" in line.event_name]
    assert listed


def both_events(count: int) -> Any:
    def logic(routine: Routine) -> None:
        for event in ("a", "b"):
            for number in range(count):
                routine.emit(event, number)

    return logic


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_43_router_whose_branches_meet_in_a_join_ends_and_lists_every_drop(seed: int, atomic: bool, sims: Sims) -> None:
    sim = sims.fresh(seed)
    job = sim.exec(joining(Routine("router", atomic=atomic).set_logic(both_events(10)), 2))
    assert sim.wait_for_job(job.job_id, timeout=10)
    dropped = sum(count for reasons in job.drops.values() for count in reasons.values())
    assert job.status == "completed"
    assert 2 * len(seen(job)) + dropped + job.leftovers.item_count == 20
    assert [left for left, _ in seen(job)] == sorted(left for left, _ in seen(job))
    if atomic:  # a commit is parked without limit
        assert (len(seen(job)), dropped) == (10, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_43_stretch_grows_the_slot_instead_of_losing_an_item(
    seed: int, sims: Sims, caplog: pytest.LogCaptureFixture
) -> None:
    sim = sims.fresh(seed)
    job = sim.exec(joining(Routine("router").set_logic(both_events(10)), 2, on_full="stretch"))
    assert sim.wait_for_job(job.job_id, timeout=10)
    assert (job.status, job.drops, bool(job.leftovers)) == ("completed", {}, False)
    assert seen(job) == [(number, number) for number in range(10)]
    assert sum("grows beyond" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_43_cycle_that_multiplies_ends_and_lists_every_drop(seed: int, sims: Sims) -> None:
    def logic(items: list[int], routine: Routine, job_state: JobState) -> None:
        note(items, job_state)
        for item in items:
            for _ in range(2 if item else 0):
                routine.emit("out", item - 1)

    flow = Flow("doubling", on_leftover="ok")
    flow.add_routine(Routine("one").add_slot("items", 3).set_logic(logic))
    flow.add_routine(Routine("two").add_slot("items", 3).set_logic(logic))
    flow.connect("one", "out", "two", "items").connect("two", "out", "one", "items")
    sim = sims.fresh(seed)
    job = sim.exec(flow, inputs={"one": {"items": [7]}})
    assert sim.wait_for_job(job.job_id, timeout=10)
    dropped = sum(count for reasons in job.drops.values() for count in reasons.values())
    assert job.status == "completed"
    assert len(seen(job)) + dropped + job.leftovers.item_count == 1 + 2 * sum(item > 0 for item in seen(job))


# --- M24: the wall clock ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [3600, -3600])
def test_m24_interval_is_neither_early_nor_late_when_the_wall_clock_jumps(jump: int, sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(batching(time_interval_policy(10)), keep_open=True)
    sim.post(job.job_id, "sink", "items", 1)
    sim.advance(4)
    sim.manual_clock.step_wall(jump)
    sim.post(job.job_id, "sink", "items", 2)
    sim.advance(5.9)
    assert seen(job) == [(0, [1])]
    sim.advance(0.2)
    assert seen(job) == [(0, [1]), (10, [2])]


@pytest.mark.parametrize("jump", [3600, -3600])
def test_m24_retry_and_timeouts_are_neither_early_nor_late_when_the_wall_clock_jumps(jump: int, sims: Sims) -> None:
    attempts: list[float] = []

    def logic(job_state: JobState) -> None:
        attempts.append(job_state.monotonic())
        raise ValueError("again")

    only = Routine("only").set_logic(logic)
    only.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=9, retry_delay=10, retry_backoff=1))
    sim = sims.fresh()
    job = sim.exec(Flow("f").add_routine(only), timeout=15)
    sim.advance(3)
    sim.manual_clock.step_wall(jump)
    sim.advance(6.9)
    assert len(attempts) == 1
    sim.advance(5)
    assert len(attempts) == 2
    assert job.status == "running"
    sim.advance(0.2)
    assert (job.status, attempts[1] - attempts[0]) == ("failed", 10)


# --- 42: no spinning --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_open", [False, True])
def test_42_policy_that_always_says_yes_without_consuming_does_not_spin(keep_open: bool, sims: Sims) -> None:
    def policy(slots: Any, job_state: JobState) -> Any:
        return True, {}, None

    ran: list[int] = []
    target = Routine("sink").add_slot("items").set_activation_policy(policy).set_logic(lambda items: ran.append(1))
    sim = sims.fresh()
    job = sim.exec(wired(source(3), target), keep_open=keep_open)
    assert sim.run_until_idle() < 50
    assert len(ran) < 10
    assert job.status == ("running" if keep_open else "completed")


# --- M5: gathers ------------------------------------------------------------------------------------------------


def gather(slots: Any, job_state: JobState) -> Any:
    """Once, when nothing more can come, with everything that came."""
    if not all(slot.is_closed for slot in slots.values()) or job_state.memory().get("done"):
        return False, {}, None
    job_state.memory()["done"] = True
    return True, {name: slot.consume_all_new() for name, slot in slots.items()}, None


def gathering(count: int) -> Flow:
    def child(items: list[int], routine: Routine) -> Iterator[None]:
        if items[0] == 3:
            raise ValueError("three")
        routine.emit("out", items[0])
        yield

    def collect(items: list[Any], routine: Routine, job_state: JobState) -> None:
        note([(routine.name, sorted(items))], job_state)
        routine.emit("out", len(items))

    flow = Flow("gathering", on_leftover="ok").add_routine(source(count))
    work = Routine("child").add_slot("items", 2).set_activation_policy(batch_size_policy(1)).set_logic(child)
    flow.add_routine(work.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE)))
    for name in ("inner", "outer"):
        made = Routine(name).add_slot("items", 3 if name == "outer" else None).set_activation_policy(gather)
        flow.add_routine(made.set_logic(collect))
    flow.connect("source", "out", "child", "items").connect("child", "out", "inner", "items")
    return flow.connect("inner", "out", "outer", "items")


@pytest.mark.parametrize(("count", "members"), [(0, []), (3, [0, 1, 2]), (6, [0, 1, 2, 4, 5])])
@pytest.mark.parametrize("seed", SEEDS)
def test_m5_chained_gathers_activate_once_with_exactly_their_members(
    count: int, members: list[int], seed: int, sims: Sims
) -> None:
    sim = sims.fresh(seed)
    job = sim.exec(gathering(count))
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", [("inner", members), ("outer", [len(members)])])


def test_m5_gathers_stored_and_resumed_at_every_step_activate_once(sims: Sims) -> None:
    for steps in range(200):
        sim = sims.fresh(steps)
        job = sim.exec(gathering(6))
        for _ in range(steps):
            sim.step()
        if job.status.is_final:
            break
        picture = stored(job)
        if picture is None:
            continue
        other, again = sims.revived(picture, steps)
        other.exec(gathering(6), again)
        other.run_until_idle()
        assert seen(again) == [("inner", [0, 1, 2, 4, 5]), ("outer", [5])], steps
        assert len(again.dead_letters) == 1
    assert steps > 5
