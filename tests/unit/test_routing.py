"""How items travel, and what full slots do. Design: §3; BEHAVIOURS 7, 17, 18, 20-23."""

import contextlib
import itertools
import logging
from typing import Any

import pytest

from routilux import (
    ActivationEndedError,
    JobFinishedError,
    JobNotFoundError,
    JobState,
    NoActivationError,
    Routine,
    RoutineNotFoundError,
    SlotClosedError,
    SlotNotFoundError,
    SlotQueueFullError,
    UnknownEventError,
    all_slots_ready_policy,
    batch_size_policy,
)
from routilux.testing import SimRuntime

EVERY_ON_FULL = ("wait", "stretch", "drop", "drop_oldest", "fail")


def flat(job: Any, key: Any = "seen") -> Any:
    """Give every item that a sink saw in its first slot."""
    return [item for lists in job.get_shared_data(key, []) for item in lists[0]]


# --- emitting -----------------------------------------------------------------------------------------------


def test_emit_packs_keywords_one_value_or_nothing(run: Any, wire: Any, sink: Any) -> None:
    def emit(routine: Any) -> None:
        routine.emit("out", a=1, b=2)
        routine.emit("out", [3])
        routine.emit("out")
        routine.emit("out", None)
        routine.emit("out", event=4)

    job = run(wire({"s": Routine("s").set_logic(emit), "t": sink()}, "s.out > t.items"))
    assert flat(job) == [{"a": 1, "b": 2}, [3], {}, None, {"event": 4}]


def test_emit_refuses_a_value_and_keywords_together(run: Any, wire: Any) -> None:
    job = run(wire({"s": Routine("s").set_logic(lambda routine: routine.emit("out", 1, a=2))}))
    assert (job.status, job.error.type) == ("failed", "BadTypeError")


def test_emit_from_outside_refuses_a_value_and_keywords_together(sim: Any, wire: Any, sink: Any) -> None:
    sender = Routine("s").add_slot("x").set_logic(lambda x: None)
    job = sim.exec(wire({"s": sender, "t": sink()}, "s.out > t.items"), keep_open=True)
    with pytest.raises(TypeError, match="a"):
        sender.emit("out", 1, job_state=job, a=2)


def test_emit_outside_of_an_activation_says_that_it_needs_a_job() -> None:
    with pytest.raises(NoActivationError, match=r"s\.emit.*job_state="):
        Routine("s").emit("out", 1)


def test_emit_for_a_job_in_no_runtime_says_so() -> None:
    with pytest.raises(NoActivationError, match="no runtime"):
        Routine("s").emit("out", 1, job_state=JobState("f"))


def test_emit_from_outside_with_a_job_reaches_every_connected_slot(sim: Any, wire: Any, sink: Any) -> None:
    sender = Routine("s").add_slot("x").set_logic(lambda x: None)
    flow = wire({"s": sender, "t": sink(key="t"), "u": sink(key="u")}, "s.out > t.items", "s.out > u.items")
    job = sim.exec(flow, keep_open=True)
    sender.emit("out", 7, job_state=job)
    sim.run_until_idle()
    assert (flat(job, "t"), flat(job, "u")) == ([7], [7])


def test_emit_of_another_routine_inside_a_logic_is_refused_and_named(run: Any, wire: Any) -> None:
    other = Routine("other").add_slot("x").set_logic(lambda x: None)
    job = run(wire({"s": Routine("s").set_logic(lambda: other.emit("out", 1)), "o": other}))
    assert (job.status, job.error.type) == ("failed", "NoActivationError")
    assert "'s'" in job.error.message


def test_emit_after_the_activation_ended_is_refused(run: Any, wire: Any, sink: Any) -> None:
    kept = []

    def keep_generator(routine: Any) -> None:
        def late() -> Any:
            yield
            routine.emit("out", 1)

        kept.append((routine, late()))

    run(wire({"s": Routine("s").set_logic(keep_generator), "t": sink()}, "s.out > t.items"))
    _, late = kept[0]
    next(late)
    with pytest.raises((NoActivationError, ActivationEndedError)):
        next(late)


