"""The command: measure, print a table, keep JSON."""

import argparse
import dataclasses
import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import decisions, durable, latency, memory, parallel, scaling, throughput
from benchmarks.goals import GOALS
from benchmarks.measuring import Figure, bare_call
from benchmarks.peers import comparing
from benchmarks.peers.running import cache_folder, measure_peers
from benchmarks.table import table_of

Group = Callable[[], "list[Figure] | Figure"]


def groups(quick: bool, repetitions: int) -> dict[str, Group]:
    """Everything that can be measured, in the order of the table."""
    return {
        "items": lambda: throughput.items(quick, repetitions),
        "jobs": lambda: throughput.jobs(quick, repetitions),
        "waiting": lambda: memory.waiting_jobs(quick),
        "sleeps": lambda: throughput.sleeps(repetitions),
        "memory": lambda: memory.waiting_items(quick),
        "posts": lambda: latency.of_posts(quick, repetitions),
        "end": lambda: latency.of_the_end(quick),
        "import": lambda: latency.of_the_import(repetitions + 2),
        "idle": lambda: latency.of_idling(quick),
        "durable": lambda: durable.figures(quick, repetitions),
        "scaling": lambda: scaling.figures(quick, repetitions),
        "decisions": lambda: decisions.figures(quick, repetitions),
        "parallel": lambda: parallel.figures(quick, repetitions),
    }


def main(arguments: list[str]) -> int:
    """Run the benchmarks."""
    options = parse(arguments)
    logging.disable(logging.WARNING)
    bare = median(bare_call() for _ in range(5))
    say(f"a bare Python call takes {bare * 1e9:.1f} ns; {platform.python_implementation()} {platform.python_version()}")
    figures = list(measured(options))
    print(table_of(figures))
    peers = (
        list(measure_peers(options.cache, 0.2 if options.quick else 1.0, repetitions_of(options)))
        if options.peers
        else []
    )
    if peers:
        print("\n" + comparing.table_of({figure.name: figure for figure in figures}, peers))
    picture: dict[str, Any] = {"machine": machine(), "bare_call_ns": bare * 1e9, "figures": plain(figures)}
    picture["peers"] = {peer.name: plain(list(peer.figures.values())) for peer in peers}
    if options.json:
        options.json.write_text(json.dumps(picture, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure routilux: benchmarks/README.md")
    parser.add_argument("--quick", action="store_true", help="smaller counts, under a minute")
    parser.add_argument(
        "--only", nargs="+", choices=list(groups(True, 1)), metavar="GROUP", help="only these groups: %(choices)s"
    )
    parser.add_argument("--repeat", type=int, metavar="N", help="repetitions of each (3 when quick, else 5)")
    parser.add_argument("--peers", action="store_true", help="other libraries too, each in an environment of its own")
    parser.add_argument(
        "--cache", type=Path, default=cache_folder(), metavar="DIR", help="where those environments are"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples too")
    return parser.parse_args(arguments)


def repetitions_of(options: argparse.Namespace) -> int:
    """How often each is measured."""
    return int(options.repeat or (3 if options.quick else 5))


def measured(options: argparse.Namespace) -> Iterator[Figure]:
    """Measure group by group, saying how far it got."""
    repetitions = repetitions_of(options)
    for name, group in groups(options.quick, repetitions).items():
        if options.only and name not in options.only:
            continue
        say(f"measuring {name} ...")
        found = group()
        yield from [found] if isinstance(found, Figure) else found


def plain(figures: list[Figure]) -> list[dict[str, Any]]:
    """Give figures as plain data."""
    found = []
    for figure in figures:
        goal = GOALS.get(figure.name)
        facts = {"median": figure.value, "median_calls": figure.in_calls, "goal": str(goal) if goal else None}
        found.append(dataclasses.asdict(figure) | facts)
    return found


def machine() -> dict[str, Any]:
    """Say where this ran, without names."""
    return {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}


def say(text: str) -> None:
    """Tell progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
