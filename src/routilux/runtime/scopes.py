"""Between a fan-out and its gather: which routines carry lineage. Everywhere else items carry none.

Design: §3.1, and `gather_policy` in the catalogue.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from routilux.definition import FlowDefinition
from routilux.graph import DominatorTree, reachable
from routilux.policies.core import Policy


@dataclass(frozen=True, slots=True)
class Scope:
    """One gather, the fan-out whose activations it waits for, and the routines between the two."""

    gather_id: str
    origin_id: str
    inside: frozenset[str]


def scopes_of(definition: FlowDefinition) -> tuple[Scope, ...]:
    """Give the scopes of a flow; a gather whose fan-out cannot be told has none (that is a finding)."""
    found = []
    for routine_id, routine in definition.routines.items():
        for of in fan_outs(routine.policy):
            origin = origin_of(definition, routine_id, of)
            if origin is not None:
                found.append(Scope(routine_id, origin, between(definition, origin, routine_id)))
    return tuple(found)


def fan_outs(policy: Callable[..., Any] | None) -> Iterator[str | None]:
    """Give what each gather within a policy says of its fan-out."""
    if not isinstance(policy, Policy):
        return
    if policy.gathers:
        yield policy.parameters()["of"]
    for value in policy.parameters().values():
        for part in value if isinstance(value, tuple) else (value,):
            yield from fan_outs(part)


def origin_of(definition: FlowDefinition, gather_id: str, of: str | None) -> str | None:
    """Find the fan-out of a gather; None if it is unknown, leads nowhere, or cannot be told.

    By default the nearest routine that every way to the feeders passes; of a single feeder, the one above it.
    """
    edges: dict[str, list[str]] = {**definition.edges(), gather_id: []}
    if of is not None:
        is_above = of in definition.routines and of != gather_id and gather_id in reachable(edges[of], edges)
        return of if is_above else None
    feeders = list(dict.fromkeys(link.source_id for link in definition.connections if link.target_id == gather_id))
    if not feeders or gather_id in feeders:
        return None
    tree = DominatorTree(definition.routines, edges)
    origin: str | None = feeders[0]
    for feeder in feeders[1:]:
        origin = tree.nearest(origin, feeder)
    return tree.above(feeders[0]) or feeders[0] if len(feeders) == 1 else origin


def between(definition: FlowDefinition, origin_id: str, gather_id: str) -> frozenset[str]:
    """Give the routines on the ways from the fan-out to the gather, both left out."""
    edges = {node: [t for t in targets if t != origin_id] for node, targets in definition.edges().items()}
    edges[gather_id] = []
    back: dict[str, list[str]] = {}
    for node, targets in edges.items():
        for target in targets:
            back.setdefault(target, []).append(node)
    ahead = reachable(edges.get(origin_id, []), edges)
    behind = reachable([gather_id], back)
    return frozenset((ahead & behind) - {origin_id, gather_id})
