"""Telling what was decided, what began and what failed: to the history, to observers, and as explanations.

Design: §4.7, §8.
"""

from typing import Any

from routilux.clock import to_datetime
from routilux.explanation import Condition, DecisionRecord, Note
from routilux.history import ErrorRecord
from routilux.job_data import activation_id_of
from routilux.runtime.activation import Activation
from routilux.runtime.station import Station


def report_failure(cell: Station, activation_id: str, info: ErrorRecord, answered: str) -> None:
    """Tell history and observers that a logic or policy failed, and what follows."""
    event = {"stop": "error_stopped", "continue": "error_continued", "retry": "retry", "skip": "skipped"}[answered]
    data = {"error": str(info), "activation_id": activation_id, "attempt": info.attempt}
    cell.job._history.append(cell.ticks(), cell.routine_id, event, data)
    if cell.run.observers:
        cell.run.observe("on_activation_failed", cell.routine_id, activation_id, info, answered)


def report_start(cell: Station, activation: Activation) -> None:
    """Tell observers that a logic is about to run."""
    items = {queue.definition.name: [seq for seqs, _ in records for seq in seqs] for queue, records in activation.taken}
    cell.run.observe("on_activation_started", cell.routine_id, activation.activation_id, activation.attempt, items)


def report_decision(cell: Station) -> None:
    """Tell observers what the policy decided."""
    cell.run.observe("on_decision", cell.routine_id, decision_record(cell, cell.record.decisions[-1]))


def decision_record(cell: Any, entry: list[Any]) -> DecisionRecord:
    """Read a compact record of a decision."""
    clock = cell.run.clock
    conditions = conditions_of(cell, entry[2], entry[0])
    at = to_datetime(clock.epoch_ns(entry[1]))
    if entry[0]:
        activation_id = activation_id_of(cell.job.job_id, cell.routine_id, entry[3])
        return DecisionRecord(True, at, conditions, activation_id=activation_id)
    return DecisionRecord(False, at, conditions, entry[3], to_datetime(clock.epoch_ns(entry[4])))


def conditions_of(cell: Any, facts: Any, verdict: bool) -> tuple[Condition, ...]:
    """Turn the facts of a decision into conditions."""
    if isinstance(facts, Note):
        return (Condition(str(facts)),)
    if facts is None and cell.plan.is_source:
        return ()
    policy = cell.plan.policy
    if cell.plan.value is not None:
        try:
            conditions: tuple[Condition, ...] = policy.explained(verdict, facts)
        except Exception as error:  # noqa: BLE001  an explanation that fails must not hurt who asks for it
            return (Condition(f"{policy!r} could not explain {facts!r:.80}: {error}", is_met=verdict),)
        return conditions
    counts, said = facts or ((), "")
    seen = ", ".join(f"{count} in {slot}" for slot, count in counts)
    name = f"{getattr(policy, '__name__', 'policy')}({seen})"
    return (Condition(f"{name}: {said:.80}:" if said else name, is_met=verdict),)
