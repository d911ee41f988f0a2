"""When logics run, with which items, and why. Design: §4; BEHAVIOURS 11-16, 19, 42."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux import (
    Condition,
    ErrorHandler,
    ErrorStrategy,
    Flow,
    JobState,
    Policy,
    Routine,
    RoutineNotFoundError,
    Slot,
    SlotQueueFullError,
    all_slots_ready_policy,
    batch_size_policy,
    custom_policy,
    immediate_policy,
    time_interval_policy,
)
from routilux.policies import Answer, Slots, policy_from_dict
from routilux.testing import ManualClock, Recorder, SimRuntime


def seen(job: Any, key: Any = "seen") -> Any:
    return job.get_shared_data(key, [])


@pytest.fixture
def opened(sim: Any, wire: Any, sink: Any) -> Any:
    """Start a job of one sink with this policy, kept open; gives the job and a function that posts and runs."""

    def make(policy: Any, *slots: Any, **limits: Any) -> Any:
        flow = wire({"t": sink(*slots, policy=policy, **limits)}, on_leftover="ok")
        job = sim.exec(flow, keep_open=True)
        sim.run_until_idle()

        def post(*values: Any, slot: Any = slots[0] if slots else "items") -> None:
            for value in values:
                sim.post(job.job_id, "t", slot, value)
            sim.run_until_idle()

        return job, post

    return make


# --- the built-in ones --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [None, immediate_policy()], ids=str)
def test_no_policy_activates_at_once_with_all_new_items_of_every_slot(
    sim: Any, opened: Any, policy: Any
) -> None:  # B11
    job, post = opened(policy, "a", "b")
    for slot in "ab":
        for number in range(2):
            sim.post(job.job_id, "t", slot, f"{slot}{number}")
    sim.run_until_idle()
    post("later")
    assert seen(job) == [[["a0", "a1"], ["b0", "b1"]], [["later"], []]]


def test_batch_takes_exactly_n_of_each_and_leaves_the_rest(opened: Any) -> None:  # B12
    job, post = opened(batch_size_policy(2), "a", "b")
    post(1, 2, 3, 4, 5)
    assert seen(job) == []
    post("x", "y", "z", slot="b")
    assert seen(job) == [[[1, 2], ["x", "y"]]]
    assert [job.slots("t")[slot].peek_all_new() for slot in "ab"] == [[3, 4, 5], ["z"]]


def test_batch_activates_again_and_again_while_there_is_enough(opened: Any) -> None:  # B12
    job, post = opened(batch_size_policy(2))
    post(*range(7))
    assert seen(job) == [[[0, 1]], [[2, 3]], [[4, 5]]]


def test_a_batch_holds_at_the_end_unless_told_to_fire(run: Any, wire: Any, source: Any, sink: Any) -> None:
    for at_end, expected, left in (("hold", [[[0, 1]]], 1), ("fire", [[[0, 1]], [[2]]], 0)):
        target = sink(policy=batch_size_policy(2, at_end=at_end))
        job = run(wire({"s": source(0, 1, 2), "t": target}, "s.out > t.items"))
        assert (seen(job), job.leftovers.item_count) == (expected, left)


def test_all_slots_ready_pairs_the_surplus_later(opened: Any) -> None:  # B13
    job, post = opened(all_slots_ready_policy(), "a", "b")
    post(1, 2, 3)
    post("x", slot="b")
    assert seen(job) == [[[1], ["x"]]]
    post("y", "z", slot="b")
    assert seen(job) == [[[1], ["x"]], [[2], ["y"]], [[3], ["z"]]]


def test_custom_takes_all_when_its_check_says_so(opened: Any) -> None:
    job, post = opened(custom_policy(lambda slots, job_state: slots["items"].get_unconsumed_count() >= 3))
    post(1, 2)
    post(3, 4)
    assert seen(job) == [[[1, 2, 3]], [[4]]] or seen(job) == [[[1, 2, 3, 4]]]
    assert [item for lists in seen(job) for item in lists[0]] == [1, 2, 3, 4]


def test_custom_with_a_check_that_reads_the_job(sim: Any, opened: Any) -> None:
    def check(slots: Any, job_state: Any) -> Any:
        return job_state.get_shared_data("go", False) and slots["items"].get_unconsumed_count()

    job, post = opened(custom_policy(check))
    post(1)
    job.update_shared_data("go", True)
    post(2)
    assert seen(job) == [[[1, 2]]]


def test_an_interval_delivers_what_arrived_inside_when_it_ends_without_new_input(sim: Any, opened: Any) -> None:  # B15
    job, post = opened(time_interval_policy(10))
    post("first")
    post("second")
    sim.advance(9.999)
    assert seen(job) == [[["first"]]]
    sim.advance(0.001)
    assert seen(job) == [[["first"]], [["second"]]]


def test_an_interval_starts_again_after_each_activation(sim: Any, opened: Any) -> None:  # B15
    job, post = opened(time_interval_policy(10))
    post(1)
    sim.advance(25)
    post(2)
    post(3)
    sim.advance(9)
    assert seen(job) == [[[1]], [[2]]]
    sim.advance(1)
    assert seen(job) == [[[1]], [[2]], [[3]]]


def test_an_interval_delivers_at_once_at_the_end_of_input(sim: Any, opened: Any) -> None:
    job, post = opened(time_interval_policy(3600))
    post(1)
    post(2)
    sim.close_job(job.job_id)
    sim.run_until_idle()
    assert (seen(job), job.status) == ([[[1]], [[2]]], "completed")


def test_an_interval_follows_the_monotonic_clock(sim: Any, opened: Any) -> None:
    job, post = opened(time_interval_policy(10))
    post(1)
    sim.manual_clock.step_wall(3600)
    post(2)
    assert seen(job) == [[[1]]]
    sim.manual_clock.step_wall(-7200)
    sim.advance(10)
    assert seen(job) == [[[1]], [[2]]]


def test_two_jobs_never_share_a_policys_clock(sim: Any, wire: Any, sink: Any) -> None:  # B14
    flow = wire({"t": sink(policy=time_interval_policy(10))})
    first, second = (sim.exec(flow, keep_open=True) for _ in range(2))
    sim.post(first.job_id, "t", "items", 1)
    sim.run_until_idle()
    sim.post(second.job_id, "t", "items", 2)
    sim.run_until_idle()
    assert seen(second) == [[[2]]]


def test_two_routines_never_share_a_policys_clock(sim: Any, wire: Any, sink: Any) -> None:  # B14
    policy = time_interval_policy(10)
    job = sim.exec(wire({"a": sink(policy=policy, key="a"), "b": sink(policy=policy, key="b")}), keep_open=True)
    for routine_id in "ab":
        sim.post(job.job_id, routine_id, "items", routine_id)
        sim.run_until_idle()
    assert (seen(job, "a"), seen(job, "b")) == ([[["a"]]], [[["b"]]])


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (immediate_policy(), "immediate_policy()"),
        (batch_size_policy(10), "batch_size_policy(10)"),
        (all_slots_ready_policy(), "all_slots_ready_policy()"),
        (time_interval_policy(1.5), "time_interval_policy(1.5)"),
    ],
)
def test_policies_are_values(policy: Any, text: Any) -> None:
    same = eval(text, globals())
    assert (repr(policy), policy == same, hash(policy) == hash(same)) == (text, True, True)
    assert policy.to_dict()["policy"] == text.partition("(")[0]


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda: time_interval_policy(-1), ValueError),
        (lambda: time_interval_policy(float("nan")), ValueError),
        (lambda: time_interval_policy("1"), TypeError),  # type: ignore[arg-type]
        (lambda: custom_policy(3), TypeError),  # type: ignore[arg-type]
        (lambda: batch_size_policy(True), TypeError),
    ],
)
def test_a_policy_with_a_bad_parameter_is_refused_when_built(build: Any, kind: Any) -> None:
    with pytest.raises(kind):
        build()


# --- by hand ------------------------------------------------------------------------------------------------


@pytest.fixture
def by_hand() -> Any:
    """A job without a runtime, and two slots."""
    clock = ManualClock()
    job = JobState("f", clock=clock)
    job.current_routine_id = "t"
    return clock, job, {name: Slot(name, clock=clock) for name in ("a", "b")}


def test_policies_can_be_called_by_hand(by_hand: Any) -> None:
    _, job, slots = by_hand
    assert batch_size_policy(1)(slots, job) == (False, {}, None)
    for number in range(3):
        slots["a"].enqueue(number)
        slots["b"].enqueue(-number)
    decision = batch_size_policy(2)(slots, job)
    assert decision.should_activate
    assert decision.data_slice == {"a": [0, 1], "b": [0, -1]}
    assert slots["a"].peek_all_new() == [2]


def test_time_interval_by_hand_reads_the_jobs_clock(by_hand: Any) -> None:
    clock, job, slots = by_hand
    policy = time_interval_policy(10)
    slots["a"].enqueue(1)
    assert policy(slots, job).should_activate
    slots["a"].enqueue(2)
    assert not policy(slots, job).should_activate
    clock.advance(10)
    assert policy(slots, job) == (True, {"a": [2], "b": []}, {"reason": "time_interval_met", "interval": 10})


def test_now_is_aware_utc_and_monotonic_counts_seconds(by_hand: Any) -> None:
    clock, job, _ = by_hand
    now, seconds = job.now(), job.monotonic()
    clock.advance(2.5)
    assert job.now() - now == timedelta(seconds=2.5)
    assert job.monotonic() - seconds == pytest.approx(2.5)
    assert now.utcoffset() == timedelta(0)


# --- consumption is provisional -----------------------------------------------------------------------------

STEPS = ("one", "two", "all", "latest", "old_and_new", "middle", "last", "points")


def consume(slot: Any, step: Any) -> None:
    """Consume in one of many ways."""
    points = slot.peek_points()
    match step:
        case "one":
            slot.consume_one_new()
        case "two":
            slot.consume_new(2)
        case "all":
            slot.consume_all_new()
        case "latest":
            slot.consume_latest_and_mark_all_consumed()
        case "old_and_new":
            slot.consume_all()
        case "points":
            slot.consume_points(1)
        case "middle" if points:
            slot.consume_points([points[len(points) // 2]])
        case "last" if points:
            slot.consume_points([points[-1].seq])


@settings(max_examples=150, deadline=None)
@given(
    plans=st.lists(
        st.tuples(st.lists(st.sampled_from(STEPS), max_size=4), st.sampled_from(["no", "raise"])), max_size=6
    )
)
@pytest.mark.parametrize("on_full", ["wait", "drop_oldest"])
def test_what_a_policy_consumed_is_back_in_place_after_a_no_or_an_error(on_full: Any, plans: Any) -> None:
    asked = iter(plans)
    mismatches = []
    before = []  # type: ignore[var-annotated]

    def policy(slots: Any, job_state: Any) -> Any:
        steps, answer = next(asked, ((), "no"))
        points = slots["items"].peek_points()
        if before and points[: len(before[-1])] != before[-1]:
            mismatches.append((before[-1], points))
        before.append(points)
        for step in steps:
            consume(slots["items"], step)
        if answer == "raise":
            raise ValueError("bad luck")
        return False, {}, None

    target = Routine("t").add_slot("items", 20, on_full=on_full).set_logic(lambda items: None)
    target.set_activation_policy(policy).set_error_handler(ErrorHandler("continue"))  # type: ignore[arg-type]
    sim = SimRuntime()
    job = sim.exec(Flow("f").add_routine(target), keep_open=True)
    for number in range(7):
        sim.run_until_idle()
        sim.post(job.job_id, "t", "items", number)
    sim.run_until_idle()
    assert mismatches == []
    assert job.slots("t")["items"].peek_all_new() == list(range(7))
    assert job.slots("t")["items"].get_total_count() == 7
    sim.shutdown(wait=False)


@settings(max_examples=100, deadline=None)
@given(
    length=st.integers(1, 5),
    plans=st.lists(st.tuples(st.lists(st.sampled_from(STEPS), max_size=3), st.booleans()), max_size=30),
    on_full=st.sampled_from(["wait", "stretch"]),
)
def test_with_any_policy_every_item_is_consumed_once_or_left_over(length: Any, plans: Any, on_full: Any) -> None:
    asked = iter(plans)

    def policy(slots: Any, job_state: Any) -> Any:
        steps, says_yes = next(asked, ((), False))
        for step in steps:
            consume(slots["items"], step)
        return says_yes, {}, None

    target = Routine("t").add_slot("items", length, on_full=on_full).set_logic(lambda items: None)
    sender = Routine("s").set_logic(lambda routine: [routine.emit("out", n) for n in range(12)] and None)
    flow = Flow("f", on_leftover="ok").add_routine(sender).add_routine(target.set_activation_policy(policy))
    sim = SimRuntime()
    job = sim.exec(flow.connect("s", "out", "t", "items"))
    sim.run_until_idle(10_000)
    taken = [seq for record in job.execution_history for seq in record.data.get("items", {}).get("items", [])]
    dropped = sum(job.drops.get(("t", "items"), {}).values())
    assert len(taken) == len(set(taken))
    assert len(taken) + dropped + job.leftovers.item_count == 12
    assert dropped == 0 or on_full == "wait"
    assert job.status == "completed"
    sim.shutdown(wait=False)


def test_provisional_consumption_makes_no_room_until_the_yes(sim: Any, opened: Any) -> None:
    refused = []

    def policy(slots: Any, job_state: Any) -> Any:
        if slots["items"].consume_all_new() == [1, 2]:
            try:
                sim.post(job_state.job_id, "t", "items", "sneaked in")
            except SlotQueueFullError as error:
                refused.append(error)
        return False, {}, None

    job, post = opened(policy, max_queue_length=2)
    post(1, 2)
    assert (job.slots("t")["items"].peek_all_new(), len(refused)) == ([1, 2], 1)


def test_a_drop_stands_with_a_no(opened: Any) -> None:
    def policy(slots: Any, job_state: Any) -> Any:
        stale = [point for point in slots["items"].peek_points() if point.data < 0]
        slots["items"].drop(stale, "stale")
        slots["items"].consume_all_new()
        return False, {}, None

    job, post = opened(policy)
    post(1, -1, 2, -2)
    assert job.slots("t")["items"].peek_all_new() == [1, 2]
    assert job.drops == {("t", "items"): {"stale": 2}}
    assert sum(record.data["count"] for record in job.execution_history if record.event_name == "dropped") == 2


def test_a_drop_with_a_no_lets_parked_items_in(sim: Any, wire: Any, source: Any, sink: Any) -> None:
    def policy(slots: Any, job_state: Any) -> Any:
        slots["items"].drop(slots["items"].peek_points(), "unwanted")
        return False, {}, None

    target = sink(policy=policy, max_queue_length=2)
    job = sim.exec(wire({"s": source(*range(9)), "t": target}, "s.out > t.items"))
    sim.run_until_idle()
    assert (job.status, job.drops, bool(job.leftovers)) == ("completed", {("t", "items"): {"unwanted": 9}}, False)


def test_a_no_after_taking_from_the_middle_costs_no_more_with_a_long_backlog() -> None:  # B10
    def cost(backlog: Any) -> Any:
        def policy(slots: Any, job_state: Any) -> Any:
            slots["items"].consume_points([slots["items"].peek_points_since(backlog // 2)[0].seq])
            return False, {}, None

        slot = Slot("items", None)
        for number in range(backlog):
            slot.enqueue(number)
        best = float("inf")
        for _ in range(6):
            began = time.perf_counter()
            for _ in range(5):
                slot.queue.taken = []
                slot.consume_points([backlog // 2])
                slot.queue.reject()
            best = min(best, time.perf_counter() - began)
        return best

    assert cost(50_000) < 15 * cost(500)


# --- when a policy is asked ---------------------------------------------------------------------------------


def test_changes_coalesce_and_the_last_one_is_seen(opened: Any) -> None:
    counts = []

    def policy(slots: Any, job_state: Any) -> Any:
        counts.append(slots["items"].get_unconsumed_count())
        return False, {}, None

    _, post = opened(policy)
    counts.clear()
    post(*range(50))
    assert counts == [50]


def test_items_that_arrive_while_the_routine_runs_are_consumed_without_a_further_event(sim: Any, wire: Any) -> None:
    def logic(items: Any, job_state: Any) -> None:
        job_state.append_shared_data("seen", items)
        if items == [1]:
            sim.post(job_state.job_id, "t", "items", 2)

    job = sim.exec(wire({"t": Routine("t").set_logic(logic)}), keep_open=True)
    sim.post(job.job_id, "t", "items", 1)
    sim.run_until_idle()
    assert seen(job) == [[1], [2]]


@pytest.mark.parametrize("gives", [{}, {"items": []}, {"items": ["made up"]}], ids=str)
def test_a_policy_that_always_says_yes_without_consuming_does_not_spin(
    sim: Any, opened: Any, gives: Any
) -> None:  # B42
    job, post = opened(lambda slots, job_state: (True, dict(gives), None))
    before = len(seen(job))
    post("x")
    sim.advance(1000)
    assert len(seen(job)) - before <= 2
    sim.close_job(job.job_id)
    sim.run_until_idle(1000)
    assert (job.status, len(seen(job)) - before <= 4) == ("completed", True)


def test_a_policy_that_only_peeks_does_not_spin(sim: Any, opened: Any) -> None:  # B42
    def policy(slots: Any, job_state: Any) -> Any:
        return True, {"items": slots["items"].peek_all_new()}, None

    job, post = opened(policy)
    before = len(seen(job))
    post("x")
    assert len(seen(job)) - before == 1
    assert job.slots("t")["items"].get_unconsumed_count() == 1


def test_a_missing_slot_is_an_empty_list_for_the_logic(sim: Any, opened: Any) -> None:
    job, post = opened(lambda slots, job_state: (bool(slots["b"]), {"b": slots["b"].consume_all_new()}, None), "a", "b")
    before = len(seen(job))
    post("x", slot="b")
    assert [[], ["x"]] in seen(job)[before:]


def test_asking_sees_the_current_routine(opened: Any) -> None:
    asked = []
    opened(lambda slots, job_state: (asked.append(job_state.current_routine_id), {}, None))  # type: ignore[func-returns-value]
    assert set(asked) == {"t"}


# --- rubbish ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answering(Policy):
    """A policy value whose `ask` gives anything."""

    answer: object

    def ask(self, slots: Any, job_state: Any) -> Any:
        slots["items"].consume_all_new()
        return self.answer


RUBBISH = [  # type: ignore[var-annotated]
    None,
    True,
    (True, {}),
    (True, None, None),
    (True, {"nope": [1]}, None),
    (True, {"items": "text"}, None),
    [1],
]


def answering(answer: Any) -> Any:
    def policy(slots: Any, job_state: Any) -> Any:
        slots["items"].consume_all_new()
        return answer

    return policy


@pytest.mark.parametrize("answer", RUBBISH, ids=str)
@pytest.mark.parametrize("kind", ["function", "value"])
def test_rubbish_from_a_policy_is_an_error_of_ours_and_consumes_nothing(
    sim: Any, opened: Any, answer: Any, kind: Any
) -> None:
    given = answer
    if kind == "value" and isinstance(answer, tuple) and len(answer) == 3:
        given = (*answer, None)
    policy = answering(answer) if kind == "function" else Answering(given)
    job, _ = opened(None)
    flow = Flow("g", on_leftover="ok").add_routine(
        Routine("t").add_slot("items").set_logic(lambda items: None).set_activation_policy(policy)
    )
    job = sim.exec(flow, inputs={"t": {"items": [1, 2]}})
    sim.run_until_idle()
    assert (job.status, job.error.type, job.error.routine_id) == ("failed", "PolicyError", "t")
    assert "'t'" in job.error.message
    assert job.slots("t")["items"].peek_all_new() == [1, 2]


def test_rubbish_goes_through_the_error_strategy(sim: Any, wire: Any, source: Any, sink: Any) -> None:
    target = sink(policy=answering(None)).set_error_handler(ErrorHandler("skip"))  # type: ignore[arg-type]
    flow = wire({"s": source(1), "t": target, "u": sink(key="u")}, "s.out > t.items", "s.out > u.items")
    job = sim.exec(flow)
    sim.run_until_idle()
    assert (job.status, seen(job, "u")) == ("completed", [[[1]]])


# --- policies that raise ------------------------------------------------------------------------------------


def raising(slots: Any, job_state: Any) -> None:
    slots["items"].consume_all_new()
    raise OSError("policy broke")


@pytest.mark.parametrize(
    ("strategy", "status"), [("stop", "failed"), ("continue", "completed"), ("skip", "completed"), ("retry", "failed")]
)
def test_a_policy_that_raises_goes_through_the_strategy_and_never_hurts_the_emitter(
    sim: Any, wire: Any, source: Any, sink: Any, strategy: Any, status: Any
) -> None:  # B16
    target = sink(policy=raising).set_error_handler(ErrorHandler(strategy, max_retries=2))
    sender = source(1, 2).set_error_handler(ErrorHandler("stop"))  # type: ignore[arg-type]
    flow = wire({"s": sender, "t": target}, "s.out > t.items", on_leftover="ok")
    job = sim.exec(flow)
    sim.advance(100)
    assert job.status == status
    failed = [record for record in job.execution_history if "error" in record.data and record.routine_id]
    assert {record.routine_id for record in failed} == {"t"}
    if strategy != "skip":
        assert job.slots("t")["items"].peek_all_new() == [1, 2]
    if status == "failed":
        assert (job.error.type, job.error.routine_id, job.error.message) == ("OSError", "t", "policy broke")
    assert seen(job) == []


def test_a_policy_that_raises_is_retried_with_its_delays(sim: Any, wire: Any, sink: Any) -> None:  # B16
    asked = []

    def policy(slots: Any, job_state: Any) -> Any:
        asked.append(job_state.monotonic())
        if len(asked) < 3:
            raise OSError
        return True, {"items": slots["items"].consume_all_new()}, None

    target = sink(policy=policy).set_error_handler(ErrorHandler("retry", retry_delay=2, retry_backoff=3))  # type: ignore[arg-type]
    job = sim.exec(wire({"t": target}), inputs={"t": {"items": [1]}})
    sim.advance(60)
    assert [round(at - asked[0]) for at in asked[:3]] == [0, 2, 8]
    assert (seen(job)[0], job.status) == ([[1]], "completed")


def test_a_policy_error_under_continue_counts_as_a_no_and_makes_no_dead_letter(
    sim: Any, opened: Any, wire: Any, sink: Any
) -> None:
    calls = []

    def policy(slots: Any, job_state: Any) -> Any:
        calls.append(1)
        if slots["items"].get_unconsumed_count() == 1:
            raise OSError
        return bool(slots["items"]), {"items": slots["items"].consume_all_new()}, None

    job = sim.exec(
        wire({"t": sink(policy=policy).set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))}), keep_open=True
    )
    sim.post(job.job_id, "t", "items", 1)
    sim.run_until_idle()
    sim.post(job.job_id, "t", "items", 2)
    sim.run_until_idle()
    assert [[1, 2]] in seen(job)
    assert job.dead_letters == []


# --- timers -------------------------------------------------------------------------------------------------


def waking(*delays: Any, keep_alive: Any = False, say_yes_at: Any = 10**9) -> Any:
    """Make a policy that asks to be asked again after these delays, once each, and notes when it was asked."""
    asked = []  # type: ignore[var-annotated]

    def policy(slots: Any, job_state: Any) -> Any:
        asked.append(round(job_state.monotonic() - asked[0][0] if asked else 0, 3))  # type: ignore[index]
        if len(asked) == 1:
            asked[0] = (job_state.monotonic(), 0)
        for delay in delays[len(asked) - 1 : len(asked)]:
            job_state.wake_after(delay, keep_alive=keep_alive)
        return False, {}, None

    policy.asked = asked  # type: ignore[attr-defined]
    return policy


def times(policy: Any) -> Any:
    return [0.0, *policy.asked[1:]]


def test_a_timer_asks_again_at_its_time(sim: Any, opened: Any) -> None:
    policy = waking(5, 7)
    opened(policy)
    sim.advance(100)
    assert times(policy) == [0, 5, 12]


def test_the_last_call_of_wake_after_wins(sim: Any, opened: Any) -> None:
    asked = []

    def policy(slots: Any, job_state: Any) -> Any:
        asked.append(round(job_state.monotonic(), 3))
        if len(asked) == 1:
            for delay in (9, 2, 4):
                job_state.wake_after(delay)
        return False, {}, None

    opened(policy)
    sim.advance(100)
    assert [at - asked[0] for at in asked] == [0, 4]


def test_a_timer_keeps_the_job_alive_while_items_wait(sim: Any, wire: Any, sink: Any) -> None:
    policy = waking(5)
    job = sim.exec(wire({"t": sink(policy=policy)}, on_leftover="ok"), inputs={"t": {"items": [1]}})
    sim.run_until_idle()
    assert job.status == "running"
    sim.advance(5)
    assert (job.status, job.leftovers.item_count) == ("completed", 1)


def test_a_timer_without_items_does_not_keep_the_job_alive(sim: Any, wire: Any, sink: Any) -> None:
    job = sim.exec(wire({"t": sink(policy=waking(5))}))
    sim.run_until_idle()
    assert job.status == "completed"


def test_a_timer_that_keeps_alive_does_without_items(sim: Any, wire: Any, sink: Any) -> None:
    job = sim.exec(wire({"t": sink(policy=waking(5, keep_alive=True))}))
    sim.run_until_idle()
    assert job.status == "running"
    sim.advance(5)
    assert job.status == "completed"


def test_a_source_with_a_policy_is_activated_when_the_policy_decides(sim: Any, wire: Any, sink: Any) -> None:
    def policy(slots: Any, job_state: Any) -> Any:
        done = job_state.memory().setdefault("done", [])
        if len(done) == 3:
            return False, {}, None
        if not done or job_state.monotonic() - done[-1] >= 10:
            done.append(job_state.monotonic())
            job_state.memory()["done"] = done
            job_state.wake_after(10, keep_alive=True)
            return True, {}, len(done)
        job_state.wake_after(10 - (job_state.monotonic() - done[-1]), keep_alive=True)
        return False, {}, None

    def tick(routine: Any, policy_message: Any) -> None:
        routine.emit("out", policy_message)

    ticker = Routine("s").set_activation_policy(policy).set_logic(tick)
    job = sim.exec(wire({"s": ticker, "t": sink()}, "s.out > t.items"), keep_open=True)
    sim.run_until_idle()
    assert seen(job) == [[[1]]]


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf")])
def test_wake_after_refuses_what_is_no_delay(by_hand: Any, delay: Any) -> None:
    with pytest.raises(ValueError, match=str(delay)):
        by_hand[1].wake_after(delay)


def test_wake_after_without_a_routine_says_what_to_do() -> None:
    with pytest.raises(Exception, match="current_routine_id"):
        JobState("f").wake_after(1)


# --- closing ------------------------------------------------------------------------------------------------


def test_a_slot_closes_when_all_that_feeds_it_has_ended_and_the_policy_is_asked_once_more(
    sim: Any, wire: Any, source: Any
) -> None:
    asked = []

    def policy(slots: Any, job_state: Any) -> Any:
        asked.append((slots["items"].is_closed, slots["items"].get_unconsumed_count()))
        return False, {}, None

    target = Routine("t").add_slot("items").set_logic(lambda items: None).set_activation_policy(policy)
    job = sim.exec(wire({"s": source(1), "t": target}, "s.out > t.items", on_leftover="ok"))
    sim.run_until_idle()
    assert asked[-1] == (True, 1)
    assert [closed for closed, _ in asked].count(True) == 1
    assert job.status == "completed"


def test_a_slot_stays_open_while_one_of_two_feeders_lives(sim: Any, wire: Any, source: Any, sink: Any) -> None:
    async def slow(routine: Any) -> None:
        await asyncio.sleep(10)
        routine.emit("out", "late")

    flow = wire(
        {"s": source(1), "slow": Routine("slow").set_logic(slow), "t": sink()}, "s.out > t.items", "slow.out > t.items"
    )
    job = sim.exec(flow)
    sim.run_until_idle()
    assert not job.slots("t")["items"].is_closed
    sim.advance(10)
    assert (seen(job), job.slots("t")["items"].is_closed) == ([[[1]], [["late"]]], True)


def test_a_policy_may_deliver_at_the_close_what_it_holds(run: Any, wire: Any, source: Any, sink: Any) -> None:
    def policy(slots: Any, job_state: Any) -> Any:
        slot = slots["items"]
        if slot.is_closed and slot.get_unconsumed_count():
            return True, {"items": slot.consume_all_new()}, "end"
        return False, {}, None

    job = run(wire({"s": source(1, 2), "t": sink(policy=policy)}, "s.out > t.items"))
    assert (seen(job), bool(job.leftovers)) == ([[[1, 2]]], False)


def test_what_is_delivered_at_a_close_reaches_the_next_routine_before_its_slot_closes(
    run: Any, wire: Any, source: Any, sink: Any
) -> None:
    def relay(items: Any, routine: Any) -> None:
        routine.emit("out", sum(items))

    first = Routine("a").set_logic(relay).set_activation_policy(batch_size_policy(10, at_end="fire"))
    second = sink(policy=batch_size_policy(10, at_end="fire"))
    job = run(wire({"s": source(*range(25)), "a": first, "t": second}, "s.out > a.items", "a.out > t.items"))
    assert seen(job) == [[[45, 145, 110]]]


def test_the_slots_of_a_quiet_cycle_close_together_and_deliver(run: Any, wire: Any, source: Any) -> None:
    def loop(fresh: Any, again: Any, routine: Any, job_state: Any) -> None:
        for item in fresh:
            routine.emit("again", item)
        job_state.append_shared_data("seen", again)

    def policy(slots: Any, job_state: Any) -> Any:
        if slots["fresh"].get_unconsumed_count():
            return True, {"fresh": slots["fresh"].consume_all_new()}, None
        if slots["again"].is_closed and slots["again"].get_unconsumed_count():
            return True, {"again": slots["again"].consume_all_new()}, None
        return False, {}, None

    target = Routine("loop").set_logic(loop).set_activation_policy(policy)
    job = run(wire({"s": source(1, 2), "loop": target}, "s.out > loop.fresh", "loop.again > loop.again"))
    assert (seen(job), job.status, bool(job.leftovers)) == ([[], [1, 2]], "completed", False)


def test_nothing_closes_while_the_job_is_kept_open(sim: Any, wire: Any, source: Any, sink: Any) -> None:
    job = sim.exec(wire({"s": source(1), "t": sink()}, "s.out > t.items"), keep_open=True)
    sim.advance(1000)
    assert not job.slots("t")["items"].is_closed
    assert job.status == "running"


# --- memory -------------------------------------------------------------------------------------------------


def test_memory_is_per_job_and_routine(sim: Any, wire: Any, sink: Any) -> None:
    def policy(slots: Any, job_state: Any) -> Any:
        memory = job_state.memory()
        memory["asked"] = memory.get("asked", 0) + 1
        return bool(slots["items"]), {"items": slots["items"].consume_all_new()}, None

    def counting(slots: Any, job_state: Any) -> Any:
        memory = job_state.memory()
        memory["n"] = memory.get("n", 0) + slots["items"].get_unconsumed_count()
        if not slots["items"].get_unconsumed_count():
            return False, {}, None
        return True, {"items": [memory["n"]] if slots["items"].consume_all_new() else []}, None

    flow = wire({"a": sink(policy=counting, key="a"), "b": sink(policy=counting, key="b")})
    jobs = [sim.exec(flow, keep_open=True) for _ in range(2)]
    for job, routine_id in ((jobs[0], "a"), (jobs[0], "a"), (jobs[1], "a"), (jobs[0], "b")):
        sim.post(job.job_id, routine_id, "items", "x")
        sim.run_until_idle()
    assert (seen(jobs[0], "a"), seen(jobs[1], "a"), seen(jobs[0], "b")) == ([[[1]], [[2]]], [[[1]]], [[[1]]])


# --- explain ------------------------------------------------------------------------------------------------


def test_explain_before_the_first_decision(sim: Any, wire: Any, source: Any, sink: Any) -> None:
    job = sim.exec(wire({"s": source(1), "t": sink(policy=batch_size_policy(2))}, "s.out > t.items"))
    explanation = job.explain("t")
    assert (explanation.routine_id, explanation.decisions, explanation.decided_at) == ("t", (), None)
    assert "not asked yet" in str(explanation)
    assert "'s'" in str(explanation)


def test_explain_says_what_is_held_since_when_what_is_needed_and_who_can_deliver(
    sim: Any, wire: Any, sink: Any
) -> None:
    async def forever(routine: Any) -> None:
        await asyncio.sleep(1000)

    flow = wire(
        {
            "gateway": Routine("gateway").set_logic(forever),
            "t": sink("orders", "payments", policy=batch_size_policy(1)),
        },
        "gateway.paid > t.payments",
        on_leftover="ok",
    )
    job = sim.exec(flow, inputs={"t": {"orders": ["o1", "o2"]}})
    sim.advance(61)
    text = str(job.explain("t"))
    assert "2 of 'orders' since 12:00:00" in text
    assert "count(payments) 0 of 1" in text
    assert "'gateway', which is running" in text
    assert "\n" not in text


def test_every_decision_leaves_a_record_yes_and_no(sim: Any, opened: Any) -> None:
    job, post = opened(batch_size_policy(2))
    for number in range(3):
        post(number)
    decisions = job.explain("t").decisions
    assert [decision.should_activate for decision in decisions] == [False, True, False]
    assert decisions[1].activation_id.startswith(job.job_id)


def test_consecutive_noes_of_one_cause_are_one_record_with_a_count(sim: Any, opened: Any) -> None:
    job, post = opened(batch_size_policy(100))
    for number in range(5):
        sim.advance(1)
        post(number)
    (record,) = job.explain("t").decisions
    assert (record.should_activate, record.count) == (False, 5)
    assert record.last_at - record.at == timedelta(seconds=4)
    assert [(c.name, c.actual, c.needed, c.is_met) for c in record.conditions] == [("count(items)", 5, 100, False)]


def test_noes_of_another_cause_are_another_record(opened: Any) -> None:
    job, post = opened(batch_size_policy(2), "a", "b")
    post(1)
    post(2)
    post("x", slot="b")
    assert [record.count for record in job.explain("t").decisions] == [1, 2]


def test_explain_tells_the_next_wake_up(sim: Any, opened: Any) -> None:
    job, post = opened(time_interval_policy(10))
    post(1)
    sim.advance(4)
    post(2)
    explanation = job.explain("t")
    assert explanation.next_wake_up - job.now() == timedelta(seconds=6)
    assert "wakes 12:00:10" in str(explanation)


def test_explain_is_produced_by_the_decision_and_not_recomputed(sim: Any, opened: Any) -> None:
    asked = []

    def policy(slots: Any, job_state: Any) -> Any:
        asked.append(1)
        return False, {}, None

    job, post = opened(policy)
    post(1)
    before = len(asked)
    str(job.explain("t"))
    assert len(asked) == before


def test_explain_of_a_plain_function_shows_what_it_saw(opened: Any) -> None:
    job, post = opened(lambda slots, job_state: (False, {}, None))
    post(1, 2)
    assert "2 of 'items'" in str(job.explain("t"))
    assert "2 in items" in str(job.explain("t").decisions[-1])


def test_explain_tells_a_policy_error(sim: Any, wire: Any, sink: Any) -> None:
    target = sink(policy=raising).set_error_handler(ErrorHandler("continue"))  # type: ignore[arg-type]
    job = sim.exec(wire({"t": target}), keep_open=True)
    sim.run_until_idle()
    assert "policy broke" in str(job.explain("t"))


def test_explain_of_an_unknown_routine_names_the_known_ones(opened: Any) -> None:
    job, _ = opened(None)
    with pytest.raises(RoutineNotFoundError, match=r"nope.*'t'"):
        job.explain("nope")


def test_explain_of_a_source_tells_that_it_ran(run: Any, wire: Any, source: Any) -> None:
    job = run(wire({"s": source(1)}))
    assert "ended" in str(job.explain("s"))
    assert [decision.should_activate for decision in job.explain("s").decisions] == [True]


def test_facts_of_any_kind_reach_the_conditions_of_their_policy(sim: Any, opened: Any) -> None:
    @dataclass(frozen=True)
    class Naming(Policy):
        def ask(self, slots: Any, job_state: Any) -> Any:
            return self.no(("late", 3))

        def conditions(self, facts: Any) -> Any:
            return (Condition("lateness", facts[1], 2, False),)

    job, _ = opened(Naming())
    assert "lateness 3 of 2" in str(job.explain("t"))


def test_an_explanation_becomes_plain_data(sim: Any, opened: Any) -> None:
    job, post = opened(batch_size_policy(2))
    post(1)
    assert json.loads(json.dumps(job.explain("t").to_dict()))["slots"][0]["waiting"] == 1


def test_leftovers_carry_the_explanation_and_name_who_could_have_sent(
    run: Any, wire: Any, source: Any, sink: Any, caplog: Any
) -> None:
    flow = wire(
        {"a": source(1), "b": source(), "t": sink("a", "b", policy=batch_size_policy(1))}, "a.out > t.a", "b.out > t.b"
    )
    job = run(flow)
    (leftover,) = job.leftovers
    assert (leftover.routine_id, leftover.slot, leftover.count) == ("t", "a", 1)
    assert "'b'" in leftover.explanation
    assert caplog.text.count("nobody consumed") == 1


def test_observers_hear_every_decision(wire: Any, source: Any, sink: Any) -> None:
    recorder = Recorder()
    sim = SimRuntime(observers=[recorder])
    sim.exec(wire({"s": source(1, 2, 3), "t": sink(policy=batch_size_policy(2))}, "s.out > t.items", on_leftover="ok"))
    sim.run_until_idle()
    heard = [facts[0].should_activate for routine_id, facts in recorder.of("decision") if routine_id == "t"]
    assert heard.count(True) == 1
    assert heard[-1] is False


@dataclass(frozen=True)
class EvenCountPolicy(Policy):
    """The least that a policy of one's own needs."""

    slot: str
    least: int = 2

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        count = slots[self.slot].get_unconsumed_count()
        if count < self.least or count % 2:
            return self.no(count)
        return self.yes({self.slot: slots[self.slot].consume_all_new()}, None, count)


