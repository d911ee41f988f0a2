"""Asking the policy of a cell, and what follows from its answer up to the activation that begins, or does not.

Design: §4.2, §4.7. Called only in the turn of the cell, so nothing here competes with itself.
"""

from typing import Any

from routilux.current import current
from routilux.explanation import Note
from routilux.item_queue import ItemQueue
from routilux.policies.parts import PartOfJob
from routilux.runtime import failing
from routilux.runtime.activation import Activation
from routilux.runtime.holding import Hold
from routilux.runtime.station import Station
from routilux.runtime.telling import report_decision


def decide(cell: Station) -> Activation | None:
    """Ask the policy; give the activation to launch, its items taken, or None."""
    activation = cell.make_activation(cell)
    if cell.plan.is_source:
        return _decide_source(cell, activation)
    current.set(activation)
    queues = cell.queues
    for queue in queues:
        queue.taken = []
    hold = cell.hold
    try:
        if hold is not None:
            answer = _ask_on_trial(cell, hold)
            if answer is None:
                _reject(cell)
                return None
        else:
            answer = cell.plan.ask(cell.record.slots, cell.job) if not cell.forced else _take_all(cell)
    except Exception as error:  # noqa: BLE001  whatever a policy raises is answered by its handler
        _reject(cell)
        failing.policy_failed(cell, error)
        return None
    if not answer[0]:
        _say_no(cell, answer)
        return None
    activation.started_at = at = cell.ticks()
    activation.taken = taken = []
    activation.numbers = numbers = []
    for queue in queues:
        if queue.taken:
            records = queue.taken
            taken.append((queue, records))
            numbers.append((queue.name, (records[0][0],) if len(records) == 1 else [seqs for seqs, _ in records]))
            for outbox in queue.accept(at):
                outbox.emptied(queue)
        elif queue.has_left:
            _give_back(cell, queue)
        else:
            queue.taken = None
        if queue.fresh_drops:
            cell.report_drops(queue)
    return _begin(cell, activation, answer)


def _ask_on_trial(cell: Station, hold: Hold) -> Any:
    """Ask before a breakpoint; where that stops the yes, give None: then the policy remembers nothing of it."""
    view = PartOfJob(cell.job)
    answer = cell.plan.ask(cell.record.slots, view) if not cell.forced else _take_all(cell)
    if answer[0] and hold.stops(answer[1]):
        view.forget()
        return None
    if view.wake is not None:
        cell.record.wake = (cell.ticks() + view.wake[0], view.wake[1])
    if view.is_to_be_asked_again:
        cell.dirty = True
    return answer


def _decide_source(cell: Station, activation: Activation) -> Activation | None:
    """Begin the one activation of a routine without slots and policy."""
    if cell.started or (cell.hold is not None and cell.hold.stops({})):
        return None
    current.set(activation)
    activation.started_at = cell.ticks()
    cell.is_barred = True
    return _begin(cell, activation, (True, {}, None, None))


def _begin(cell: Station, activation: Activation, answer: Any) -> Activation:
    record = cell.record
    cell.started = True
    record.activation_count = activation.number = number = record.activation_count + 1
    _, activation.data, activation.message, facts = answer
    record.decisions.append([True, activation.started_at, facts, number])
    if cell.special:
        _after_special(cell, activation)
    cell.flights.append(activation)
    if cell.limiter is not None:
        activation.holds_place = cell.limiter.began()
    return activation


def _after_special(cell: Station, activation: Activation) -> None:
    """Clear what made this yes special: a timer, a policy that had failed, an activation by hand, observers."""
    if cell.forced:
        cell.forced -= 1
    cell.policy_attempt = 0
    if cell.record.wake is not None or cell.armed is not None:
        cell.record.wake = None
        cell.arm()
    cell.special = bool(cell.forced or cell.run.observers or cell.lineage)
    if cell.lineage is not None:
        cell.lineage.begin(activation)
    if cell.run.observers:
        report_decision(cell)


def _say_no(cell: Station, answer: Any) -> None:
    _reject(cell)
    record = cell.record
    value = cell.plan.value
    cause = None if value is None else value.cause(answer[3])
    record.note_no(cell.ticks(), answer[3], cause)
    cell.policy_attempt = 0
    if record.wake is not None or cell.armed is not None:
        cell.special = True
        cell.arm()
    if cell.run.observers:
        report_decision(cell)


def _reject(cell: Station) -> None:
    for queue in cell.queues:
        if queue.taken or queue.has_left:
            _give_back(cell, queue)
        elif queue.fresh_drops:
            cell.report_drops(queue)
        queue.taken = None


def _give_back(cell: Station, queue: ItemQueue) -> None:
    """Put back what was taken provisionally; let parked items into the room that drops made."""
    enqueued = queue.next_seq
    for outbox in queue.reject():
        outbox.emptied(queue)
    if queue.next_seq != enqueued:
        cell.dirty = True
    if queue.fresh_drops:
        cell.report_drops(queue)


def _take_all(cell: Station) -> Any:
    for queue in cell.queues:
        queue.claim()
    data = {name: slot.consume_all_new() for name, slot in cell.record.slots.items()}
    return True, data, {"reason": "activated by hand"}, Note("activated by hand")