def test_emit_takes_effect_when_called_awaited_or_not(run: Any, wire: Any, sink: Any) -> None:
    async def emit(routine: Any) -> None:
        routine.emit("out", 1)
        await routine.emit("out", 2)

    job = run(wire({"s": Routine("s").set_logic(emit), "t": sink()}, "s.out > t.items"))
    assert flat(job) == [1, 2]


def test_a_return_value_is_ignored(run: Any, wire: Any) -> None:
    logics = [lambda: 5, lambda: [1], lambda: {"a": 1}, lambda: iter([1, 2]), lambda: "text"]
    job = run(wire({f"r{n}": Routine(f"r{n}").set_logic(logic) for n, logic in enumerate(logics)}))
    assert job.status == "completed"


def test_a_returned_coroutine_or_generator_is_run(run: Any, wire: Any) -> None:
    async def wait(job_state: Any) -> None:
        job_state.append_shared_data("ran", "coroutine")

    def step(job_state: Any) -> Any:
        yield
        job_state.append_shared_data("ran", "generator")

    routines = {
        "a": Routine("a").set_logic(lambda *, job_state: wait(job_state)),
        "b": Routine("b").set_logic(lambda *, job_state: step(job_state)),
    }
    assert sorted(run(wire(routines)).get_shared_data("ran")) == ["coroutine", "generator"]


def test_a_logic_that_returns_its_emission_stays_synchronous(sim: Any, wire: Any, sink: Any) -> None:
    made = []
    sim._make_executor = lambda make=sim._make_executor: made.append(1) or make()  # type: ignore[func-returns-value]
    sender = Routine("s").set_logic(lambda routine: routine.emit("out", 1))
    job = sim.exec(wire({"s": sender, "t": sink()}, "s.out > t.items"))
    sim.run_until_idle()
    assert (flat(job), made) == ([1], [])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_yielding_a_value_is_an_error_of_ours(run: Any, wire: Any, kind: Any) -> None:
    def sync() -> Any:
        yield 1

    async def asynchronous() -> Any:
        yield 1

    logic = sync if kind == "sync" else asynchronous
    job = run(wire({"s": Routine("s").set_logic(logic)}))
    assert (job.status, job.error.type, "emit" in job.error.message) == ("failed", "LogicError", True)


def test_k_emissions_give_k_items_in_order(run: Any, wire: Any, source: Any, sink: Any) -> None:  # B20
    job = run(wire({"s": source(*range(500)), "t": sink()}, "s.out > t.items"))
    assert flat(job) == list(range(500))


def test_items_of_two_events_of_one_producer_keep_their_order_each(run: Any, wire: Any, sink: Any) -> None:  # B20
    def emit(routine: Any) -> None:
        for number in range(20):
            routine.emit("even" if number % 2 == 0 else "odd", number)

    flow = wire({"s": Routine("s").set_logic(emit), "t": sink()}, "s.even > t.items", "s.odd > t.items")
    seen = flat(run(flow))
    assert [n for n in seen if n % 2] == list(range(1, 20, 2))
    assert [n for n in seen if not n % 2] == list(range(0, 20, 2))


def test_data_goes_to_every_target_by_reference(run: Any, wire: Any, source: Any, sink: Any) -> None:
    payload = {"deep": []}  # type: ignore[var-annotated]
    flow = wire({"s": source(payload), "t": sink(key="t"), "u": sink(key="u")}, "s.out > t.items", "s.out > u.items")
    job = run(flow)
    assert flat(job, "t")[0] is payload is flat(job, "u")[0]


def test_an_event_without_connection_is_discarded_silently_and_counted(
    run: Any, wire: Any, source: Any, caplog: Any
) -> None:  # B17
    with caplog.at_level(logging.WARNING):
        job = run(wire({"s": source(1, 2, 3)}))
    assert (job.status, job.unrouted, job.drops, caplog.text) == ("completed", {("s", "out"): 3}, {}, "")


