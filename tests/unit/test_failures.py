"""What follows a failure; dead letters; effects together or not at all. Design: §5.6, §6; BEHAVIOURS 24, 33-36."""

import asyncio
import itertools
from typing import Any

import pytest

from routilux import (
    DeadLetterNotFoundError,
    ErrorHandler,
    ErrorStrategy,
    JobFinishedError,
    Routine,
    SlotClosedError,
    all_slots_ready_policy,
    batch_size_policy,
)


def failing_when(bad: Any, **options: Any) -> Any:
    """Make a routine that notes what it gets, then fails on a bad item, one item at a time."""

    def logic(items: Any, job_state: Any, routine: Any) -> None:
        job_state.append_routine_state("t", "tried", list(items))
        if items[0] in bad:
            raise ValueError(f"bad {items[0]}")
        routine.emit("out", items[0])

    return Routine("t", **options).add_slot("items").set_activation_policy(all_slots_ready_policy()).set_logic(logic)


@pytest.fixture
def chain(wire: Any, source: Any, sink: Any) -> Any:
    """Make source > t > sink, where t fails on these items under this handler."""

    def make(values: Any, bad: Any, *handler: Any, flow_handler: Any = None, options: Any = (), **fields: Any) -> Any:
        target = failing_when(bad, **dict(options))
        if handler or fields:
            target.set_error_handler(ErrorHandler(*handler, **fields))
        flow = wire(
            {"s": source(*values), "t": target, "u": sink()}, "s.out > t.items", "t.out > u.items", on_leftover="ok"
        )
        return flow.set_error_handler(flow_handler) if flow_handler else flow

    return make


def passed(job: Any) -> Any:
    return [item for lists in job.get_shared_data("seen", []) for item in lists[0]]


def events(job: Any, *names: Any) -> Any:
    return [record for record in job.execution_history if record.event_name in names]


# --- STOP ---------------------------------------------------------------------------------------------------


def test_stop_fails_the_job_with_the_error_recorded(run: Any, chain: Any) -> None:  # B33
    job = run(chain([1, 2, 3], {2}))
    error = job.error
    assert job.status == "failed"
    assert (error.type, error.message, error.routine_id, error.attempt) == ("ValueError", "bad 2", "t", 1)
    assert "raise ValueError" in error.traceback
    assert error.activation_id == f"{job.job_id}/t/2"
    assert job.get_routine_state("t", "status") == "failed"
    assert len(events(job, "error_stopped")) == 1


def test_stop_puts_its_items_back_to_the_head_of_their_slots(run: Any, chain: Any) -> None:  # B33
    job = run(chain([1, 2, 3], {2}))
    assert job.slots("t")["items"].peek_all_new() == [2, 3]


def test_after_stop_nothing_downstream_starts(sim: Any, wire: Any, sink: Any) -> None:  # B33
    def fail(routine: Any) -> None:
        routine.emit("out", 1)
        raise ValueError

    job = sim.exec(wire({"s": Routine("s").set_logic(fail), "t": sink()}, "s.out > t.items", on_leftover="ok"))
    sim.run_until_idle()
    assert (job.status, job.get_shared_data("seen")) == ("failed", None)
    assert job.slots("t")["items"].peek_all_new() == [1]


@pytest.mark.parametrize("timeout", [None, 60])
def test_after_stop_what_runs_finishes_and_is_kept(sim: Any, wire: Any, timeout: Any) -> None:
    async def long(job_state: Any) -> None:
        await asyncio.sleep(1)
        job_state.set_result("kept")

    async def fail() -> None:
        await asyncio.sleep(0.5)
        raise ValueError

    job = sim.exec(wire({"a": Routine("a").set_logic(long), "b": Routine("b").set_logic(fail)}), timeout=timeout)
    sim.advance(0.7)
    assert job.status == "running"
    sim.advance(1)
    assert (job.status, job.result) == ("failed", "kept")


def test_a_stopped_job_can_be_resumed_with_the_same_items(sim: Any, chain: Any) -> None:
    bad = {2}
    flow = chain([1, 2, 3], bad)
    job = sim.exec(flow)
    sim.run_until_idle()
    bad.clear()
    sim.exec(flow, job)
    sim.run_until_idle()
    assert (job.status, job.run, passed(job), job.error) == ("completed", 2, [1, 2, 3], None)


