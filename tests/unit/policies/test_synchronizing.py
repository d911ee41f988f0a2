"""Synchronising by time against an exhaustive search, and what is dropped when. Design: the catalogue."""

import logging
import random
from itertools import product
from typing import Any

import pytest

from routilux.policies import debounce_policy, sync_time_policy
from routilux.testing import check_picture
from tests.unit.policies.scene import Scene, steps_of

EXACT = sync_time_policy(0, int)


@pytest.mark.parametrize(
    ("policy", "picture"),
    [
        (EXACT, "x    12-4-|\ny    -123-4|\nout  -[11][22]--[44]|\ndrop ---3"),
        (sync_time_policy(0), "x   a--|\ny   b--|\nout [ab]--|"),
        (sync_time_policy(1), "x   a-----|\ny   -1----|\nout --[a1]---|"),
        (sync_time_policy(3, max_wait_seconds=2), "x   a-----|\ny   -1----|\nout --[a1]---|"),
        (sync_time_policy(3, int, max_wait_seconds=2), "x   1-----|\ny   -3----|\nout --[13]---|"),
        (sync_time_policy(3, int), "x    1---9|\ny    -2----|\nz    --3---|\nout  ----[123]-|\ndrop ------9"),
        (sync_time_policy(3, int), "x   1----|\ny   -3---|\nout -----([13]|)"),
        (sync_time_policy(3, int), "x    1-3--|\ny    -3-2-|\nout  --[33]--|\ndrop --12"),
        (sync_time_policy(1, int), "x    1--9|\ny    -5--|\nout  ----|\ndrop -1-59"),
    ],
)
def test_synchronising_does_what_its_picture_shows(policy: Any, picture: Any) -> None:
    check_picture(policy, picture)


def matchable(sides: list[list[int]], slop: int) -> list[list[int]]:
    """Leave out what is too early for any item of another side."""
    while all(sides) and min(side[0] for side in sides) < max(side[0] for side in sides) - slop:
        pivot = max(side[0] for side in sides)
        sides = [[time for time in side if time >= pivot - slop] for side in sides]
    return sides


def moved(chosen: list[int], pivot: int) -> tuple[int, int]:
    """Of equally close sets, the one that goes least beyond the pivot, of the newest items."""
    return sum(time > pivot for time in chosen), -sum(chosen)


def searched(sides: list[list[int]], slop: int) -> list[list[int]]:
    """Find the sets by trying all that contain the pivot, the latest of the first items; the closest wins."""
    found: list[list[int]] = []
    while all(sides := matchable(sides, slop)):
        pivot = max(side[0] for side in sides)
        near = [[time for time in side if time <= pivot + slop] for side in sides]
        sets: list[tuple[int, ...]] = [chosen for chosen in product(*near) if pivot in chosen and max(chosen) >= pivot]
        spread = min(max(chosen) - min(chosen) for chosen in sets)
        closest = [chosen for chosen in sets if max(chosen) - min(chosen) == spread]
        best = list(min(closest, key=lambda chosen: (max(chosen), *moved(list(chosen), pivot))))
        found.append(best)
        sides = [[time for time in side if time > chosen] for side, chosen in zip(sides, best, strict=True)]
    return found


@pytest.mark.parametrize("slop", [0, 2, 5, 9])
@pytest.mark.parametrize("seed", range(12))
def test_any_interleaving_gives_the_closest_sets(seed: int, slop: int) -> None:
    rng = random.Random(seed)
    names = ("x", "y", "z")[: rng.choice([2, 3])]
    times = {name: sorted(rng.sample(range(120), 25)) for name in names}
    todo = {name: list(found) for name, found in times.items()}
    scene = Scene(sync_time_policy(slop, lambda item: item), *names)
    while any(todo.values()):
        name = rng.choice([name for name, left in todo.items() if left])
        scene.send(**{name: [todo[name].pop(0) for _ in range(min(rng.randrange(1, 6), len(todo[name])))]})
        if rng.random() < 0.1:
            scene.resume()
    job = scene.end()
    found = [[time for (time,) in lists] for lists in scene.seen]
    assert found == searched(list(times.values()), slop)
    dropped = sum(sum(reasons.values()) for reasons in job.drops.values())
    assert dropped + len(names) * len(scene.seen) == 25 * len(names)


def test_m13_a_dead_input_has_the_others_dropped_with_reason_and_count_and_one_warning(caplog: Any) -> None:
    scene = Scene(sync_time_policy(1, int, max_wait_seconds=5), "x", "y", "dead")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for second in range(9):
            scene.send(x=[str(second)], y=[str(second)])
            scene.sim.advance(1)
        scene.sim.advance(5)
    assert scene.seen == []
    assert scene.job.drops == {("t", name): {"no item of dead in time": 9} for name in ("x", "y")}
    warned = [record.getMessage() for record in caplog.records]
    assert [text for text in warned if " 1 of " not in text] == []
    assert len(warned) == 2  # one for each slot that loses items
    text = str(scene.job.explain("t"))
    assert "count(dead) 0 of 1 no" in text
    scene.send(x="9", y="9", dead="9")
    assert scene.seen == [[["9"], ["9"], ["9"]]]


def test_a_dead_input_is_explained_while_the_others_wait() -> None:
    scene = Scene(sync_time_policy(1, int), "x", "dead")
    scene.send(x="123")
    text = str(scene.job.explain("t"))
    assert "holding 3 of 'x'" in text
    assert "unmet: count(dead) 0 of 1 no" in text
    assert scene.end().drops == {("t", "x"): {"no partner can come": 3}}


def test_what_waits_survives_storing_under_another_clock() -> None:
    scene = Scene(sync_time_policy(3, max_wait_seconds=10), "x", "y")
    scene.sim.advance(500)
    scene.send(x="a")
    scene.sim.advance(2)
    scene.resume()
    scene.send(y="b")
    assert scene.seen == []
    scene.sim.advance(2)
    assert scene.seen == [[["a"], ["b"]]]


def test_a_yes_that_does_not_count_leaves_the_set() -> None:
    scene = Scene(EXACT & debounce_policy(5), "x", "y")
    scene.send(x="12", y="12")
    scene.sim.advance(5)
    assert scene.seen[0] == [["1", "2"], ["1", "2"]]


def test_items_that_were_put_back_are_matched_again() -> None:
    scene = Scene(EXACT, "x", "y")
    scene.job.mutate_shared_data("failing", lambda _: "sync", None)
    scene.send(x="12", y="2")
    assert scene.job.status == "failed"
    scene.job.mutate_shared_data("failing", lambda _: None, None)
    scene.resume()
    assert scene.seen == [[["2"], ["2"]]] * 2


@pytest.mark.parametrize("slop", [0, 3])
def test_the_cost_of_a_decision_does_not_grow_with_the_backlog(slop: int) -> None:
    def cost(backlog: int) -> int:
        return steps_of(sync_time_policy(slop, int), [str(n) for n in range(backlog)], [("", str(n)) for n in range(9)])

    few, many = cost(12), cost(2000)
    assert many < few * 1.1, (few, many)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ((-1,), ValueError, "0 or more"),
        ((float("nan"),), ValueError, "0 or more"),
        (("1",), TypeError, "number of seconds"),
        ((1, 3), TypeError, "time_of must be a function"),
        ((1, None, 0), ValueError, "max_wait_seconds"),
    ],
)
def test_bad_parameters_are_refused(arguments: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        sync_time_policy(*arguments)
