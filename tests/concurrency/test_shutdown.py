"""The end of runtimes and jobs on real threads: shutdown, cancel of sync logics. BEHAVIOURS 29, 30; museum M20."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from routilux import (
    ActivationEndedError,
    ErrorHandler,
    ErrorStrategy,
    Flow,
    JobFinishedError,
    JobState,
    Routine,
    Runtime,
    RuntimeClosedError,
    batch_size_policy,
)

LIMIT = 10


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("routilux")]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opens at the latest when the test is over, so that no logic stands for ever."""
    made = threading.Event()
    yield made
    made.set()


def only(logic: Callable[..., Any], **options: Any) -> Flow:
    return Flow("only").add_routine(Routine("only", **options).set_logic(logic))


def one_by_one(logic: Callable[..., Any]) -> Flow:
    routine = Routine("sink").add_slot("items").set_activation_policy(batch_size_policy(1)).set_logic(logic)
    return Flow("sink", on_leftover="ok").add_routine(routine)


def posted(runtime: Runtime, flow: Flow, items: range, **options: Any) -> JobState:
    return runtime.exec(flow, inputs={"sink": {"items": list(items)}}, **options)


# --- shutdown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 4])
def test_29_shutdown_ends_queued_work_first_and_leaves_no_thread(threads: int) -> None:
    def logic(items: list[int], job_state: JobState) -> None:
        time.sleep(0.001)
        job_state.append_shared_data("seen", items[0])

    runtime = Runtime(threads)
    jobs = [posted(runtime, one_by_one(logic), range(10), keep_open=number % 2 == 0) for number in range(10)]
    report = runtime.shutdown(wait=True)
    assert {(str(job.status), len(job.get_shared_data("seen"))) for job in jobs} == {("completed", 10)}
    assert not any(report)
    assert our_threads() == []


def test_29_shutdown_is_idempotent_also_from_many_threads(gate: threading.Event) -> None:
    runtime = Runtime(2)
    job = runtime.exec(only(lambda: gate.wait(LIMIT) and None))
    reports: list[Any] = []
    threads = [threading.Thread(target=lambda: reports.append(runtime.shutdown())) for _ in range(5)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(LIMIT)
    assert [tuple(report) for report in reports] == [((), ())] * 5
    assert runtime.shutdown() == reports[0]
    assert job.status == "completed"
    assert our_threads() == []


def test_29_shutdown_with_timeout_says_what_it_abandoned(gate: threading.Event) -> None:
    runtime = Runtime(2, grace_seconds=0.05)
    stuck = runtime.exec(only(lambda: gate.wait(LIMIT) and None))
    runtime.exec(only(lambda: None))
    began = time.monotonic()
    report = runtime.shutdown(wait=True, timeout=0.1)
    assert time.monotonic() - began < 2.5
    assert (report.abandoned, report.paused) == ((stuck.job_id,), ())
    assert stuck.status == "cancelled"
    gate.set()
    wait_for(lambda: not our_threads())


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 2
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_29_shutdown_without_waiting_starts_nothing_more() -> None:
    ran: list[int] = []
    begun = threading.Event()

    def logic(items: list[int]) -> None:
        ran.append(items[0])
        begun.set()
        time.sleep(0.02)

    runtime = Runtime(2)
    job = posted(runtime, one_by_one(logic), range(100))
    assert begun.wait(LIMIT)
    runtime.shutdown(wait=False)
    count = len(ran)
    assert job.status == "cancelled"
    assert count < 50
    assert our_threads() == []
    assert len(ran) == count


def test_29_shutdown_names_paused_jobs_and_leaves_them_paused() -> None:
    runtime = Runtime(2)
    job = runtime.exec(one_by_one(lambda items: None), keep_open=True)
    assert runtime.pause_job(job.job_id, timeout=LIMIT)
    runtime.post(job.job_id, "sink", "items", 1)
    began = time.monotonic()
    report = runtime.shutdown(wait=True)
    assert time.monotonic() - began < 0.5
    assert (report.paused, report.abandoned, job.status) == ((job.job_id,), (), "paused")
    assert our_threads() == []
    with Runtime(1) as other:
        other.exec(one_by_one(lambda items, job_state: job_state.set_result(items)), job)
        assert other.wait_for_job(job.job_id, LIMIT)
    assert job.result == [1]


def test_29_closed_runtime_refuses_and_leaves_nothing() -> None:
    runtime = Runtime(1)
    job = runtime.exec(one_by_one(lambda items: None), keep_open=True)
    runtime.shutdown()
    for call in (
        lambda: runtime.exec(only(lambda: None)),
        lambda: runtime.post(job.job_id, "sink", "items", 1),
    ):
        with pytest.raises(RuntimeClosedError):
            call()
    assert runtime.list_jobs() == [job]
    assert our_threads() == []


def test_29_retry_that_waits_is_drained_or_given_up() -> None:
    def logic(job_state: JobState) -> None:
        if job_state.attempt < 3:
            raise ValueError("again")

    flow = only(logic)
    flow.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=3, retry_delay=0.02, retry_backoff=1))
    runtime = Runtime(1)
    job = runtime.exec(flow)
    assert not any(runtime.shutdown())
    assert job.status == "completed"
    runtime = Runtime(1)
    job = runtime.exec(flow)
    runtime.shutdown(wait=False)
    assert job.status == "cancelled"


