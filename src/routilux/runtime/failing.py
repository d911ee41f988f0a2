"""The answers to a failure: stop, continue, retry, skip.

Design: §6.1. `routilux.recovery` decides, this does. Called only in the turn of the cell.
"""

import traceback
from collections.abc import Sequence

from routilux.explanation import Note
from routilux.history import ErrorRecord
from routilux.item_queue import ItemQueue
from routilux.item_store import Taken
from routilux.recovery import Continue, Retry, Skip, Stop, decide
from routilux.runtime.activation import Activation, Phase
from routilux.runtime.places import give_place_back
from routilux.runtime.station import Station
from routilux.runtime.telling import report_failure


def record_error(cell: Station, activation: Activation | None, error: BaseException) -> ErrorRecord:
    """Turn an error into data."""
    return ErrorRecord(
        type=type(error).__name__,
        message=_text_of(error),
        traceback=_traceback_of(error),
        routine_id=cell.routine_id,
        activation_id=activation.activation_id if activation is not None else None,
        attempt=activation.attempt if activation is not None else max(1, cell.policy_attempt),
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as problem:  # noqa: BLE001  an error of the user may break when it is printed
        return f"(its message could not be made: {type(problem).__name__})"


def _traceback_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as problem:  # noqa: BLE001  the same
        return f"(its traceback could not be made: {type(problem).__name__})"


def answer(cell: Station, activation: Activation) -> None:
    """Do what the error handler says about a failed activation."""
    error = activation.error
    assert error is not None
    activation.is_over = True
    activation.close()
    if activation.effects is not None:
        activation.effects.clear()
    if activation.timer is not None:
        activation.timer.cancel()
    info = record_error(cell, activation, error)
    decision = decide(cell.plan.handler, activation.attempt, error, cell.run.chance())
    name = type(decision).__name__.lower()
    report_failure(cell, activation.activation_id, info, name)
    match decision:
        case Retry(delay_seconds):
            _retry(cell, activation, delay_seconds)
        case Continue():
            _continue(cell, activation, info)
        case Skip():
            _skip(cell, info, activation.taken)
            _end_with_outbox(activation)
        case Stop():
            _leave(cell, activation)
            _put_back(activation.taken)
            if cell.lineage is not None:
                cell.lineage.undo(cell, activation)
            cell.record.undone = activation.number
            _stop(cell, info)


def _leave(cell: Station, activation: Activation) -> None:
    cell.flights.remove(activation)
    give_place_back(cell, activation)


def _put_back(taken: Sequence[tuple[ItemQueue, list[Taken]]]) -> None:
    for queue, records in taken:
        for outbox in queue.put_back(records):
            outbox.emptied(queue)


def _stop(cell: Station, info: ErrorRecord) -> None:
    cell.job.update_routine_state_of(cell.routine_id, {"status": "failed", "error": info.message})
    cell.run.fail(info)


def _continue(cell: Station, activation: Activation, info: ErrorRecord) -> None:
    if any(activation.data.values()):
        cell.run.add_dead_letter(cell.routine_id, activation.data, info)
    _end_with_outbox(activation)


def _end_with_outbox(activation: Activation) -> None:
    """Let a failed activation end when what it had emitted found room; its error keeps it out of the history."""
    activation.effects = None
    activation.timeout_error = None
    activation.phase = Phase.RETURNED


def _skip(cell: Station, info: ErrorRecord, taken: Sequence[tuple[ItemQueue, list[Taken]]] = ()) -> None:
    cell.job.update_routine_state_of(cell.routine_id, {"status": "skipped", "error": info.message})
    cell.record.skipped = True
    cell.look_at_bars()
    for queue, records in taken:
        with queue.lock:
            queue.count_drop("skipped", sum(len(chunk) for _, chunk in records))
    for queue in cell.queues:
        for outbox in queue.discard("skipped"):
            outbox.emptied(queue)
        cell.report_drops(queue)
    cell.record.wake = None
    cell.ask_due = True  # the turn ends the routine once nothing of it is under way


def _retry(cell: Station, activation: Activation, delay_seconds: float) -> None:
    """Replace the failed attempt by the next one, which waits without a thread."""
    give_place_back(cell, activation)  # while it waits, others may have it
    following = cell.make_activation(cell)
    following.number = activation.number
    following.attempt = activation.attempt + 1
    following.boundary = activation.boundary
    following.started_at = activation.started_at
    following.data, following.message, following.taken = activation.data, activation.message, activation.taken
    following.numbers, following.tags = activation.numbers, activation.tags
    following.counts = activation.counts
    cell.flights[cell.flights.index(activation)] = following
    begin_retry(cell, following, cell.ticks() + int(delay_seconds * 1e9))


def begin_retry(cell: Station, activation: Activation, due: int) -> None:
    """Let an attempt wait until it is due; that is work, so the job does not end meanwhile."""
    run = cell.run
    activation.phase = Phase.RETRYING
    activation.retry_due = due

    def begin() -> None:
        activation.retry_due = None
        activation.phase = Phase.RUNNABLE

    run.work_until(due, cell, begin)


def policy_failed(cell: Station, error: Exception) -> None:
    """Do what the error handler says about a policy that raised; it has consumed nothing."""
    cell.policy_attempt += 1
    cell.special = True
    info = record_error(cell, None, error)
    decision = decide(cell.plan.handler, cell.policy_attempt, error, cell.run.chance())
    report_failure(cell, "", info, type(decision).__name__.lower())
    cell.record.note_no(cell.ticks(), Note(f"policy failed: {info}"), "policy failed")
    match decision:
        case Retry(delay_seconds):
            cell.policy_pauses = True
            cell.look_at_bars()

            def ask_again() -> None:
                cell.policy_pauses = False
                cell.look_at_bars()
                cell.ask_due = True

            cell.run.work_until(cell.ticks() + int(delay_seconds * 1e9), cell, ask_again)
        case Skip():
            _skip(cell, info)
        case Stop():
            _stop(cell, info)
        case Continue():
            cell.policy_attempt = 0