def test_a_source_that_failed_runs_again_on_resume_and_one_that_ended_does_not(sim: Any, wire: Any) -> None:
    ran = []

    def fail_once() -> None:
        ran.append("bad")
        if ran.count("bad") == 1:
            raise ValueError

    flow = wire(
        {"good": Routine("good").set_logic(lambda: ran.append("good")), "bad": Routine("bad").set_logic(fail_once)}
    )
    job = sim.exec(flow)
    sim.run_until_idle()
    job = sim.exec(flow, job)
    sim.run_until_idle()
    assert (job.status, ran.count("bad")) == ("completed", 2)


def test_what_a_stopped_live_activation_wrote_and_emitted_stands(run: Any, wire: Any, sink: Any) -> None:
    def fail(routine: Any, job_state: Any) -> None:
        job_state.update_shared_data("wrote", 1)
        routine.emit("out", 1)
        raise ValueError

    job = run(wire({"s": Routine("s").set_logic(fail), "t": sink()}, "s.out > t.items", on_leftover="ok"))
    assert (job.get_shared_data("wrote"), job.slots("t")["items"].get_unconsumed_count()) == (1, 1)


def test_a_kept_open_job_ends_when_a_routine_stops_it(sim: Any, chain: Any) -> None:  # B33
    job = sim.exec(chain([1], {1}), keep_open=True)
    sim.run_until_idle()
    assert job.status == "failed"


def test_a_kept_open_job_ends_when_it_is_cancelled(sim: Any, chain: Any) -> None:
    job = sim.exec(chain([1], {}), keep_open=True)
    sim.run_until_idle()
    sim.cancel_job(job.job_id)
    sim.run_until_idle()
    assert job.status == "cancelled"


def test_a_kept_open_job_ends_at_its_timeout(sim: Any, chain: Any) -> None:
    job = sim.exec(chain([1], {}), keep_open=True, timeout=60)
    sim.advance(61)
    assert (job.status, job.error.type) == ("failed", "JobTimeoutError")


# --- CONTINUE -----------------------------------------------------------------------------------------------


def test_continue_completes_and_the_failed_items_are_dead_letters(run: Any, chain: Any) -> None:  # B34
    job = run(chain([1, 2, 3, 4], {2, 4}, "continue"))
    assert (job.status, passed(job), job.error) == ("completed", [1, 3], None)
    assert [dict(letter.items) for letter in job.dead_letters] == [{"items": [2]}, {"items": [4]}]
    letter = job.dead_letters[0]
    assert (letter.routine_id, letter.error.type, letter.error.message) == ("t", "ValueError", "bad 2")
    assert len(events(job, "error_continued")) == 2
    assert not job.leftovers


def test_continue_without_items_makes_no_dead_letter(run: Any, wire: Any) -> None:  # B34
    def fail() -> None:
        raise ValueError

    job = run(wire({"s": Routine("s").set_logic(fail).set_error_handler(ErrorHandler("continue"))}))  # type: ignore[arg-type]
    assert (job.status, job.dead_letters) == ("completed", [])


def test_a_dead_letter_keeps_its_items_although_the_logic_emptied_its_lists(
    run: Any, wire: Any, source: Any
) -> None:  # B34
    def eat(items: Any) -> None:
        while items:
            items.pop()
        raise ValueError

    target = Routine("t").set_logic(eat).set_error_handler(ErrorHandler("continue"))  # type: ignore[arg-type]
    job = run(wire({"s": source(1, 2), "t": target}, "s.out > t.items"))
    assert [dict(letter.items) for letter in job.dead_letters] == [{"items": [1, 2]}]


def test_a_dead_letter_can_be_posted_again(sim: Any, chain: Any) -> None:
    bad = {2}
    job = sim.exec(chain([1, 2, 3], bad, "continue"), keep_open=True)
    sim.run_until_idle()
    (letter,) = job.dead_letters
    bad.clear()
    sim.repost(job.job_id, letter.dead_letter_id)
    sim.run_until_idle()
    assert (passed(job), job.dead_letters) == ([1, 3, 2], [])
    assert len(events(job, "reposted")) == 1


def test_a_dead_letter_that_fails_again_is_a_new_dead_letter(sim: Any, chain: Any) -> None:
    job = sim.exec(chain([1], {1}, "continue"), keep_open=True)
    sim.run_until_idle()
    first = job.dead_letters[0].dead_letter_id
    sim.repost(job.job_id, first)
    sim.run_until_idle()
    assert [dict(letter.items) for letter in job.dead_letters] == [{"items": [1]}]
    assert job.dead_letters[0].dead_letter_id != first


def test_repost_of_an_unknown_dead_letter_names_the_known_ones(sim: Any, chain: Any) -> None:
    job = sim.exec(chain([1], {1}, "continue"), keep_open=True)
    sim.run_until_idle()
    with pytest.raises(DeadLetterNotFoundError) as caught:
        sim.repost(job.job_id, "nope")
    assert "nope" in str(caught.value)
    assert job.dead_letters[0].dead_letter_id in str(caught.value)


