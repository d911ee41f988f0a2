"""Saying why a routine runs or does not: from the records of its decisions and the state of its cell.

Design: §4.7.
"""

from datetime import datetime
from typing import Any

from routilux.clock import to_datetime
from routilux.explanation import Explanation, JobExplanation, Situation, SlotSituation
from routilux.job import JobState
from routilux.runtime.activation import Activation, Phase
from routilux.runtime.mode import Mode
from routilux.runtime.telling import conditions_of, decision_record


def explain(run: Any, cell: Any) -> Explanation:
    """Explain one routine of a run."""
    decisions = list(cell.record.decisions)
    last = decisions[-1] if decisions else None
    slots = tuple(_situation(run, cell, name) for name in cell.plan.slot_names)
    situation, status, notes = _status(run, cell, last)
    return Explanation(
        routine_id=cell.routine_id,
        status=status,
        slots=slots,
        conditions=conditions_of(cell, last[2], last[0]) if last is not None and not cell.plan.is_source else (),
        decided_at=None if last is None else _at(run, last[1] if last[0] else last[4]),
        next_wake_up=None if cell.record.wake is None else _at(run, cell.record.wake[0]),
        notes=tuple(notes),
        advice=_advice(run, cell, slots),
        decisions=tuple(decision_record(cell, entry) for entry in decisions),
        situation=situation,
    )


def explain_job(job: JobState, run: Any, ahead: int | None) -> JobExplanation:
    """Say why a job is not finished. ``run`` is None when it has ended, ``ahead`` counts who starts before it."""
    open_ids = [routine_id for routine_id, record in list(job._records.items()) if not record.ended]
    reasons = _end(job) if run is None else _reasons(run, ahead)
    routines = [job.explain(routine_id) for routine_id in open_ids]
    return JobExplanation.of(job.job_id, job.flow_id, str(job.status), reasons, routines)


def _end(job: JobState) -> list[str]:
    """Say how a job ended."""
    reasons = [f"it has ended{f': {job.error}' if job.error else ''}"]
    if job.leftovers:
        reasons.append(f"left over: {job.leftovers.item_count} item(s) in {len(job.leftovers)} slot(s)")
    return reasons


def _reasons(run: Any, ahead: int | None) -> list[str]:
    """Say what keeps a job as a whole from its end."""
    if ahead is not None:
        most = run.plan.definition.max_running_jobs
        before = f", and {ahead} more wait before it" if ahead else ""
        return [f"it waits for its start: {most} of the flow's jobs run, as many as may (max_running_jobs){before}"]
    if run.is_stopping:
        return [f"it is about to be {run.ending[0] if run.ending else 'over'}: what runs may return first"]
    reasons = []
    if run.wants_pause:
        is_paused = run.job.status == "paused"
        reasons.append("it is paused: " if is_paused else "it is about to pause, once nothing runs: ")
        reasons[0] += "resume_job() lets it go on"
    if run.door_open:
        is_alone = len(run.work) == 1
        outlook = "nothing else is under way, so close_job() ends it" if is_alone else "close_job() takes no more"
        reasons.append(f"it is kept open for posts: {outlook}")
    return reasons


def _at(run: Any, ticks: int) -> datetime:
    return to_datetime(run.clock.epoch_ns(ticks))


def _status(run: Any, cell: Any, last: Any) -> tuple[Situation, str, list[str]]:
    notes = [_flight_note(run, activation) for activation in cell.flights]
    found = _of_flights(cell) or _of_cell(run, cell)
    if found is not None:
        return *found, notes
    if last is None:
        return Situation.UNASKED, "was not asked yet", notes
    if last[0] and not cell.record.waiting:
        return Situation.IDLE, f"is idle after {cell.record.activation_count} activation(s)", notes
    if not last[0] and last[3] > 1:
        notes.append(f"declined {last[3]} times in a row")
    if cell.record.wake is not None:
        return Situation.TIMED, "waits", notes
    return (Situation.HOLDING if cell.record.waiting else Situation.WAITING), "waits", notes


def _of_flights(cell: Any) -> tuple[Situation, str] | None:
    """Say where a routine stands that is in the middle of something."""
    phases = {activation.phase for activation in cell.flights}
    if cell.record.skipped:
        return Situation.SKIPPED, "is out of service (skipped after an error)"
    if cell.hold is not None and cell.hold.is_standing:
        return Situation.HELD, "is held before its next activation"
    if Phase.RUNNING in phases or Phase.AWAY in phases:
        return Situation.RUNNING, "is running"
    if cell.in_line:
        return Situation.IN_LINE, f"waits in line for the limit {cell.plan.definition.limit!r}"
    if Phase.RETRYING in phases:
        return Situation.RETRYING, "is not through yet"
    if cell.policy_pauses:
        return Situation.RETRYING, "is asked again after its policy failed"
    if cell.flights:
        return Situation.BLOCKED, "is not through yet"
    return None


def _of_cell(run: Any, cell: Any) -> tuple[Situation, str] | None:
    """Say where a routine stands because of the job or the workers."""
    if cell.record.ended:
        return Situation.ENDED, "has ended"
    if run.mode is Mode.PAUSED:
        return Situation.PAUSED, "waits: the job is paused"
    if run.mode is Mode.STOPPING:
        return Situation.ENDED, "does not run again: the job is about to end"
    if run.mode is Mode.OVER:
        return Situation.ENDED, "did not run again before the job ended"
    if cell in run.starved:
        most = run.plan.definition.max_workers
        return Situation.READY, f"is ready, and waits for one of the job's workers (max_workers={most})"
    if cell.ready:
        return Situation.READY, "is ready, and waits for a free worker"
    return None


def _flight_note(run: Any, activation: Any) -> str:
    name = f"activation {activation.number}"
    since = f"since {_at(run, activation.started_at):%H:%M:%S}"
    if activation.timeout_error is not None:
        return f"{name} timed out, but its call has not returned ({since})"
    match activation.phase:
        case Phase.RETRYING:
            due = "" if activation.retry_due is None else f" at {_at(run, activation.retry_due):%H:%M:%S}"
            return f"{name} is tried again{due} (attempt {activation.attempt}){_cause(run, activation)}"
        case Phase.RETURNED | Phase.STANDING:
            parked = ", ".join(
                f"{count} for {queue.routine_id}.{queue.definition.name}"
                for queue, count in dict(activation.counts or {}).items()
            )
            return f"{name} waits for room ({parked})" if parked else f"{name} waits for its turn to take effect"
        case _:
            return f"{name} runs {since} (attempt {activation.attempt})"


def _cause(run: Any, activation: Activation) -> str:
    """Say which failure a retry follows, if the history still knows."""
    for *_, routine_id, event, data in reversed(list(run.job._history)):
        if routine_id == activation.cell.routine_id and event == "retry":
            return f" after {data['error']}"
    return ""


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
    return _status(run, cell, last)[1]


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
