"""What every peer's script shares: measure its workloads and print the figures as JSON."""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.measuring import measure

HOPS = {"W1": 4, "W2": 20, "W3": 1, "W4": 1}


@dataclass(frozen=True, slots=True)
class Work:
    """One workload: ``run(count)`` gives the seconds for so many items or jobs."""

    run: Callable[[int], float]
    count: int


def report(package: str, works: Mapping[str, Work]) -> None:
    """Measure each workload and print. Arguments: a factor for the counts, and the repetitions."""
    factor, repetitions = float(sys.argv[1]), int(sys.argv[2])
    figures = []
    for name, work in works.items():
        count = max(20, int(work.count * factor) // 20 * 20)
        figures.append(
            measure(name, package, lambda run=work.run, n=count: run(n), count * HOPS[name], repetitions)  # type: ignore[misc]
        )
    found = {
        "package": package,
        "version": version(package) if package != "plain python" else "",
        "figures": [dataclasses.asdict(figure) for figure in figures],
    }
    sys.stdout.write(f"\n{json.dumps(found)}\n")


def check(found: object, expected: object) -> None:
    """Refuse figures of work that was not done."""
    if found != expected:
        raise RuntimeError(f"expected {expected!r}, found {found!r}")


def after_chain(count: int) -> int:
    """What the items of W1 sum up to at the sink."""
    return count * (count - 1) // 2 + 3 * count


def after_fan(count: int) -> int:
    """What the items of W2 sum up to at the sink."""
    return 10 * (count * (count - 1) // 2 + count)