def test_a_refused_repost_keeps_the_dead_letter(sim: Any, chain: Any) -> None:
    job = sim.exec(chain([1], {1}, "continue"))
    sim.run_until_idle()
    with pytest.raises(JobFinishedError):
        sim.repost(job.job_id, job.dead_letters[0].dead_letter_id)
    assert len(job.dead_letters) == 1


def test_a_refused_repost_leaves_nothing_behind_that_keeps_the_job_alive(
    sim: Any, wire: Any, source: Any
) -> None:  # B26
    async def slow(routine: Any) -> None:
        await asyncio.sleep(10)

    def fail(a: Any, b: Any) -> None:
        raise ValueError

    target = Routine("t").add_slot("a").add_slot("b").set_logic(fail).set_activation_policy(all_slots_ready_policy())
    target.set_error_handler(ErrorHandler("continue"))  # type: ignore[arg-type]
    flow = wire(
        {"x": source(1), "y": source(2), "slow": Routine("slow").set_logic(slow), "t": target},
        "x.out > t.b",
        "y.out > t.a",
        "slow.out > t.a",
    )
    job = sim.exec(flow)
    sim.run_until_idle()
    with pytest.raises(SlotClosedError):
        sim.repost(job.job_id, job.dead_letters[0].dead_letter_id)
    sim.advance(20)
    assert (job.status, len(job.dead_letters)) == ("completed", 1)


def test_the_outbox_of_a_continued_activation_is_delivered(run: Any, wire: Any, sink: Any) -> None:
    def emit(routine: Any) -> None:
        for number in range(10):
            routine.emit("out", number)
        raise ValueError

    sender = Routine("s").set_logic(emit).set_error_handler(ErrorHandler("continue"))  # type: ignore[arg-type]
    job = run(wire({"s": sender, "t": sink(max_queue_length=2)}, "s.out > t.items"))
    assert (passed(job), job.status) == (list(range(10)), "completed")


# --- RETRY --------------------------------------------------------------------------------------------------


@pytest.fixture
def flaky(wire: Any, source: Any) -> Any:
    """Make a flow whose routine fails its first so many attempts, and the list of what each attempt saw."""

    def make(failures: Any, values: Any = ("x",), **fields: Any) -> Any:
        calls = []

        def logic(items: Any, job_state: Any) -> None:
            calls.append((job_state.monotonic(), job_state.attempt, job_state.activation_id, list(items)))
            items.clear()
            if len(calls) <= failures:
                raise OSError("not yet")
            job_state.append_shared_data("done", calls[-1][3])

        target = Routine("t").add_slot("items").set_logic(logic).set_activation_policy(all_slots_ready_policy())
        target.set_error_handler(ErrorHandler("retry", **fields))  # type: ignore[arg-type]
        return wire({"s": source(*values), "t": target}, "s.out > t.items", on_leftover="ok"), calls

    return make


def test_retry_calls_one_plus_max_retries_times_then_stops(run: Any, flaky: Any) -> None:  # B35
    flow, calls = flaky(99, max_retries=3)
    job = run(flow)
    assert (len(calls), job.status, job.error.attempt) == (4, "failed", 4)
    assert job.slots("t")["items"].peek_all_new() == ["x"]


def test_retry_sees_the_same_items_and_activation_id(run: Any, flaky: Any) -> None:  # B35
    flow, calls = flaky(2)
    job = run(flow)
    assert [attempt for _, attempt, _, _ in calls] == [1, 2, 3]
    assert {activation_id for _, _, activation_id, _ in calls} == {f"{job.job_id}/t/1"}
    assert [items for *_, items in calls] == [["x"]] * 3
    assert job.get_shared_data("done") == [["x"]]


def test_retry_delays_grow_as_configured_up_to_the_cap(run: Any, flaky: Any) -> None:  # B35
    flow, calls = flaky(5, max_retries=9, retry_delay=2, retry_backoff=3, max_retry_delay=20)
    run(flow)
    gaps = [round(later[0] - earlier[0], 6) for earlier, later in itertools.pairwise(calls)]
    assert gaps == [2, 6, 18, 20, 20]


def test_jitter_stays_within_its_share(run: Any, flaky: Any) -> None:
    flow, calls = flaky(9, max_retries=9, retry_delay=10, retry_backoff=1, jitter=0.5)
    run(flow)
    gaps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(calls)]
    assert all(5 <= gap <= 15 for gap in gaps)
    assert len(set(gaps)) > 1


