"""Findings about joins whose slots are the ends of two branches of one routine."""

from collections.abc import Iterator
from itertools import combinations, islice

from routilux.checks.view import FlowView, blocks
from routilux.findings import Finding, found
from routilux.graph import DominatorTree

Node = tuple[str, ...]
Event = tuple[str, str]
PAIRS = 1_000  # of slots of one join that are compared


def joins(view: FlowView) -> Iterator[Finding]:
    """Find joins that take one item from each of two events, of which a routine may emit only one."""
    takers = {key: _paired(view, key) for key in view.routines}
    if not any(takers.values()):
        return
    tree = DominatorTree(*_graph(view))
    for key, slots in takers.items():
        for one, other in islice(combinations(slots, 2), PAIRS):
            fork = _fork(tree, (key, one), (key, other))
            if fork is not None:
                yield from _tell(view, (key, one), (key, other), fork)
                break


def _paired(view: FlowView, routine_id: str) -> list[str]:
    demand = view.demands[routine_id]
    if demand.takes is None or demand.has_timeout:
        return []
    return [name for name in view.fed(view.routines[routine_id]) if demand.takes.get(name)]


def _graph(view: FlowView) -> tuple[list[Node], dict[Node, list[Node]]]:
    """Give the ways of items: from a routine to its events, to slots, to routines."""
    edges: dict[Node, dict[Node, None]] = {("routine", key): {} for key in view.routines}
    for key, slot in view.slots:
        edges["slot", key, slot] = {("routine", key): None}
    for link in view.links:
        event = ("event", link.source_id, link.event)
        edges["routine", link.source_id][event] = None
        edges.setdefault(event, {})["slot", link.target_id, link.slot] = None
    return list(edges), {node: list(targets) for node, targets in edges.items()}


def _fork(tree: DominatorTree[Node], one: tuple[str, str], other: tuple[str, str]) -> tuple[Event, Event] | None:
    """Give the two events of one routine, if each slot gets its items only by one of them."""
    ends = ("slot", *one), ("slot", *other)
    top = tree.nearest(*ends)
    first, second = (tree.below(top, end) for end in ends)
    if first is None or second is None or first[0] != "event" or second[0] != "event":
        return None
    return (first[1], first[2]), (second[1], second[2])


def _tell(view: FlowView, one: tuple[str, str], other: tuple[str, str], fork: tuple[Event, Event]) -> Iterator[Finding]:
    routine_id, demand = one[0], view.demands[one[0]]
    source_id = fork[0][0]
    start = f"{one[1]!r} and {other[1]!r} get their items by {fork[0][1]!r} and {fork[1][1]!r} of {source_id!r}"
    full = next((end for end, event in zip((one, other), fork, strict=True) if _can_block(view, end, event)), None)
    if full is not None:
        problem = f"{start}: if it emits too many of one, it waits for room in {full[1]!r} and cannot emit the other"
        fix = "on_full='stretch' or max_queue_length=None for both slots, or one event for both branches"
        yield found("R107", routine_id, problem, fix)
    elif not demand.fires_at_end:
        problem = f"{start}: if it emits only one of them, {demand.name} holds for ever"
        yield found("R106", routine_id, problem, "use .within(seconds), or one event for both branches")


def _can_block(view: FlowView, end: tuple[str, str], event: Event) -> bool:
    """Whether every slot on some way back from a slot to the event makes its emitters wait."""
    work, seen = [end], {end}
    while work:
        place = work.pop()
        if not blocks(view.slots[place]):
            continue
        for link in view.feeds.get(place, ()):
            if (link.source_id, link.event) == event:
                return True
            before = [(link.source_id, slot.name) for slot in view.routines[link.source_id].slots]
            work += [slot for slot in before if slot not in seen]
            seen.update(before)
    return False
