"""What a decision costs, in counted instructions: small, and the same whatever waits. Design: the catalogue."""

import pytest

from benchmarks import decisions
from routilux import policies

BASE = decisions.instructions(decisions.CASES["all_slots_ready"], 10)
DEARER = {
    "sequence": 2.7,
    "window of one": 5.6,
    "as_of by its time": 2.4,
    "gather": 2.4,
    "join": 2.1,
    "sync_time": 2.2,
}
"""A sequence remembers each item from one decision to another; a window of one item opens and closes for it alone; those
that pair look at each item twice, when it came and when it goes; a gather also asks the engine what it belongs to."""
DEARER_COMPOSED = {"&": 4.4, "|": 2.6, "unless": 2.5, "within": 2, "times": 2.5, "labelled": 1.2, "by_key": 5.9}
"""Of two parts both are asked, and what the first one took is put back; each has a memory and a timer of its own."""
DEARER_ONE_BY_ONE = {"session": 2.6, "schedule": 2.4, "arrival window": 3.7, "absence": 5.6}
"""Each second of decision is a no that sets a timer; absence also drops every item, which the history hears."""
EVERY = decisions.CASES | decisions.COMPOSED


@pytest.mark.parametrize("name", decisions.CASES)
def test_a_policy_that_looks_at_one_item_costs_at_most_twice_all_slots_ready(name: str) -> None:
    assert decisions.instructions(decisions.CASES[name], 10) <= DEARER.get(name, 2) * BASE


@pytest.mark.parametrize("name", decisions.COMPOSED)
def test_composing_has_its_price(name: str) -> None:
    assert decisions.instructions(decisions.COMPOSED[name], 10) <= DEARER_COMPOSED[name] * BASE


@pytest.mark.parametrize("name", decisions.TRICKLE)
def test_a_policy_that_looks_at_the_clock_or_takes_all_has_its_price(name: str) -> None:
    price = DEARER_ONE_BY_ONE.get(name, 2) * decisions.instructions_of_a_trickle(decisions.TRICKLE["all_slots_ready"])
    assert decisions.instructions_of_a_trickle(decisions.TRICKLE[name]) <= price


@pytest.mark.parametrize("name", EVERY)
def test_taking_out_of_a_backlog_costs_the_same_whatever_waits(name: str) -> None:
    assert decisions.instructions(EVERY[name], 4_000) <= 1.05 * decisions.instructions(EVERY[name], 10)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "gather"])  # it has looked at some before
def test_looking_at_what_came_costs_the_same_for_each_item(name: str) -> None:
    few, many = (decisions.instructions_of_arrivals(EVERY[name], backlog) for backlog in (500, 2_000))
    assert many <= 1.05 * few


@pytest.mark.parametrize("name", decisions.HOLDING)
def test_one_more_item_costs_the_same_whatever_is_held(name: str) -> None:
    policy = decisions.HOLDING[name]
    few = decisions.instructions_of_a_trickle(policy, 10)
    assert decisions.instructions_of_a_trickle(policy, 2_000) <= 1.05 * few


def test_every_policy_is_measured() -> None:
    measured = [case.policy for case in decisions.CASES.values()]
    measured += [*decisions.TRICKLE.values(), *decisions.HOLDING.values()]
    named = {name for name in policies.__all__ if name.endswith("_policy")}
    assert {policy.to_dict()["policy"] for policy in measured} == named


def test_counts_are_the_same_every_time() -> None:
    case = decisions.CASES["window"]
    assert decisions.instructions(case, 10) == decisions.instructions(case, 10)
