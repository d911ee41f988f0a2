"""What threads cost: many jobs, branches that sleep, a runtime that is idle. BEHAVIOURS 28, 31, 32."""

import asyncio
import contextlib
import resource
import threading
import time

import pytest

from routilux import Flow, JobFinishedError, JobNotFoundError, JobStateError, Routine, Runtime

LIMIT = 20


def our_threads() -> int:
    return sum(thread.name.startswith("routilux") for thread in threading.enumerate())


def summing() -> Flow:
    total = Routine("total").add_slot("items")
    total.set_logic(lambda items, job_state: job_state.mutate_shared_data("sum", lambda old: old + sum(items), 0))
    return Flow("summing").add_routine(total)


def test_31_ten_thousand_jobs_cost_no_threads() -> None:
    flow = summing()
    with Runtime(4, keep_finished=10) as runtime:
        jobs = [runtime.exec(flow, keep_open=True) for _ in range(10_000)]
        for job in jobs[::10]:
            runtime.post(job.job_id, "total", "items", 1)
        assert len(runtime.list_jobs()) == 10_000
        assert our_threads() <= 5  # four workers and the timer
        for job in jobs:
            runtime.close_job(job.job_id)
        assert runtime.wait_until_all_jobs_finished(LIMIT)
        assert len(runtime.list_jobs()) == 10
    assert {str(job.status) for job in jobs} == {"completed"}
    assert sum(job.get_shared_data("sum", 0) for job in jobs) == 1000


def fan_out(is_async: bool) -> Flow:
    async def sleep() -> None:
        await asyncio.sleep(0.1)

    flow = Flow("fan")
    flow.add_routine(Routine("source").set_logic(lambda routine: routine.emit("out", 1)))
    for number in range(10):
        branch = Routine(f"branch-{number}").add_slot("items")
        if is_async:
            branch.set_logic(lambda items: sleep())
        else:
            branch.set_logic(lambda items: time.sleep(0.1))
        flow.add_routine(branch).connect("source", "out", branch.name, "items")
    return flow


@pytest.mark.parametrize(("threads", "is_async"), [(10, False), (1, True)])
def test_32_ten_branches_that_sleep_take_as_long_as_one(threads: int, is_async: bool) -> None:
    with Runtime(threads) as runtime:
        began = time.monotonic()
        job = runtime.exec(fan_out(is_async))
        assert runtime.wait_for_job(job.job_id, LIMIT)
        assert 0.1 <= time.monotonic() - began < 0.3
    assert job.status == "completed"


def switches_while_idle(seconds: float) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    time.sleep(seconds)
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before


def test_idle_runtime_does_not_wake_up() -> None:
    with Runtime(4) as runtime:
        done = runtime.exec(fan_out(False))
        assert runtime.wait_for_job(done.job_id, LIMIT)
        jobs = [runtime.exec(summing(), keep_open=True) for _ in range(10)]
        for job in jobs[:5]:
            assert runtime.pause_job(job.job_id, LIMIT)
        time.sleep(0.1)
        assert switches_while_idle(0.5) <= 5


def test_28_finished_jobs_are_kept_up_to_a_number_also_when_many_end_at_once() -> None:
    flow = summing()
    with Runtime(4, keep_finished=7) as runtime:
        jobs = [runtime.exec(flow) for _ in range(300)]
        assert runtime.wait_until_all_jobs_finished(LIMIT)
        kept = runtime.list_jobs()
        assert len(kept) == 7
        assert all(runtime.get_job(job.job_id) is job for job in kept)
        forgotten = [job for job in jobs if runtime.get_job(job.job_id) is None]
        assert len(forgotten) == 293
        with pytest.raises(JobNotFoundError):
            runtime.wait_for_job(forgotten[0].job_id)


def test_28_running_jobs_are_never_forgotten() -> None:
    flow = summing()
    with Runtime(2, keep_finished=1) as runtime:
        running = runtime.exec(flow, keep_open=True)
        for _ in range(50):
            runtime.exec(flow)
        with pytest.raises(JobStateError):
            runtime.forget_job(running.job_id)
        assert runtime.get_job(running.job_id) is running


def test_final_status_and_callbacks_come_once_when_cancel_races_with_the_end() -> None:
    told: list[str] = []
    with Runtime(4) as runtime:
        for _ in range(200):
            job = runtime.exec(summing(), keep_open=True)
            job.on_complete(lambda ended: told.append(ended.job_id))
            closing = threading.Thread(target=runtime.close_job, args=(job.job_id,))
            closing.start()
            with contextlib.suppress(JobFinishedError):
                runtime.cancel_job(job.job_id)
            closing.join(LIMIT)
            assert runtime.wait_for_job(job.job_id, LIMIT)
            assert told.count(job.job_id) == 1
