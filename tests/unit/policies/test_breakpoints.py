"""A breakpoint stops an activation, and the policy remembers nothing of its yes. Design: §5.8."""

from typing import Any

import pytest

from routilux.policies import (
    absence_policy,
    batch_size_policy,
    combine_latest_policy,
    debounce_policy,
    schedule_policy,
    sliding_policy,
    throttle_policy,
    time_interval_policy,
    window_policy,
)
from tests.unit.policies.scene import Scene


def stopped(policy: Any, items: str, seconds: float) -> Scene:
    """Let items come and time go before a breakpoint."""
    scene = Scene(policy, "x")
    scene.sim.hold_routine(scene.job.job_id, "t")
    scene.send(x=items)
    scene.sim.advance(seconds)
    assert scene.seen == []
    return scene


def test_a_tick_that_was_stopped_comes_when_the_breakpoint_is_released() -> None:
    scene = stopped(schedule_policy(every_seconds=10), "", 11)
    scene.sim.release_routine(scene.job.job_id, "t")
    scene.sim.run_until_idle()
    assert scene.seen == [[[]]]


def test_an_interval_begins_with_the_activation_not_with_the_one_that_was_stopped() -> None:
    scene = stopped(time_interval_policy(10), "a", 3)
    scene.sim.release_routine(scene.job.job_id, "t")
    scene.sim.run_until_idle()
    assert scene.seen == [[["a"]]]


def test_stepping_grants_each_tick_once() -> None:
    scene = stopped(schedule_policy(every_seconds=10), "", 11)
    for count in (1, 2):
        scene.sim.step_routine(scene.job.job_id, "t")
        scene.sim.run_until_idle()
        scene.sim.advance(10)
        assert len(scene.seen) == count


def test_a_timer_that_was_set_before_a_breakpoint_stays() -> None:
    scene = stopped(debounce_policy(5), "a", 2)
    scene.sim.release_routine(scene.job.job_id, "t")
    scene.sim.advance(3)
    assert scene.seen == [[["a"]]]


KEEPING = [
    (absence_policy(5), "", 6),
    (absence_policy(5).by_key(str), "a", 6),
    (batch_size_policy(2).by_key(str.lower), "abAB", 0),
    (batch_size_policy(2).times(1), "ab", 0),
    (batch_size_policy(2) | schedule_policy(every_seconds=5), "a", 6),
    (combine_latest_policy(), "ab", 0),
    (schedule_policy(every_seconds=3, misfire="all"), "", 7),
    (sliding_policy(2), "abc", 0),
    (throttle_policy(1, 10), "ab", 0),
    (time_interval_policy(10) & batch_size_policy(1), "a", 0),
    (window_policy(4), "ab", 9),
]


@pytest.mark.parametrize(("policy", "items", "seconds"), KEEPING, ids=[repr(policy) for policy, _, _ in KEEPING])
@pytest.mark.parametrize("times", [1, 3])
def test_a_breakpoint_changes_nothing_of_what_is_delivered(policy: Any, items: str, seconds: float, times: int) -> None:
    free = Scene(policy, "x")
    free.send(x=items)
    free.sim.advance(seconds)
    scene = stopped(policy, items, seconds)
    for _ in range(times):  # asked again and again
        scene.sim.hold_routine(scene.job.job_id, "t")
        scene.sim.run_until_idle()
    scene.sim.release_routine(scene.job.job_id, "t")
    scene.sim.run_until_idle()
    assert scene.seen == free.seen
