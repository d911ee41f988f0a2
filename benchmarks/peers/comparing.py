"""The table that sets ours beside the peers'."""

from collections.abc import Mapping, Sequence

from benchmarks.goals import number
from benchmarks.measuring import Figure
from benchmarks.peers.running import Measured
from benchmarks.table import lines_of

LIMIT = "plain python"
WORKLOADS = ("W1", "W2", "W3", "W4")
HEAD = ("µs, and bare calls", "W1 per hop", "W2 per delivery", "W3 per item", "W4 per job")
OURS = "routilux, this engine"


def table_of(ours: Mapping[str, Figure], peers: Sequence[Measured]) -> str:
    """Make a row of each, and of ours to the best peer; plain Python is the limit and no peer."""
    everyone = [Measured(OURS, {name: ours[name] for name in WORKLOADS if name in ours}), *peers]
    rows = [[measured.name, *(_cell(measured.figures.get(name)) for name in WORKLOADS)] for measured in everyone]
    rows.append(["ours to the best peer", *(_ratio(name, ours, peers) for name in WORKLOADS)])
    return "\n".join(lines_of(rows, HEAD, (1, 2, 3, 4)))


def best(name: str, peers: Sequence[Measured]) -> Measured | None:
    """Give the fastest peer of a workload, in bare calls."""
    able = [peer for peer in peers if name in peer.figures and not peer.name.startswith(LIMIT)]
    return min(able, key=lambda peer: peer.figures[name].in_calls or 0.0, default=None)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    calls = f"{figure.in_calls:,.0f}"
    return f"{number(figure.value)} {calls:>7}"


def _ratio(name: str, ours: Mapping[str, Figure], peers: Sequence[Measured]) -> str:
    peer = best(name, peers)
    if peer is None or name not in ours:
        return "-"
    return f"{(ours[name].in_calls or 0.0) / (peer.figures[name].in_calls or 1.0):.2f} of {peer.name.split()[0]}"
