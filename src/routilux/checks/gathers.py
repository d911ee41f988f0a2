"""Findings about gathers: whether it can be told what they wait for."""

from collections.abc import Iterator

from routilux.checks.view import FlowView
from routilux.findings import Finding, found
from routilux.origins import candidates, origin_of

SHOWN = 4  # routines of a row


def origins(view: FlowView) -> Iterator[Finding]:
    """Look for the fan-out of each gather."""
    gathers = [(key, of) for key, demand in view.demands.items() for of in demand.gathers]
    edges = view.edges() if gathers else {}
    for key, of in gathers:
        if origin_of(edges, key, of) is None:
            yield _unknown(view, key, of)
        elif of is None:
            row = candidates(edges, key)
            if len(row) > 1:
                yield _chosen(view, key, row)


def _unknown(view: FlowView, key: str, of: str | None) -> Finding:
    name = view.demands[key].name
    if of is None:
        problem = f"{name} waits for what descends from a fan-out, and no one routine stands on every way to it"
        return found("R008", key, problem, "gather_policy(of=…) names it; a gather does not feed itself")
    if of not in view.routines:
        known = ", ".join(map(repr, view.routines))
        return found("R008", key, f"{name} names {of!r}; the flow has {known}", "name a routine that leads to it")
    problem = f"{name} waits for what descends from {of!r}, and no way leads from there to here"
    return found("R008", key, problem, "name a routine that leads to it, or connect it")


def _chosen(view: FlowView, key: str, row: list[str]) -> Finding:
    more = ", …" if len(row) > SHOWN else ""
    shown = ", ".join(map(repr, row[:SHOWN]))
    problem = (
        f"{view.demands[key].name} may mean each of {shown}{more}, which stand in a row above it: it is {row[0]!r}"
    )
    return found("R114", key, problem, f"gather_policy(of={row[0]!r}) tells it plainly, or name another")
