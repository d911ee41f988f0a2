"""Every finding about a flow, without running it.

Design: §2.5.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from routilux.definition import FlowDefinition, RoutineDefinition
from routilux.graph import components, reachable

logger = logging.getLogger(__name__)


class Severity(StrEnum):
    """Errors keep a flow from running; warnings do not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: a stable code, how bad it is, where, what, and what to do."""

    code: str
    severity: Severity
    place: str
    problem: str
    fix: str

    @property
    def is_error(self) -> bool:
        """Whether the flow cannot run."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        return f"{self.code} {self.severity} at {self.place}: {self.problem}; {self.fix}"


def check(flow: FlowDefinition) -> list[Finding]:
    """Find everything at once, errors first."""
    found = [finding for routine in flow.routines.values() for finding in _check_routine(flow, routine)]
    found += _check_connections(flow)
    found += _check_cycles(flow)
    if not flow.routines:
        found.append(_warning("R100", flow.flow_id, "the flow has no routines, so its jobs end at once", "add_routine"))
    return sorted(found, key=lambda finding: not finding.is_error)


def log(flow_id: str, findings: Iterable[Finding]) -> None:
    """Write warnings to the log."""
    for finding in findings:
        logger.warning("flow %s: %s", flow_id, finding)


def _error(code: str, place: str, problem: str, fix: str) -> Finding:
    return Finding(code, Severity.ERROR, place, problem, fix)


def _warning(code: str, place: str, problem: str, fix: str) -> Finding:
    return Finding(code, Severity.WARNING, place, problem, fix)


def _check_routine(flow: FlowDefinition, routine: RoutineDefinition) -> list[Finding]:
    found = []
    place = routine.routine_id
    if routine.logic is None or routine.shape is None:
        found.append(_error("R001", place, "has no logic", "set_logic(function) or define a logic method"))
    else:
        problem = routine.shape.problem_with([slot.name for slot in routine.slots])
        if problem is not None:
            fix = "give the logic one positional parameter per slot, or add_slot in the order of its parameters"
            found.append(_error("R002", place, f"its logic {problem}", fix))
    for slot in routine.slots:
        if not flow.feeders(routine.routine_id, slot.name):
            fix = "connect an event to it, or feed it with inputs= or post()"
            found.append(_warning("R101", f"{place}.{slot.name}", "nothing in the flow feeds this slot", fix))
        size = getattr(routine.policy, "min_batch_size", None)
        if isinstance(size, int) and slot.max_queue_length is not None and size > slot.max_queue_length:
            problem = f"a batch of {size} never fits: the slot holds at most {slot.max_queue_length}"
            fix = f"add_slot({slot.name!r}, max_queue_length={size}) or a smaller batch"
            found.append(_warning("R102", f"{place}.{slot.name}", problem, fix))
    return found


def _check_connections(flow: FlowDefinition) -> list[Finding]:
    found = []
    for link in flow.connections:
        for routine_id in (link.source_id, link.target_id):
            if routine_id not in flow.routines:
                found.append(_error("R003", str(link), f"there is no routine {routine_id!r}", "add_routine it first"))
        target = flow.routines.get(link.target_id)
        if target is not None and link.slot not in {slot.name for slot in target.slots}:
            known = ", ".join(repr(slot.name) for slot in target.slots) or "none"
            problem = f"{link.target_id!r} has no slot {link.slot!r}; it has {known}"
            found.append(_error("R004", str(link), problem, "add the slot, or name one it has"))
        source = flow.routines.get(link.source_id)
        if source is not None and source.events is not None and link.event not in source.events:
            problem = f"{link.source_id!r} declares no event {link.event!r}"
            found.append(_error("R005", str(link), problem, f"add_event({link.event!r})"))
    return found


def _check_cycles(flow: FlowDefinition) -> list[Finding]:
    edges = flow.edges()
    starts = [routine_id for routine_id, routine in flow.routines.items() if not routine.slots]
    started = reachable(starts, edges)
    found = []
    for group in components(list(flow.routines), edges):
        is_cycle = len(group) > 1 or group[0] in edges[group[0]]
        if is_cycle and not started.intersection(group):
            names = " -> ".join([*group, group[0]])
            fix = "feed one of its slots from a source, with inputs= or with post()"
            found.append(_warning("R103", names, "nothing in the flow starts this cycle", fix))
    return found