def test_zero_retries_call_once(run: Any, flaky: Any) -> None:  # B35
    flow, calls = flaky(99, max_retries=0)
    assert (run(flow).status, len(calls)) == ("failed", 1)


def test_retry_counts_per_activation(run: Any, wire: Any, source: Any) -> None:  # B35
    attempts = []

    def logic(items: Any, job_state: Any) -> None:
        attempts.append((items[0], job_state.attempt))
        if job_state.attempt < 3:
            raise OSError

    target = Routine("t").set_logic(logic).set_activation_policy(all_slots_ready_policy())
    target.set_error_handler(ErrorHandler("retry", max_retries=2))  # type: ignore[arg-type]
    job = run(wire({"s": source("a", "b"), "t": target}, "s.out > t.items"))
    assert attempts == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3)]
    assert job.status == "completed"


def test_retry_holds_no_thread_while_it_waits(sim: Any, wire: Any, source: Any, flaky: Any) -> None:  # B35
    flow, calls = flaky(1, retry_delay=100)
    job = sim.exec(flow)
    other = sim.exec(wire({"s": source(1)}))
    sim.run_until_idle()
    assert (len(calls), job.status, other.status) == (1, "running", "completed")
    assert "again" in str(job.explain("t"))
    sim.advance(100)
    assert job.status == "completed"


def test_a_retry_is_not_overtaken_by_its_own_routine(run: Any, flaky: Any) -> None:  # B35
    flow, _ = flaky(1, values=("a", "b"))
    job = run(flow)
    assert job.get_shared_data("done") == [["a"], ["b"]]


def test_only_retryable_exceptions_are_retried(run: Any, flaky: Any) -> None:
    flow, calls = flaky(99, retryable_exceptions=(KeyError,))
    assert (run(flow).status, len(calls)) == ("failed", 1)
    flow, calls = flaky(1, retryable_exceptions=(KeyError, OSError))
    assert (run(flow).status, len(calls)) == ("completed", 2)


@pytest.mark.parametrize(
    ("then", "letters", "dropped"), [("continue", 1, {}), ("skip", 0, {("t", "items"): {"skipped": 1}})]
)
def test_an_exhausted_retry_does_what_then_says(run: Any, flaky: Any, then: Any, letters: Any, dropped: Any) -> None:
    flow, calls = flaky(99, max_retries=1, then=then)
    job = run(flow)
    assert (job.status, len(calls), len(job.dead_letters), job.drops) == ("completed", 2, letters, dropped)


def test_a_dead_letter_after_retries_holds_the_items(run: Any, flaky: Any) -> None:
    flow, _ = flaky(99, max_retries=1, then="continue")
    assert [dict(letter.items) for letter in run(flow).dead_letters] == [{"items": ["x"]}]


def test_a_retried_source_runs_again(run: Any, wire: Any, sink: Any) -> None:
    tries = []

    def emit(routine: Any) -> None:
        tries.append(1)
        routine.emit("out", len(tries))
        if len(tries) < 3:
            raise OSError

    sender = Routine("s").set_logic(emit).set_error_handler(ErrorHandler("retry"))  # type: ignore[arg-type]
    assert passed(run(wire({"s": sender, "t": sink()}, "s.out > t.items"))) == [3]


@pytest.mark.parametrize("of_flow", [False, True])
def test_retry_makes_a_routine_atomic_so_that_failed_attempts_leave_no_effects(
    run: Any, chain: Any, wire: Any, sink: Any, of_flow: Any
) -> None:
    def logic(routine: Any, job_state: Any) -> None:
        routine.emit("out", job_state.attempt)
        job_state.append_shared_data("wrote", job_state.attempt)
        job_state.append_shared_log(job_state.attempt)
        if job_state.attempt < 3:
            raise OSError

    handler = ErrorHandler("retry")  # type: ignore[arg-type]
    sender = Routine("s").set_logic(logic)
    flow = wire({"s": sender, "t": sink()}, "s.out > t.items")
    (flow if of_flow else sender).set_error_handler(handler)
    job = run(flow)
    assert (passed(job), job.get_shared_data("wrote"), job.shared_log) == ([3], [3], [3])


def test_retry_of_a_live_routine_keeps_what_it_did(run: Any, wire: Any, sink: Any) -> None:
    def logic(routine: Any, job_state: Any) -> None:
        routine.emit("out", job_state.attempt)
        if job_state.attempt < 3:
            raise OSError

    sender = Routine("s", atomic=False).set_logic(logic).set_error_handler(ErrorHandler("retry"))  # type: ignore[arg-type]
    assert passed(run(wire({"s": sender, "t": sink()}, "s.out > t.items"))) == [1, 2, 3]


