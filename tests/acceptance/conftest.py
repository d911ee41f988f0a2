"""Simulations that end with their test."""

from collections.abc import Iterator

import pytest

from tests.acceptance.resuming import Sims


@pytest.fixture
def sims() -> Iterator[Sims]:
    """Makes simulations."""
    made = Sims()
    yield made
    made.end()
