"""Emitters held back by full slots, with one, two and eight threads: bounded memory, no deadlock. Design §3.3."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from routilux import Flow, JobState, Routine, Runtime, all_slots_ready_policy, batch_size_policy

LIMIT = 15
all_threads = pytest.mark.parametrize("threads", [1, 2, 8])


def finish(threads: int, flow: Flow, **options: Any) -> JobState:
    with Runtime(threads) as runtime:
        job = runtime.exec(flow, **options)
        ended = runtime.wait_for_job(job.job_id, LIMIT)
        explanations = [str(explanation) for explanation in runtime.explain_all(job.job_id)] if not ended else []
        if not ended:
            runtime.cancel_job(job.job_id)
        assert ended, explanations
    return job


def note(items: list[Any], job_state: JobState) -> None:
    for item in items:
        job_state.append_shared_data("seen", item)


def slow_note(items: list[Any], job_state: JobState) -> None:
    time.sleep(0.0005)
    note(items, job_state)


def dropped(job: JobState) -> int:
    return sum(count for reasons in job.drops.values() for count in reasons.values())


def emitting(count: int, *events: str) -> Callable[..., None]:
    def logic(routine: Routine) -> None:
        for event in events:
            for number in range(count):
                routine.emit(event, number)

    return logic


def held(length: int) -> int:
    """How much of one source may wait at most: the slot, its outbox, and the item in hand."""
    return 2 * length + 1


# --- bounded memory ---------------------------------------------------------------------------------------------


def measured_source(count: int, most: list[int], target: str = "sink") -> Routine:
    def logic(routine: Routine, job_state: JobState) -> None:
        slot = job_state.slots(target)["items"]
        for number in range(count):
            routine.emit("out", number)
            state = slot.get_queue_state()
            most.append(state["unconsumed_count"] + state["parked_count"])

    return Routine("source").set_logic(logic)


@all_threads
@pytest.mark.parametrize("length", [1, 3, 50])
@pytest.mark.parametrize("logic", [note, slow_note])
def test_sync_source_is_held_back_by_its_consumer(threads: int, length: int, logic: Any) -> None:
    most: list[int] = []
    target = Routine("sink").add_slot("items", length).set_activation_policy(batch_size_policy(1)).set_logic(logic)
    flow = Flow("f").add_routine(measured_source(300, most)).add_routine(target)
    job = finish(threads, flow.connect("source", "out", "sink", "items"))
    assert (job.status, job.get_shared_data("seen"), job.drops) == ("completed", list(range(300)), {})
    assert max(most) <= held(length)


@all_threads
def test_two_sync_sources_are_held_back_by_one_consumer(threads: int) -> None:
    most: list[int] = []
    flow = Flow("f").add_routine(measured_source(300, most))
    other = measured_source(300, most)
    flow.add_routine(other, "other")
    target = Routine("sink").add_slot("items", 4).set_activation_policy(batch_size_policy(1)).set_logic(slow_note)
    flow.add_routine(target).connect("source", "out", "sink", "items").connect("other", "out", "sink", "items")
    job = finish(threads, flow)
    assert sorted(job.get_shared_data("seen")) == sorted([*range(300), *range(300)])
    assert not job.drops
    if threads > 2:  # the last free worker parks without limit
        assert max(most) <= 4 + 2 * (4 + 1)


# --- deadlock-free ----------------------------------------------------------------------------------------------


@all_threads
def test_consumer_that_holds_for_ever_costs_all_but_one_slot_full(threads: int) -> None:
    def never(slots: Any, job_state: JobState) -> Any:
        return False, {}, None

    target = Routine("sink").add_slot("items", 5).set_activation_policy(never).set_logic(note)
    flow = Flow("f").add_routine(Routine("source").set_logic(emitting(100, "out"))).add_routine(target)
    job = finish(threads, flow.connect("source", "out", "sink", "items"))
    assert (job.status, job.drops) == ("completed", {("sink", "items"): {"full": 95}})
    assert job.leftovers.item_count == 5
    assert job.slots("sink")["items"].peek_all_new() == [0, 1, 2, 3, 4]


def joining(on_full: str, length: int = 2) -> Flow:
    def logic(left: list[int], right: list[int], job_state: JobState) -> None:
        note([*zip(left, right, strict=True)], job_state)

    join = Routine("join").set_activation_policy(all_slots_ready_policy()).set_logic(logic)
    join.add_slot("left", length, on_full=on_full).add_slot("right", length, on_full=on_full)
    flow = Flow("f").add_routine(Routine("router").set_logic(emitting(50, "a", "b"))).add_routine(join)
    for event, slot in (("a", "left"), ("b", "right")):
        middle = Routine(f"via-{event}").add_slot("items", length)
        middle.set_logic(lambda items, routine: [routine.emit("out", item) for item in items] and None)
        flow.add_routine(middle).connect("router", event, middle.name, "items")
        flow.connect(middle.name, "out", "join", slot)
    return flow


@all_threads
def test_router_whose_branches_meet_in_a_join_ends_and_lists_every_drop(threads: int) -> None:
    for _ in range(5):
        job = finish(threads, joining("wait"))
        assert job.status == "completed"
        met = job.get_shared_data("seen", [])
        assert 2 * len(met) + dropped(job) + job.leftovers.item_count == 100
        assert [left for left, _ in met] == sorted(left for left, _ in met)


@all_threads
def test_router_whose_branches_meet_in_a_join_that_stretches_loses_nothing(threads: int) -> None:
    for _ in range(5):
        job = finish(threads, joining("stretch"))
        assert (job.status, job.drops, bool(job.leftovers)) == ("completed", {}, False)
        assert job.get_shared_data("seen") == [(number, number) for number in range(50)]


@all_threads
def test_m15_full_join_slot_and_a_producer_that_waits_ends_with_the_culprit_named(
    threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    join = Routine("join").set_activation_policy(all_slots_ready_policy()).set_logic(lambda left, right: None)
    join.add_slot("left", 2).add_slot("right", 2)
    flow = Flow("f").add_routine(Routine("router").set_logic(emitting(20, "a"))).add_routine(join)
    job = finish(threads, flow.connect("router", "a", "join", "left").connect("router", "b", "join", "right"))
    assert (job.status, job.drops, job.leftovers.item_count) == ("completed", {("join", "left"): {"full": 18}}, 2)
    warnings = [record.getMessage() for record in caplog.records if "only by dropping" in record.getMessage()]
    assert len(warnings) == 1
    assert "'join'" in warnings[0]


@all_threads
def test_cycle_that_multiplies_ends_and_lists_every_drop(threads: int) -> None:
    def logic(items: list[int], routine: Routine, job_state: JobState) -> None:
        note(items, job_state)
        for item in items:
            for _ in range(2 if item else 0):
                routine.emit("out", item - 1)

    for _ in range(5):
        flow = Flow("doubling", on_leftover="ok")
        for name in ("one", "two", "three"):
            flow.add_routine(Routine(name).add_slot("items", 2).set_logic(logic))
        flow.connect("one", "out", "two", "items").connect("two", "out", "three", "items")
        job = finish(threads, flow.connect("three", "out", "one", "items"), inputs={"one": {"items": [8]}})
        seen = job.get_shared_data("seen")
        assert job.status == "completed"
        assert len(seen) + dropped(job) + job.leftovers.item_count == 1 + 2 * sum(item > 0 for item in seen)


@all_threads
def test_emitter_goes_on_without_a_drop_when_a_post_or_timer_can_still_make_room(threads: int) -> None:
    def patient(slots: Any, job_state: JobState) -> Any:
        if not slots["key"].get_unconsumed_count():
            return False, {}, None
        slots["key"].peek_all_new()
        return True, {"items": slots["items"].consume_all_new()}, None

    target = Routine("sink").add_slot("items", 3).add_slot("key").set_activation_policy(patient)
    target.set_logic(lambda items, key, job_state: note(items, job_state))
    flow = Flow("f", on_leftover="ok").add_routine(Routine("source").set_logic(emitting(40, "out")))
    flow.add_routine(target).connect("source", "out", "sink", "items")
    with Runtime(threads) as runtime:
        job = runtime.exec(flow, keep_open=True)
        time.sleep(0.02)
        assert not job.drops
        runtime.post(job.job_id, "sink", "key", "open")
        runtime.close_job(job.job_id)
        assert runtime.wait_for_job(job.job_id, LIMIT)
    assert (job.get_shared_data("seen"), job.drops) == (list(range(40)), {})


@all_threads
def test_cancel_frees_an_emitter_that_waits_for_room(threads: int) -> None:
    go_on, inside = threading.Event(), threading.Event()

    def stuck(items: list[int]) -> None:
        inside.set()
        go_on.wait(LIMIT)

    target = Routine("sink").add_slot("items", 1).set_activation_policy(batch_size_policy(1)).set_logic(stuck)
    flow = Flow("f").add_routine(Routine("source").set_logic(emitting(100, "out"))).add_routine(target)
    flow.connect("source", "out", "sink", "items")
    runtime = Runtime(threads, grace_seconds=0.05)
    try:
        job = runtime.exec(flow)
        assert inside.wait(LIMIT)
        runtime.cancel_job(job.job_id)
        assert runtime.wait_for_job(job.job_id, 1)
        assert job.status == "cancelled"
    finally:
        go_on.set()
        runtime.shutdown(wait=False)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("routilux")]
