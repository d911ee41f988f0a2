"""Policies by key: each key by itself, nothing of it lost, and no dearer for what others hold. Design: §4.8."""

import sys
from typing import Any

import pytest

from routilux import ErrorHandler, ErrorStrategy, JobState, Slot
from routilux.policies import (
    absence_policy,
    all_slots_ready_policy,
    batch_size_policy,
    count_or_timeout_policy,
    custom_policy,
    debounce_policy,
    each_item_policy,
    gather_policy,
    schedule_policy,
    sequence_policy,
    throttle_policy,
    time_interval_policy,
    until_policy,
)
from routilux.testing import ManualClock, check_picture
from tests.unit.policies.scene import Scene


def lines_of(scene: Scene, items: list[str]) -> int:
    """Count the lines of ours that run while these items come."""
    lines = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace if "routilux" in frame.f_code.co_filename else None

    others = sys.gettrace()
    sys.settrace(trace)
    scene.send(x=items)
    sys.settrace(others)
    return lines


def held(policy: Any, items: list[str]) -> Scene:
    scene = Scene(policy, "x")
    for item in items:
        scene.sim.post(scene.job.job_id, "t", "x", item)
    scene.sim.run_until_idle()
    return scene


@pytest.mark.parametrize(
    "inner",
    [
        batch_size_policy(10**6),
        count_or_timeout_policy(10**6, 10**6),
        until_policy(str.isupper),
        sequence_policy([str.isdigit, str.isupper], max_unfinished=10**6),
    ],
    ids=repr,
)
def test_one_more_item_of_a_key_costs_the_same_whatever_the_key_holds(inner: Any) -> None:
    few, many = (lines_of(held(inner.by_key(len), ["1"] * count), ["1"] * 20) for count in (10, 1_000))
    assert many <= 1.1 * few


@pytest.mark.parametrize("inner", [batch_size_policy(2), debounce_policy(10**6)], ids=repr)
def test_one_more_item_costs_the_same_however_many_keys_wait(inner: Any) -> None:
    policy = inner.by_key(str, max_keys=10**6)
    few, many = (
        lines_of(held(policy, [str(number) for number in range(count)]), ["a", "b", "c", "d"]) for count in (10, 1_000)
    )
    assert many <= 1.1 * few


def test_taking_the_backlog_of_one_key_costs_the_same_for_each_item() -> None:
    def per_item(count: int) -> float:
        scene = Scene(each_item_policy().by_key(len), "x")
        for number in range(count):
            scene.sim.post(scene.job.job_id, "t", "x", str(number % 10))
        lines = lines_of(scene, ["x"])
        assert len(scene.seen) == count + 1
        return lines / count

    assert per_item(1_000) <= 1.1 * per_item(50)


def test_each_key_has_its_own_alarm() -> None:
    check_picture(absence_policy(5).by_key(str), "in   ab-------a------|\nout  -----[][]-------[]-|\ndrop ab-------a")


def test_every_key_whose_timer_is_due_at_one_time_activates() -> None:
    scene = Scene(absence_policy(5).by_key(str), "x")
    scene.send(x=["a", "b", "c"])
    scene.sim.advance(5)
    assert scene.seen == [[[]]] * 3


def test_a_timer_of_one_key_outlives_the_empty_activation_of_another() -> None:
    scene = Scene(absence_policy(5).by_key(str), "x")
    scene.send(x=["a"])
    scene.sim.advance(1)
    scene.send(x=["b"])
    scene.sim.advance(4)
    assert len(scene.seen) == 1
    scene.resume()
    scene.sim.advance(1)
    assert len(scene.seen) == 2


def test_a_policy_that_says_yes_to_nothing_does_not_run_for_ever_by_key() -> None:
    scene = Scene(custom_policy(lambda slots, job_state: True).by_key(str), "x")
    scene.send(x=["a", "b"])
    scene.sim.advance(10)
    assert [lists for lists in scene.seen if any(lists)] == [[["a"]], [["b"]]]


def test_a_key_function_that_fails_midway_is_not_asked_again_for_earlier_items() -> None:
    clock = ManualClock()
    job = JobState("f", clock=clock)
    job.current_routine_id = "t"
    slot = Slot("x", clock=clock)
    for item in ("a", "b", 5, "a", "b"):
        slot.enqueue(item)
    asked: list[Any] = []

    def lower(item: Any) -> str:
        asked.append(item)
        return str.lower(item)

    policy = batch_size_policy(2).by_key(lower)
    for _ in range(2):
        with pytest.raises(TypeError):
            policy({"x": slot}, job)
    slot.drop([2], "bad")
    taken = [policy({"x": slot}, job).data_slice for _ in range(3)]
    assert asked[:4] == ["a", "b", 5, 5]
    assert taken == [{"x": ["a", "a"]}, {"x": ["b", "b"]}, {}]


