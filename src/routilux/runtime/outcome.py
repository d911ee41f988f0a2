"""What follows a yes: the logic starts, comes back, commits and finishes.

Design: §5.6. Called only in the turn of the cell, so nothing here competes with itself.
"""

from collections.abc import Coroutine
from typing import Any

from routilux.definition import OnFull
from routilux.errors import ActivationTimeoutError, LogicError
from routilux.item_queue import ItemQueue
from routilux.recovery import Stop, decide
from routilux.runtime import failing
from routilux.runtime.activation import Activation, Phase
from routilux.runtime.places import give_place_back, has_place
from routilux.runtime.station import Station
from routilux.runtime.telling import report_start

# --- starting ---------------------------------------------------------------------------------------------------


def launch(cell: Station, activation: Activation) -> None:
    """Start an activation, or its next attempt: here, or as a task of its own where activations overlap."""
    if cell.run.observers:
        report_start(cell, activation)
    _go_on(cell, activation)


def start_clock(cell: Any, activation: Activation) -> None:
    """Begin to measure the time of an attempt, when its logic is called for the first time."""
    timeout = cell.plan.definition.timeout
    if timeout is not None and activation.timer is None:
        due = cell.ticks() + int(timeout * 1e9)
        activation.timer = cell.run.at(due, lambda: _expire(cell, activation, timeout))


def _go_on(cell: Station, activation: Activation) -> None:
    if cell.width == 1:
        activation.nested = cell.nested
        start_clock(cell, activation)
        activation.execute()
        return
    activation.phase = Phase.AWAY
    cell.run.work.append(None)
    activation.ready = [None]
    activation.queued = True
    cell.run.submit(activation)


