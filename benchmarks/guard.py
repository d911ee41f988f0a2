"""The guard of the hot path: calls and bytecode instructions per hop, the same on every machine.

Counted on `SimRuntime`: one thread, a clock that stands still, a seed. Python and builtin calls count alike; the engine's
own work per step of the simulation is in it, spread over many hops.

    python -m benchmarks.guard            what it is now, beside what is recorded
    python -m benchmarks.guard --update   record it
"""

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import flows
from benchmarks.goals import number
from benchmarks.table import lines_of
from routilux import Flow, all_slots_ready_policy
from routilux.testing import SimRuntime

RECORD = Path(__file__).with_name("guard.json")
ROOM = 1.10
ITEMS = 2_000
JOBS = 50
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
UPDATE = "python -m benchmarks.guard --update"

Counts = dict[str, float]


def _one_job(make: Callable[[int], Flow], hops: float) -> tuple[Callable[[SimRuntime], None], float]:
    flow = make(ITEMS)

    def work(sim: SimRuntime) -> None:
        sim.exec(flow)
        sim.run_until_idle()

    return work, ITEMS * hops


def _many_jobs() -> tuple[Callable[[SimRuntime], None], float]:
    flow = flows.three_steps()

    def work(sim: SimRuntime) -> None:
        for _ in range(JOBS):
            sim.exec(flow)
            sim.run_until_idle()

    return work, JOBS


WORKLOADS: dict[str, Callable[[], tuple[Callable[[SimRuntime], None], float]]] = {
    "W1": lambda: _one_job(flows.chain, 4),
    "W1 dict": lambda: _one_job(flows.chain_of_dicts, 4),
    "W1 one": lambda: _one_job(lambda count: flows.chain(count, all_slots_ready_policy()), 4),
    "W2": lambda: _one_job(flows.fan, 2 * flows.MIDDLES),
    "W3": lambda: _one_job(flows.join, 1),
    "W4": _many_jobs,
}


def count(name: str) -> Counts:
    """Give the calls and the instructions per hop, item or job of one workload."""
    work, hops = WORKLOADS[name]()
    _quietly(work)  # what is made once for a flow is not counted
    gc.collect()
    gc.disable()  # what others left to be finalized would be counted here
    try:
        return {"calls": round(_calls(work) / hops, 3), "instructions": round(_instructions(work) / hops, 1)}
    finally:
        gc.enable()


def _quietly(work: Callable[[SimRuntime], None]) -> None:
    work(SimRuntime(seed=1))


def _calls(work: Callable[[SimRuntime], None]) -> int:
    found = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal found
        if event == "call" or event == "c_call":
            found += 1

    before = sys.getprofile()
    sim = SimRuntime(seed=1)
    sys.setprofile(profile)
    try:
        work(sim)
    finally:
        sys.setprofile(before)
    return found


def _instructions(work: Callable[[SimRuntime], None]) -> int:
    return instructions_of(work, SimRuntime(seed=1))


def instructions_of(work: Callable[[SimRuntime], None], sim: SimRuntime) -> int:
    """Count the bytecode instructions of some work on a simulation."""
    found = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal found
        if event == "opcode":
            found += 1
        else:
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work(sim)
    finally:
        sys.settrace(before)
    return found


def recorded() -> dict[str, Any]:
    """Read what is recorded."""
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def problems(name: str, now: Counts, record: dict[str, Any]) -> list[str]:
    """Say what grew too much; instructions compare only on the Python version that recorded them."""
    then = record["workloads"][name]
    measures = ["calls"] + (["instructions"] if record["python"] == VERSION else [])
    return [
        f"{name}: {now[measure]:g} {measure}, was {then[measure]:g} (+{now[measure] / then[measure] - 1:.0%})"
        for measure in measures
        if now[measure] > then[measure] * ROOM
    ]


def update(counts: dict[str, Counts]) -> None:
    """Record these counts."""
    text = json.dumps({"python": VERSION, "workloads": counts}, indent=1)
    RECORD.write_text(text + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Show, and record where asked to."""
    counts = {name: count(name) for name in WORKLOADS}
    then = recorded()["workloads"] if RECORD.exists() else {}
    if "--update" in arguments:
        update(counts)
    rows = [(name, *_beside(counts[name], then.get(name, {}))) for name in counts]
    print("\n".join(lines_of(rows, ("", "calls", "recorded", "instructions", "recorded"), (1, 2, 3, 4))))
    return 0


def _beside(now: Counts, then: Counts) -> list[str]:
    shown = []
    for measure in ("calls", "instructions"):
        shown += [number(now[measure]), number(then[measure]) if measure in then else ""]
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