def test_runtime_left_by_an_exception_cancels_its_jobs() -> None:
    jobs: list[JobState] = []

    def leave() -> None:
        with Runtime(1) as runtime:
            jobs.append(runtime.exec(one_by_one(lambda items: None), keep_open=True))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave()
    assert jobs[0].status == "cancelled"
    assert our_threads() == []


# --- M20: cancel during a sync logic ----------------------------------------------------------------------------


def test_m20_sync_logic_that_looks_at_is_cancelled_ends_at_once() -> None:
    begun = threading.Event()

    def logic(job_state: JobState) -> None:
        begun.set()
        while not job_state.is_cancelled:
            time.sleep(0.001)
        job_state.set_result("stopped")

    with Runtime(1, grace_seconds=5) as runtime:
        job = runtime.exec(only(logic))
        assert begun.wait(LIMIT)
        began = time.monotonic()
        assert runtime.cancel_job(job.job_id)
        assert runtime.wait_for_job(job.job_id, LIMIT)
        assert time.monotonic() - began < 0.5
    assert job.status == "cancelled"


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_m20_sync_logic_that_does_not_return_is_given_up_within_the_grace(
    threads: int, atomic: bool, gate: threading.Event
) -> None:
    begun, late, done = threading.Event(), [], threading.Event()

    def logic(routine: Routine, job_state: JobState) -> None:
        begun.set()
        gate.wait(LIMIT)
        for effect in (
            lambda: routine.emit("out", 1),
            lambda: job_state.set_result("late"),
            lambda: job_state.update_shared_data("late", 1),
            lambda: job_state.append_routine_state("only", "late", 1),
            lambda: job_state.mutate_shared_data("late", lambda old: 1, 0),
            lambda: job_state.append_shared_log("late"),
        ):
            try:
                effect()
                late.append("took effect")
            except ActivationEndedError:
                late.append("refused")
        done.set()

    flow = only(logic, atomic=atomic).add_routine(Routine("sink").add_slot("items").set_logic(lambda items: None))
    flow.connect("only", "out", "sink", "items")
    with Runtime(threads, grace_seconds=0.1) as runtime:
        job = runtime.exec(flow)
        assert begun.wait(LIMIT)
        began = time.monotonic()
        runtime.cancel_job(job.job_id)
        assert runtime.wait_for_job(job.job_id, LIMIT)
        assert 0.08 < time.monotonic() - began < 1
        assert job.status == "cancelled"
        with pytest.raises(JobFinishedError):
            runtime.post(job.job_id, "sink", "items", 1)
        gate.set()
        assert done.wait(LIMIT)
        assert late == ["refused"] * 6
        assert (job.result, job.get_shared_data(), job.shared_log) == (None, {}, [])
        after = runtime.exec(only(lambda: None))  # its worker is free again
        assert runtime.wait_for_job(after.job_id, 1)
    assert our_threads() == []


def test_m20_late_commit_of_an_atomic_logic_is_discarded(gate: threading.Event) -> None:
    begun, returned = threading.Event(), threading.Event()

    def logic(routine: Routine, job_state: JobState) -> None:
        routine.emit("out", 1)
        job_state.update_shared_data("late", 1)
        begun.set()
        gate.wait(LIMIT)
        returned.set()

    flow = only(logic, atomic=True).add_routine(Routine("sink").add_slot("items").set_logic(lambda items: None))
    flow.connect("only", "out", "sink", "items")
    with Runtime(2, grace_seconds=0.05) as runtime:
        job = runtime.exec(flow)
        assert begun.wait(LIMIT)
        runtime.cancel_job(job.job_id)
        assert runtime.wait_for_job(job.job_id, LIMIT)
        gate.set()
        assert returned.wait(LIMIT)
    assert (job.status, job.get_shared_data(), job.slots("sink")["items"].get_total_count()) == ("cancelled", {}, 0)


def test_m20_activation_that_times_out_is_retried_only_when_its_call_has_returned(gate: threading.Event) -> None:
    inside: list[int] = []
    most: list[int] = []

    def logic(job_state: JobState) -> None:
        inside.append(job_state.attempt)
        most.append(len(inside))
        if job_state.attempt == 1:
            gate.wait(LIMIT)
        inside.pop()

    flow = only(logic, timeout=0.05)
    flow.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, retry_delay=0.0))
    with Runtime(3) as runtime:
        job = runtime.exec(flow)
        time.sleep(0.15)
        assert "timed out" in str(job.explain("only"))
        assert (job.status, most) == ("running", [1])
        gate.set()
        assert runtime.wait_for_job(job.job_id, LIMIT)
    assert (job.status, most) == ("completed", [1, 1])


def test_30_cancelled_work_never_starts() -> None:
    ran: list[int] = []
    with Runtime(2) as runtime:
        for _ in range(100):
            job = runtime.exec(one_by_one(lambda items: ran.append(1)), keep_open=True)
            runtime.cancel_job(job.job_id)
            with pytest.raises(JobFinishedError):
                runtime.post(job.job_id, "sink", "items", 1)
            assert runtime.wait_for_job(job.job_id, LIMIT)
    assert ran == []