def start_away(cell: Station, activation: Activation, coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine of the activation on the loop; it counts as work until the cell heard of its end."""
    run = cell.run
    run.running.append(activation)
    run.work.append(None)

    def done(result: Any, error: BaseException | None) -> None:
        coroutine.close()  # it may have been cancelled before it began
        if activation.is_abandoned:
            return
        cell.tell(lambda: _come_back(cell, activation, result, error))
        run.release_work()

    activation.task = run.start_away(activation, coroutine, done)


def _come_back(cell: Station, activation: Activation, result: Any, error: BaseException | None) -> None:
    with cell.run.lock:
        if activation.is_abandoned:
            return
        cell.run.running.remove(activation)
    activation.task = None
    if error is None and (activation.generator is None or result is None):
        activation.phase = Phase.RETURNED
    elif error is not None and cell.run.is_stopping and not isinstance(error, Exception):
        activation.phase = Phase.RUNNABLE  # cancelled with its job: it runs again when the job does
    elif error is not None:
        if not isinstance(error, Exception) and activation.timeout_error is None:
            error = LogicError(cell.routine_id, "was cancelled by somebody else than its job")
        activation.fail(error)
    else:
        try:
            activation.yielded(result[0])
        except Exception as problem:  # noqa: BLE001  a boundary that cannot be reached is the logic's failure
            activation.fail(problem)


def _expire(cell: Station, activation: Activation, timeout: float) -> None:
    """Give up an activation that takes too long. On the timer's thread."""
    run = cell.run
    with run.lock:
        if activation.is_over or activation.phase in (Phase.RETURNED, Phase.FAILED, Phase.RETRYING):
            return
        activation.timeout_error = error = ActivationTimeoutError(cell.routine_id, timeout)
        activation.is_over = True
    if activation.task is not None:
        activation.task.cancel()
    elif activation.phase in (Phase.STANDING, Phase.RUNNABLE):
        cell.tell(lambda: activation.fail(error))
    elif isinstance(decide(cell.plan.handler, activation.attempt, error), Stop):
        run.fail(failing.record_error(cell, activation, error))
        run.abandon(activation)


# --- looking after what is under way ----------------------------------------------------------------------------


def tend(cell: Station) -> None:
    """Finish, commit, retry or continue whatever can be."""
    for activation in list(cell.flights):
        first = cell.flights[0] is activation if cell.flights else False
        _tend_one(cell, activation, first)


def _tend_one(cell: Station, activation: Activation, first: bool) -> None:
    while activation in cell.flights:
        if activation.timeout_error is not None and activation.phase in (Phase.RETURNED, Phase.FAILED):
            activation.fail(activation.timeout_error)
        match activation.phase:
            case Phase.RETURNED:
                give_place_back(cell, activation)
                waits_its_turn = cell.width > 1 and cell.plan.definition.ordered and not first
                if waits_its_turn or not _conclude(cell, activation):
                    return
            case Phase.FAILED:
                failing.answer(cell, activation)
            case Phase.STANDING if activation.owes_boundary and first:
                _reach_boundary(cell, activation)
            case Phase.STANDING if not activation.counts and not activation.owes_boundary:
                activation.phase = Phase.RUNNABLE
            case Phase.STANDING:
                give_place_back(cell, activation)  # its consumers may wait for that very limit
                return
            case Phase.RUNNABLE if cell.run.is_open and has_place(cell, activation):
                _go_on(cell, activation)
            case _:
                return


def _reach_boundary(cell: Station, activation: Activation) -> None:
    """Let a boundary take effect that had to wait until its activation was the first."""
    activation.owes_boundary = False
    try:
        commit(cell, activation)
    except Exception as error:  # noqa: BLE001  a boundary that cannot be reached is the logic's failure
        activation.fail(error)
        return
    activation.boundary += 1


def _conclude(cell: Station, activation: Activation) -> bool:
    """Let a returned activation take effect; False while its outbox is not empty."""
    try:
        commit(cell, activation)
        activation.is_committed = True
    except Exception as error:  # noqa: BLE001  a commit that cannot be made is the activation's failure
        activation.fail(error)
        return True
    if activation.counts:
        return False
    finish(cell, activation)
    return True


def commit(cell: Station, activation: Activation) -> None:
    """Let the effects of an atomic activation happen, together; live ones have happened already."""
    effects = activation.effects
    if effects is None or not (effects.changes or effects.emissions):
        return
    run = cell.run
    with run.commit_lock:
        if activation.is_over:
            effects.clear()
            return
        _check_fail_slots(activation)
        cell.job.commit_changes(effects)
        emissions, effects.emissions = effects.emissions, []
        effects.clear()
        nested, activation.nested = activation.nested, True  # what a commit brings is parked without limit
        name = cell.plan.definition.name
        for event, data, emitted_at, metadata in emissions:
            routes = activation.routes.get(event, ())
            if not routes:
                cell.unrouted(event)
            for queue, target in routes:
                if not activation.offer(queue, data, emitted_at, name, metadata):
                    target.nudge()
        activation.nested = nested


def _check_fail_slots(activation: Activation) -> None:
    """Raise before anything happens if a slot that must not overflow would."""
    wanted: dict[ItemQueue, int] = {}
    assert activation.effects is not None
    for event, *_ in activation.effects.emissions:
        for queue, _target in activation.routes.get(event, ()):
            if queue.definition.on_full is OnFull.FAIL:
                wanted[queue] = wanted.get(queue, 0) + 1
    for queue, count in wanted.items():
        with queue.lock:
            if not queue.has_room_for(count):
                raise queue.full_error()


def finish(cell: Station, activation: Activation) -> None:
    """End an activation: its outbox is empty and its effects are there."""
    if activation.is_abandoned:
        return  # its job ended without waiting for it
    flights = cell.flights
    if flights[-1] is activation:
        flights.pop()
    else:
        flights.remove(activation)
    activation.is_over = True
    if activation.taken:
        cell.ask_due = True
    if activation.timer is not None:
        activation.timer.cancel()
    give_place_back(cell, activation)
    if activation.error is None:
        note_end(cell, activation)
    if cell.lineage is not None:
        cell.lineage.end(cell, activation)
    if cell.plan.is_source and cell.started and not flights:
        cell.run.end_routine(cell)


def note_end(cell: Station, activation: Activation) -> None:
    """Write an activation that took effect into the history, and tell it to observers."""
    activation.ended_at = now = cell.ticks()
    facts = (activation.number, activation.attempt, activation.started_at, now, activation.numbers)
    cell.history((next(cell.history_numbers), now, cell.routine_id, "activated", facts))
    if cell.special and cell.run.observers:
        seconds = (now - activation.started_at) / 1e9
        emitted = activation.emitted or {}
        cell.run.observe("on_activation_ended", cell.routine_id, activation.activation_id, seconds, emitted)