def test_a_declaring_routine_may_emit_only_declared_events(run: Any, wire: Any) -> None:  # B21
    sender = Routine("s").add_event("known").set_logic(lambda routine: routine.emit("unknown", 1))
    job = run(wire({"s": sender}))
    assert (job.status, job.error.type) == ("failed", UnknownEventError.__name__)
    assert "unknown" in job.error.message
    assert "known" in job.error.message


def test_a_declared_event_without_connection_is_discarded(run: Any, wire: Any) -> None:  # B17
    sender = Routine("s").add_event("known").set_logic(lambda routine: routine.emit("known", 1))
    assert run(wire({"s": sender})).unrouted == {("s", "known"): 1}


def test_items_tell_who_emitted_them_and_when(sim: Any, wire: Any, source: Any) -> None:  # B7
    points = []

    def policy(slots: Any, job_state: Any) -> Any:
        points.extend(slots["items"].consume_points())
        return bool(points), {"items": points}, None

    target = Routine("t").set_logic(lambda items: None).set_activation_policy(policy)
    flow = wire({"s": source("a", name="sender"), "t": target}, "s.out > t.items")
    job = sim.exec(flow, inputs={"t": {"items": ["b"]}}, keep_open=True)
    sim.run_until_idle()
    sim.post(job.job_id, "t", "items", "c")
    sim.run_until_idle()
    assert {point.data: point.emitted_from for point in points} == {"a": "sender", "b": "inputs", "c": "post"}
    assert all(point.emitted_at <= point.enqueued_at <= point.consumed_at for point in points)


@pytest.mark.parametrize("step", [-3600, 3600])
def test_timestamps_never_decrease_while_the_wall_clock_steps(sim: Any, wire: Any, sink: Any, step: Any) -> None:  # B7
    job = sim.exec(wire({"t": sink()}), keep_open=True)
    for number in range(3):
        sim.post(job.job_id, "t", "items", number)
        sim.manual_clock.step_wall(step)
        sim.advance(1)
    points = job.slots("t")["items"].consumed_points()
    stamps = [at for point in points for at in (point.emitted_at, point.enqueued_at, point.consumed_at)]
    assert stamps == sorted(stamps)


def test_two_jobs_of_one_flow_never_see_each_others_items_or_state(sim: Any, wire: Any) -> None:  # B23
    def logic(items: Any, job_state: Any, routine: Any) -> None:
        routine.set_state(job_state, "mine", routine.get_state(job_state, "mine", []) + items)
        job_state.append_shared_data("ours", items)

    flow = wire({"t": Routine("t").set_logic(logic)})
    jobs = [sim.exec(flow, keep_open=True) for _ in range(3)]
    for number in range(9):
        sim.post(jobs[number % 3].job_id, "t", "items", number)
    for job in jobs:
        sim.close_job(job.job_id)
    sim.run_until_idle()
    assert [job.get_routine_state("t", "mine") for job in jobs] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert [[*itertools.chain(*job.get_shared_data("ours"))] for job in jobs] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_nothing_of_a_job_stays_in_routines_flow_or_policies(
    run: Any, wire: Any, source: Any, sink: Any
) -> None:  # B23
    policy = batch_size_policy(2)
    flow = wire({"s": source(1, 2, 3), "t": sink(policy=policy)}, "s.out > t.items")
    first = run(flow)
    before = [dict(vars(thing)) for thing in (flow, *flow.routines.values())], repr(policy)
    second = run(flow)
    assert ([dict(vars(thing)) for thing in (flow, *flow.routines.values())], repr(policy)) == before
    assert first.get_shared_data("seen") == second.get_shared_data("seen") == [[[1, 2]]]


# --- full slots ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_full", ["wait", "stretch"])
@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("policy", [None, all_slots_ready_policy()], ids=str)
def test_waiting_slots_lose_nothing_and_keep_order(
    run: Any, wire: Any, source: Any, sink: Any, on_full: Any, length: Any, policy: Any
) -> None:
    target = sink(max_queue_length=length, on_full=on_full, policy=policy)
    job = run(wire({"s": source(*range(50)), "t": target}, "s.out > t.items"))
    assert (flat(job), job.drops, bool(job.leftovers)) == (list(range(50)), {}, False)


