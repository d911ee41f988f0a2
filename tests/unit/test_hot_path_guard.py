"""The hot path does not grow unseen: calls and instructions per hop against benchmarks/guard.json."""

import re

import pytest

from benchmarks import costs, guard


@pytest.mark.parametrize("name", guard.WORKLOADS)
def test_hot_path_grows_by_no_more_than_a_tenth(name: str) -> None:
    problems = guard.problems(name, guard.count(name), guard.recorded())
    assert not problems, (
        f"the hot path grew: {'; '.join(problems)}. Find out what the new work is for and whether it must happen here; "
        f"`python -m benchmarks.guard` shows all counts. If it must, record them with `{guard.UPDATE}` and say why."
    )


def test_counts_are_the_same_every_time() -> None:
    assert guard.count("W1 one") == guard.count("W1 one")


def test_growth_is_told_with_its_numbers() -> None:
    record = {"python": guard.VERSION, "workloads": {"W1": {"calls": 10.0, "instructions": 100.0}}}
    assert guard.problems("W1", {"calls": 10.9, "instructions": 109.0}, record) == []
    assert guard.problems("W1", {"calls": 12.0, "instructions": 109.0}, record) == ["W1: 12 calls, was 10 (+20%)"]


def test_instructions_of_another_python_are_not_compared() -> None:
    record = {"python": "2.7", "workloads": {"W1": {"calls": 10.0, "instructions": 1.0}}}
    assert guard.problems("W1", {"calls": 10.0, "instructions": 100.0}, record) == []


@pytest.mark.skipif(guard.recorded()["python"] != guard.VERSION, reason="instructions differ between Python versions")
def test_the_page_of_costs_shows_what_is_counted() -> None:
    shown = dict(re.findall(r"^\| (.+) \| ([\d,]+) \|$", costs.PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    found = {what: cost for what, cost in costs.rows() if what in shown}
    assert len(found) == len(shown) == len(costs.rows())
    for what, cost in found.items():
        assert cost == pytest.approx(float(shown[what].replace(",", "")), rel=0.1, abs=10), what