class Picky(type(batch_size_policy(1))):  # type: ignore[misc]
    """Drops what it does not like, for two reasons, and says no."""

    def ask(self, slots: Any, job_state: Any) -> Any:
        points = slots["x"].peek_points()
        slots["x"].drop([point for point in points if point.data.startswith("b")], "bad")
        slots["x"].drop([point for point in points if point.data.startswith("u")], "ugly")
        return self.no(())


def test_what_a_key_drops_is_counted_under_its_own_reasons() -> None:
    scene = Scene(Picky(1).by_key(len), "x")
    scene.send(x=["good"])
    for item in ("bad1", "ugly", "bad2"):
        scene.sim.post(scene.job.job_id, "t", "x", item)
    scene.sim.run_until_idle()
    assert scene.end().drops == {("t", "x"): {"bad": 2, "ugly": 1}}


def test_a_yes_of_one_key_that_does_not_count_is_undone() -> None:
    picture = "in  aA-bB--aA-|\nout -[aA]---[bB]---[aA]|"
    check_picture((batch_size_policy(2) & time_interval_policy(1)).by_key(str.lower) & time_interval_policy(4), picture)


def test_an_error_in_the_policy_of_one_key_does_not_hold_up_the_others() -> None:
    def check(slots: Any, job_state: Any) -> bool:
        if slots["x"].peek_one_new() == "bad":
            raise ValueError("bad")
        return bool(slots["x"].get_unconsumed_count() > 1)

    scene = Scene(custom_policy(check).by_key(str), "x", handler=ErrorHandler(ErrorStrategy.CONTINUE))
    scene.send(x=["bad", "a", "b", "a", "b"])
    assert scene.seen == [[["a", "a"]], [["b", "b"]]]


def test_items_of_a_key_come_back_where_its_activation_failed() -> None:
    scene = Scene(batch_size_policy(2).by_key(str.lower), "x")
    scene.job.update_shared_data("failing", "a")
    scene.send(x=["a", "b", "A"])
    assert scene.job.status == "failed"
    scene.job.update_shared_data("failing", "none")
    scene.resume()
    scene.send(x=["B", "b"])
    assert scene.seen[1:] == [[["a", "A"]], [["b", "B"]]]


def test_the_longest_idle_key_goes_first_where_there_are_too_many() -> None:
    scene = Scene(batch_size_policy(2).by_key(str.lower, max_keys=2), "x")
    scene.send(x=["a", "b"])
    scene.sim.advance(1)
    scene.send(x=["c", "B", "c"])
    assert scene.seen == [[["b", "B"]]] or scene.seen == [[["b", "B"]], [["c", "c"]]]
    assert scene.end().drops == {("t", "x"): {"too many keys": 1}}


def test_memory_of_a_key_that_has_nothing_left_is_given_back() -> None:
    scene = Scene(batch_size_policy(2).by_key(len), "x")
    for number in range(1, 60):
        scene.send(x=["a" * number, "b" * number])
    kept = (scene.job._records["t"].memory or {})["part kept"]
    assert len(kept["entries"]) <= 1
    assert len(kept["arrivals"]["heap"]) < 50


def test_slots_of_a_key_are_joined_out_of_the_middle() -> None:
    scene = Scene(all_slots_ready_policy().by_key(str.lower), "x", "y")
    scene.send(x=["a", "b", "c"], y=["C", "B"])
    assert scene.seen == [[["c"], ["C"]], [["b"], ["B"]]]


def test_a_throttle_by_key_drops_and_delivers_each_key_by_itself() -> None:
    scene = Scene(throttle_policy(1, 10, excess="drop").by_key(str), "x")
    scene.send(x=["a", "a", "b", "b", "b"])
    assert scene.seen == [[["a"]], [["b"]]]
    assert sum(scene.end().drops[("t", "x")].values()) == 3


def test_a_clock_of_a_key_keeps_the_job_alive_if_told() -> None:
    scene = Scene(schedule_policy(every_seconds=2, keep_alive=True).by_key(str), "x")
    scene.send(x=["a"])
    scene.sim.close_job(scene.job.job_id)
    scene.sim.advance(5)
    assert scene.job.status == "running"
    scene.sim.cancel_job(scene.job.job_id)
    scene.end()


def test_a_gather_cannot_be_applied_by_key() -> None:
    with pytest.raises(TypeError, match="whole group"):
        (gather_policy() | batch_size_policy(3)).by_key(str)
