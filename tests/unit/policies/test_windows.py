"""Windows in time: by arrival, by the items' own time, tumbling and hopping. Design: the catalogue."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, Routine, Slot
from routilux.errors import BadTypeError, BadValueError
from routilux.policies import batch_size_policy, debounce_policy, window_policy
from routilux.testing import ManualClock, SimRuntime, check_picture

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "picture"),
    [
        # hopping: an item is in each window that it falls into
        (window_policy(4, 2), "in  -ab-c--(de)f|\nout --[a]-[ab]-[bc]-[cde]([def][f]|)"),
        (window_policy(4, 3, time_of=int), "in  0369|\nout -[0][03][36]([69][9]|)"),
        # by its own time: the newest item says how far time has come
        (window_policy(3, time_of=int), "in  012459|\nout ---[012]-[45]([9]|)"),
        (window_policy(3, time_of=int), "in   0123154|\nout  ---[012]---([354]|)\ndrop ----1"),
        (window_policy(3, time_of=int, on_late="deliver"), "in   0123154|\nout  ---[012][1]--([354]|)\ndrop -"),
        (window_policy(3, time_of=int, lateness_seconds=2), "in   0123154|\nout  -----[0121]-([354]|)\ndrop -"),
        (window_policy(4, 2, time_of=int), "in  0123456|\nout --[01]-[0123]-[2345]([456][6]|)"),
        # an item that is late for one window only is delivered in the other
        (window_policy(4, 2, time_of=int), "in   0243-8|\nout  -[0][02]--([243][4])([8][8]|)\ndrop -"),
        # several inputs: the slowest counts, unless it is closed or silent
        (window_policy(3, time_of=int), "x   0123456|\ny   -----4-6|\nout -----[012]-[3454]([66]|)"),
        (window_policy(3, time_of=int), "x   01234|\ny   -|\nout ---[012]-([34]|)"),
        (window_policy(3, time_of=int), "x   01234|\ny   ------|\nout ------([012][34]|)"),
        (window_policy(3, time_of=int, idle_seconds=3), "x   0123456|\ny   -------|\nout ---[012]--[345]([6]|)"),
        # all are silent: the fastest counts
        (window_policy(3, time_of=int, idle_seconds=2), "x   05|\ny   1------|\nout --[01]----([5]|)"),
        # nothing is ever delivered empty
        (window_policy(2), "in  a----b--|\nout --[a]---[b]-|"),
    ],
)
def test_windows_do_what_their_picture_shows(policy: Any, picture: str) -> None:
    check_picture(policy, picture)


def flow_of(policy: Any, **options: Any) -> Flow:
    def note(items: list[Any], policy_message: Any, job_state: JobState) -> None:
        job_state.append_shared_data("seen", [policy_message["reason"], policy_message["start"], "".join(items)])

    target = Routine("t").add_slot("items", **options).set_activation_policy(policy).set_logic(note)
    return Flow("windows", on_leftover="ok").add_routine(target, "t")


def run(policy: Any, items: list[Any]) -> list[Any]:
    sim = SimRuntime()
    job = sim.exec(flow_of(policy), inputs={"t": {"items": items}})
    assert sim.wait_for_job(job.job_id)
    sim.shutdown(wait=False)
    seen: list[Any] = job.get_shared_data("seen", [])
    return seen


def test_the_message_tells_the_window_in_the_kind_of_time_of_the_items() -> None:
    assert run(window_policy(10, time_of=int), ["3", "12"]) == [["window", 0.0, "3"], ["end", 10.0, "12"]]
    by_day = window_policy(86400, time_of=lambda item: START + timedelta(days=int(item)))
    midnight = START.replace(hour=0)
    assert run(by_day, ["0", "1"]) == [["window", midnight, "0"], ["end", midnight + timedelta(days=1), "1"]]
    assert run(window_policy(60), ["a"]) == [["end", START, "a"]]
    late = window_policy(10, time_of=int, on_late="deliver")
    assert run(late, ["3", "12", "4"])[1] == ["late", 0.0, "4"]


def test_what_is_late_does_not_depend_on_when_the_policy_is_asked() -> None:
    items = [str(number) for number in (1, 12, 3, 25, 14, 31)]
    policy = window_policy(10, time_of=int)
    sim = SimRuntime()
    job = sim.exec(flow_of(policy), keep_open=True)
    for item in items:
        sim.post(job.job_id, "t", "items", item)
        sim.run_until_idle()
    sim.close_job(job.job_id)
    sim.run_until_idle()
    assert job.get_shared_data("seen") == run(policy, items)
    assert job.drops == {("t", "items"): {"late": 2}}
    sim.shutdown(wait=False)


def test_windows_before_the_epoch_are_aligned_too() -> None:
    assert [window[1] for window in run(window_policy(10, time_of=int), ["-3", "4"])] == [-10.0, 0.0]


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_windows_by_arrival_follow_no_jump_of_the_wall_clock(jump: int) -> None:  # M24
    sim = SimRuntime()
    job = sim.exec(flow_of(window_policy(10)), keep_open=True)
    sim.post(job.job_id, "t", "items", "a")
    sim.advance(4)
    sim.manual_clock.step_wall(jump)
    sim.post(job.job_id, "t", "items", "b")
    sim.advance(5.9)
    assert job.get_shared_data("seen", []) == []
    sim.advance(0.1)
    assert job.get_shared_data("seen") == [["window", START, "ab"]]
    sim.cancel_job(job.job_id)
    sim.shutdown(wait=False)


@pytest.mark.parametrize("behind", [0, 3600])
def test_a_stored_window_goes_on_with_its_remaining_time(behind: float) -> None:
    sim = SimRuntime()
    job = sim.exec(flow_of(window_policy(10)), keep_open=True)
    sim.post(job.job_id, "t", "items", "a")
    sim.advance(4)
    stored = json.loads(json.dumps(job.serialize()))
    sim.shutdown(wait=False)
    clock = ManualClock(START + timedelta(seconds=4 - behind))
    again = JobState.deserialize(stored, clock=clock)
    second = SimRuntime(clock=clock)
    second.exec(flow_of(window_policy(10)), again, keep_open=True)
    second.post(again.job_id, "t", "items", "b")
    second.advance(5.9)
    assert again.get_shared_data("seen", []) == []
    second.advance(0.1)
    assert again.get_shared_data("seen") == [["window", START, "ab"]]
    second.cancel_job(again.job_id)
    second.shutdown(wait=False)


def test_a_retried_window_is_delivered_the_same() -> None:
    tried = []

    def logic(items: list[str], job_state: JobState) -> None:
        tried.append("".join(items))
        if job_state.attempt < 3 and items == ["0"]:
            raise ValueError("again")

    target = Routine("t").add_slot("items").set_activation_policy(window_policy(4, 2, time_of=int)).set_logic(logic)
    target.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=3, retry_delay=1))
    sim = SimRuntime()
    job = sim.exec(Flow("retried").add_routine(target, "t"), inputs={"t": {"items": ["0", "3"]}})
    assert sim.wait_for_job(job.job_id, 100)
    assert (job.status, tried) == ("completed", ["0", "0", "0", "03", "3"])
    sim.shutdown(wait=False)


def test_a_window_that_a_breakpoint_holds_is_delivered_once() -> None:
    sim = SimRuntime()
    job = sim.exec(flow_of(window_policy(4, 2, time_of=int)), keep_open=True)
    sim.hold_routine(job.job_id, "t")
    sim.post(job.job_id, "t", "items", "0")
    sim.post(job.job_id, "t", "items", "9")
    sim.run_until_idle()
    assert job.get_shared_data("seen", []) == []
    sim.release_routine(job.job_id, "t")
    sim.run_until_idle()
    assert [window[2] for window in job.get_shared_data("seen")] == ["0", "0"]
    sim.cancel_job(job.job_id)
    sim.shutdown(wait=False)


def test_windows_can_be_called_by_hand() -> None:
    clock = ManualClock()
    job = JobState("f", clock=clock)
    job.current_routine_id = "t"
    slots = {"in": Slot("in", clock=clock)}
    policy = window_policy(4, 2, time_of=int)
    for number in (0, 3, 9):
        slots["in"].enqueue(number)
    found = []
    while (decision := policy(slots, job)).should_activate:
        found.append(decision.data_slice["in"])
    assert found == [[0], [0, 3], [3]]
    assert slots["in"].peek_all_new() == [9]


def test_what_another_policy_took_is_in_no_window() -> None:
    check_picture(window_policy(9, time_of=int) | batch_size_policy(2), "in  012|\nout -[01]-([2]|)")
    check_picture(window_policy(4) | debounce_policy(2), "in  a---b-|\nout --[a]---([b]|)")


def test_overlapping_activations_that_fail_lose_no_window() -> None:
    async def logic(items: list[str], job_state: JobState) -> None:
        await asyncio.sleep(3 - int(items[0]))
        if items == ["0"] and job_state.run == 1:
            raise ValueError("bad luck")
        job_state.append_shared_data("seen", "".join(items))

    target = Routine("t", max_concurrency=3, ordered=False).add_slot("items")
    target.set_activation_policy(window_policy(1, time_of=int)).set_logic(logic)
    flow = Flow("overlapping", on_leftover="ok").add_routine(target, "t")
    sim = SimRuntime()
    job = sim.exec(flow, inputs={"t": {"items": list("0123")}})
    assert sim.wait_for_job(job.job_id, 100)
    assert job.status == "failed"
    again = JobState.deserialize(job.serialize(), clock=ManualClock())
    second = SimRuntime(clock=again._clock)  # type: ignore[arg-type]
    second.exec(flow, again)
    assert second.wait_for_job(again.job_id, 100)
    assert (again.status, sorted(again.get_shared_data("seen"))) == ("completed", ["0", "1", "2", "3"])
    for runtime in (sim, second):
        runtime.shutdown(wait=False)


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda: window_policy(0), BadValueError),
        (lambda: window_policy("4"), BadTypeError),  # type: ignore[arg-type]
        (lambda: window_policy(4, 5), BadValueError),
        (lambda: window_policy(4, 0.001), BadValueError),
        (lambda: window_policy(4, time_of=3), BadTypeError),  # type: ignore[arg-type]
        (lambda: window_policy(4, lateness_seconds=1), BadValueError),
        (lambda: window_policy(4, idle_seconds=1), BadValueError),
        (lambda: window_policy(4, on_late="deliver"), BadValueError),
        (lambda: window_policy(4, time_of=int, lateness_seconds=-1), BadValueError),
        (lambda: window_policy(4, time_of=int, on_late="keep"), BadValueError),
        (lambda: window_policy(4, time_of=int, idle_seconds=0), BadValueError),
    ],
)
def test_a_bad_window_is_refused_when_built(build: Any, kind: Any) -> None:
    with pytest.raises(kind):
        build()


def test_an_explanation_names_the_input_that_holds_time_back() -> None:
    target = Routine("t").add_slot("x").add_slot("y").set_logic(lambda x, y: None)
    target.set_activation_policy(window_policy(10, time_of=int))
    sim = SimRuntime()
    job = sim.exec(Flow("slow").add_routine(target, "t"), keep_open=True)
    sim.post(job.job_id, "t", "x", 12)
    sim.post(job.job_id, "t", "y", 4)
    sim.run_until_idle()
    assert "seconds that its own time lacks 6 of 0 no, held back by y no" in str(job.explain("t"))
    sim.cancel_job(job.job_id)
    sim.shutdown(wait=False)
