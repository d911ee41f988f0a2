"""Who may wait for what: logics and callbacks that call the runtime, asyncio, forks. Museum M26, M27, M28."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from routilux import (
    Flow,
    JobState,
    JobStateError,
    RoutiluxError,
    Routine,
    Runtime,
    WaitWouldDeadlockError,
)

LIMIT = 10
SOON = 2


def only(logic: Callable[..., Any], flow_id: str = "only", **options: Any) -> Flow:
    return Flow(flow_id).add_routine(Routine("only", **options).set_logic(logic))


def nothing() -> None:
    """Do nothing."""


async def nothing_async() -> None:
    await asyncio.sleep(0)


@pytest.fixture
def open_runtime() -> Iterator[Callable[..., Runtime]]:
    """Make runtimes that are cancelled, not drained, at the end: a hanging logic must not hang the test."""
    made: list[Runtime] = []

    def make(threads: int, **options: Any) -> Runtime:
        made.append(Runtime(threads, grace_seconds=0.1, **options))
        return made[-1]

    yield make
    for runtime in made:
        runtime.shutdown(wait=False)


def ends(runtime: Runtime, job: JobState, seconds: float = SOON) -> bool:
    return runtime.wait_for_job(job.job_id, seconds)


# --- M26 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [False, True])
def test_m26_counter_of_routines_in_parallel_is_exact(atomic: bool) -> None:
    def logic(job_state: JobState) -> None:
        for _ in range(300):
            job_state.mutate_shared_data("count", lambda old: old + 1, 0)

    flow = Flow("counting")
    for number in range(6):
        flow.add_routine(Routine(f"r{number}", atomic=atomic).set_logic(logic))
    with Runtime(6) as runtime:
        job = runtime.exec(flow)
        assert runtime.wait_for_job(job.job_id, LIMIT)
    assert job.get_shared_data("count") == 1800


# --- M27 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_m27_exec_inside_of_a_logic_starts_another_job(threads: int) -> None:
    def logic(job_state: JobState) -> None:
        job_state.set_result(runtime.exec(only(nothing, "inner")).job_id)

    with Runtime(threads) as runtime:
        job = runtime.exec(only(logic))
        assert runtime.wait_until_all_jobs_finished(LIMIT)
        inner = runtime.get_job(job.result)
    assert inner is not None
    assert (job.status, inner.status) == ("completed", "completed")


@pytest.mark.parametrize("inner_logic", [nothing, nothing_async])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_m27_logic_that_waits_for_another_job_gets_it_or_a_clear_refusal(
    threads: int, inner_logic: Any, open_runtime: Callable[..., Runtime]
) -> None:
    def logic(job_state: JobState) -> None:
        inner = runtime.exec(only(inner_logic, "inner"))
        try:
            job_state.set_result(runtime.wait_for_job(inner.job_id))
        except WaitWouldDeadlockError as error:
            job_state.set_result(str(error))

    runtime = open_runtime(threads)
    job = runtime.exec(only(logic))
    assert ends(runtime, job)
    assert job.result is True or (threads == 1 and "no worker" in job.result)


def test_m27_logics_that_wait_for_each_other_never_take_the_last_worker(open_runtime: Callable[..., Runtime]) -> None:
    def logic(job_state: JobState) -> None:
        depth = job_state.params["depth"]
        if depth:
            inner = runtime.exec(flow, params={"depth": depth - 1})
            try:
                runtime.wait_for_job(inner.job_id)
            except WaitWouldDeadlockError:
                job_state.set_result("refused")

    runtime = open_runtime(3)
    flow = only(logic)
    jobs = [runtime.exec(flow, params={"depth": 5}) for _ in range(4)]
    assert runtime.wait_until_all_jobs_finished(SOON)
    assert {str(job.status) for job in jobs} == {"completed"}


def test_m27_logic_that_waits_for_its_own_job_is_refused(open_runtime: Callable[..., Runtime]) -> None:
    def logic(job_state: JobState) -> None:
        with pytest.raises(WaitWouldDeadlockError):
            runtime.wait_for_job(job_state.job_id)
        with pytest.raises(WaitWouldDeadlockError):
            runtime.wait_until_all_jobs_finished()

    runtime = open_runtime(2)
    job = runtime.exec(only(logic))
    assert ends(runtime, job)
    assert (job.status, job.error) == ("completed", None)


def test_m27_async_logic_that_blocks_on_its_own_job_is_refused(open_runtime: Callable[..., Runtime]) -> None:
    async def logic(job_state: JobState) -> None:
        try:
            runtime.wait_for_job(job_state.job_id, timeout=SOON + 1)
            job_state.set_result("waited")
        except WaitWouldDeadlockError:
            job_state.set_result("refused")

    runtime = open_runtime(2)
    job = runtime.exec(only(logic))
    assert ends(runtime, job), "the loop is blocked"
    assert job.result == "refused"


def test_m27_async_logic_that_blocks_the_loop_another_job_needs_is_refused(
    open_runtime: Callable[..., Runtime],
) -> None:
    async def logic(job_state: JobState) -> None:
        inner = runtime.exec(only(nothing_async, "inner"))
        try:
            job_state.set_result(runtime.wait_for_job(inner.job_id, timeout=SOON + 1))
        except WaitWouldDeadlockError:
            job_state.set_result("refused")

    runtime = open_runtime(2)
    job = runtime.exec(only(logic))
    assert ends(runtime, job), "the loop is blocked"
    assert job.result == "refused"


def test_m27_async_logic_that_awaits_its_own_job_is_refused(open_runtime: Callable[..., Runtime]) -> None:
    async def logic(job_state: JobState) -> None:
        try:
            await job_state
        except WaitWouldDeadlockError:
            job_state.set_result("refused")

    runtime = open_runtime(2)
    job = runtime.exec(only(logic))
    assert ends(runtime, job)
    assert job.result == "refused"


@pytest.mark.parametrize("threads", [1, 2])
def test_m27_async_logic_can_await_another_job(threads: int, open_runtime: Callable[..., Runtime]) -> None:
    async def logic(job_state: JobState) -> None:
        inner = await runtime.exec(only(nothing_async, "inner"))
        job_state.set_result(str(inner.status))

    runtime = open_runtime(threads)
    job = runtime.exec(only(logic))
    assert ends(runtime, job)
    assert job.result == "completed"


@pytest.mark.parametrize("threads", [1, 2])
def test_m27_callback_may_call_the_runtime(threads: int, open_runtime: Callable[..., Runtime]) -> None:
    told: list[Any] = []

    def callback(job: JobState) -> None:
        told.append(runtime.get_job(job.job_id) is job)
        told.append(runtime.cancel_job(job.job_id))
        told.append(job.status == "completed")
        following.append(runtime.exec(only(nothing, "following")))
        told.append(len(runtime.list_jobs()))

    following: list[JobState] = []
    runtime = open_runtime(threads)
    begun = threading.Event()
    job = runtime.exec(only(lambda: begun.wait(SOON) and None))
    job.on_complete(callback)
    begun.set()
    assert ends(runtime, job)
    assert told == [True, False, True, 2]
    assert ends(runtime, following[0])


@pytest.mark.parametrize("kind", ["complete", "status"])
@pytest.mark.parametrize("threads", [1, 2])
def test_m27_callback_that_waits_for_its_ended_job_does_not_hang(
    threads: int, kind: str, open_runtime: Callable[..., Runtime]
) -> None:
    took: list[float] = []

    def callback(job: JobState, *_: object) -> None:
        began = time.monotonic()
        with contextlib.suppress(WaitWouldDeadlockError):
            runtime.wait_for_job(job.job_id, timeout=SOON - 0.5)
        took.append(time.monotonic() - began)

    runtime = open_runtime(threads)
    begun = threading.Event()
    job = runtime.exec(only(lambda: begun.wait(SOON) and None))
    (job.on_complete if kind == "complete" else job.on_status_change)(callback)
    begun.set()
    assert ends(runtime, job)
    assert took[-1] < 0.5, "it waited for itself"


def test_waiting_ends_only_after_the_last_callback_of_the_end_was_called(open_runtime: Callable[..., Runtime]) -> None:
    seen: list[bool] = []

    def callback(job: JobState) -> None:
        waiting = threading.Thread(target=lambda: seen.append(runtime.wait_for_job(job.job_id, timeout=0)))
        waiting.start()
        waiting.join(SOON)
        seen.append(job.is_told)

    runtime = open_runtime(2)
    begun = threading.Event()
    job = runtime.exec(only(lambda: begun.wait(SOON) and None))
    job.on_complete(callback)
    begun.set()
    assert ends(runtime, job)
    assert seen == [False, True]  # from the callback itself it counts as told: it must not wait for itself


def test_m27_shutdown_inside_of_a_logic_does_not_wait_for_itself(open_runtime: Callable[..., Runtime]) -> None:
    def logic() -> None:
        began = time.monotonic()
        with contextlib.suppress(RoutiluxError):
            runtime.shutdown(wait=True, timeout=SOON)
        took.append(time.monotonic() - began)
        returned.set()

    took: list[float] = []
    returned = threading.Event()
    runtime = open_runtime(2)
    runtime.exec(only(logic))
    assert returned.wait(SOON + 3)
    assert took[0] < 1, "it waited for itself"


def test_m27_shutdown_in_a_callback_ends_the_runtime(open_runtime: Callable[..., Runtime]) -> None:
    runtime = open_runtime(2)
    begun, ended = threading.Event(), threading.Event()
    job = runtime.exec(only(lambda: begun.wait(SOON) and None))

    def callback(_: JobState) -> None:
        runtime.shutdown(wait=True, timeout=SOON)
        ended.set()

    job.on_complete(callback)
    begun.set()
    assert ended.wait(1)
    assert job.status == "completed"


@pytest.mark.parametrize("call", ["pause", "serialize"])
def test_m27_logic_that_pauses_or_stores_its_own_job_goes_on(call: str, open_runtime: Callable[..., Runtime]) -> None:
    def logic(job_state: JobState) -> None:
        if call == "pause":
            runtime.pause_job(job_state.job_id)
        else:
            job_state.set_result(job_state.serialize(timeout=SOON, interrupted=True)["version"])

    runtime = open_runtime(1)
    job = runtime.exec(only(logic))
    if call == "pause":
        assert runtime.pause_job(job.job_id, timeout=SOON)
        assert runtime.resume_job(job.job_id)
    assert ends(runtime, job)
    assert job.status == "completed"


# --- a job state runs once --------------------------------------------------------------------------------------


def start_at_once(flow: Flow, job: JobState, runtimes: tuple[Runtime, ...]) -> list[JobStateError]:
    """Give one job state to exec on as many threads as there are runtimes; tell who was refused."""
    barrier = threading.Barrier(len(runtimes))
    refused: list[JobStateError] = []

    def start(runtime: Runtime) -> None:
        barrier.wait(LIMIT)
        try:
            runtime.exec(flow, job)
        except JobStateError as error:
            refused.append(error)

    threads = [threading.Thread(target=start, args=(runtime,)) for runtime in runtimes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    return refused


def test_25_job_state_given_to_exec_on_many_threads_runs_once() -> None:
    ran: list[str] = []
    flow = only(lambda job_state: ran.append(job_state.job_id))
    with Runtime(2) as runtime, Runtime(2) as other:
        for number in range(50):
            job = JobState("only")
            refused = start_at_once(flow, job, (runtime, other, runtime, other))
            assert runtime.wait_until_all_jobs_finished(LIMIT)
            assert other.wait_until_all_jobs_finished(LIMIT)
            assert (ran.count(job.job_id), len(refused)) == (1, 3), f"round {number}"


# --- asyncio ----------------------------------------------------------------------------------------------------


def test_job_can_be_awaited_from_asyncio() -> None:
    async def main() -> list[str]:
        job = runtime.exec(only(lambda job_state: job_state.set_result(7)))
        twice = await asyncio.gather(wait(job), wait(job))
        assert (await job) is job
        return [str(found.status) for found in twice]

    async def wait(job: JobState) -> JobState:
        return await job

    with Runtime(2) as runtime:
        assert asyncio.run(main()) == ["completed", "completed"]


def test_wait_that_was_given_up_with_its_loop_leaves_no_trace(
    open_runtime: Callable[..., Runtime], caplog: pytest.LogCaptureFixture
) -> None:
    async def main(job: JobState) -> None:
        async def wait() -> None:
            await job

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.02)

    runtime = open_runtime(1)
    go_on = threading.Event()
    job = runtime.exec(only(lambda: go_on.wait(SOON) and None))
    asyncio.run(main(job))
    go_on.set()
    assert ends(runtime, job)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("threads", [1, 2])
def test_async_logic_that_awaits_its_emissions_waits_for_room(threads: int) -> None:
    most: list[int] = []

    async def produce(routine: Routine, job_state: JobState) -> None:
        for number in range(200):
            await routine.emit("out", number)
            state = job_state.slots("sink")["items"].get_queue_state()
            most.append(state["unconsumed_count"] + state["parked_count"])

    def consume(items: list[int], job_state: JobState) -> None:
        for item in items:
            job_state.append_shared_data("seen", item)

    flow = Flow("f").add_routine(Routine("source").set_logic(produce))
    flow.add_routine(Routine("sink").add_slot("items", 2).set_logic(consume)).connect("source", "out", "sink", "items")
    with Runtime(threads) as runtime:
        job = runtime.exec(flow)
        assert runtime.wait_for_job(job.job_id, LIMIT)
    assert (job.status, job.get_shared_data("seen"), job.drops) == ("completed", list(range(200)), {})
    assert max(most) <= 3


# --- M28 --------------------------------------------------------------------------------------------------------

FORKED = """
import os, signal, sys, threading
from routilux import Flow, Routine, Runtime, RuntimeClosedError

