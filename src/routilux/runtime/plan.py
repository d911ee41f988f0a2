"""A flow, prepared once for all its jobs: who feeds whom, what ends with what, how each logic is called.

Design: §2.2, §4.5.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from routilux.definition import FlowDefinition, RoutineDefinition
from routilux.graph import components
from routilux.policies.core import Policy
from routilux.policies.counting import ImmediatePolicy, immediate_policy
from routilux.policies.gather import OneGroupPolicy
from routilux.recovery import ErrorHandler, ErrorStrategy
from routilux.runtime.asking import checked_policy
from routilux.runtime.scopes import Scope, scopes_of

PLAN = "plan"


@dataclass(frozen=True, slots=True)
class RoutinePlan:
    """One routine with everything looked up."""

    index: int
    routine_id: str
    definition: RoutineDefinition
    name: str
    routine: Any
    logic: Any
    is_source: bool
    policy: Callable[..., Any]
    value: Policy | None
    ask: Callable[[Any, Any], Any]
    slot_names: tuple[str, ...]
    keywords: tuple[str, ...]
    wants_message: bool
    handler: ErrorHandler
    is_atomic: bool
    is_ordered_overlap: bool
    keeps_data: bool
    routes: dict[str, tuple[tuple[int, str], ...]]
    feeds: tuple[tuple[int, str], ...]
    feeders: dict[str, tuple[int, ...]]
    lone_producer: dict[str, bool]


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """All routines by index, and the components of the graph in topological order."""

    definition: FlowDefinition
    routines: tuple[RoutinePlan, ...]
    components: tuple[tuple[int, ...], ...]
    index: dict[str, int]
    scopes: tuple[Scope, ...]


def plan_of(definition: FlowDefinition) -> FlowPlan:
    """Prepare a flow, or give what was prepared before."""
    plan: FlowPlan | None = definition.derived.get(PLAN)
    if plan is None:
        plan = definition.derived.setdefault(PLAN, _make_plan(definition))
    return plan


def _make_plan(definition: FlowDefinition) -> FlowPlan:
    index = {routine_id: number for number, routine_id in enumerate(definition.routines)}
    routes: dict[str, dict[str, list[tuple[int, str]]]] = {routine_id: {} for routine_id in index}
    feeders: dict[tuple[str, str], dict[int, None]] = {}
    for link in definition.connections:
        routes[link.source_id].setdefault(link.event, []).append((index[link.target_id], link.slot))
        feeders.setdefault((link.target_id, link.slot), {})[index[link.source_id]] = None
    is_serial = [routine.max_concurrency == 1 for routine in definition.routines.values()]
    routines = tuple(
        _plan_routine(index[routine_id], definition, routine, routes[routine_id], feeders, is_serial)
        for routine_id, routine in definition.routines.items()
    )
    found = components(list(index), definition.edges())
    scopes = scopes_of(definition)
    on_the_way = {routine_id for scope in scopes for routine_id in scope.inside}
    return FlowPlan(
        definition,
        tuple(_by_group(routine) if routine.routine_id in on_the_way else routine for routine in routines),
        tuple(tuple(index[routine_id] for routine_id in group) for group in found),
        index,
        scopes,
    )


def _by_group(routine: RoutinePlan) -> RoutinePlan:
    """Have a routine between a fan-out and its gather take what is new of one group at a time."""
    if type(routine.value) is not ImmediatePolicy:
        return routine
    policy = OneGroupPolicy()
    return replace(routine, policy=policy, value=policy, ask=policy.ask)


def _plan_routine(
    number: int,
    flow: FlowDefinition,
    routine: RoutineDefinition,
    routes: dict[str, list[tuple[int, str]]],
    feeders: dict[tuple[str, str], dict[int, None]],
    is_serial: list[bool],
) -> RoutinePlan:
    handler = flow.handler_of(routine.routine_id)
    overlapping = routine.max_concurrency > 1 and routine.ordered
    atomic = routine.atomic if routine.atomic is not None else handler.strategy is ErrorStrategy.RETRY
    by_slot = {slot.name: tuple(feeders.get((routine.routine_id, slot.name), ())) for slot in routine.slots}
    policy = routine.policy or immediate_policy()
    return RoutinePlan(
        index=number,
        routine_id=routine.routine_id,
        definition=routine,
        name=routine.name,
        routine=routine.routine,
        logic=routine.logic,
        is_source=routine.is_source,
        policy=policy,
        value=policy if isinstance(policy, Policy) else None,
        ask=_asking(routine.routine_id, policy),
        slot_names=tuple(slot.name for slot in routine.slots),
        keywords=routine.shape.keywords if routine.shape else (),
        wants_message=routine.shape is not None and "policy_message" in routine.shape.keywords,
        handler=handler,
        is_atomic=atomic or overlapping,
        is_ordered_overlap=overlapping,
        keeps_data=handler.strategy is not ErrorStrategy.STOP or not _is_plain_function(routine.logic),
        routes={event: tuple(targets) for event, targets in routes.items()},
        feeds=tuple(dict.fromkeys(target for targets in routes.values() for target in targets)),
        feeders=by_slot,
        lone_producer={name: len(feeding) == 1 and is_serial[feeding[0]] for name, feeding in by_slot.items()},
    )


def _asking(routine_id: str, policy: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Give what asks a policy; what the policies of users answer is checked."""
    if isinstance(policy, Policy) and type(policy).__module__.startswith("routilux."):
        return policy.ask
    return checked_policy(routine_id, policy)


def _is_plain_function(logic: Any) -> bool:
    """Whether a logic surely runs through in one call; else its items must be kept as they were given."""
    return inspect.isroutine(logic) and not (
        inspect.isgeneratorfunction(logic) or inspect.iscoroutinefunction(logic) or inspect.isasyncgenfunction(logic)
    )