# --- SKIP ---------------------------------------------------------------------------------------------------


def test_skip_takes_the_routine_out_and_the_rest_completes(run: Any, chain: Any) -> None:  # B36
    job = run(chain([1, 2, 3, 4], {2}, "skip"))
    assert (job.status, passed(job), job.get_routine_state("t", "tried")) == ("completed", [1], [[1], [2]])
    assert job.get_routine_state("t", "status") == "skipped"
    assert (job.drops, job.dead_letters, bool(job.leftovers)) == ({("t", "items"): {"skipped": 3}}, [], False)


def test_what_reaches_a_skipped_routine_later_is_counted_and_discarded(sim: Any, chain: Any) -> None:  # B36
    job = sim.exec(chain([1], {1}, "skip"), keep_open=True)
    sim.run_until_idle()
    for number in range(5):
        sim.post(job.job_id, "t", "items", number)
    sim.run_until_idle()
    assert job.drops == {("t", "items"): {"skipped": 6}}
    assert sum(record.data["count"] for record in events(job, "dropped")) == 6
    assert "skipped" in str(job.explain("t"))


def test_the_events_of_a_skipped_routine_count_as_ended(sim: Any, wire: Any, source: Any, sink: Any) -> None:  # B36
    async def slow(routine: Any) -> None:
        await asyncio.sleep(100)

    target = failing_when({1}).set_error_handler(ErrorHandler("skip"))  # type: ignore[arg-type]
    flow = wire(
        {"s": source(1), "slow": Routine("slow").set_logic(slow), "t": target, "u": sink()},
        "s.out > t.items",
        "slow.out > t.items",
        "t.out > u.items",
    )
    job = sim.exec(flow)
    sim.run_until_idle()
    assert (job.status, job.slots("u")["items"].is_closed) == ("running", True)


def test_skip_and_continue_differ(run: Any, chain: Any) -> None:
    assert passed(run(chain([1, 2, 3], {2}, "skip"))) == [1]
    assert passed(run(chain([1, 2, 3], {2}, "continue"))) == [1, 3]


def test_a_full_slot_of_a_skipped_routine_holds_nobody_back(run: Any, wire: Any, source: Any) -> None:
    def fail(items: Any) -> None:
        raise ValueError

    target = Routine("t").add_slot("items", 2).set_logic(fail).set_error_handler(ErrorHandler("skip"))  # type: ignore[arg-type]
    job = run(wire({"s": source(*range(50)), "t": target}, "s.out > t.items"))
    assert (job.status, job.drops) == ("completed", {("t", "items"): {"skipped": 50}})


def test_what_a_skipped_live_activation_emitted_still_arrives(run: Any, wire: Any, sink: Any) -> None:
    def emit(routine: Any) -> None:
        for number in range(10):
            routine.emit("out", number)
        raise ValueError

    sender = Routine("s").set_logic(emit).set_error_handler(ErrorHandler("skip"))  # type: ignore[arg-type]
    job = run(wire({"s": sender, "t": sink(max_queue_length=2)}, "s.out > t.items"))
    assert (passed(job), job.status, job.drops) == (list(range(10)), "completed", {})


# --- which handler ------------------------------------------------------------------------------------------


def test_the_routines_handler_goes_before_the_flows(run: Any, chain: Any) -> None:
    job = run(chain([1, 2], {1}, "continue", flow_handler=ErrorHandler("stop")))  # type: ignore[arg-type]
    assert job.status == "completed"


def test_the_flows_handler_answers_for_routines_without_one(run: Any, chain: Any) -> None:
    job = run(chain([1, 2], {1}, flow_handler=ErrorHandler("continue")))  # type: ignore[arg-type]
    assert (job.status, len(job.dead_letters)) == ("completed", 1)


