"""The as-of join against an independent computation, and what waits and goes. Design: the catalogue."""

import random
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from routilux import InvalidFlowError, JobState, Slot
from routilux.policies import as_of_policy, debounce_policy
from routilux.testing import ManualClock, check_picture
from tests.unit.policies.scene import Scene, steps_of

AS_OF = as_of_policy("x", "y", time_of=int)


@pytest.mark.parametrize(
    ("policy", "picture"),
    [
        (as_of_policy("x", "y"), "x    a-b--c|\ny    -1-23-|\nout  [a]-[b1]--[c3]|\ndrop ----2"),
        (as_of_policy("x", "y", 1), "x    --a-b|\ny    1--2-|\nout  --[a]-[b2]|\ndrop --1"),
        (as_of_policy("x", "y", 0, int), "x    -23--|\ny    2-34-|\nout  --[22][33]-|\ndrop -----4"),
        (as_of_policy("x", "y", 2, int, "drop"), "x    59-|\ny    1-6|\nout  ---|\ndrop --(51)(96)"),
        (AS_OF, "x   5--|\ny   --|\nout --[5]|"),
        (AS_OF, "x   5--|\ny   3--4-6|\nout -----[54]|"),
        (AS_OF, "x   5-5|\ny   57-|\nout -[55][55]|"),
        (AS_OF, "x    --|\ny    123|\nout  ---|\ndrop --(123)"),
        (AS_OF, "x    --7|\ny    35(48)|\nout  --[75]|\ndrop --(34)8"),
        (AS_OF, "x   -73-|\ny   (48)-|\nout -[74][3]-|\nleft"),
    ],
)
def test_an_as_of_join_does_what_its_picture_shows(policy: Any, picture: Any) -> None:
    check_picture(policy, picture)


def expected(primary: list[float], lookup: list[float], tolerance: float | None) -> list[Any]:
    found = []
    for time in primary:
        place = bisect_right(lookup, time) - 1
        near = place >= 0 and (tolerance is None or time - lookup[place] <= tolerance)
        found.append([[(time, "x")], [(lookup[place], place)] if near else []])
    return found


@pytest.mark.parametrize("tolerance", [None, 0, 2, 10])
@pytest.mark.parametrize("seed", range(10))
def test_any_interleaving_gives_what_a_sorted_table_gives(seed: int, tolerance: float | None) -> None:
    rng = random.Random(seed)
    times = {name: sorted(rng.randrange(60) / 2 for _ in range(40)) for name in ("x", "y")}
    todo: dict[str, list[Any]] = {
        "x": [(time, "x") for time in times["x"]],
        "y": [(time, place) for place, time in enumerate(times["y"])],
    }
    scene = Scene(as_of_policy("x", "y", tolerance, lambda item: item[0]), "x", "y")
    while todo["x"] or todo["y"]:
        name = rng.choice([name for name, left in todo.items() if left])
        scene.send(**{name: [todo[name].pop(0) for _ in range(min(rng.randrange(1, 8), len(todo[name])))]})
        if rng.random() < 0.2:
            scene.resume()
    scene.end()
    assert scene.seen == expected(times["x"], times["y"], tolerance)


def test_datetimes_are_times_too() -> None:
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    scene = Scene(as_of_policy("x", "y", 60, lambda item: item), "x", "y")
    scene.send(y=[noon], x=[noon + timedelta(seconds=60)])
    assert "time(y) 2024-05-01T12:00:00+00:00 of after 2024-05-01T12:01:00+00:00 no" in str(scene.job.explain("t"))
    scene.send(y=[noon + timedelta(seconds=61)])
    assert scene.seen == [[[noon + timedelta(seconds=60)], [noon]]]


def test_two_kinds_of_time_fail_the_job_with_the_reason() -> None:
    scene = Scene(as_of_policy("x", "y", time_of=lambda item: item), "x", "y")
    scene.send(x=[1], y=[datetime(2024, 5, 1, tzinfo=UTC)])
    assert "one kind per policy" in str(scene.job.error)