def test_a_waiting_slot_stays_within_its_length(sim: Any, wire: Any, source: Any, sink: Any) -> None:
    job = sim.exec(wire({"s": source(*range(50)), "t": sink(max_queue_length=4)}, "s.out > t.items"))
    most = 0
    while sim.step():
        most = max(most, job.slots("t")["items"].get_unconsumed_count())
    assert 0 < most <= 4


def test_a_routine_with_a_filled_outbox_starts_no_other_activation(sim: Any, wire: Any, sink: Any) -> None:
    sender = Routine("s", atomic=True).set_logic(lambda x, routine: [routine.emit("out", n) for n in range(5)] and None)
    sender.set_activation_policy(all_slots_ready_policy())
    job = sim.exec(wire({"s": sender, "t": sink(max_queue_length=2)}, "s.out > t.items"), inputs={"s": {"x": [1, 2]}})
    sim.hold_routine(job.job_id, "t")
    sim.run_until_idle()
    state = job.slots("t")["items"].get_queue_state()
    assert (state["unconsumed_count"], state["parked_count"]) == (2, 3)
    assert job.slots("s")["x"].get_unconsumed_count() == 1
    assert "room" in str(job.explain("s"))
    sim.release_routine(job.job_id, "t")
    sim.run_until_idle()
    assert flat(job) == [0, 1, 2, 3, 4] * 2


def test_a_generator_goes_on_only_when_its_outbox_is_empty(sim: Any, wire: Any, sink: Any) -> None:
    def emit(routine: Any, job_state: Any) -> Any:
        for number in range(6):
            routine.emit("out", number)
            job_state.set_result(number)
            yield

    flow = wire({"s": Routine("s").set_logic(emit), "t": sink(max_queue_length=2)}, "s.out > t.items")
    job = sim.exec(flow)
    sim.hold_routine(job.job_id, "t")
    sim.run_until_idle()
    assert job.result == 2
    sim.release_routine(job.job_id, "t")
    sim.run_until_idle()
    assert (flat(job), job.status) == (list(range(6)), "completed")


def test_async_emit_waits_for_room(sim: Any, wire: Any, sink: Any) -> None:
    async def emit(routine: Any, job_state: Any) -> None:
        for number in range(6):
            await routine.emit("out", number)
            job_state.set_result(number)

    flow = wire({"s": Routine("s").set_logic(emit), "t": sink(max_queue_length=2)}, "s.out > t.items")
    job = sim.exec(flow)
    sim.hold_routine(job.job_id, "t")
    sim.run_until_idle()
    assert job.result == 1
    sim.release_routine(job.job_id, "t")
    sim.run_until_idle()
    assert (flat(job), job.status) == (list(range(6)), "completed")


def test_a_consumer_that_holds_for_ever_loses_the_oldest_parked_by_the_rule(
    run: Any, wire: Any, source: Any, sink: Any, caplog: Any
) -> None:
    target = sink(max_queue_length=5, policy=batch_size_policy(10))
    job = run(wire({"s": source(*range(8)), "t": target}, "s.out > t.items"))
    assert (job.status, job.drops) == ("completed", {("t", "items"): {"full": 3}})
    assert (job.leftovers[0].count, job.leftovers.item_count) == (5, 5)
    assert sum(r.data["count"] for r in job.execution_history if r.event_name == "dropped") == 3
    assert "'items' of routine 't' is full" in caplog.text


def test_a_stretching_slot_grows_where_nothing_else_helps_and_warns_once(
    run: Any, wire: Any, source: Any, sink: Any, caplog: Any
) -> None:
    target = sink(max_queue_length=5, on_full="stretch", policy=batch_size_policy(10))
    job = run(wire({"s": source(*range(23)), "t": target}, "s.out > t.items"))
    assert (flat(job), job.drops, job.leftovers.item_count) == (list(range(20)), {}, 3)
    assert caplog.text.count("grows") == 1


