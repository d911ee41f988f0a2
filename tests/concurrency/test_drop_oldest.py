"""Producers make room by dropping the oldest while a policy takes: each item ends once. BEHAVIOURS 8, 22."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from routilux import Flow, Routine, Runtime
from routilux.policies import (
    all_slots_ready_policy,
    batch_size_policy,
    each_item_policy,
    immediate_policy,
    join_policy,
    latest_policy,
    sliding_policy,
)

PRODUCERS, PER_PRODUCER = 3, 1_500


@pytest.fixture(autouse=True)
def quick_switches() -> Iterator[None]:
    """Let threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def tens(item: Any) -> Any:
    return item[1] % 10


def peeking(slots: Any, job_state: Any) -> Any:
    """Look at everything first, then take the oldest and the newest: between the two producers drop."""
    points = slots["x"].peek_points()
    found = slots["x"].consume_points({points[0].seq, points[-1].seq}) if points else []
    return bool(found), {"x": [point.data for point in found]}, None


@pytest.mark.parametrize(
    "policy",
    [
        all_slots_ready_policy(),
        batch_size_policy(2),
        batch_size_policy(2) & immediate_policy(),
        each_item_policy(),
        each_item_policy().by_key(tens),
        immediate_policy(),
        join_policy(tens, need=1),
        latest_policy(),
        peeking,
        sliding_policy(3),
    ],
    ids=repr,
)
def test_items_are_taken_or_dropped_once_while_producers_make_room(policy: Any) -> None:
    flow = Flow("pressed", on_leftover="ok")
    sink = Routine("sink").add_slot("x", 4, on_full="drop_oldest").set_activation_policy(policy)
    taken: list[Any] = []

    def note(x: list[Any]) -> None:
        taken.extend(x)

    flow.add_routine(sink.set_logic(note), "sink")
    for number in range(PRODUCERS):
        source = Routine(f"p{number}").set_logic(_emitter(number))
        flow.add_routine(source, f"p{number}").connect(f"p{number}", "out", "sink", "x")
    with Runtime(thread_pool_size=PRODUCERS + 1) as runtime:
        job = runtime.exec(flow)
        assert runtime.wait_for_job(job.job_id, 60)
    assert job.status == "completed", job.error
    dropped = sum(job.drops.get(("sink", "x"), {}).values())
    left = job.slots("sink")["x"].get_unconsumed_count()
    if "sliding" not in repr(policy):
        assert len(set(taken)) == len(taken)
        assert len(taken) + dropped + left == PRODUCERS * PER_PRODUCER
    assert left <= 4


def _emitter(number: int) -> Any:
    def emit_all(routine: Any) -> None:
        for count in range(PER_PRODUCER):
            routine.emit("out", (number, count))

    return emit_all
