"""Every policy does what the picture in its docstring shows, whatever runs first."""

from typing import Any

import pytest

from routilux import policies
from routilux.testing import check_picture, pictures_in

DRAWN = [
    (name, expression, picture)
    for name in policies.__all__
    for expression, picture in pictures_in(getattr(policies, name).__doc__)
]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("expression", "picture"), [drawn[1:] for drawn in DRAWN], ids=[drawn[0] for drawn in DRAWN])
def test_a_policy_does_what_its_picture_shows(expression: Any, picture: Any, seed: Any) -> None:
    check_picture(eval(expression, vars(policies).copy()), picture, seed=seed)


WAYS = ("__and__", "__or__", "unless", "within", "by_key", "once", "times", "labelled")
COMPOSED = [
    (name, expression, picture)
    for name in WAYS
    for expression, picture in pictures_in(getattr(policies.Policy, name).__doc__)
]


@pytest.mark.parametrize(
    ("expression", "picture"), [drawn[1:] for drawn in COMPOSED], ids=[drawn[0] for drawn in COMPOSED]
)
def test_a_way_to_compose_does_what_its_picture_shows(expression: Any, picture: Any) -> None:
    check_picture(eval(expression, vars(policies).copy()), picture)


def test_every_way_to_compose_draws_its_picture() -> None:
    assert [drawn[0] for drawn in COMPOSED] == list(WAYS)


def test_every_policy_draws_its_picture() -> None:
    named = {name for name in policies.__all__ if name.endswith("_policy")}
    assert {drawn[0] for drawn in DRAWN} == named | {"first_of"}


@pytest.mark.parametrize("name", [drawn[0] for drawn in DRAWN if drawn[0] != "first_of"])
def test_every_policy_is_documented_in_the_form_of_the_catalogue(name: Any) -> None:
    text = getattr(policies, name).__doc__
    parts = ("activates", "takes", "holds back", "at end", "full slot", "resume", "explains", "picture")
    places = [text.find(f"\n    {part} ") for part in parts]
    assert places == sorted(places)
    assert min(places) > 0


AT_END = [
    ("batch_size_policy(2, at_end='fire')", "in  abc|\nout -[ab]-([c]|)"),
    ("rates_policy({'x': 2, 'y': 1}, at_end='fire')", "x   a-|\ny   --|\nout --([a]|)"),
    ("weight_policy(5, int, at_end='fire')", "in  14-2|\nout -[14]--([2]|)"),
    ("until_policy(str.isupper, at_end='fire')", "in  aBc|\nout -[aB]-([c]|)"),
    ("sliding_policy(3, 2, at_end='fire')", "in  abcd|\nout --[abc]-([cd]|)"),
    ("sliding_policy(3, at_end='fire')", "in  ab-|\nout ---([ab]|)"),
    ("quorum_policy(2, at_end='fire')", "x   a-|\ny   --|\nout --([a]|)"),
    ("absence_policy(2)", "in   |\nout  |"),
    ("schedule_policy(every_seconds=2, misfire='all')", "in  a----|\nout --[a]-[]|"),
    ("debounce_policy(2, edge='leading')", "in  abc---d--|\nout [a]---[bc]-[d]--|"),
    ("throttle_policy(2, per_seconds=4, burst=1, excess='drop')", "in   (ab)-c-|\nout  [a]-[c]-|\ndrop b"),
    ("throttle_policy(1, per_seconds=1, burst=2)", "in  (abc)-|\nout ([a][b])[c]|"),
]


@pytest.mark.parametrize(("expression", "picture"), AT_END, ids=[pair[0] for pair in AT_END])
def test_what_a_policy_is_told_else_is_done(expression: Any, picture: Any) -> None:
    check_picture(eval(expression, vars(policies).copy()), picture)