def test_a_dropping_slot_drops_what_finds_no_room_at_once(run: Any, wire: Any, source: Any, sink: Any) -> None:
    target = sink(max_queue_length=3, on_full="drop", policy=batch_size_policy(3))
    flow = wire({"s": source(*range(10), atomic=True), "t": target}, "s.out > t.items")
    job = run(flow)
    assert (flat(job), job.drops) == ([0, 1, 2], {("t", "items"): {"full": 7}})
    assert job.status == "completed"


def test_a_drop_oldest_slot_keeps_the_newest(run: Any, wire: Any, source: Any, sink: Any) -> None:
    target = sink(max_queue_length=3, on_full="drop_oldest", policy=batch_size_policy(3))
    job = run(wire({"s": source(*range(10), atomic=True), "t": target}, "s.out > t.items"))
    assert flat(job) == [7, 8, 9]
    assert sum(job.drops["t", "items"].values()) == 7


@pytest.mark.parametrize("on_full", ["drop", "drop_oldest"])
def test_every_drop_is_counted_in_the_history_and_logged_without_a_flood(
    run: Any, wire: Any, source: Any, sink: Any, on_full: Any, caplog: Any
) -> None:
    target = sink(max_queue_length=2, on_full=on_full, policy=batch_size_policy(2))
    job = run(wire({"s": source(*range(500), atomic=True), "t": target}, "s.out > t.items"))
    assert sum(job.drops["t", "items"].values()) == 498
    assert sum(r.data["count"] for r in job.execution_history if r.event_name == "dropped") == 498
    assert 1 <= len([r for r in caplog.records if "dropped" in r.getMessage()]) <= 5


def test_a_failing_slot_raises_from_emit(run: Any, wire: Any, sink: Any) -> None:
    def emit(routine: Any, job_state: Any) -> None:
        for number in range(5):
            try:
                routine.emit("out", number)
            except SlotQueueFullError as error:
                job_state.append_shared_data("refused", (number, error.slot, error.routine_id, error.max_queue_length))

    target = sink(max_queue_length=3, on_full="fail", policy=batch_size_policy(3))
    job = run(wire({"s": Routine("s").set_logic(emit), "t": target}, "s.out > t.items"))
    assert flat(job) == [0, 1, 2]
    assert job.get_shared_data("refused") == [(3, "items", "t", 3), (4, "items", "t", 3)]


def test_a_failing_slot_fails_an_atomic_activation_at_commit_and_nothing_takes_effect(
    run: Any, wire: Any, sink: Any
) -> None:
    def emit(routine: Any, job_state: Any) -> None:
        job_state.set_result("written")
        for number in range(5):
            routine.emit("out", number)

    target = sink(max_queue_length=3, on_full="fail")
    job = run(wire({"s": Routine("s", atomic=True).set_logic(emit), "t": target}, "s.out > t.items"))
    assert (job.status, job.error.type, job.result) == ("failed", "SlotQueueFullError", None)
    assert job.slots("t")["items"].get_total_count() == 0


@pytest.mark.parametrize("on_full", EVERY_ON_FULL)
@pytest.mark.parametrize("order", [("full", "free"), ("free", "full")], ids=" ".join)
def test_one_full_slot_does_not_keep_the_other_targets_from_their_item(
    sim: Any, wire: Any, sink: Any, on_full: Any, order: Any
) -> None:  # B18
    def emit(routine: Any) -> None:
        for number in range(2):
            with contextlib.suppress(SlotQueueFullError):
                routine.emit("out", number)

    targets = {
        "full": sink(max_queue_length=1, on_full=on_full, policy=batch_size_policy(2), key="full"),
        "free": sink(key="free"),
    }
    flow = wire({"s": Routine("s").set_logic(emit), **targets}, *(f"s.out > {name}.items" for name in order))
    job = sim.exec(flow)
    sim.run_until_idle()
    assert flat(job, "free") == [0, 1]


