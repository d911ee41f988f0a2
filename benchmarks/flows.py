"""The flows of the workloads, written as a user would write them."""

import time
from collections.abc import Callable
from typing import Any

from routilux import Flow, Routine, all_slots_ready_policy, batch_size_policy

MIDDLES = 10


def source_of(count: int, name: str = "source") -> Routine:
    """A source that emits 0 .. count-1."""

    def source(*, routine: Routine) -> None:
        for number in range(count):
            routine.emit("output", number)

    return Routine(name).set_logic(source)


def add_one(values: list[int], *, routine: Routine) -> None:
    for value in values:
        routine.emit("output", value + 1)


def add_one_in_dict(items: list[dict[str, int]], *, routine: Routine) -> None:
    for item in items:
        routine.emit("output", value=item["value"] + 1)


def ignore(values: list[Any]) -> None:
    """A sink."""


def chain(count: int, policy: Any = None) -> Flow:
    """W1: source → three times x + 1 → sink."""
    flow = Flow("W1").add_routine(source_of(count), "source")
    steps = [Routine(f"step_{number}").set_logic(add_one) for number in (1, 2, 3)]
    return _chain(flow, [*steps, Routine("sink").set_logic(ignore)], policy)


def chain_of_dicts(count: int, policy: Any = None) -> Flow:
    """W1 with a dict for every item, which emit packs from keywords."""

    def source(*, routine: Routine) -> None:
        for number in range(count):
            routine.emit("output", value=number)

    flow = Flow("W1_dicts").add_routine(Routine("source").set_logic(source), "source")
    steps = [Routine(f"step_{number}").set_logic(add_one_in_dict) for number in (1, 2, 3)]
    return _chain(flow, [*steps, Routine("sink").set_logic(ignore)], policy)


def _chain(flow: Flow, routines: list[Routine], policy: Any) -> Flow:
    before = "source"
    for routine in routines:
        if policy is not None:
            routine.set_activation_policy(policy)
        flow.add_routine(routine, routine.name).connect(before, "output", routine.name, "input")
        before = routine.name
    return flow


def fan(count: int) -> Flow:
    """W2: 1 → 10 → 1, broadcast."""
    flow = Flow("W2").add_routine(source_of(count), "source").add_routine(Routine("sink").set_logic(ignore), "sink")
    for number in range(MIDDLES):
        middle = f"middle_{number}"
        flow.add_routine(Routine(middle).set_logic(add_one), middle)
        flow.connect("source", "output", middle, "input").connect(middle, "output", "sink", "input")
    return flow


def join(count: int) -> Flow:
    """W3: two sources of half the items each, and a routine that fires when both inputs hold 10."""

    def joined(left: list[int], right: list[int]) -> None:
        assert len(left) == len(right) == 10

    both = Routine("join").add_slot("left").add_slot("right").set_logic(joined)
    both.set_activation_policy(batch_size_policy(10))
    flow = Flow("W3").add_routine(both, "join")
    for side in ("left", "right"):
        flow.add_routine(source_of(count // 2, side), side).connect(side, "output", "join", side)
    return flow


def three_steps(sink: Callable[[list[int]], None] = ignore) -> Flow:
    """W4: a job of three steps, one item."""
    step = Routine("step").set_logic(add_one)
    flow = Flow("W4").add_routine(source_of(1), "source")
    return _chain(flow, [step, Routine("sink").set_logic(sink)], None)


def sleepers(count: int, seconds: float, width: int) -> Flow:
    """W5: items through a logic that sleeps, many at once."""

    def sleep(values: list[int], *, routine: Routine) -> None:
        time.sleep(seconds)
        routine.emit("output", values[0])

    sleeping = Routine("sleep", max_concurrency=width).set_logic(sleep)
    sleeping.set_activation_policy(all_slots_ready_policy())
    flow = Flow("W5").add_routine(source_of(count), "source").add_routine(sleeping, "sleep")
    flow.add_routine(Routine("sink").set_logic(ignore), "sink").connect("source", "output", "sleep", "input")
    return flow.connect("sleep", "output", "sink", "input")
