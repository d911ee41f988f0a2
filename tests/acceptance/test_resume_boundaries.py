"""What a stored job knows of work that was under way: nothing is done twice, and no pause waits for ever."""

import asyncio
import json
import warnings
from typing import Any

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, Routine, batch_size_policy
from tests.acceptance.resuming import Sims, emit_numbers, one_step, passing_on, sees, sink, source, stored, wired


def moved(sims: Sims, flow: Flow, job: JobState) -> JobState:
    """Store the job, load it in a new runtime, and run it to its end."""
    picture = stored(job)
    assert picture is not None
    sim, again = sims.revived(picture)
    sim.exec(flow, again)
    assert sim.wait_for_job(again.job_id, timeout=1000)
    return again


def test_source_that_was_running_when_its_job_was_paused_does_not_run_again(sims: Sims) -> None:
    sim = sims.fresh()

    def logic(routine: Routine, job_state: JobState) -> None:
        emit_numbers(5)(routine)
        if job_state.run == 1:
            sim.pause_job(job_state.job_id)

    flow = wired(Routine("source").set_logic(logic), sink())
    job = sim.exec(flow)
    sim.run_until_idle()
    assert job.status == "paused"
    sees(*range(5))(moved(sims, flow, job))


def test_source_that_was_done_when_its_job_failed_does_not_run_in_the_next_run(sims: Sims) -> None:
    def logic(items: list[int], job_state: JobState) -> None:
        if job_state.run == 1:
            raise ValueError("not yet")
        job_state.append_shared_data("seen", items[0])

    end = Routine("sink").add_slot("items", max_queue_length=2).set_logic(logic)
    for seed in range(10):
        sim = sims.fresh(seed)
        flow = wired(source(5), end.set_activation_policy(batch_size_policy(1)) if not seed else end)
        job = sim.exec(flow)
        sim.run_until_idle()
        assert job.status == "failed"
        sim.exec(flow, job)
        sim.run_until_idle()
        sees(*range(5))(job)


def test_atomic_activation_that_waits_for_room_is_not_run_again_when_resumed(sims: Sims) -> None:
    flow = wired(source(6, atomic=True), sink(1, batch_size_policy(1)))
    for steps in range(1, 5):
        sim = sims.fresh()
        job = sim.exec(flow)
        for _ in range(steps):
            one_step(sim)
        sees(*range(6))(moved(sims, flow, job) if not job.status.is_final else job)


def waiting_second(sims: Sims) -> tuple[Any, JobState]:
    """A job whose async logic is on its way for a second."""

    async def logic(items: list[int], routine: Routine) -> None:
        await asyncio.sleep(1)
        routine.emit("out", items[0])

    middle = Routine("middle").add_slot("items").set_logic(logic).set_activation_policy(batch_size_policy(1))
    sim = sims.fresh()
    job = sim.exec(wired(middle, sink()), inputs={"middle": {"items": [0]}}, keep_open=True)
    sim.run_until_idle()
    return sim, job


def test_job_pauses_though_a_post_came_while_its_async_logic_was_away(sims: Sims) -> None:
    sim, job = waiting_second(sims)
    assert not sim.pause_job(job.job_id)
    sim.post(job.job_id, "middle", "items", 1)
    sim.advance(10)
    assert job.status == "paused"
    sim.resume_job(job.job_id)
    sim.close_job(job.job_id)
    sim.advance(10)
    sees(0, 1)(job)


def test_job_whose_async_logic_is_away_goes_on_after_a_refused_picture(sims: Sims) -> None:
    sim, job = waiting_second(sims)
    assert stored(job) is None
    sim.post(job.job_id, "middle", "items", 1)
    sim.close_job(job.job_id)
    sim.advance(10)
    sees(0, 1)(job)


def test_cancelled_async_logic_that_had_not_begun_leaves_no_warning(sims: Sims) -> None:
    async def logic(items: list[int]) -> None:
        await asyncio.sleep(1)

    sim = sims.fresh()
    job = sim.exec(wired(source(1), Routine("sink").add_slot("items").set_logic(logic)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while "is running" not in job.explain("sink").status:
            one_step(sim)
        sim.cancel_job(job.job_id)
        sim.advance(10)
    assert job.status == "cancelled"


def test_retry_keeps_its_remaining_time_when_resumed(sims: Sims) -> None:
    def logic(items: list[int], job_state: JobState) -> None:
        if job_state.attempt == 1:
            raise ValueError("first")
        job_state.set_result((items, job_state.attempt, job_state.activation_id))

    def build() -> Flow:
        failing = Routine("sink").add_slot("items").set_logic(logic)
        return wired(source(1), failing.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, retry_delay=100)))

    sim = sims.fresh()
    job = sim.exec(build())
    sim.advance(40)
    picture = stored(job)
    assert picture is not None
    other, again = sims.revived(picture)  # its clock stands 960 s later
    other.exec(build(), again)
    other.run_until_idle()
    assert again.result == ([0], 2, f"{job.job_id}/sink/1")  # overdue


def test_retry_of_a_picture_loaded_at_once_still_waits(sims: Sims) -> None:
    def logic(items: list[int], job_state: JobState) -> None:
        if job_state.attempt == 1:
            raise ValueError("first")
        job_state.set_result(items)

    def build() -> Flow:
        failing = Routine("sink").add_slot("items").set_logic(logic)
        return wired(source(1), failing.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, retry_delay=100)))

    sim = sims.fresh()
    job = sim.exec(build())
    sim.advance(40)
    again = JobState.deserialize(json.loads(json.dumps(job.serialize())), clock=sim.manual_clock)
    other = sims.fresh(1, clock=sim.manual_clock)
    other.exec(build(), again)
    other.advance(59)
    assert again.result is None
    other.advance(1)
    assert again.result == [0]


def test_parked_items_and_their_order_survive(sims: Sims) -> None:
    flow = wired(source(9), passing_on("a", 1), sink(1))
    sim = sims.fresh()
    job = sim.exec(flow)
    one_step(sim)
    parked: Any = job.get_routine_state("source")
    assert parked == {}
    sees(*range(9))(moved(sims, flow, job))
