"""The page of the policies: made from their docstrings, complete, and every picture on it runs."""

from typing import Any

import pytest

from docs.make_policies import PAGE, WANTS, WAYS, page
from routilux import policies
from routilux.testing import check_picture, pictures_in
from tests.integration.test_docs import blocks

NAMES = vars(policies)
PICTURES = [drawn for block in blocks(PAGE, "text") for drawn in pictures_in(block)]


def test_page_is_what_the_docstrings_give() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run docs/make_policies.py"


def test_page_begins_with_every_policy_once() -> None:
    listed = [code.partition("(")[0] for code in WANTS.values()]
    assert sorted(listed) == [name for name in policies.__all__ if name.endswith("_policy")]


@pytest.mark.parametrize("code", WANTS.values())
def test_what_the_page_recommends_is_a_policy(code: str) -> None:
    assert isinstance(eval(code, dict(NAMES)), policies.Policy)


@pytest.mark.parametrize("code", [code for _, code in WAYS.values()])
def test_what_the_page_recommends_composes(code: str) -> None:
    parts = dict(zip("abc", [policies.batch_size_policy(n) for n in (2, 3, 4)], strict=True))
    assert isinstance(eval(code, {**NAMES, **parts}), policies.Policy)


@pytest.mark.parametrize(("expression", "picture"), PICTURES, ids=[expression for expression, _ in PICTURES])
def test_picture_of_the_page_runs(expression: str, picture: Any) -> None:
    check_picture(eval(expression, dict(NAMES)), picture)


def test_every_section_of_the_page_has_a_picture() -> None:
    assert len(PICTURES) == len(WANTS) + len(WAYS)
