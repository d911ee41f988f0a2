"""Cancel, pause, resume, timeouts, holding and stepping, limits, priorities, shutdown: on one thread, step by step."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from routilux import (
    ActivationEndedError,
    ErrorHandler,
    ErrorStrategy,
    Flow,
    ItemNotFoundError,
    JobFinishedError,
    JobNotFoundError,
    JobState,
    JobStateError,
    Rate,
    Routine,
    RuntimeClosedError,
    SlotClosedError,
    SlotQueueFullError,
    batch_size_policy,
)
from routilux.testing import Recorder
from tests.acceptance.resuming import Sims, note, passing_on, sink, source, stored, wired


def seen(job: JobState) -> list[Any]:
    found: list[Any] = job.get_shared_data("seen", [])
    return found


def one_by_one(length: int = 1000) -> Routine:
    return sink(length, batch_size_policy(1))


# --- cancel -----------------------------------------------------------------------------------------------------


def test_cancelled_job_starts_no_new_activation_and_refuses_posts(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(one_by_one()), keep_open=True)
    sim.post(job.job_id, "sink", "items", 1)
    assert sim.cancel_job(job.job_id)
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("cancelled", [])
    assert job.leftovers.item_count == 1
    with pytest.raises(JobFinishedError):
        sim.post(job.job_id, "sink", "items", 2)
    assert not sim.cancel_job(job.job_id)


def test_cancel_ends_an_async_logic_at_once(sims: Sims) -> None:
    ended: list[str] = []

    async def logic(items: list[int]) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    sim = sims.fresh()
    job = sim.exec(wired(source(1), Routine("sink").add_slot("items").set_logic(logic)))
    sim.run_until_idle()
    sim.cancel_job(job.job_id)
    sim.run_until_idle()
    assert (job.status, ended) == ("cancelled", ["cancelled"])


def test_cancel_gives_up_an_async_logic_that_ignores_it_after_the_grace(sims: Sims) -> None:
    late: list[Any] = []

    async def logic(items: list[int], routine: Routine, job_state: JobState) -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                continue
        for effect in (lambda: routine.emit("out", 1), lambda: job_state.set_result("late")):
            try:
                effect()
            except ActivationEndedError as error:
                late.append(error)

    sim = sims.fresh(grace_seconds=5.0)
    job = sim.exec(wired(source(1), Routine("slow").add_slot("items").set_logic(logic), sink()))
    sim.run_until_idle()
    sim.cancel_job(job.job_id)
    sim.advance(4.9)
    assert job.status == "running"
    sim.advance(0.2)
    assert job.status == "cancelled"
    sim.advance(1000)
    assert len(late) == 2
    assert job.result is None


def test_generator_is_cancelled_at_its_next_yield(sims: Sims) -> None:
    closed: list[bool] = []

    def logic(routine: Routine, job_state: JobState) -> Iterator[None]:
        try:
            for number in range(10):
                if number == 3:
                    sim.cancel_job(job_state.job_id)
                routine.emit("out", number)
                yield
        finally:
            closed.append(True)

    sim = sims.fresh()
    job = sim.exec(wired(Routine("source").set_logic(logic), sink()))
    sim.run_until_idle()
    assert job.status == "cancelled"
    assert job.slots("sink")["items"].queue.next_seq <= 4
    assert closed == [True]


def test_cancel_while_a_retry_waits_ends_at_once(sims: Sims) -> None:
    def logic(items: list[int]) -> None:
        raise ValueError("always")

    failing = Routine("sink").add_slot("items").set_logic(logic)
    sim = sims.fresh()
    job = sim.exec(wired(source(1), failing.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, retry_delay=100))))
    sim.run_until_idle()
    assert job.status == "running"
    sim.cancel_job(job.job_id)
    sim.run_until_idle()
    assert job.status == "cancelled"


def test_cancel_of_a_paused_job_ends_it(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(3), one_by_one()))
    sim.pause_job(job.job_id)
    assert job.status == "paused"
    assert sim.cancel_job(job.job_id)
    sim.run_until_idle()
    assert job.status == "cancelled"


# --- pause and resume -------------------------------------------------------------------------------------------


def test_posts_to_a_paused_job_are_accepted_and_run_when_it_resumes(sims: Sims) -> None:
    """Museum M10."""
    sim = sims.fresh()
    job = sim.exec(wired(one_by_one()), keep_open=True)
    sim.run_until_idle()
    assert sim.pause_job(job.job_id)
    sim.post(job.job_id, "sink", "items", "while paused")
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("paused", [])
    assert sim.resume_job(job.job_id)
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("running", ["while paused"])


def test_job_that_pauses_twice_and_resumes_twice_does_everything_once(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(9), passing_on("a", 1), one_by_one(1)))
    for _ in range(2):
        sim.step()
        sim.pause_job(job.job_id)
        sim.pause_job(job.job_id)
        sim.run_until_idle()
        assert job.status == "paused"
        assert sim.resume_job(job.job_id)
        assert not sim.resume_job(job.job_id)
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", list(range(9)))


def test_paused_job_that_had_nothing_to_do_completes_only_when_it_resumes(sims: Sims) -> None:
    sim = sims.fresh()

    def logic(routine: Routine, job_state: JobState) -> None:
        sim.pause_job(job_state.job_id)

    job = sim.exec(wired(Routine("source").set_logic(logic)))
    sim.run_until_idle()
    assert job.status == "paused"
    sim.resume_job(job.job_id)
    sim.run_until_idle()
    assert job.status == "completed"


def test_timer_that_was_due_while_paused_fires_once_on_resume(sims: Sims) -> None:
    calls: list[float] = []

    def policy(slots: Any, job_state: JobState) -> Any:
        calls.append(job_state.monotonic())
        if not slots["items"].get_unconsumed_count():
            return False, {}, None
        if job_state.memory().setdefault("since", job_state.monotonic()) + 10 > job_state.monotonic():
            job_state.wake_after(10)
            return False, {}, None
        return True, {"items": slots["items"].consume_all_new()}, None

    sim = sims.fresh()
    job = sim.exec(wired(sink(policy=policy)), keep_open=True)
    sim.post(job.job_id, "sink", "items", 1)
    sim.run_until_idle()
    sim.pause_job(job.job_id)
    sim.advance(100)
    assert seen(job) == []
    asked = len(calls)
    sim.resume_job(job.job_id)
    sim.run_until_idle()
    assert seen(job) == [1]
    assert len(calls) - asked <= 2


def test_pause_with_timeout_says_whether_it_is_paused(sims: Sims) -> None:
    async def logic() -> None:
        await asyncio.sleep(10)

    sim = sims.fresh()
    job = sim.exec(wired(Routine("source").set_logic(logic)))
    sim.run_until_idle()
    assert not sim.pause_job(job.job_id)
    assert job.status == "running"
    sim.advance(10)
    assert job.status == "paused"


def test_ended_job_can_be_neither_paused_nor_resumed(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(1), sink()))
    sim.run_until_idle()
    with pytest.raises(JobStateError):
        sim.pause_job(job.job_id)
    assert not sim.resume_job(job.job_id)


def test_async_generator_pauses_at_a_yield(sims: Sims) -> None:
    async def logic(routine: Routine) -> AsyncIterator[None]:
        for number in range(5):
            await asyncio.sleep(1)
            routine.emit("out", number)
            yield

    sim = sims.fresh()
    job = sim.exec(wired(Routine("source").set_logic(logic), sink()))
    sim.advance(2.5)
    sim.pause_job(job.job_id)
    sim.advance(10)
    assert (job.status, job.slots("sink")["items"].queue.next_seq) == ("paused", 3)
    sim.resume_job(job.job_id)
    sim.advance(10)
    assert (job.status, seen(job)) == ("completed", [0, 1, 2, 3, 4])


# --- timeouts ---------------------------------------------------------------------------------------------------


def test_job_that_takes_too_long_fails_with_a_timeout(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(one_by_one()), keep_open=True, timeout=60)
    sim.advance(59)
    assert job.status == "running"
    sim.advance(1)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.type == "JobTimeoutError"


def test_cancelled_job_with_a_timeout_still_waits_for_what_runs(sims: Sims) -> None:
    async def stubborn() -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                continue

    sim = sims.fresh(grace_seconds=5.0)
    job = sim.exec(wired(Routine("call").set_logic(stubborn)), timeout=1000)
    sim.run_until_idle()
    sim.cancel_job(job.job_id)
    sim.advance(1)
    assert job.status == "running"
    sim.advance(2)
    assert job.status == "cancelled"


def test_flow_timeout_holds_for_each_job(sims: Sims) -> None:
    flow = Flow("timed", timeout=5).add_routine(one_by_one())
    sim = sims.fresh()
    job = sim.exec(flow, keep_open=True)
    sim.advance(5)
    assert job.status == "failed"


def test_async_activation_that_takes_too_long_is_retried_with_the_same_items(sims: Sims) -> None:
    attempts: list[Any] = []

    async def logic(items: list[int], job_state: JobState) -> None:
        attempts.append((job_state.attempt, items, job_state.activation_id))
        await asyncio.sleep(100 if job_state.attempt == 1 else 1)
        note(items, job_state)

    slow = Routine("sink", timeout=10).add_slot("items").set_logic(logic)
    slow.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, retry_delay=1))
    sim = sims.fresh()
    job = sim.exec(wired(source(1), slow))
    sim.advance(10)
    assert not seen(job)
    sim.advance(5)
    assert (job.status, seen(job)) == ("completed", [0])
    assert attempts == [(1, [0], f"{job.job_id}/sink/1"), (2, [0], f"{job.job_id}/sink/1")]


def test_generator_that_stands_too_long_fails_by_its_timeout(sims: Sims) -> None:
    def logic(routine: Routine) -> Iterator[None]:
        for number in range(3):
            routine.emit("out", number)
            yield

    sim = sims.fresh()
    job = sim.exec(wired(Routine("source", timeout=10).set_logic(logic), sink(1)))
    sim.hold_routine(job.job_id, "sink")
    sim.run_until_idle()
    sim.advance(11)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.type == "ActivationTimeoutError"


def test_activation_in_time_is_not_hurt_by_its_timeout(sims: Sims) -> None:
    async def logic(items: list[int], job_state: JobState) -> None:
        await asyncio.sleep(9)
        note(items, job_state)

    sim = sims.fresh()
    job = sim.exec(wired(source(1), Routine("sink", timeout=10).add_slot("items").set_logic(logic)))
    sim.advance(30)
    assert (job.status, seen(job)) == ("completed", [0])


# --- hold, step, release ----------------------------------------------------------------------------------------


def test_held_routine_stops_before_its_next_activation_and_the_rest_goes_on(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(3), passing_on("a", 10), one_by_one()))
    sim.hold_routine(job.job_id, "sink")
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("running", [])
    assert job.slots("sink")["items"].get_unconsumed_count() == 3
    assert "held" in job.explain("sink").status
    for count in (1, 2):
        assert sim.step_routine(job.job_id, "sink")
        sim.run_until_idle()
        assert seen(job) == list(range(count))
    assert sim.release_routine(job.job_id, "sink")
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", [0, 1, 2])


def test_hold_with_a_condition_stops_before_the_items_that_meet_it(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(5), one_by_one()))
    sim.hold_routine(job.job_id, "sink", when=lambda data: data["items"] == [2])
    sim.run_until_idle()
    assert seen(job) == [0, 1]
    sim.step_routine(job.job_id, "sink")
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", [0, 1, 2, 3, 4])


def test_held_source_waits_before_it_runs(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(2), one_by_one()))
    sim.hold_routine(job.job_id, "source")
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("running", [])
    sim.release_routine(job.job_id, "source")
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", [0, 1])


def test_held_job_can_be_cancelled(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(2), one_by_one()))
    sim.hold_routine(job.job_id, "sink")
    sim.run_until_idle()
    sim.cancel_job(job.job_id)
    sim.run_until_idle()
    assert job.status == "cancelled"


def test_held_job_pauses_and_stays_held_after_it_resumes(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(2), one_by_one()))
    sim.hold_routine(job.job_id, "sink")
    sim.run_until_idle()
    sim.pause_job(job.job_id)
    sim.run_until_idle()
    assert job.status == "paused"
    sim.resume_job(job.job_id)
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("running", [])
    sim.release_routine(job.job_id, "sink")
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", [0, 1])


def test_step_while_paused_takes_effect_only_on_resume(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(2), one_by_one()))
    sim.hold_routine(job.job_id, "sink")
    sim.run_until_idle()
    sim.pause_job(job.job_id)
    sim.step_routine(job.job_id, "sink")
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("paused", [])
    sim.resume_job(job.job_id)
    sim.run_until_idle()
    assert seen(job) == [0]


def test_condition_that_raises_is_an_error_of_the_policy_and_loses_nothing(sims: Sims) -> None:
    def broken(data: dict[str, list[Any]]) -> bool:
        raise KeyError("broken condition")

    sim = sims.fresh()
    job = sim.exec(wired(source(2), one_by_one()))
    sim.hold_routine(job.job_id, "sink", when=broken)
    sim.run_until_idle()
    assert job.status in ("failed", "running")
    assert job.slots("sink")["items"].get_unconsumed_count() == 2


# --- items, doors and forgetting --------------------------------------------------------------------------------


def test_replaced_item_is_delivered_in_its_place_and_recorded(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(sink(policy=batch_size_policy(3))), keep_open=True)
    for item in "abc"[:2]:
        sim.post(job.job_id, "sink", "items", item)
    sim.run_until_idle()
    sim.replace_item(job.job_id, "sink", "items", 1, "B")
    sim.post(job.job_id, "sink", "items", "c")
    sim.run_until_idle()
    assert seen(job) == ["a", "B", "c"]
    assert [line.data["seq"] for line in job.execution_history if line.event_name == "item_replaced"] == [1]
    with pytest.raises(ItemNotFoundError):
        sim.replace_item(job.job_id, "sink", "items", 1, "again")


def test_ended_job_can_be_forgotten_and_an_unfinished_one_not(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(one_by_one()), keep_open=True)
    with pytest.raises(JobStateError):
        sim.forget_job(job.job_id)
    sim.close_job(job.job_id)
    sim.run_until_idle()
    assert sim.get_job(job.job_id) is job
    sim.forget_job(job.job_id)
    assert sim.get_job(job.job_id) is None
    with pytest.raises(JobNotFoundError):
        sim.wait_for_job(job.job_id)


def test_kept_open_job_waits_for_posts_until_it_is_closed(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(1), one_by_one()), keep_open=True)
    sim.advance(1000)
    assert job.status == "running"
    sim.post(job.job_id, "sink", "items", "posted")
    assert sim.close_job(job.job_id)
    assert not sim.close_job(job.job_id)
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", [0, "posted"])


def test_post_to_a_slot_that_nothing_feeds_any_more_is_refused(sims: Sims) -> None:
    async def logic(items: list[int]) -> None:
        await asyncio.sleep(10)

    sim = sims.fresh()
    job = sim.exec(wired(source(1), Routine("sink").add_slot("items").set_logic(logic)))
    sim.run_until_idle()
    with pytest.raises(SlotClosedError):
        sim.post(job.job_id, "sink", "items", 1)


def test_post_to_a_full_slot_raises_at_once(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(one_by_one(2)), keep_open=True)
    sim.post(job.job_id, "sink", "items", 0)
    sim.post(job.job_id, "sink", "items", 1)
    with pytest.raises(SlotQueueFullError):
        sim.post(job.job_id, "sink", "items", 2)
    sim.run_until_idle()
    assert seen(job) == [0, 1]


def test_finished_jobs_are_kept_up_to_a_number(sims: Sims) -> None:
    sim = sims.fresh(keep_finished=3)
    jobs = [sim.exec(wired(source(1), sink())) for _ in range(5)]
    sim.run_until_idle()
    assert sum(sim.get_job(job.job_id) is not None for job in jobs) == 3


# --- limits and priorities --------------------------------------------------------------------------------------


def test_limit_across_jobs_lets_so_many_run_at_once(sims: Sims) -> None:
    inside: list[int] = []
    most: list[int] = []

    async def logic() -> None:
        inside.append(1)
        most.append(len(inside))
        await asyncio.sleep(1)
        inside.pop()

    flow = wired(Routine("call", limit="api").set_logic(logic))
    sim = sims.fresh(limits={"api": 2})
    jobs = [sim.exec(flow) for _ in range(7)]
    sim.run_until_idle()
    assert any("limit 'api'" in str(job.explain("call")) for job in jobs)
    sim.advance(4)
    assert max(most) == 2
    assert {str(job.status) for job in jobs} == {"completed"}


def test_rate_lets_so_many_start_per_time(sims: Sims) -> None:
    started: list[float] = []
    call = Routine("call", limit="api").set_logic(lambda job_state: started.append(job_state.monotonic()))
    flow = wired(call)
    sim = sims.fresh(limits={"api": Rate(3, per_seconds=10)})
    jobs = [sim.exec(flow) for _ in range(8)]
    sim.run_until_idle()
    assert len(started) == 3
    sim.advance(9.9)
    assert len(started) == 3
    sim.advance(0.1)
    assert len(started) == 6
    sim.advance(10)
    assert len(started) == 8
    assert {str(job.status) for job in jobs} == {"completed"}


def test_rate_is_not_used_up_by_policies_that_say_no(sims: Sims) -> None:
    call = Routine("sink", limit="api").add_slot("items").set_logic(note).set_activation_policy(batch_size_policy(5))
    sim = sims.fresh(limits={"api": Rate(1, per_seconds=1000)})
    job = sim.exec(wired(call), keep_open=True)
    for number in range(5):
        sim.post(job.job_id, "sink", "items", number)
        sim.run_until_idle()
    assert seen(job) == [0, 1, 2, 3, 4]


def test_cancelled_job_in_line_for_a_limit_gives_way(sims: Sims) -> None:
    async def logic() -> None:
        await asyncio.sleep(10)

    flow = wired(Routine("call", limit="api").set_logic(logic))
    sim = sims.fresh(limits={"api": 1})
    jobs = [sim.exec(flow) for _ in range(4)]
    sim.run_until_idle()
    waiting = [job for job in jobs if "limit" in str(job.explain("call").status)]
    assert len(waiting) == 3
    sim.cancel_job(waiting[0].job_id)
    sim.run_until_idle()
    assert waiting[0].status == "cancelled"
    sim.advance(30)
    assert [str(job.status) for job in jobs if job is not waiting[0]] == ["completed"] * 3


def test_limit_is_free_again_after_failure_timeout_and_cancel(sims: Sims) -> None:
    async def logic(job_state: JobState) -> None:
        match job_state.params["end"]:
            case "fail":
                raise ValueError("failed")
            case "skip":
                raise KeyError("skipped")
            case _:
                await asyncio.sleep(1000)

    flow = wired(Routine("call", limit="api", timeout=5).set_logic(logic))
    sim = sims.fresh(limits={"api": 1})
    for end in ("fail", "timeout", "cancel"):
        job = sim.exec(flow, params={"end": end})
        sim.run_until_idle()
        if end == "cancel":
            sim.cancel_job(job.job_id)
        sim.advance(20)
        assert job.status.is_final, end
    last = sim.exec(flow, params={"end": "fail"})
    sim.run_until_idle()
    assert last.status == "failed"


def retried_call(delay: float) -> Flow:
    async def logic(job_state: JobState) -> None:
        await asyncio.sleep(1)
        if job_state.attempt == 1:
            raise ValueError("first attempt")

    call = Routine("call", limit="api").set_logic(logic)
    return wired(call.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, retry_delay=delay)))


def most_at_once(sims: Sims, sim: Any) -> int:
    """How many of ten calls the limit lets run at once."""
    inside: list[int] = []
    most = [0]

    async def logic() -> None:
        inside.append(1)
        most.append(len(inside))
        await asyncio.sleep(1)
        inside.pop()

    flow = wired(Routine("call", limit="api").set_logic(logic))
    jobs = [sim.exec(flow) for _ in range(10)]
    sim.advance(20)
    assert {str(job.status) for job in jobs} == {"completed"}
    return max(most)


def test_limit_is_the_same_after_a_resumed_activation(sims: Sims) -> None:
    sim = sims.fresh(limits={"api": 1})
    job = sim.exec(retried_call(10))
    sim.advance(2)
    picture = stored(job)
    assert picture is not None
    other, again = sims.revived(picture, limits={"api": 1})
    other.exec(retried_call(10), again)
    other.advance(50)
    assert again.status == "completed"
    assert most_at_once(sims, other) == 1


def test_limit_is_the_same_after_a_paused_job_moved_away(sims: Sims) -> None:
    sim = sims.fresh(limits={"api": 1})
    job = sim.exec(retried_call(1000))
    sim.advance(2)
    sim.pause_job(job.job_id)
    sim.run_until_idle()
    other = sims.fresh(1, clock=sim.manual_clock, limits={"api": 1})
    other.exec(retried_call(1000), job)
    other.advance(2000)
    assert job.status == "completed"
    assert most_at_once(sims, sim) == 1


def test_limit_is_free_again_after_a_job_whose_retry_waits_was_cancelled(sims: Sims) -> None:
    sim = sims.fresh(limits={"api": 1})
    job = sim.exec(retried_call(1000))
    sim.advance(2)
    sim.cancel_job(job.job_id)
    sim.run_until_idle()
    assert job.status == "cancelled"
    assert most_at_once(sims, sim) == 1


def test_limit_is_free_again_after_an_activation_was_given_up(sims: Sims) -> None:
    async def stubborn() -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                continue

    sim = sims.fresh(limits={"api": 1}, grace_seconds=1.0)
    job = sim.exec(wired(Routine("call", limit="api").set_logic(stubborn)))
    sim.run_until_idle()
    sim.cancel_job(job.job_id)
    sim.advance(500)  # its call has returned, too
    assert job.status == "cancelled"
    assert most_at_once(sims, sim) == 1


def test_job_of_higher_priority_goes_first(sims: Sims) -> None:
    order: list[int] = []
    flow = wired(Routine("only").set_logic(lambda job_state: order.append(job_state.params["rank"])))
    sim = sims.fresh()
    for rank in (1, 3, 2):
        sim.exec(flow, params={"rank": rank}, priority=rank)
    sim.run_until_idle()
    assert order == [3, 2, 1]


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "timed out"])
def test_each_end_of_a_job_frees_its_place_among_the_running_ones(end: str, sims: Sims) -> None:
    """Museum M14."""

    async def logic(job_state: JobState) -> None:
        if end == "failed" and job_state.params["first"]:
            raise ValueError("failed")
        await asyncio.sleep(1000 if end in ("cancelled", "timed out") and job_state.params["first"] else 1)

    flow = Flow("few", max_running_jobs=1).add_routine(Routine("only").set_logic(logic))
    sim = sims.fresh()
    first = sim.exec(flow, params={"first": True}, timeout=5 if end == "timed out" else None)
    second = sim.exec(flow, params={"first": False})
    sim.run_until_idle()
    if end != "failed":
        assert second.status == "pending"
    if end == "cancelled":
        sim.cancel_job(first.job_id)
    sim.advance(5)
    sim.advance(2)
    assert first.status == {"timed out": "failed"}.get(end, end)
    assert second.status == "completed"


def test_job_that_waits_for_its_start_can_be_cancelled(sims: Sims) -> None:
    flow = Flow("few", max_running_jobs=1).add_routine(one_by_one())
    sim = sims.fresh()
    first, second, third = (sim.exec(flow, keep_open=True) for _ in range(3))
    sim.cancel_job(second.job_id)
    sim.run_until_idle()
    assert second.status == "cancelled"
    sim.close_job(first.job_id)
    sim.run_until_idle()
    assert (first.status, third.status) == ("completed", "running")


def test_job_that_waits_for_its_start_keeps_its_inputs_and_takes_posts(sims: Sims) -> None:
    flow = Flow("few", max_running_jobs=1).add_routine(one_by_one())
    sim = sims.fresh()
    first = sim.exec(flow, keep_open=True)
    second = sim.exec(flow, inputs={"sink": {"items": [1]}}, keep_open=True)
    sim.post(second.job_id, "sink", "items", 2)
    sim.run_until_idle()
    assert (second.status, seen(second)) == ("pending", [])
    sim.close_job(first.job_id)
    sim.run_until_idle()
    sim.close_job(second.job_id)
    sim.run_until_idle()
    assert (second.status, sorted(seen(second))) == ("completed", [1, 2])


def test_max_workers_one_lets_activations_of_a_job_run_one_after_another(sims: Sims) -> None:
    flow = Flow("narrow", max_workers=1)
    flow.add_routine(source(5)).add_routine(passing_on("a", 1)).add_routine(one_by_one(1))
    flow.connect("source", "out", "a", "items").connect("a", "out", "sink", "items")
    sim = sims.fresh()
    job = sim.exec(flow)
    sim.run_until_idle()
    assert (job.status, seen(job)) == ("completed", [0, 1, 2, 3, 4])


# --- shutdown ---------------------------------------------------------------------------------------------------


def test_shutdown_ends_queued_work_and_closes_open_jobs(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(5), one_by_one(1)), keep_open=True)
    report = sim.shutdown(wait=True)
    assert (job.status, seen(job)) == ("completed", [0, 1, 2, 3, 4])
    assert not any(report)
    assert sim.shutdown() is report
    with pytest.raises(RuntimeClosedError):
        sim.exec(wired(source(1), sink()))


def test_shutdown_leaves_paused_jobs_paused_and_names_them(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(5), one_by_one(1)))
    sim.pause_job(job.job_id)
    report = sim.shutdown(wait=True)
    assert (job.status, report.paused) == ("paused", (job.job_id,))
    again = JobState.deserialize(job.serialize())
    other = sims.fresh()
    other.exec(wired(source(5), one_by_one(1)), again)
    other.run_until_idle()
    assert (again.status, seen(again)) == ("completed", [0, 1, 2, 3, 4])


def test_shutdown_with_timeout_names_what_it_gave_up(sims: Sims) -> None:
    async def logic() -> None:
        await asyncio.sleep(1000)

    sim = sims.fresh()
    job = sim.exec(wired(Routine("slow").set_logic(logic)))
    report = sim.shutdown(wait=True, timeout=10)
    assert report.abandoned == (job.job_id,)
    assert job.status == "cancelled"


def test_shutdown_without_waiting_cancels(sims: Sims) -> None:
    sim = sims.fresh()
    job = sim.exec(wired(source(5), one_by_one(1)))
    assert not any(sim.shutdown(wait=False))
    assert (job.status, seen(job)) == ("cancelled", [])


# --- observers --------------------------------------------------------------------------------------------------


def test_observer_hears_every_hook(sims: Sims) -> None:
    recorder = Recorder()

    def logic(items: list[int]) -> None:
        if items[0] == 1:
            raise ValueError("one")

    end = Routine("sink").add_slot("items", max_queue_length=2, on_full="drop").set_logic(logic)
    end.set_activation_policy(batch_size_policy(1)).set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
    sim = sims.fresh(observers=[recorder])
    job = sim.exec(wired(source(5), end))
    sim.run_until_idle()
    assert job.status == "completed"
    assert [name for name, _ in recorder.of("job_status")] == ["running", "completed"]
    assert [name for name, _ in recorder.of("activation_started")] == ["source", "sink", "sink"]
    assert [(name, facts[-1]) for name, facts in recorder.of("activation_ended")] == [
        ("source", {"out": 5}),
        ("sink", {}),
    ]
    assert [facts[-1] for _, facts in recorder.of("activation_failed")] == ["continue"]
    assert sum(facts[-1] for _, facts in recorder.of("items_dropped")) == 3
    assert {name for name, _ in recorder.of("decision")} == {"source", "sink"}


@pytest.mark.parametrize("hook", [name for name in dir(Recorder) if name.startswith("on_")])
def test_failing_observer_is_logged_and_never_hurts(hook: str, sims: Sims, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError(hook)

    def logic(items: list[int]) -> None:
        raise ValueError("failing")

    observer = Recorder()
    setattr(observer, hook, fail)
    end = Routine("sink").add_slot("items", max_queue_length=1, on_full="drop").set_logic(logic)
    sim = sims.fresh(observers=[observer, Recorder()])
    job = sim.exec(wired(source(3), end.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))))
    sim.run_until_idle()
    assert job.status == "completed"
    assert hook in caplog.text
