"""What costs what: bytecode instructions of the engine, per item or activation, the same on every machine.

python -m benchmarks.costs            the table
python -m benchmarks.costs --update   write it into docs/explanation/what-costs-what.md
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import flows, guard
from routilux import ErrorHandler, ErrorStrategy, Flow, Routine, all_slots_ready_policy
from routilux.runtime.ports import Observer
from routilux.testing import SimRuntime

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "what-costs-what.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
ITEMS = 1_000


class Watcher(Observer):
    """An observer that overrides nothing."""


def instructions(flow: Flow, count: int, **options: Any) -> float:
    """Count the instructions of one job, per item, in a flow that ran before."""

    def work(sim: SimRuntime) -> None:
        sim.exec(flow)
        sim.run_until_idle()

    work(SimRuntime(seed=1, **options))
    return guard.instructions_of(work, SimRuntime(seed=1, **options)) / count


def per_activation(change: Callable[[Routine], object] = lambda routine: None, **options: Any) -> float:
    """Count what an activation of one item costs, with its emission: one routine more in a chain."""
    one = all_slots_ready_policy()

    def chain(steps: int) -> Flow:
        flow = Flow("costs", on_leftover="ok").add_routine(flows.source_of(ITEMS), "source")
        before = "source"
        for number in range(steps):
            step = Routine(f"step_{number}").set_logic(flows.add_one).set_activation_policy(one)
            change(step)
            flow.add_routine(step, step.name).connect(before, "output", step.name, "input")
            before = step.name
        return flow

    return instructions(chain(2), ITEMS, **options) - instructions(chain(1), ITEMS, **options)


def atomic(routine: Routine) -> None:
    """Let a routine be tried again, so that it is atomic."""
    routine.set_error_handler(ErrorHandler(ErrorStrategy.RETRY))


def short(routine: Routine) -> None:
    """Give a routine a slot that is nearly always full."""
    routine.add_slot("input", max_queue_length=2)


def rows() -> list[tuple[str, float]]:
    """Give what was counted, cheapest first."""
    hop = guard.count("W1")["instructions"]
    one = per_activation()
    return [
        ("an item that passes a routine in bulk: emitted, queued, taken", hop),
        ("the same to a slot that several routines feed (lock)", guard.count("W2")["instructions"]),
        ("a dict packed by `emit(event, key=value)`, more", guard.count("W1 dict")["instructions"] - hop),
        ("an activation of one item: decision, record of it, logic, one emission, history", one),
        ("an atomic activation (RETRY), more", per_activation(atomic) - one),
        ("an attached observer that does nothing, more per activation", per_activation(observers=[Watcher()]) - one),
        ("a slot that is full nearly always (2 places), more per item", per_activation(short) - one),
        ("a job of three routines and one item, from `exec` to its end", guard.count("W4")["instructions"]),
    ]


def table() -> str:
    """Draw the table."""
    found = rows()
    lines = ["| what | bytecode instructions |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {round(cost, -1):,.0f} |" for what, cost in found)])


def main(arguments: list[str]) -> int:
    """Print the table, or write it into the page."""
    text = table()
    if "--update" in arguments:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