def test_a_frozen_dataclass_is_a_policy_that_prints_compares_and_goes_to_data_and_back() -> None:
    own = EvenCountPolicy("in")
    assert [repr(own), repr(EvenCountPolicy("in", 4))] == [
        "even_count_policy('in')",
        "even_count_policy('in', least=4)",
    ]
    assert own == EvenCountPolicy("in") != EvenCountPolicy("in", 4)
    whole = own.within(5) | batch_size_policy(3)
    assert policy_from_dict(json.loads(json.dumps(whole.to_dict())), policies=[EvenCountPolicy]) == whole


@pytest.mark.parametrize("policy", [EvenCountPolicy("in"), EvenCountPolicy("in").labelled("even")])
def test_a_policy_without_conditions_explains_itself_by_its_facts(policy: Any) -> None:
    sim = SimRuntime()
    flow = Flow("own", on_leftover="ok").add_routine(
        Routine("t").add_slot("in").set_activation_policy(policy).set_logic(lambda items: None)
    )
    job = sim.exec(flow, inputs={"t": {"in": [1]}}, keep_open=True)
    sim.run_until_idle()
    assert "unmet: even_count_policy('in') 1 no" in str(job.explain("t"))
    sim.post(job.job_id, "t", "in", 2)
    sim.run_until_idle()
    assert "even_count_policy('in') 2 yes" in str(job.explain("t").decisions[-2])


