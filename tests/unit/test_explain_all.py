"""Why is this job not finished? Answered in one screen. Design: §4.7."""

import json
import threading
from itertools import pairwise
from typing import Any

import pytest

from routilux import ErrorHandler, ErrorStrategy, Flow, Rate, Routine, Runtime
from routilux.explanation import LINES, WIDTH, Situation
from routilux.policies import all_slots_ready_policy, batch_size_policy, debounce_policy, each_item_policy
from routilux.testing import SimRuntime

CHAIN = 100


def lines_of(runtime: Any, job: Any) -> list[str]:
    return str(runtime.explain_all(job.job_id)).splitlines()


def started(runtime: Any, flow: Flow, **options: Any) -> Any:
    job = runtime.exec(flow, **options)
    runtime.run_until_idle()
    return job


def test_half_a_join_of_an_open_job_is_told(sim: Any, source: Any, sink: Any, wire: Any) -> None:
    join = sink("orders", "payments", policy=all_slots_ready_policy())
    job = started(sim, wire({"shop": source(1, 2), "ship": join}, "shop.out > ship.orders"), keep_open=True)
    head, door, routines, ship = lines_of(sim, job)
    assert head == f"{job.job_id} of flow 'flow' is running"
    assert door == "- it is kept open for posts: nothing else is under way, so close_job() ends it"
    assert routines == "- routines: 1 holding items, waiting for more"
    assert ship.startswith("ship waits; holding 2 of 'orders'")
    assert "count(payments) 0 of 1" in ship


def test_a_retry_is_told_with_its_time_and_cause(sim: Any, source: Any, sink: Any, wire: Any) -> None:
    def fail(items: Any) -> None:
        raise OSError("no route")

    call = Routine("call").add_slot("x").set_logic(fail)
    call.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=5, retry_delay=30))
    flow = wire({"s": source(1), "call": call, "t": sink()}, "s.out > call.x", "call.ok > t.items")
    job = started(sim, flow)
    _, routines, first, last = lines_of(sim, job)
    assert routines == "- routines: 1 to be tried again, 1 not asked yet"
    assert "activation 1 is tried again at 12:00:30 (attempt 2) after OSError in 'call': no route" in first
    assert last.startswith("t was not asked yet")


def test_a_policy_that_is_asked_again_after_its_failure_is_told(sim: Any, source: Any, sink: Any, wire: Any) -> None:
    def broken(slots: Any, job_state: Any) -> Any:
        raise OSError("no route")

    target = sink(policy=broken).set_error_handler(ErrorHandler(ErrorStrategy.RETRY, retry_delay=30))
    job = started(sim, wire({"s": source(1), "t": target}, "s.out > t.items"))
    (found,) = sim.explain_all(job.job_id)
    assert found.situation is Situation.RETRYING
    assert "no route" in str(found)


def test_a_pause_is_told(sim: Any, source: Any, sink: Any, wire: Any) -> None:
    job = sim.exec(wire({"s": source(1), "t": sink()}, "s.out > t.items"))
    sim.step()
    sim.pause_job(job.job_id)
    sim.run_until_idle()
    text = lines_of(sim, job)
    assert text[1:3] == ["- it is paused: resume_job() lets it go on", "- routines: 1 kept by the pause"]


def test_a_line_before_a_limit_is_told(source: Any, wire: Any) -> None:
    sim = SimRuntime(seed=1, limits={"api": Rate(1, 60)})
    call = Routine("call", limit="api").add_slot("x").set_logic(lambda x: None)
    job = started(
        sim, wire({"s": source(1, 2, 3), "call": call.set_activation_policy(each_item_policy())}, "s.out > call.x")
    )
    assert lines_of(sim, job)[1] == "- routines: 1 in line for a limit"
    assert lines_of(sim, job)[2].startswith("call waits in line for the limit 'api'; holding 2 of 'x'")
    sim.shutdown(wait=False)


def test_a_full_slot_is_told_before_the_one_that_it_blocks(sim: Any, source: Any, sink: Any, wire: Any) -> None:
    target = sink(policy=debounce_policy(60), max_queue_length=3)
    job = started(sim, wire({"s": source(*range(9)), "t": target}, "s.out > t.items"))
    _, routines, cause, blocked = lines_of(sim, job)
    assert routines == "- routines: 1 waiting for a time, 1 not through yet"
    assert "(+6 parked)" in cause
    assert "wakes 12:01:00" in cause
    assert blocked == "s is not through yet; activation 1 waits for room (6 for t.items)"


