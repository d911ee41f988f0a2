"""Rooms of the museum that concern policies in time: M8, M12, M22, M24."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, Routine, Runtime, time_interval_policy
from routilux.policies import (
    absence_policy,
    count_or_timeout_policy,
    debounce_policy,
    schedule_policy,
    sequence_policy,
    session_policy,
    throttle_policy,
    weight_policy,
    window_policy,
)
from routilux.testing import SimRuntime

DAY = 86_400.0


def noting(policy: Any, name: str = "seen") -> Flow:
    def note(items: list[Any], job_state: JobState) -> None:
        job_state.append_shared_data(name, [job_state.monotonic(), "".join(items)])

    target = Routine("t").add_slot("items").set_activation_policy(policy).set_logic(note)
    return Flow("museum", on_leftover="ok").add_routine(target, "t")


def seen(job: JobState) -> list[Any]:
    found: list[Any] = job.get_shared_data("seen", [])
    return found


@pytest.mark.parametrize(
    ("policy", "satisfying", "unrelated"),
    [
        (window_policy(10), "", "b"),
        (window_policy(10, time_of=int), "15", "67"),
        (window_policy(6, 3, time_of=int), "18", "0"),
        (sequence_policy([str.islower, str.isupper]), "aA", "1Bc"),
        (sequence_policy([str.islower, str.isupper], contiguity="strict"), "aA", "B1c"),
        (session_policy(5), "", "b"),
    ],
    ids=repr,
)
def test_m8_unrelated_item_after_a_satisfied_window_activates_nothing(
    policy: Any, satisfying: str, unrelated: str
) -> None:
    sim = SimRuntime()
    job = sim.exec(noting(policy), keep_open=True)
    for item in satisfying or "a":
        sim.post(job.job_id, "t", "items", item)
    if "time_of=int" in repr(policy):
        sim.post(job.job_id, "t", "items", "9" if policy.size_seconds == 6 else "10")
    sim.advance(11)
    satisfied = list(seen(job))
    assert satisfied
    for item in unrelated:
        sim.post(job.job_id, "t", "items", item)
        sim.advance(1)
    assert seen(job) == satisfied
    sim.cancel_job(job.job_id)
    sim.shutdown(wait=False)


def retried_debounce(day: float, done: Callable[[], None] = lambda: None) -> Flow:
    """Three items, quiet for a day, and a logic that fails twice, retried after an hour each."""

    def logic(items: list[str], job_state: JobState) -> None:
        job_state.append_shared_data("tries", [job_state.attempt, items])
        if job_state.attempt < 3:
            raise ValueError("not yet")
        done()

    target = Routine("t", atomic=False).add_slot("items").set_activation_policy(debounce_policy(day)).set_logic(logic)
    target.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=3, retry_delay=day / 24, retry_backoff=1))
    return Flow("debounced").add_routine(target, "t")


def test_m22_a_debounce_of_a_day_with_retries_waits_for_nothing_and_does_what_a_real_run_does() -> None:
    begin = time.monotonic()
    sim = SimRuntime()
    job = sim.exec(retried_debounce(DAY), keep_open=True)
    for item in "abc":
        sim.post(job.job_id, "t", "items", item)
        sim.advance(DAY - 1)
    assert job.get_shared_data("tries", []) == []
    start = job.monotonic()
    sim.advance(1)
    assert len(job.get_shared_data("tries")) == 1
    sim.advance(2 * DAY / 24)
    assert job.monotonic() - start == pytest.approx(1 + 2 * DAY / 24)
    sim.close_job(job.job_id)
    sim.run_until_idle()
    sim.shutdown(wait=False)
    assert time.monotonic() - begin < 5
    assert job.status == "completed"
    assert real_tries() == job.get_shared_data("tries") == [[attempt, ["a", "b", "c"]] for attempt in (1, 2, 3)]


def real_tries() -> Any:
    """The same with real threads and a real clock, where a day takes 0.3 s."""
    done = threading.Event()
    with Runtime(1) as runtime:
        job = runtime.exec(retried_debounce(0.3, done.set), keep_open=True)
        for item in "abc":
            runtime.post(job.job_id, "t", "items", item)
        assert done.wait(10)
        runtime.close_job(job.job_id)
        assert runtime.wait_for_job(job.job_id, timeout=10)
        return job.get_shared_data("tries")


@pytest.mark.parametrize("jump", [3600, -3600])
@pytest.mark.parametrize(
    "policy",
    [
        absence_policy(4),
        count_or_timeout_policy(9, 7),
        count_or_timeout_policy(9, 7, start="last_activation"),
        debounce_policy(3, max_wait_seconds=8),
        debounce_policy(3, edge="leading"),
        schedule_policy(every_seconds=4),
        sequence_policy([str.islower, str.isupper], within_seconds=5),
        session_policy(3, max_seconds=8),
        throttle_policy(1, per_seconds=4),
        time_interval_policy(5),
        weight_policy(99, len, within_seconds=6),
        window_policy(5),
        window_policy(6, 2),
        debounce_policy(3).by_key(str.lower),
        debounce_policy(30).within(6),
    ],
    ids=repr,
)
def test_m24_nothing_activates_early_or_late_when_the_wall_clock_jumps(policy: Any, jump: int) -> None:
    assert activations(policy, jump) == activations(policy, 0)


def activations(policy: Any, jump: float) -> Any:
    """When it activated with what, while the wall clock jumps in the middle and back later."""
    sim = SimRuntime()
    job = sim.exec(noting(policy), keep_open=True)
    for second, item in enumerate("ab-A--cB---d-----eE--------"):
        if item != "-":
            sim.post(job.job_id, "t", "items", item)
        sim.advance(0.6)
        if second in (4, 16):
            sim.manual_clock.step_wall(jump if second == 4 else -jump)
        sim.advance(0.4)
    found = [list(seen(job)), dict(job.drops)]
    assert found[0], "the policy never activated"
    sim.cancel_job(job.job_id)
    sim.shutdown(wait=False)
    return found


@pytest.mark.parametrize("resumes", [False, True])
def test_m12_debounce_under_an_endless_stream_activates_at_its_longest_wait_with_all_items(resumes: bool) -> None:
    flow = noting(debounce_policy(quiet_seconds=2, max_wait_seconds=5))
    sim = SimRuntime()
    job = sim.exec(flow, keep_open=True)
    begun = job.monotonic()
    for number, letter in enumerate("abcdefghijklmnop"):  # one a second: it is never quiet
        sim.post(job.job_id, "t", "items", letter)
        sim.advance(1)
        if resumes and number == 7:
            sim.pause_job(job.job_id, timeout=1)
            job = JobState.deserialize(job.serialize(), clock=sim.clock)
            sim.cancel_job(job.job_id)
            sim = SimRuntime(clock=sim.manual_clock)
            sim.exec(flow, job, keep_open=True)
    found = [[round(at - begun), items] for at, items in seen(job)]
    assert found[:3] == [[5, "abcde"], [10, "fghij"], [15, "klmno"]]
    sim.shutdown(wait=False)
