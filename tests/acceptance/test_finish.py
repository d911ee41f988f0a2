"""The end of a job and who hears of it; what a job is given and what it answers. Design §5.4, §5.5, §8."""

import asyncio
from typing import Any

import pytest

from routilux import (
    ErrorHandler,
    ErrorStrategy,
    Flow,
    JobFinishedError,
    JobState,
    ResourceNotFoundError,
    Routine,
    batch_size_policy,
)
from routilux.testing import Recorder
from tests.acceptance.resuming import Sims, note, passing_on, sink, source, stored, wired


def only(logic: Any, **options: Any) -> Flow:
    return Flow("only", **options).add_routine(Routine("only").set_logic(logic))


def failing() -> None:
    raise ValueError("no")


# --- callbacks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("logic", "end"), [(lambda: None, "completed"), (failing, "failed")])
def test_status_callbacks_hear_each_change_in_order(logic: Any, end: str, sims: Sims) -> None:
    told: list[Any] = []
    sim = sims.fresh()
    flow = only(logic, max_running_jobs=1)
    blocker = sim.exec(flow, keep_open=True)
    job = sim.exec(flow)
    job.on_status_change(lambda ended, old, new: told.append((str(old), str(new))))
    job.on_complete(lambda ended: told.append(("complete", str(ended.status))))
    sim.cancel_job(blocker.job_id)
    sim.run_until_idle()
    assert told == [("pending", "running"), ("running", end), ("complete", end)]


def test_callbacks_are_called_in_the_order_in_which_they_were_registered(sims: Sims) -> None:
    told: list[str] = []
    sim = sims.fresh()
    job = sim.exec(only(lambda: None))
    job.on_complete(lambda _: told.append("first"))
    job.on_complete(lambda _: told.append("second"))
    job.on_complete(lambda _: told.append("third"))
    sim.run_until_idle()
    assert told == ["first", "second", "third"]


def test_callback_registered_after_the_end_is_called_at_once_and_once(sims: Sims) -> None:
    told: list[str] = []
    sim = sims.fresh()
    job = sim.exec(only(lambda: None))
    sim.run_until_idle()
    job.on_complete(lambda ended: told.append(str(ended.status)))
    assert told == ["completed"]
    sim.run_until_idle()
    assert told == ["completed"]


def test_callback_registered_inside_of_a_callback_is_called_once(sims: Sims) -> None:
    told: list[str] = []
    sim = sims.fresh()
    job = sim.exec(only(lambda: None))
    job.on_complete(lambda ended: ended.on_complete(lambda _: told.append("inner")))
    job.on_status_change(lambda ended, old, new: ended.on_complete(lambda _: told.append("from status")))
    sim.run_until_idle()
    assert sorted(told) == ["from status", "inner"]