def test_a_wait_for_max_running_jobs_is_told_with_the_place_in_line(sim: Any, sink: Any, wire: Any) -> None:
    flow = wire({"t": sink()}, max_running_jobs=1)
    first, second, third = (started(sim, flow, keep_open=True) for _ in range(3))
    assert "it waits for its start: 1 of the flow's jobs run" in lines_of(sim, second)[1]
    assert lines_of(sim, second)[1].endswith("(max_running_jobs)")
    assert lines_of(sim, third)[1].endswith("and 1 more wait before it")
    sim.cancel_job(first.job_id)
    sim.run_until_idle()
    assert "kept open" in lines_of(sim, second)[1]


def test_a_breakpoint_is_told(sim: Any, source: Any, sink: Any, wire: Any) -> None:
    job = sim.exec(wire({"s": source(1), "t": sink()}, "s.out > t.items"))
    sim.hold_routine(job.job_id, "t")
    sim.run_until_idle()
    assert lines_of(sim, job)[1] == "- routines: 1 held before an activation"


def test_a_lack_of_workers_is_told(sim: Any, source: Any, wire: Any) -> None:
    job = sim.exec(wire({"s": source(1)}))
    assert lines_of(sim, job)[2] == "s is ready, and waits for a free worker"


def test_a_running_logic_and_a_cancelled_job_that_waits_for_it_are_told() -> None:
    began, go = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        assert go.wait(10)

    with Runtime() as runtime:
        job = runtime.exec(Flow("slow").add_routine(Routine("slow").set_logic(slow)))
        assert began.wait(10)
        running = lines_of(runtime, job)
        runtime.cancel_job(job.job_id)
        ending = lines_of(runtime, job)
        go.set()
    assert running[1] == "- routines: 1 running"
    assert ending[1] == "- it is about to be cancelled: what runs may return first"


def test_an_end_is_told_with_its_error_and_what_is_left(sim: Any, source: Any, sink: Any, wire: Any) -> None:
    flow = wire({"s": source(1), "t": sink(policy=batch_size_policy(2))}, "s.out > t.items", on_leftover="fail")
    job = started(sim, flow)
    text = lines_of(sim, job)
    assert text[0].endswith("is failed")
    assert text[1].startswith("- it has ended: LeftoverError")
    assert text[2] == "- left over: 1 item(s) in 1 slot(s)"


@pytest.fixture
def chain(sim: Any, source: Any, wire: Any) -> Any:
    """A running job of a hundred routines in a row, of which one in the middle holds an item."""

    def link(number: int) -> Routine:
        made = Routine("link").add_slot("x").set_logic(lambda x, routine: routine.emit("out", 1))
        return made.set_activation_policy(batch_size_policy(2)) if number == CHAIN // 2 else made

    routines = {"s": source(1), **{f"r{number}": link(number) for number in range(CHAIN)}}
    ids = list(routines)
    arrows = [f"{one}.out > {other}.x" for one, other in pairwise(ids)]
    return started(sim, wire(routines, *arrows), keep_open=True)


def test_a_hundred_routines_fit_on_a_screen_and_what_matters_is_first(sim: Any, chain: Any) -> None:
    text = lines_of(sim, chain)
    assert len(text) <= 20
    assert text[2] == "- routines: 1 holding items, waiting for more, 50 waiting empty-handed, 49 not asked yet"
    assert text[3].startswith("r50 waits; holding 1 of 'x'")
    assert text[4] == "and 99 more: r0, r1, r2, r3, r4, ..."


def test_a_hundred_routines_that_all_hold_something_fit_on_a_screen(
    sim: Any, source: Any, sink: Any, wire: Any
) -> None:
    ids = [f"t{number}" for number in range(CHAIN)]
    routines = {routine_id: sink(policy=batch_size_policy(2)) for routine_id in ids}
    flow = wire({"s": source(1), **routines}, *(f"s.out > {routine_id}.items" for routine_id in ids))
    job = started(sim, flow, keep_open=True)
    text = lines_of(sim, job)
    assert len(text) == LINES + 4
    assert all(len(line) <= WIDTH for line in text)
    assert text[-1] == f"and {CHAIN - LINES} more: t12, t13, t14, t15, t16, ..."


def test_plain_data_is_complete_and_iterating_gives_every_routine(sim: Any, chain: Any) -> None:
    found = sim.explain_all(chain.job_id)
    plain = json.loads(json.dumps(found.to_dict()))
    assert len(found) == len(list(found)) == len(plain["routines"]) == CHAIN
    assert plain["counts"] == {"holding": 1, "waiting": 50, "unasked": 49}
    assert plain["routines"][0]["routine_id"] == "r50"
    assert plain["routines"][0]["situation"] == "holding"
    assert (plain["status"], len(plain["reasons"])) == ("running", 1)


def test_a_question_that_meets_the_end_of_the_job_is_answered_by_what_is_left(sim: Any, source: Any, wire: Any) -> None:
    job = sim.exec(wire({"s": source(1)}))
    run = job._host
    sim.run_until_idle()
    assert job._host is not run
    assert run.explain(job, "s").status == "has ended"