@pytest.mark.parametrize("strategy", list(ErrorStrategy))
@pytest.mark.parametrize("kind", ["sync", "async", "generator", "async_generator"])
def test_every_kind_of_logic_fails_alike(run: Any, wire: Any, source: Any, strategy: Any, kind: Any) -> None:
    def sync(items: Any) -> None:
        raise ValueError("bad")

    async def asynchronous(items: Any) -> None:
        raise ValueError("bad")

    def generator(items: Any) -> Any:
        yield
        raise ValueError("bad")

    async def async_generator(items: Any) -> Any:
        yield
        raise ValueError("bad")

    logic = {"sync": sync, "async": asynchronous, "generator": generator, "async_generator": async_generator}[kind]
    target = Routine("t").set_logic(logic).set_error_handler(ErrorHandler(strategy, max_retries=1))
    job = run(wire({"s": source(1), "t": target}, "s.out > t.items", on_leftover="ok"))
    failed = strategy in ("stop", "retry")
    assert job.status == ("failed" if failed else "completed")
    assert job.slots("t")["items"].peek_all_new() == ([1] if failed else [])
    assert len(job.dead_letters) == (strategy == "continue")
    if failed:
        assert (job.error.type, job.error.message, job.error.attempt) == (
            "ValueError",
            "bad",
            1 + (strategy == "retry"),
        )


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_no_logic_may_raise_fails_the_job_and_names_the_routine(
    run: Any, wire: Any, source: Any, error: Any
) -> None:
    def leave(items: Any) -> None:
        raise error("leaving")

    job = run(wire({"s": source(1), "t": Routine("t").set_logic(leave)}, "s.out > t.items", on_leftover="ok"))
    assert (job.status, job.error.type, job.error.routine_id) == ("failed", error.__name__, "t")


def test_an_item_of_a_logic_that_called_exit_is_not_lost(run: Any, wire: Any, source: Any) -> None:
    def leave(items: Any) -> None:
        raise SystemExit

    job = run(wire({"s": source(1), "t": Routine("t").set_logic(leave)}, "s.out > t.items", on_leftover="ok"))
    assert job.slots("t")["items"].peek_all_new() == [1]


# --- atomic -------------------------------------------------------------------------------------------------


def test_atomic_effects_take_effect_together_when_the_logic_returns(sim: Any, wire: Any, sink: Any) -> None:
    looks = []

    def look(job_state: Any) -> None:
        looks.append((job_state.shared_data, job_state.result, job_state.slots("t")["items"].get_total_count()))

    async def logic(routine: Any, job_state: Any) -> None:
        routine.emit("out", 1)
        job_state.update_shared_data("a", 1)
        job_state.set_result(1)
        await asyncio.sleep(1)
        routine.emit("out", 2)

    job = sim.exec(
        wire(
            {"s": Routine("s", atomic=True).set_logic(logic), "t": sink(policy=batch_size_policy(9))},
            "s.out > t.items",
            on_leftover="ok",
        )
    )
    sim.advance(0.5)
    look(job)
    sim.advance(1)
    look(job)
    assert looks == [({}, None, 0), ({"a": 1}, 1, 2)]


def test_an_atomic_activation_sees_its_own_writes(run: Any, wire: Any) -> None:
    def logic(job_state: Any, routine: Any) -> None:
        job_state.update_shared_data("a", 1)
        routine.set_state(job_state, "b", 2)
        job_state.append_shared_data("c", 3)
        job_state.set_result(4)
        found = (
            job_state.get_shared_data("a"),
            routine.get_state(job_state, "b"),
            job_state.get_shared_data("c"),
            job_state.result,
        )
        job_state.update_shared_data("found", found)

    job = run(wire({"s": Routine("s", atomic=True).set_logic(logic)}))
    assert job.get_shared_data("found") == (1, 2, [3], 4)


def test_a_failed_atomic_activation_leaves_no_effect_at_all(run: Any, wire: Any, sink: Any) -> None:
    def logic(routine: Any, job_state: Any) -> None:
        routine.emit("out", 1)
        routine.emit("nowhere", 1)
        routine.set_state(job_state, "a", 1)
        job_state.update_shared_data("a", 1)
        job_state.append_shared_log("a")
        job_state.record_execution("s", "mine", {})
        job_state.set_result(1)
        raise ValueError

    sender = Routine("s", atomic=True).set_logic(logic).set_error_handler(ErrorHandler("continue"))  # type: ignore[arg-type]
    job = run(wire({"s": sender, "t": sink()}, "s.out > t.items"))
    assert (job.shared_data, job.shared_log, job.result, job.get_routine_state("s", "a")) == ({}, [], None, None)
    assert (events(job, "mine"), job.slots("t")["items"].get_total_count(), job.unrouted) == ([], 0, {})


def test_a_yield_lets_effects_so_far_stand_and_the_items_go_back(run: Any, wire: Any, source: Any) -> None:
    def logic(items: Any, job_state: Any) -> Any:
        job_state.append_shared_data("a", 1)
        yield
        job_state.append_shared_data("a", 2)
        raise ValueError

    target = Routine("t", atomic=True).set_logic(logic)
    job = run(wire({"s": source("x"), "t": target}, "s.out > t.items", on_leftover="ok"))
    assert (job.get_shared_data("a"), job.slots("t")["items"].peek_all_new()) == ([1], ["x"])