def test_a_primary_item_waits_while_the_lookup_is_silent_and_says_for_what() -> None:
    scene = Scene(AS_OF, "x", "y")
    scene.send(y="3", x="5")
    scene.sim.advance(100_000)
    assert (scene.seen, scene.job.status) == ([], "running")
    assert "unmet: time(y) 3 of after 5 no; 'x' can still get items" in str(scene.job.explain("t"))


def test_an_item_that_was_put_back_gets_the_same_match_again() -> None:
    scene = Scene(AS_OF, "x", "y")
    scene.send(y="25", x="3")
    scene.job.mutate_shared_data("failing", lambda _: 2.0, None)  # the age of the second match
    scene.send(y="69", x="8")
    assert scene.job.status == "failed"
    scene.job.mutate_shared_data("failing", lambda _: None, None)
    scene.resume()
    scene.send(x="8")
    assert scene.seen == [[["3"], ["2"]], [["8"], ["6"]], [["8"], ["6"]], [["8"], ["6"]]]


def test_a_yes_that_does_not_count_leaves_the_match() -> None:
    scene = Scene(AS_OF & debounce_policy(5), "x", "y")
    scene.send(y="259", x="36")
    scene.sim.advance(5)
    scene.sim.advance(5)
    assert scene.seen[0][0] == ["3", "6"]


def test_times_of_arrival_mean_the_same_under_another_clock() -> None:
    scene = Scene(as_of_policy("x", "y", 10), "x", "y")
    scene.sim.advance(1000)
    scene.send(y="1")
    scene.sim.advance(4)
    scene.send(x="a")
    later = ManualClock(scene.clock.now + timedelta(seconds=2))
    scene.resume(later)
    scene.send(x="b")
    scene.sim.advance(5)
    scene.send(x="c")
    assert scene.seen == [[["a"], ["1"]], [["b"], ["1"]], [["c"], []]]


def test_a_long_lookup_stream_leaves_only_the_newest_by_arrival() -> None:
    scene = Scene(as_of_policy("x", "y"), "x", "y", length=3)
    scene.send(y="123456789", x="ab")
    assert scene.seen == [[["a"], ["9"]], [["b"], ["9"]]]
    assert scene.end().drops == {("t", "y"): {"superseded": 8}}


def test_the_cost_of_a_decision_does_not_grow_with_the_backlog_of_the_lookup() -> None:
    def cost(backlog: int) -> int:
        pairs = [(str(number), "1000") for number in range(20)]
        return steps_of(as_of_policy("x", "y", time_of=int), [], pairs, backlog_of_y=["1000"] * backlog)

    few, many = cost(10), cost(2000)
    assert many < few * 1.1, (few, many)


def test_the_cost_of_a_no_does_not_grow_with_the_backlog_of_the_primary() -> None:
    policy = as_of_policy("x", "y", time_of=int)
    few, many = (steps_of(policy, ["1000"] * backlog, [("", str(n)) for n in range(20)], 0) for backlog in (10, 2000))
    assert many < few * 1.1, (few, many)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("x", "x"), ValueError, "two slots"),
        (("x", 1), TypeError, "names of slots"),
        (("x", "y", -1), ValueError, "0 or more"),
        (("x", "y", "1"), TypeError, "number of seconds"),
        (("x", "y", 1, "time"), TypeError, "time_of must be a function"),
        (("x", "y", 1, None, "hold"), ValueError, "on_unmatched"),
    ],
)
def test_bad_parameters_are_refused(arguments: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        as_of_policy(*arguments)


def test_other_slots_are_refused_before_the_job_begins() -> None:
    with pytest.raises(InvalidFlowError, match="names the slot 'y'; the routine has 'x', 'z'"):
        Scene(as_of_policy("x", "y"), "x", "z")


def test_other_slots_are_refused_by_hand() -> None:
    with pytest.raises(ValueError, match="pairs two slots, but there are x, z"):
        as_of_policy("x", "y")({"x": Slot("x"), "z": Slot("z")}, JobState("f"))