def test_emit_from_outside_to_a_full_slot_reaches_the_other_targets(sim: Any, wire: Any, sink: Any) -> None:  # B18
    sender = Routine("s").add_slot("x").set_logic(lambda x: None)
    targets = {"full": sink(max_queue_length=2, policy=batch_size_policy(9)), "free": sink(key="free")}
    job = sim.exec(wire({"s": sender, **targets}, "s.out > full.items", "s.out > free.items"), keep_open=True)
    for number in range(2):
        sender.emit("out", number, job_state=job)
    with pytest.raises(SlotQueueFullError):
        sender.emit("out", 2, job_state=job)
    sim.run_until_idle()
    assert flat(job, "free") == [0, 1, 2]


def test_only_its_own_outbox_holds_a_routine_back(sim: Any, wire: Any, source: Any, sink: Any) -> None:
    flow = wire(
        {"s": source(*range(9)), "slow": sink(max_queue_length=1, key="slow"), "other": source("x"), "t": sink()},
        "s.out > slow.items",
        "other.out > slow.items",
        "other.out > t.items",
    )
    job = sim.exec(flow)
    sim.hold_routine(job.job_id, "slow")
    sim.run_until_idle()
    assert flat(job) == ["x"]


def test_a_watermark_never_costs_an_item(run: Any, wire: Any, source: Any, sink: Any) -> None:
    for watermark in (0.01, 0.5, 1.0):
        target = sink(max_queue_length=3, watermark=watermark, policy=all_slots_ready_policy())
        assert flat(run(wire({"s": source(*range(20)), "t": target}, "s.out > t.items"))) == list(range(20))


@pytest.mark.parametrize("seed", range(10))
def test_chains_of_a_thousand_routines_run_without_recursion(
    wire: Any, source: Any, sink: Any, seed: Any
) -> None:  # B22
    def relay(items: Any, routine: Any) -> None:
        for item in items:
            routine.emit("out", item + 1)

    routines = {"r0": source(0, 0)} | {f"r{n}": Routine(f"r{n}").set_logic(relay) for n in range(1, 1000)}
    flow = wire(routines | {"r1000": sink()}, *(f"r{n}.out > r{n + 1}.items" for n in range(1000)))
    sim = SimRuntime(seed)
    job = sim.exec(flow)
    sim.run_until_idle()
    assert flat(job) == [999, 999]


def test_a_cycle_of_many_rounds_runs_without_recursion(run: Any, wire: Any, source: Any) -> None:  # B22
    def count_down(items: Any, routine: Any, job_state: Any) -> None:
        for item in items:
            routine.emit("again", item - 1) if item else job_state.set_result("through")

    loop = Routine("loop").set_logic(count_down)
    flow = wire({"s": source(20_000), "loop": loop}, "s.out > loop.items", "loop.again > loop.items")
    job = run(flow)
    assert (job.status, job.result, bool(job.leftovers)) == ("completed", "through", False)


# --- posts and inputs ---------------------------------------------------------------------------------------


def test_a_post_to_a_full_slot_raises_at_once_and_changes_nothing(sim: Any, wire: Any, sink: Any) -> None:
    job = sim.exec(wire({"t": sink(max_queue_length=2, policy=batch_size_policy(9))}), keep_open=True)
    for number in range(2):
        sim.post(job.job_id, "t", "items", number)
    before = job.slots("t")["items"].get_queue_state()
    with pytest.raises(SlotQueueFullError, match="items"):
        sim.post(job.job_id, "t", "items", 2)
    assert (job.slots("t")["items"].get_queue_state(), job.drops) == (before, {})