def test_a_generator_knows_how_many_of_its_yields_took_effect(run: Any, wire: Any) -> None:
    starts = []

    def logic(job_state: Any) -> Any:
        starts.append(job_state.boundary)
        for step in range(job_state.boundary, 3):
            job_state.append_shared_data("steps", step)
            yield
            if len(starts) == 1 and step == 1:
                raise OSError

    target = Routine("s").set_logic(logic).set_error_handler(ErrorHandler("retry"))  # type: ignore[arg-type]
    job = run(wire({"s": target}))
    assert (starts, job.get_shared_data("steps"), job.status) == ([0, 2], [0, 1, 2], "completed")


def test_mutate_is_applied_again_at_commit_to_the_committed_value(sim: Any, wire: Any) -> None:
    async def logic(job_state: Any) -> None:
        first = job_state.mutate_shared_data("n", lambda value: value + 1, 0)
        await asyncio.sleep(1)
        job_state.append_shared_data("saw", first)

    routines = {name: Routine(name, atomic=True).set_logic(logic) for name in "abc"}
    job = sim.exec(wire(routines))
    sim.advance(2)
    assert (job.get_shared_data("n"), job.get_shared_data("saw")) == (3, [1, 1, 1])


def test_a_mutation_that_fails_at_commit_lets_nothing_take_effect(sim: Any, wire: Any) -> None:
    async def logic(job_state: Any) -> None:
        job_state.update_shared_data("other", 1)
        job_state.mutate_shared_data("n", lambda value: 10 // (1 - value), 0)
        await asyncio.sleep(1)

    job = sim.exec(wire({"s": Routine("s", atomic=True).set_logic(logic)}))
    sim.run_until_idle()
    job.update_shared_data("n", 1)
    sim.advance(2)
    assert (job.status, job.error.type, job.shared_data) == ("failed", "ZeroDivisionError", {"n": 1})


def test_a_live_mutation_that_raises_changes_nothing(run: Any, wire: Any) -> None:
    def logic(job_state: Any) -> None:
        job_state.update_shared_data("n", 1)
        with pytest.raises(ZeroDivisionError):
            job_state.mutate_shared_data("n", lambda value: value / 0)
        with pytest.raises(ZeroDivisionError):
            job_state.mutate_shared_data("new", lambda value: 1 / 0)

    assert run(wire({"s": Routine("s").set_logic(logic)})).shared_data == {"n": 1}


@pytest.mark.parametrize("atomic", [False, True])
def test_append_never_changes_a_list_that_somebody_else_gave(run: Any, wire: Any, atomic: Any) -> None:
    given = [1]

    def logic(job_state: Any) -> None:
        job_state.update_shared_data("a", given)
        job_state.append_shared_data("a", 2)
        job_state.append_shared_data("a", 3)

    job = run(wire({"s": Routine("s", atomic=atomic).set_logic(logic)}))
    assert (given, job.get_shared_data("a")) == ([1], [1, 2, 3])


def test_atomic_activations_that_append_to_one_list_each_append_once(run: Any, wire: Any, source: Any) -> None:
    def logic(items: Any, job_state: Any) -> None:
        job_state.append_shared_data("ours", items[0])
        job_state.append_routine_state("t", "mine", items[0])

    target = (
        Routine("t", atomic=True).add_slot("items").set_logic(logic).set_activation_policy(all_slots_ready_policy())
    )
    job = run(wire({"s": source(1, 2, 3), "t": target}, "s.out > t.items"))
    assert (job.get_shared_data("ours"), job.get_routine_state("t", "mine")) == ([1, 2, 3], [1, 2, 3])


def test_an_atomic_append_shows_to_others_only_after_the_commit(sim: Any, wire: Any) -> None:
    async def logic(job_state: Any) -> None:
        job_state.append_shared_data("a", "atomic")
        await asyncio.sleep(1)

    job = sim.exec(wire({"s": Routine("s", atomic=True).set_logic(logic)}), keep_open=True)
    job.append_shared_data("a", "live")
    sim.run_until_idle()
    assert job.get_shared_data("a") == ["live"]
    sim.advance(1)
    assert job.get_shared_data("a") == ["live", "atomic"]


# --- state --------------------------------------------------------------------------------------------------


def test_a_returned_namespace_is_a_shallow_copy(run: Any, wire: Any) -> None:  # B24
    value = []  # type: ignore[var-annotated]

    def logic(job_state: Any, routine: Any) -> None:
        routine.update_state(job_state, {"a": value, "b": 2})
        routine.get_state(job_state)["c"] = 3
        job_state.get_routine_state("s")["d"] = 4
        job_state.routine_states["s"]["e"] = 5
        job_state.shared_data["f"] = 6
        job_state.get_shared_data()["g"] = 7

    job = run(wire({"s": Routine("s").set_logic(logic)}))
    assert (job.get_routine_state("s"), job.shared_data) == ({"a": [], "b": 2}, {})
    assert job.get_routine_state("s", "a") is value


def test_state_updates_merge_like_dict_update(run: Any, wire: Any) -> None:
    def logic(job_state: Any) -> None:
        job_state.update_routine_state("s", {"a": 1, "b": 1})
        job_state.update_routine_state("s", {"b": 2})

    assert run(wire({"s": Routine("s").set_logic(logic)})).get_routine_state("s") == {"a": 1, "b": 2}


def test_helpers_find_their_routine_in_every_stage(sim: Any, wire: Any, source: Any) -> None:  # B24
    stages = []

    def policy(slots: Any, job_state: Any) -> Any:
        target.set_state(job_state, "policy", True)
        return bool(slots["items"].get_unconsumed_count()), {"items": slots["items"].consume_all_new()}, None

    async def logic(items: Any, job_state: Any, routine: Any) -> None:
        routine.set_state(job_state, "logic", True)
        await asyncio.sleep(1)
        routine.set_state(job_state, "after await", True)

    target = Routine("name").add_slot("items").set_logic(logic).set_activation_policy(policy)
    job = sim.exec(wire({"s": source(1), "id": target}, "s.out > id.items"))
    job.on_complete(lambda done: stages.append(target.get_state(done)))
    sim.advance(2)
    expected = {"policy": True, "logic": True, "after await": True}
    assert (stages, target.get_state(job), job.get_routine_state("id")) == ([expected], expected, expected)


def test_helpers_of_a_routine_under_two_ids_write_to_the_one_that_runs(run: Any, wire: Any, source: Any) -> None:  # B24
    twice = Routine("r").set_logic(lambda items, job_state: twice.set_state(job_state, "items", items))
    job = run(wire({"s": source(1), "t": source(2), "a": twice, "b": twice}, "s.out > a.items", "t.out > b.items"))
    assert job.routine_states == {"a": {"items": [1]}, "b": {"items": [2]}}


def test_missing_state_gives_the_default(run: Any, wire: Any) -> None:
    job = run(wire({"s": Routine("s").set_logic(lambda: None)}))
    assert (job.get_routine_state("s"), job.get_routine_state("s", "a"), job.get_routine_state("s", "a", 7)) == (
        {},
        None,
        7,
    )
    assert (job.get_shared_data("a"), job.get_shared_data("a", 7)) == (None, 7)


def test_rings_are_bounded_and_count_what_they_forgot(run: Any, wire: Any) -> None:
    def logic(job_state: Any) -> None:
        for number in range(12_000):
            job_state.append_shared_log(number)
            job_state.record_execution("s", "mine", {"n": number})

    job = run(wire({"s": Routine("s").set_logic(logic)}))
    assert len(job.shared_log) + job.forgotten_counts["shared_log"] == 12_000
    assert job.shared_log[-1] == 11_999
    assert job.forgotten_counts["execution_history"] > 0


def test_clear_data_empties_by_hand_and_keeps_the_result(run: Any, wire: Any) -> None:
    def logic(job_state: Any) -> None:
        job_state.update_shared_data("a", 1)
        job_state.append_shared_log("x")
        job_state.set_result(5)

    job = run(wire({"s": Routine("s").set_logic(logic)}))
    job.clear_data()
    assert (job.shared_data, job.shared_log, job.execution_history, job.routine_states, job.result) == (
        {},
        [],
        [],
        {},
        5,
    )


# --- leftovers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_leftover", "status", "logged"), [("warn", "completed", 1), ("ok", "completed", 0), ("fail", "failed", 0)]
)
def test_leftovers_are_reported_as_the_flow_says(
    run: Any, wire: Any, source: Any, sink: Any, on_leftover: Any, status: Any, logged: Any, caplog: Any
) -> None:
    flow = wire({"s": source(1), "t": sink(policy=batch_size_policy(2))}, "s.out > t.items", on_leftover=on_leftover)
    job = run(flow)
    assert (job.status, job.leftovers.item_count) == (status, 1)
    assert caplog.text.count("nobody consumed") == logged
    if status == "failed":
        assert job.error.type == "LeftoverError"


def test_leftovers_are_falsy_when_there_are_none(run: Any, wire: Any, source: Any, sink: Any) -> None:
    assert not run(wire({"s": source(1), "t": sink()}, "s.out > t.items")).leftovers
