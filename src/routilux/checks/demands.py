"""Findings about a policy and the slots of its routine."""

import math
from collections.abc import Iterator

from routilux.checks.view import FlowView
from routilux.definition import OnFull, OnLeftover, RoutineDefinition
from routilux.demand import Demand
from routilux.findings import Finding, found

LOSES = (OnFull.DROP, OnFull.DROP_OLDEST)


def policies(view: FlowView) -> Iterator[Finding]:
    """Look at each policy together with the slots that it is asked about."""
    for routine_id, routine in view.routines.items():
        demand = view.demands[routine_id]
        yield from _sense(routine, demand)
        yield from _feeds(view, routine, demand)
        for part in (demand, *demand.parts):
            yield from _lengths(routine, part)
        yield from _rates(view, routine, demand)
        yield from _remains(view, routine, demand)


def _sense(routine: RoutineDefinition, demand: Demand) -> Iterator[Finding]:
    place, names = routine.routine_id, [slot.name for slot in routine.slots]
    for name in demand.named:
        if name not in names:
            known = ", ".join(map(repr, names)) or "none"
            problem = f"{demand.name} names the slot {name!r}; the routine has {known}"
            yield found("R006", place, problem, "name a slot it has, or add_slot it")
    if demand.never:
        yield found("R007", place, f"{demand.name} can never activate: it {demand.never}", "leave a part of it away")
    elif names and demand.is_strict and demand.slot_count > len(names):
        problem = f"{demand.name} can never activate: it needs {demand.slot_count} slots, and there are {len(names)}"
        yield found("R007", place, problem, "ask for as many as there are, or add a slot")
    if routine.policy is not None and not names and demand.needs_items and not demand.named:
        problem = f"{demand.name} waits for items, and the routine has no slots"
        yield found("R113", place, problem, "leave the policy away: it runs once when the job starts; or add_slot")
    for doubt in demand.doubts:
        yield found(doubt.code, place, doubt.problem, doubt.fix)


def _feeds(view: FlowView, routine: RoutineDefinition, demand: Demand) -> Iterator[Finding]:
    fed = dict.fromkeys(view.fed(routine))
    for slot in routine.slots:
        if slot.name in fed:
            continue
        place = f"{routine.routine_id}.{slot.name}"
        if fed and slot.name in demand.least_items:
            problem = f"nothing in the flow feeds this slot, and {demand.name} cannot activate without it"
            fix = f"connect an event to it, or feed it with inputs= or post(): what comes for {next(iter(fed))!r} waits for it"
            yield found("R105", place, problem, fix)
        else:
            fix = "connect an event to it, or feed it with inputs= or post()"
            yield found("R101", place, "nothing in the flow feeds this slot", fix)


def _lengths(routine: RoutineDefinition, demand: Demand) -> Iterator[Finding]:
    lengths = {slot.name: slot.max_queue_length for slot in routine.slots if slot.on_full is not OnFull.STRETCH}
    outcome = "only a timeout or the end activates it" if not demand.is_strict else "it cannot activate"
    for name, count in demand.items.items():
        length = lengths.get(name)
        if length is not None and count > length:
            problem = f"{demand.name} waits for {count} items, the slot holds at most {length}: {outcome}"
            fix = f"add_slot({name!r}, max_queue_length={count}), or a smaller number"
            yield found("R102", f"{routine.routine_id}.{name}", problem, fix)
    known = [length for length in lengths.values() if length is not None]
    if not demand.items and known and len(known) == len(routine.slots) and demand.total > sum(known):
        problem = f"{demand.name} waits for {demand.total} items, its slots hold {sum(known)}: {outcome}"
        yield found("R102", routine.routine_id, problem, "give a slot a greater max_queue_length, or a smaller number")


def _rates(view: FlowView, routine: RoutineDefinition, demand: Demand) -> Iterator[Finding]:
    """Compare slots that the very same events feed: whatever their number, it is the same in each of them."""
    if demand.takes is None:
        return
    same: dict[frozenset[tuple[str, str]], str] = {}
    for name in view.fed(routine):
        place, slot = f"{routine.routine_id}.{name}", view.slots[routine.routine_id, name]
        rate = demand.takes.get(name, 0)
        if slot.on_full in LOSES:
            continue
        if not rate:
            problem = f"{demand.name} never takes from this slot, and items come: they stay until the job ends"
            yield found("R110", place, problem, "give it a number, or do not connect it")
            continue
        events = frozenset((link.source_id, link.event) for link in view.feeds[routine.routine_id, name])
        other = same.setdefault(events, name)
        if demand.takes[other] != rate:
            problem = (
                f"the same events feed {other!r} and {name!r}, of which {demand.name} takes "
                f"{demand.takes[other]} and {rate}: one of them fills up"
            )
            yield found("R109", place, problem, "take the same number of both, or feed them from different events")


def _remains(view: FlowView, routine: RoutineDefinition, demand: Demand) -> Iterator[Finding]:
    if demand.keys is not None and math.isinf(demand.keys) and not demand.has_timeout:
        problem = f"{demand.name} remembers every key for ever"
        yield found("R111", routine.routine_id, problem, "bound the keys, or let idle ones expire")
    if view.flow.on_leftover is OnLeftover.FAIL and _leaves_a_remainder(demand):
        problem = f"{demand.name} holds what is less than its number at the end, and on_leftover='fail' fails the job"
        yield found("R112", routine.routine_id, problem, "at_end='fire' delivers it")


def _leaves_a_remainder(demand: Demand) -> bool:
    """Whether a remainder is a matter of number, not of a partner that is missing."""
    if demand.fires_at_end or demand.by_hand:
        return False
    return max(demand.items.values(), default=0) > 1 or not (demand.items or demand.slot_count)
