"""Saying why a routine runs or does not: from the records of its decisions and the state of its cell.

Design: §4.7.
"""

from datetime import datetime
from typing import Any

from routilux.clock import to_datetime
from routilux.explanation import Explanation, SlotSituation
from routilux.runtime.activation import Phase
from routilux.runtime.mode import Mode
from routilux.runtime.telling import conditions_of, decision_record


def explain(run: Any, cell: Any) -> Explanation:
    """Explain one routine of a run."""
    decisions = list(cell.record.decisions)
    last = decisions[-1] if decisions else None
    slots = tuple(_situation(run, cell, name) for name in cell.plan.slot_names)
    status, notes = _status(run, cell, last)
    return Explanation(
        routine_id=cell.routine_id,
        status=status,
        slots=slots,
        conditions=conditions_of(cell, last[2], last[0]) if last is not None and not cell.is_source else (),
        decided_at=None if last is None else _at(run, last[1] if last[0] else last[4]),
        next_wake_up=None if cell.record.wake is None else _at(run, cell.record.wake[0]),
        notes=tuple(notes),
        advice=_advice(run, cell, slots),
        decisions=tuple(decision_record(cell, entry) for entry in decisions),
    )


def _at(run: Any, ticks: int) -> datetime:
    return to_datetime(run.clock.epoch_ns(ticks))


def _status(run: Any, cell: Any, last: Any) -> tuple[str, list[str]]:
    notes = [_flight_note(run, activation) for activation in cell.flights]
    if cell.record.skipped:
        return "is out of service (skipped after an error)", notes
    if cell.hold is not None and cell.hold.is_standing:
        return "is held before its next activation", notes
    if any(activation.phase in (Phase.RUNNING, Phase.AWAY) for activation in cell.flights):
        return "is running", notes
    if cell.flights:
        return "is not through yet", notes
    if cell.record.ended:
        return "has ended", notes
    if run.mode is Mode.PAUSED:
        return "waits: the job is paused", notes
    if run.mode in (Mode.STOPPING, Mode.OVER):
        return "did not run again before the job ended", notes
    if cell.in_line:
        return f"waits in line for the limit {cell.plan.definition.limit!r}", notes
    if last is None:
        return "was not asked yet", notes
    if not last[0]:
        return "waits", notes + ([f"declined {last[3]} times in a row"] if last[3] > 1 else [])
    return f"is idle after {cell.record.activation_count} activation(s)", notes


def _flight_note(run: Any, activation: Any) -> str:
    name = f"activation {activation.number}"
    since = f"since {_at(run, activation.started_at):%H:%M:%S}"
    if activation.timeout_error is not None:
        return f"{name} timed out, but its call has not returned ({since})"
    match activation.phase:
        case Phase.RETRYING:
            due = "" if activation.retry_due is None else f" at {_at(run, activation.retry_due):%H:%M:%S}"
            return f"{name} is tried again{due} (attempt {activation.attempt})"
        case Phase.RETURNED | Phase.STANDING:
            parked = ", ".join(
                f"{count} for {queue.routine_id}.{queue.definition.name}"
                for queue, count in dict(activation.counts or {}).items()
            )
            return f"{name} waits for room ({parked})" if parked else f"{name} waits for its turn to take effect"
        case _:
            return f"{name} runs {since} (attempt {activation.attempt})"


def _situation(run: Any, cell: Any, name: str) -> SlotSituation:
    queue = cell.record.slots[name].queue
    with queue.lock:
        first = queue.peek_first()
    return SlotSituation(
        slot=name,
        waiting=queue.waiting,
        since=_at(run, first[1][2]) if first else None,
        is_closed=queue.is_closed,
        parked=queue.parked_count,
        producers=() if queue.is_closed else _producers(run, cell, name),
    )


def _producers(run: Any, cell: Any, name: str) -> tuple[str, ...]:
    alive = [run.cells[index] for index in cell.plan.feeders[name] if not run.cells[index].record.ended]
    found = [f"{feeder.routine_id!r}, which {_brief(run, feeder)}" for feeder in alive]
    if run.door_open:
        found.append("post(): the job is kept open")
    return tuple(found)


def _brief(run: Any, cell: Any) -> str:
    last = cell.record.decisions[-1] if cell.record.decisions else None
    return _status(run, cell, last)[0]


def _advice(run: Any, cell: Any, slots: tuple[SlotSituation, ...]) -> str:
    holding = any(slot.waiting for slot in slots)
    starved = [slot for slot in slots if not slot.waiting and slot.is_closed]
    if not holding or not starved or cell.record.skipped:
        return ""
    feeders = {slot.slot: [run.cells[index].routine_id for index in cell.plan.feeders[slot.slot]] for slot in starved}
    names = "; ".join(
        f"nothing more can come for {slot!r}"
        + (f", which only {', '.join(map(repr, ids))} could have sent" if ids else ", which nothing feeds")
        for slot, ids in feeders.items()
    )
    return f"{names}: what is held remains as leftover"