@pytest.mark.parametrize("length", [1, 3])
def test_posts_fill_a_connected_slot_to_its_exact_length(sim: Any, wire: Any, sink: Any, length: Any) -> None:  # B6
    sender = Routine("s").add_slot("x").set_logic(lambda x: None)
    target = sink(max_queue_length=length, policy=batch_size_policy(9))
    job = sim.exec(wire({"s": sender, "t": target}, "s.out > t.items"), keep_open=True)
    sim.run_until_idle()
    for number in range(length):
        sim.post(job.job_id, "t", "items", number)
    with pytest.raises(SlotQueueFullError):
        sim.post(job.job_id, "t", "items", "more")
    assert job.slots("t")["items"].peek_all_new() == list(range(length))


def test_a_first_post_fits_the_last_place_of_a_connected_slot(
    sim: Any, wire: Any, source: Any, sink: Any
) -> None:  # B6
    target = sink(max_queue_length=3, policy=batch_size_policy(9))
    job = sim.exec(wire({"s": source(0, 1), "t": target}, "s.out > t.items"), keep_open=True)
    sim.run_until_idle()
    sim.post(job.job_id, "t", "items", 2)
    assert job.slots("t")["items"].peek_all_new() == [0, 1, 2]


@pytest.mark.parametrize("on_full", EVERY_ON_FULL)
def test_a_post_to_a_full_slot_raises_whatever_on_full_says(sim: Any, wire: Any, sink: Any, on_full: Any) -> None:
    target = sink(max_queue_length=1, on_full=on_full, policy=batch_size_policy(9))
    job = sim.exec(wire({"t": target}), keep_open=True)
    sim.post(job.job_id, "t", "items", 0)
    with pytest.raises(SlotQueueFullError):
        sim.post(job.job_id, "t", "items", 1)


def test_a_post_to_a_closed_slot_or_finished_job_is_refused(sim: Any, wire: Any, source: Any, sink: Any) -> None:
    first = sink(key="first")
    flow = wire({"s": source(1), "t": first, "late": sink(policy=batch_size_policy(1))}, "s.out > t.items")
    job = sim.exec(flow, inputs={"late": {"items": [1]}})
    sim.hold_routine(job.job_id, "late")
    sim.run_until_idle()
    with pytest.raises(SlotClosedError, match="items"):
        sim.post(job.job_id, "t", "items", 2)
    sim.release_routine(job.job_id, "late")
    sim.run_until_idle()
    with pytest.raises(JobFinishedError):
        sim.post(job.job_id, "t", "items", 2)


def test_a_post_to_something_unknown_names_it_and_leaves_nothing_behind(sim: Any, wire: Any, sink: Any) -> None:
    job = sim.exec(wire({"t": sink()}), keep_open=True)
    with pytest.raises(JobNotFoundError, match="nope"):
        sim.post("nope", "t", "items", 1)
    with pytest.raises(RoutineNotFoundError, match=r"nope.*'t'"):
        sim.post(job.job_id, "nope", "items", 1)
    with pytest.raises(SlotNotFoundError, match=r"nope.*items"):
        sim.post(job.job_id, "t", "nope", 1)
    sim.close_job(job.job_id)
    sim.run_until_idle()
    assert (job.status, job.get_shared_data("seen"), bool(job.leftovers)) == ("completed", None, False)


def test_inputs_are_fed_like_the_items_of_a_source(run: Any, wire: Any, sink: Any) -> None:
    job = run(wire({"t": sink(max_queue_length=3)}), inputs={"t": {"items": range(10)}})
    assert (flat(job), job.drops) == (list(range(10)), {})


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ({"nope": {"items": [1]}}, ValueError),
        ({"t": {"nope": [1]}}, ValueError),
        ({"t": [1]}, TypeError),
        ({"t": {"items": "text"}}, TypeError),
        ({"t": {"items": 3}}, TypeError),
        ({"t": {"items": None}}, TypeError),
        ([("t", {"items": [1]})], TypeError),
        ("t", TypeError),
    ],
    ids=str,
)
def test_wrong_inputs_are_refused_before_any_job_exists(
    sim: Any, wire: Any, sink: Any, inputs: Any, kind: Any
) -> None:  # B26
    with pytest.raises(kind):
        sim.exec(wire({"t": sink()}), inputs=inputs)
    assert (sim.list_jobs(), sim.step()) == ([], False)