def three(slots: Slots, job_state: JobState) -> tuple[bool, dict[str, Any], Any]:
    count = slots["in"].get_unconsumed_count()
    return (True, {"in": slots["in"].consume_new(3)}, "three") if count >= 3 else (False, {}, f"only {count} of 3")


def test_explain_gives_the_message_with_which_a_function_said_no() -> None:
    sim = SimRuntime()
    flow = Flow("own", on_leftover="ok").add_routine(
        Routine("t").add_slot("in").set_activation_policy(three).set_logic(lambda items: None)
    )
    job = sim.exec(flow, inputs={"t": {"in": [1, 2, 3, 4]}}, keep_open=True)
    sim.run_until_idle()
    yes, no = job.explain("t").decisions
    assert [str(yes)[17:], str(no)[17:]] == ["yes: three(4 in in): three: yes", "no: three(1 in in): only 1 of 3: no"]


@dataclass(frozen=True)
class Clumsy(EvenCountPolicy):
    """A policy of which one more method fails."""

    fails: str = ""

    def cause(self, facts: Any) -> Any:
        if self.fails == "cause":
            raise KeyError("x")

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        raise KeyError("x")


def clumsy_job(fails: str) -> tuple[SimRuntime, JobState]:
    sim = SimRuntime()
    target = Routine("t").add_slot("in").set_activation_policy(Clumsy("in", fails=fails)).set_logic(lambda items: None)
    target.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
    job = sim.exec(Flow("own", on_leftover="ok").add_routine(target), inputs={"t": {"in": [1]}}, keep_open=True)
    sim.run_until_idle()
    return sim, job


def test_a_policy_whose_cause_fails_is_answered_by_its_handler() -> None:
    _, job = clumsy_job("cause")
    assert job.status == "running"
    assert [record.event_name for record in job.execution_history] == ["error_continued"]


def test_a_policy_whose_conditions_fail_is_explained_by_its_facts() -> None:
    _, job = clumsy_job("")
    assert "could not explain 1: 'x' no" in str(job.explain("t"))
