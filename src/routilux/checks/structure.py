"""Findings about routines and connections, whatever their policies are."""

from collections.abc import Iterator

from routilux.checks.view import FlowView
from routilux.definition import Connection, RoutineDefinition
from routilux.findings import Finding, found


def routines(view: FlowView) -> Iterator[Finding]:
    """Look at each routine by itself."""
    if not view.routines:
        yield found("R100", view.flow.flow_id, "the flow has no routines, so its jobs end at once", "add_routine")
    for routine in view.routines.values():
        yield from _logic(routine)


def _logic(routine: RoutineDefinition) -> Iterator[Finding]:
    if routine.logic is None or routine.shape is None:
        yield found("R001", routine.routine_id, "has no logic", "set_logic(function) or define a logic method")
        return
    problem = routine.shape.problem_with([slot.name for slot in routine.slots])
    if problem is not None:
        fix = "give the logic one positional parameter per slot, or add_slot in the order of its parameters"
        yield found("R002", routine.routine_id, f"its logic {problem}", fix)


def connections(view: FlowView) -> Iterator[Finding]:
    """Look at each connection by itself."""
    for link in view.flow.connections:
        for routine_id in (link.source_id, link.target_id):
            if routine_id not in view.routines:
                yield found("R003", str(link), f"there is no routine {routine_id!r}", "add_routine it first")
        yield from _ends(view, link)


def _ends(view: FlowView, link: Connection) -> Iterator[Finding]:
    target = view.routines.get(link.target_id)
    if target is not None and (link.target_id, link.slot) not in view.slots:
        known = ", ".join(repr(slot.name) for slot in target.slots) or "none"
        problem = f"{link.target_id!r} has no slot {link.slot!r}; it has {known}"
        yield found("R004", str(link), problem, "add the slot, or name one it has")
    source = view.routines.get(link.source_id)
    if source is not None and source.events is not None and link.event not in source.events:
        problem = f"{link.source_id!r} declares no event {link.event!r}"
        yield found("R005", str(link), problem, f"add_event({link.event!r})")
