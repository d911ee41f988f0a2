"""Threads that change hands as often as they can."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _restless() -> Iterator[None]:
    """Switch threads every few microseconds while a test of this folder runs."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-6)
    yield
    sys.setswitchinterval(before)
