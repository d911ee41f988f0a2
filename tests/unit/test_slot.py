"""Slots standing alone. Design: §3.1, §3.2; BEHAVIOURS 1-7, 9, 10."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux import Slot, SlotClosedError, SlotQueueFullError
from routilux.testing import ManualClock


def filled(*values: Any, **options: Any) -> Any:
    slot = Slot("in", **options)
    for value in values:
        slot.enqueue(value)
    return slot


@pytest.mark.parametrize("name", ["consume_all_new", "consume_all", "peek_all_new", "consume_points", "peek_points"])
def test_an_empty_slot_gives_an_empty_list(name: Any) -> None:  # B1
    assert getattr(Slot("in"), name)() == []


@pytest.mark.parametrize(
    "name", ["consume_one_new", "consume_latest_and_mark_all_consumed", "peek_one_new", "peek_latest"]
)
def test_an_empty_slot_gives_none_for_one_item(name: Any) -> None:  # B1
    assert getattr(Slot("in"), name)() is None


def test_an_empty_slot_counts_nothing_and_is_true() -> None:  # B1
    slot = Slot("in")
    assert (slot.get_unconsumed_count(), slot.get_total_count(), len(slot), bool(slot)) == (0, 0, 0, True)


def test_consume_one_new_is_first_in_first_out() -> None:  # B2
    slot = filled(1, 2, 3)
    assert [slot.consume_one_new() for _ in range(4)] == [1, 2, 3, None]


def test_peeking_changes_nothing() -> None:  # B2
    slot = filled(1, 2, 3)
    slot.consume_one_new()
    before = slot.get_queue_state()
    assert (slot.peek_all_new(), slot.peek_one_new(), slot.peek_latest()) == ([2, 3], 2, 3)
    assert [point.data for point in slot.peek_points()] == [2, 3]
    assert slot.get_queue_state() == before


def test_consume_all_returns_old_and_new() -> None:  # B3
    slot = filled(1, 2)
    slot.consume_all_new()
    slot.enqueue(3)
    assert slot.consume_all() == [1, 2, 3]
    assert slot.consume_all() == [1, 2, 3]
    assert slot.get_unconsumed_count() == 0


def test_consume_all_new_returns_what_came_since_the_last_consume() -> None:  # B3
    slot = filled(1, 2)
    assert slot.consume_all_new() == [1, 2]
    slot.enqueue(3)
    assert (slot.consume_all_new(), slot.consume_all_new()) == ([3], [])


def test_consume_all_keeps_slot_order_after_items_left_the_middle() -> None:  # B3
    slot = filled("a", "b", "c", "d")
    slot.consume_points([2])
    slot.consume_points([0])
    assert slot.consume_all() == ["a", "b", "c", "d"]


def test_consume_latest_returns_the_newest_and_leaves_nothing_new() -> None:  # B4
    slot = filled(1, 2, 3)
    assert slot.consume_latest_and_mark_all_consumed() == 3
    assert (slot.get_unconsumed_count(), slot.get_total_count()) == (0, 3)


def test_peek_latest_still_shows_the_newest_after_it_was_consumed() -> None:  # B4
    slot = filled(1, 2)
    slot.consume_all_new()
    assert slot.peek_latest() == 2


def test_total_counts_consumed_and_new_items() -> None:  # B5
    slot = filled(1, 2, 3, max_queue_length=10)
    slot.consume_one_new()
    assert (slot.get_unconsumed_count(), slot.get_total_count()) == (2, 3)


def test_watermark_clears_consumed_items_and_keeps_order() -> None:  # B5
    slot = filled(*range(8), max_queue_length=10, watermark=0.8)
    slot.consume_new(5)
    slot.enqueue(8)
    assert (slot.get_total_count(), slot.peek_all_new()) == (4, [5, 6, 7, 8])
    assert slot.consume_all() == [5, 6, 7, 8]


def test_below_the_watermark_consumed_items_stay() -> None:  # B5
    slot = filled(*range(4), max_queue_length=10, watermark=0.8)
    slot.consume_all_new()
    for value in range(4, 7):
        slot.enqueue(value)
    assert slot.get_total_count() == 7


@pytest.mark.parametrize("length", [1, 2, 3, 10])
def test_exactly_max_queue_length_items_fit(length: Any) -> None:  # B6
    slot = filled(*range(length), max_queue_length=length)
    with pytest.raises(SlotQueueFullError) as caught:
        slot.enqueue("more")
    error = caught.value
    assert (error.slot, error.max_queue_length, error.unconsumed_count, error.total_count) == ("in", *[length] * 3)
    assert "'in'" in str(error)
    assert str(length) in str(error)


@pytest.mark.parametrize("length", [1, 2, 3, 10])
def test_after_one_consume_one_more_item_fits_and_no_second(length: Any) -> None:  # B6
    slot = filled(*range(length), max_queue_length=length)
    slot.consume_one_new()
    slot.enqueue("more")
    with pytest.raises(SlotQueueFullError):
        slot.enqueue("too much")
    assert slot.peek_all_new() == [*range(1, length), "more"]


def test_a_failed_enqueue_changes_nothing() -> None:  # B6
    slot = filled(1, 2, max_queue_length=2)
    before = slot.get_queue_state()
    with pytest.raises(SlotQueueFullError):
        slot.enqueue(3)
    assert slot.get_queue_state() == before


def test_the_limit_counts_unconsumed_items_also_after_the_middle_was_taken() -> None:  # B6
    slot = filled(*range(4), max_queue_length=4)
    slot.consume_points([1, 2])
    slot.enqueue(4)
    slot.enqueue(5)
    with pytest.raises(SlotQueueFullError):
        slot.enqueue(6)
    assert slot.peek_all_new() == [0, 3, 4, 5]


def test_an_unbounded_slot_takes_any_number() -> None:
    assert filled(*range(3000), max_queue_length=None).get_unconsumed_count() == 3000


def test_timestamps_never_decrease_across_a_clock_that_steps_back() -> None:  # B7
    clock = ManualClock()
    slot = Slot("in", clock=clock)
    slot.enqueue("a")
    clock.step_wall(-3600)
    clock.advance(1)
    slot.enqueue("b")
    first, second = slot.consume_points()
    for point in (first, second):
        assert point.emitted_at <= point.enqueued_at <= point.consumed_at  # type: ignore[operator]
    assert first.enqueued_at <= second.enqueued_at


def test_an_emission_of_the_future_is_stamped_not_after_its_arrival() -> None:  # B7
    slot = Slot("in", clock=ManualClock())
    slot.enqueue("a", "elsewhere", datetime(2999, 1, 1, tzinfo=UTC))
    (point,) = slot.consume_points()
    assert point.emitted_at <= point.enqueued_at <= point.consumed_at  # type: ignore[operator]


def test_timestamps_are_aware_utc() -> None:  # B7
    (point,) = filled("a").consume_points()
    for at in (point.emitted_at, point.enqueued_at, point.consumed_at):
        assert at.utcoffset() == timedelta(0)


def test_consumed_points_carry_the_time_of_consumption() -> None:  # B7
    clock = ManualClock()
    slot = Slot("in", clock=clock)
    slot.enqueue("a")
    clock.advance(5)
    slot.consume_one_new()
    (point,) = slot.consumed_points()
    assert point.consumed_at - point.enqueued_at == timedelta(seconds=5)  # type: ignore[operator]


def test_none_and_nested_payloads_are_legal() -> None:  # B7
    payload = {"a": [None, {"b": (1, 2)}]}
    slot = filled(None, payload, None)
    assert slot.get_unconsumed_count() == 3
    assert slot.consume_all_new() == [None, payload, None]


def test_data_goes_through_by_reference() -> None:
    payload = object()
    assert filled(payload).consume_one_new() is payload


@pytest.mark.parametrize("length", [0, -1])
def test_a_non_positive_length_is_a_value_error(length: Any) -> None:  # B9
    with pytest.raises(ValueError, match=f"in.*{length}"):
        Slot("in", max_queue_length=length)


@pytest.mark.parametrize("watermark", [0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_watermark_outside_its_range_is_a_value_error(watermark: Any) -> None:  # B9
    with pytest.raises(ValueError, match=f"watermark.*{watermark}"):
        Slot("in", watermark=watermark)


def test_a_watermark_of_one_is_legal() -> None:  # B9
    assert filled(1, 2, max_queue_length=2, watermark=1).get_unconsumed_count() == 2


def test_an_unknown_on_full_says_what_is_known() -> None:  # B9
    with pytest.raises(ValueError, match=r"drop_oldest.*maybe"):
        Slot("in", on_full="maybe")


@pytest.mark.parametrize(
    "operation",
    [
        lambda slot: slot.consume_one_new(),
        lambda slot: slot.peek_one_new(),
        lambda slot: slot.peek_latest(),
        lambda slot: slot.consume_new(1),
        lambda slot: slot.get_queue_state(),
        lambda slot: slot.peek_points(0, 1),
        lambda slot: slot.consume_points(1),
        lambda slot: slot.peek_points_since(slot.get_queue_state()["enqueued_count"] - 1),
        lambda slot: slot.consume_points(slot.peek_points_since(slot.get_queue_state()["enqueued_count"] - 1)),
        lambda slot: (slot.consume_one_new(), slot.enqueue(0)),
    ],
    ids=["one", "peek", "latest", "new", "state", "peek_points", "consume_points", "since", "any", "in_and_out"],
)
def test_cost_per_operation_does_not_grow_with_the_backlog(operation: Any) -> None:  # B10
    def cost(backlog: Any) -> Any:
        slot = filled(*range(backlog), max_queue_length=None)
        operation(slot)  # what is moved once in a lifetime is not the cost of one operation
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(20):
                operation(slot)
            best = min(best, time.perf_counter() - began)
        return best

    assert cost(100_000) < 15 * cost(1_000)


def test_numbers_are_dense_per_slot() -> None:
    slot = filled(*"abc")
    slot.consume_points([1])
    slot.enqueue("d")
    assert [point.seq for point in slot.peek_points()] == [0, 2, 3]


def test_any_items_can_be_taken_and_gone_ones_are_passed_over() -> None:
    slot = filled(*"abcd")
    assert [point.data for point in slot.consume_points([3, 1, 1, 99])] == ["b", "d"]
    assert slot.consume_points([1]) == []
    assert slot.peek_all_new() == ["a", "c"]


def test_consuming_whole_points_gives_the_oldest_n() -> None:
    slot = filled(*"abc")
    assert [(point.seq, point.data) for point in slot.consume_points(2)] == [(0, "a"), (1, "b")]


def test_dropped_items_are_counted_by_reason() -> None:
    slot = filled(*"abc")
    assert slot.drop([0, 2, 2, 7], "too late") == 2
    assert slot.get_queue_state()["dropped"] == {"too late": 2}
    assert slot.consume_all() == ["b"]


def test_absorbed_items_are_consumed_wherever_they_stand() -> None:
    slot = filled(*"abcd", max_queue_length=4)
    assert slot.absorb([1, 2, 2, 7]) == 2
    assert [point.data for point in slot.consumed_points()] == ["b", "c"]
    assert slot.get_queue_state()["dropped"] == {}
    slot.enqueue("e")
    assert slot.consume_all_new() == ["a", "d", "e"]


def test_absorbed_items_stay_consumed_where_the_policy_says_no() -> None:
    slot = filled(*"abc")
    slot.queue.taken = []
    slot.absorb([1])
    assert slot.consume_all_new() == ["a", "c"]
    slot.queue.reject()
    assert (slot.peek_all_new(), slot.get_total_count()) == (["a", "c"], 3)


def test_queue_state_is_a_copy() -> None:
    slot = filled(1)
    slot.get_queue_state()["dropped"]["x"] = 1
    slot.get_queue_state()["total_count"] = 99
    assert (slot.get_queue_state()["dropped"], slot.get_queue_state()["total_count"]) == ({}, 1)


def test_queue_state_names_the_facts_of_the_report() -> None:
    state = filled(1, 2, max_queue_length=5).get_queue_state()
    assert (state["name"], state["total_count"], state["unconsumed_count"], state["max_length"]) == ("in", 2, 2, 5)


def test_full_slots_that_stand_alone_raise_whatever_on_full_says() -> None:
    for on_full in ("wait", "stretch", "drop", "drop_oldest", "fail"):
        with pytest.raises(SlotQueueFullError):
            filled(1, 2, max_queue_length=1, on_full=on_full)


def test_a_closed_slot_takes_nothing() -> None:
    slot = filled(1)
    slot.queue.close()
    with pytest.raises(SlotClosedError, match="in"):
        slot.enqueue(2)
    assert slot.consume_all_new() == [1]


@given(
    length=st.integers(1, 6),
    watermark=st.floats(0.01, 1),
    steps=st.lists(st.sampled_from(["put", "one", "all", "latest", "middle", "absorb", "drop"]), max_size=60),
)
def test_every_item_is_consumed_once_in_order_dropped_or_waiting(length: Any, watermark: Any, steps: Any) -> None:
    slot = Slot("in", length, watermark)
    model, gone, number = [], 0, 0  # type: ignore[var-annotated]
    for step in steps:
        match step:
            case "put" if len(model) < length:
                slot.enqueue(number)
                model.append(number)
                number += 1
            case "put":
                with pytest.raises(SlotQueueFullError):
                    slot.enqueue(number)
            case "one":
                assert slot.consume_one_new() == (model.pop(0) if model else None)
            case "all":
                assert slot.consume_all_new() == model
                model = []
            case "latest":
                assert slot.consume_latest_and_mark_all_consumed() == (model[-1] if model else None)
                model = []
            case "middle" if model:
                wanted = model.pop(len(model) // 2)
                assert [point.data for point in slot.consume_points([wanted])] == [wanted]
            case "absorb" if model:
                assert slot.absorb([model.pop(len(model) // 2), number]) == 1
            case "drop" if model:
                gone += slot.drop([model.pop(-1)], "test")
        assert slot.peek_all_new() == model
        assert slot.get_unconsumed_count() == len(model)
        assert slot.get_total_count() >= len(model)
    assert slot.get_queue_state()["dropped"].get("test", 0) == gone
