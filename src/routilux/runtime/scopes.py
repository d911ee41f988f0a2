"""Between a fan-out and its gather: which routines carry lineage. Everywhere else items carry none.

Design: §3.1, and `gather_policy` in the catalogue.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from routilux.definition import FlowDefinition
from routilux.origins import between, origin_of
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
    edges = definition.edges()
    for routine_id, routine in definition.routines.items():
        for of in fan_outs(routine.policy):
            origin = origin_of(edges, routine_id, of)
            if origin is not None:
                found.append(Scope(routine_id, origin, between(edges, origin, routine_id)))
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
