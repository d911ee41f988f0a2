"""Findings about cycles: what starts them, and whether they can fill up."""

from collections import deque
from collections.abc import Iterator

from routilux.checks.view import FlowView
from routilux.definition import Connection
from routilux.findings import Finding, found
from routilux.graph import cycles

SHOWN = 8  # routines of a cycle by name


def starts(view: FlowView) -> Iterator[Finding]:
    """Find cycles that wait for an item which only they could make."""
    dead = set(view.routines) - _startable(view)
    edges = {key: [target for target in targets if target in dead] for key, targets in view.edges().items()}
    fed_by_dead: dict[str, set[str]] = {}
    for key in dead:
        for target in edges[key]:
            fed_by_dead.setdefault(target, set()).add(key)
    for group in cycles([key for key in view.routines if key in dead], edges):
        inside = set(group)
        if any(fed_by_dead.get(member, inside) - inside for member in group):
            continue  # the one that it waits for is the cause
        names = _round(group)
        fix = "feed one of its slots from a source, with inputs= or with post()"
        waiting = _waiting_join(view, group, dead)
        if waiting is None:
            yield found("R103", names, "nothing in the flow starts this cycle", fix)
        else:
            problem = f"{view.demands[waiting].name} of {waiting!r} waits for an item that only the cycle itself makes"
            yield found("R104", names, problem, f"{fix}, or use a policy that starts without it")


def _round(group: list[str]) -> str:
    """Write a cycle; of a long one, its beginning."""
    if len(group) <= SHOWN:
        return " -> ".join([*group, group[0]])
    return " -> ".join([*group[:SHOWN], f"... ({len(group) - SHOWN} more)", group[0]])


def _waiting_join(view: FlowView, group: list[str], dead: set[str]) -> str | None:
    """Find a member that others feed, but that waits for the cycle too."""
    for member in group:
        slots = view.fed(view.routines[member])
        if any(link.source_id not in dead for slot in slots for link in view.feeds[member, slot]):
            return member
    return None


def _startable(view: FlowView) -> set[str]:
    """Find the routines that may activate at all, if what nothing in the flow feeds is fed from outside."""
    missing = {key: _missing(view, key) for key in view.routines}
    started = {key for key, slots in missing.items() if not slots}
    queue = deque(started)
    targets: dict[str, list[Connection]] = {}
    for link in view.links:
        targets.setdefault(link.source_id, []).append(link)
    while queue:
        for link in targets.get(queue.popleft(), ()):
            if link.target_id in started:
                continue
            needed = missing[link.target_id]
            needed.discard(link.slot)
            if not needed or not view.demands[link.target_id].least_items:
                started.add(link.target_id)
                queue.append(link.target_id)
    return started


def _missing(view: FlowView, routine_id: str) -> set[str]:
    """Give the slots without which it cannot activate; for a policy that needs any item: all, or none."""
    demand, fed = view.demands[routine_id], view.fed(view.routines[routine_id])
    if not demand.needs_items or demand.never or not view.routines[routine_id].slots:
        return set()
    if demand.least_items:
        return set(fed).intersection(demand.least_items)
    return set(fed) if len(fed) == len(view.routines[routine_id].slots) else set()


def growth(view: FlowView) -> Iterator[Finding]:
    """Find cycles that make two items of one, and hold only so many."""
    number = {key: n for n, group in enumerate(cycles(view.routines, view.edges())) for key in group}
    if not number:
        return
    bounded = [link for link in view.links if view.is_blocking(link)]
    blocking = {key for group in cycles(view.routines, view.edges(bounded)) for key in group}
    told = {number[key] for key in number if not view.demands[key].is_eager}  # it may take several at once
    inner: dict[tuple[str, str], list[Connection]] = {}
    for link in view.links:
        if link.source_id in blocking and number.get(link.source_id) == number.get(link.target_id):
            inner.setdefault((link.source_id, link.event), []).append(link)
    for (source_id, event), links in inner.items():
        if len(links) > 1 and number[source_id] not in told:
            told.add(number[source_id])
            ends = " and ".join(f"{link.target_id}.{link.slot}" for link in links[:3])
            problem = f"each {event!r} becomes {len(links)} items of one cycle ({ends}), whose slots are bounded"
            fix = "on_full='stretch' or max_queue_length=None for one slot of each cycle, or items may be dropped"
            yield found("R108", source_id, problem, fix)
