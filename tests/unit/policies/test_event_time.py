"""Times of items: seconds or aware datetimes, one kind per policy, exact. Design: the catalogue."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from routilux.policies.event_time import check_time_of, item_time, to_moment, to_ticks

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "ticks"),
    [
        (3, 3_000_000_000),
        (0.1, 100_000_000),
        (-2.5, -2_500_000_000),
        (1_700_000_000_000, 1_700_000_000_000_000_000_000),
        (NOON, 1_704_110_400_000_000_000),
        (NOON.astimezone(timezone(timedelta(hours=9))), 1_704_110_400_000_000_000),
    ],
)
def test_moments_become_exact_nanoseconds(moment: Any, ticks: int) -> None:
    assert to_ticks(moment) == ticks


@pytest.mark.parametrize("moment", ["12:00", None, True, NOON.replace(tzinfo=None), 1j])
def test_what_is_no_moment_is_refused(moment: Any) -> None:
    with pytest.raises(TypeError, match="time_of must give"):
        to_ticks(moment)


@pytest.mark.parametrize("moment", [float("nan"), float("inf")])
def test_moments_that_are_not_finite_are_refused(moment: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        to_ticks(moment)


def test_two_kinds_of_time_in_one_policy_are_refused() -> None:
    memory: dict[str, Any] = {}
    assert item_time((1, 0, 7, ""), lambda data: data, memory) == 1_000_000_000
    with pytest.raises(TypeError, match="one kind per policy"):
        item_time((NOON, 0, 7, ""), lambda data: data, memory)


def test_without_time_of_an_item_has_the_time_of_its_arrival() -> None:
    assert item_time(("data", 5, 7, "source"), None, {}) == 7


@pytest.mark.parametrize("moment", [1.5, NOON])
def test_ticks_become_moments_of_the_same_kind(moment: Any) -> None:
    memory: dict[str, Any] = {}
    assert to_moment(item_time((moment, 0, 0, ""), lambda data: data, memory), memory) == moment


def test_what_cannot_be_called_tells_no_time() -> None:
    check_time_of(None)
    with pytest.raises(TypeError, match="time_of must be a function"):
        check_time_of("timestamp")