flow = Flow("f").add_routine(Routine("sink").add_slot("items").set_logic(lambda items: None))
runtime = Runtime(2)
job = runtime.exec(flow, keep_open=True)
calls = {
    "exec": lambda: runtime.exec(flow),
    "post": lambda: runtime.post(job.job_id, "sink", "items", 1),
    "wait_for_job": lambda: runtime.wait_for_job(job.job_id),
    "wait_until_all_jobs_finished": lambda: runtime.wait_until_all_jobs_finished(),
    "cancel_job": lambda: runtime.cancel_job(job.job_id),
    "pause_job": lambda: runtime.pause_job(job.job_id),
    "close_job": lambda: runtime.close_job(job.job_id),
    "shutdown": lambda: runtime.shutdown(),
}
child = os.fork()
if child == 0:
    signal.alarm(2)
    try:
        found = calls[sys.argv[1]]()
        print("answered", found, flush=True)
    except RuntimeClosedError as error:
        print("refused", error, flush=True)
    finally:
        os._exit(0)
print("child", os.waitpid(child, 0)[1], flush=True)
runtime.shutdown()
"""


def forked(call: str) -> str:
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, call], capture_output=True, text=True, timeout=15, check=False
    )
    return found.stdout + found.stderr


def test_m28_forked_child_is_refused_with_a_clear_error() -> None:
    for call in ("exec", "post", "wait_for_job", "wait_until_all_jobs_finished", "cancel_job", "pause_job"):
        found = forked(call)
        assert "refused" in found, (call, found)
        assert "another process" in found, (call, found)


@pytest.mark.parametrize("call", ["close_job", "shutdown"])
def test_m28_forked_child_never_hangs(call: str) -> None:
    assert "child 0" in forked(call)