def test_callback_that_raises_is_logged_and_the_others_are_called(sims: Sims, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("callback")

    told: list[str] = []
    sim = sims.fresh()
    job = sim.exec(only(lambda: None))
    for register in (job.on_complete, job.on_status_change):
        register(fail)
    job.on_complete(lambda ended: told.append(ended.job_id))
    sim.run_until_idle()
    assert (job.status, told) == ("completed", [job.job_id])
    assert sum("callback" in record.getMessage() for record in caplog.records) == 2
    job.on_complete(fail)


def test_callback_sees_the_ended_job_and_may_start_the_next_run(sims: Sims) -> None:
    def logic(job_state: JobState) -> None:
        if job_state.run == 1:
            raise ValueError("the first run fails")
        job_state.set_result(job_state.run)

    def again(ended: JobState) -> None:
        with pytest.raises(JobFinishedError):
            sim.post(ended.job_id, "only", "items", 1)
        sim.exec(flow, ended)

    flow = only(logic)
    sim = sims.fresh()
    job = sim.exec(flow)
    job.on_complete(again)
    sim.run_until_idle()
    assert (job.status, job.run, job.result) == ("completed", 2, 2)


def test_each_run_has_its_own_end(sims: Sims) -> None:
    told: list[Any] = []
    sim = sims.fresh()
    flow = only(lambda job_state: failing() if job_state.run < 3 else None)
    job = sim.exec(flow)
    job.on_status_change(lambda ended, old, new: told.append((ended.run, str(new))))
    for _ in range(2):
        sim.run_until_idle()
        sim.exec(flow, job)
    sim.run_until_idle()
    ends = [entry for entry in told if entry[1] in ("failed", "completed")]
    assert ends == [(1, "failed"), (2, "failed"), (3, "completed")]


def test_no_callback_hears_of_a_second_end(sims: Sims) -> None:
    told: list[str] = []
    sim = sims.fresh()
    job = sim.exec(wired(source(3), sink()))
    job.on_complete(lambda ended: told.append(str(ended.status)))
    sim.run_until_idle()
    assert not sim.cancel_job(job.job_id)
    assert not sim.close_job(job.job_id)
    sim.run_until_idle()
    sim.shutdown(wait=False)
    assert (job.status, told) == ("completed", ["completed"])


# --- params, resources, result ----------------------------------------------------------------------------------


def test_params_are_read_only_stored_and_can_be_added_to_on_resume(sims: Sims) -> None:
    sim = sims.fresh()
    given = {"a": 1, "b": [1, 2]}
    job = sim.exec(wired(source(3), sink(1)), params=given)
    given["a"] = 99
    with pytest.raises(TypeError):
        job.params["a"] = 2  # type: ignore[index]  # that it cannot be set is what is tested
    sim.pause_job(job.job_id)
    picture = stored(job)
    assert picture is not None
    other, again = sims.revived(picture)
    assert again.params == {"a": 1, "b": [1, 2]}
    other.exec(wired(source(3), sink(1)), again, params={"c": 3})
    assert again.params == {"a": 1, "b": [1, 2], "c": 3}


def test_resources_are_found_by_name_and_never_stored(sims: Sims) -> None:
    def logic(items: list[int], job_state: JobState) -> None:
        job_state.resource("list").extend(items)

    def build() -> Flow:
        return wired(source(4), Routine("sink").add_slot("items").set_logic(logic))

    first: list[int] = []
    second: list[int] = []
    sim = sims.fresh(resources={"list": first})
    job = sim.exec(build())
    sim.pause_job(job.job_id)
    sim.run_until_idle()
    picture = stored(job)
    assert picture is not None
    other, again = sims.revived(picture, resources={"list": second})
    other.exec(build(), again)
    other.run_until_idle()
    assert (first, second) == ([], [0, 1, 2, 3])


def test_unknown_resource_fails_and_names_what_is_known(sims: Sims) -> None:
    sim = sims.fresh(resources={"db": 1})
    job = sim.exec(only(lambda job_state: job_state.resource("cache")))
    sim.run_until_idle()
    assert job.error is not None
    assert job.error.type == ResourceNotFoundError.__name__
    assert "'db'" in job.error.message


def test_result_of_an_atomic_failure_does_not_stand_and_that_of_a_live_one_does(sims: Sims) -> None:
    def logic(job_state: JobState) -> None:
        job_state.set_result("set")
        raise ValueError("no")

    results = []
    for atomic in (True, False):
        sim = sims.fresh()
        job = sim.exec(Flow("f").add_routine(Routine("only", atomic=atomic).set_logic(logic)))
        sim.run_until_idle()
        results.append(job.result)
    assert results == [None, "set"]


def test_last_result_counts_and_is_stored(sims: Sims) -> None:
    sim = sims.fresh()
    flow = wired(source(3), sink(policy=batch_size_policy(1)))
    flow.add_routine(Routine("last").add_slot("items").set_logic(lambda items, job_state: job_state.set_result(items)))
    flow.connect("source", "out", "last", "items")
    job = sim.exec(flow)
    sim.run_until_idle()
    assert JobState.deserialize(job.serialize()).result == job.result
    assert job.result


# --- who goes first, who watches --------------------------------------------------------------------------------


def test_activations_of_a_job_of_higher_priority_go_first(sims: Sims) -> None:
    order: list[str] = []

    def logic(items: list[int], job_state: JobState) -> None:
        order.append(job_state.params["name"])

    flow = Flow("f").add_routine(Routine("sink").add_slot("items").set_activation_policy(batch_size_policy(1)))
    flow.routine("sink").set_logic(logic)
    sim = sims.fresh()
    jobs = [
        sim.exec(flow, params={"name": name}, priority=priority, inputs={"sink": {"items": [1, 2, 3]}})
        for name, priority in (("low", -1), ("middle", 0), ("high", 5))
    ]
    sim.run_until_idle()
    assert order == ["high"] * 3 + ["middle"] * 3 + ["low"] * 3
    assert [job.priority for job in jobs] == [-1, 0, 5]


@pytest.mark.parametrize("strategy", list(ErrorStrategy))
def test_observer_hears_each_failed_attempt_and_its_answer(strategy: ErrorStrategy, sims: Sims) -> None:
    recorder = Recorder()
    handler = ErrorHandler(strategy, max_retries=2, retry_delay=1, then=ErrorStrategy.CONTINUE)
    flow = only(failing).set_error_handler(handler)
    sim = sims.fresh(observers=[recorder])
    job = sim.exec(flow)
    sim.advance(100)
    heard = [(name, facts[1].message, facts[1].attempt, facts[2]) for name, facts in recorder.of("activation_failed")]
    answers = {"retry": ["retry", "retry", "continue"]}.get(str(strategy), [str(strategy)])
    assert heard == [("only", "no", attempt, answer) for attempt, answer in enumerate(answers, 1)]
    assert job.status == ("failed" if strategy is ErrorStrategy.STOP else "completed")
    assert not recorder.of("activation_ended")


def test_observer_hears_of_every_dropped_item_with_its_reason(sims: Sims) -> None:
    def drop_odd(slots: Any, job_state: JobState) -> Any:
        points = slots["items"].peek_points()
        slots["items"].drop([point for point in points if point.data % 2], "odd")
        rest = slots["items"].consume_all_new()
        return bool(rest), {"items": rest}, None

    recorder = Recorder()
    target = Routine("sink").add_slot("items", 4, on_full="drop_oldest").set_activation_policy(drop_odd).set_logic(note)
    sim = sims.fresh(observers=[recorder])
    job = sim.exec(wired(source(50), target))
    sim.run_until_idle()
    heard: dict[str, int] = {}
    for _, (_, reason, count) in recorder.of("items_dropped"):
        heard[reason] = heard.get(reason, 0) + count
    assert heard == job.drops["sink", "items"]
    assert len(job.get_shared_data("seen")) + sum(heard.values()) == 50


def test_awaited_job_that_has_ended_answers_at_once(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(2), passing_on("a", 1), sink()))
    sim.run_until_idle()

    async def main() -> JobState:
        return await asyncio.wait_for(wait(), 1)

    async def wait() -> JobState:
        return await job

    assert asyncio.run(main()) is job
