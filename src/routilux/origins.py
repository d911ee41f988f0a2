"""Which routine a gather waits for, and what stands between the two: told from who feeds whom alone.

Design: `gather_policy` in the catalogue.
"""

from collections.abc import Mapping, Sequence

from routilux.graph import DominatorTree, reachable

Edges = Mapping[str, Sequence[str]]
"""Whom each routine feeds; every routine is there."""


def origin_of(edges: Edges, gather_id: str, of: str | None) -> str | None:
    """Find the fan-out of a gather; None if it is unknown, leads nowhere, or cannot be told."""
    if of is None:
        return next(iter(candidates(edges, gather_id)), None)
    ahead = {**edges, gather_id: ()}
    is_above = of in edges and of != gather_id and gather_id in reachable(ahead[of], ahead)
    return of if is_above else None


def candidates(edges: Edges, gather_id: str) -> list[str]:
    """Give the routines that may be meant where a gather names none, the one that is chosen first.

    That is the nearest routine that every way to the feeders passes; of a single feeder, the one above it.
    """
    feeders = [node for node, targets in edges.items() if gather_id in targets]
    if not feeders or gather_id in feeders:
        return []
    tree = DominatorTree(edges, {**edges, gather_id: ()})
    origin: str | None = feeders[0]
    for feeder in feeders[1:]:
        origin = tree.nearest(origin, feeder)
    if len(feeders) == 1:
        origin = tree.above(feeders[0]) or feeders[0]
    found = []
    while origin is not None:
        found.append(origin)
        origin = tree.above(origin)
    return found


def between(edges: Edges, origin_id: str, gather_id: str) -> frozenset[str]:
    """Give the routines on the ways from the fan-out to the gather, both left out."""
    ways: dict[str, Sequence[str]] = {
        node: [to for to in targets if to != origin_id] for node, targets in edges.items()
    }
    ways[gather_id] = ()
    back: dict[str, list[str]] = {}
    for node, targets in ways.items():
        for target in targets:
            back.setdefault(target, []).append(node)
    ahead = reachable(ways.get(origin_id, ()), ways)
    behind = reachable([gather_id], back)
    return frozenset((ahead & behind) - {origin_id, gather_id})
