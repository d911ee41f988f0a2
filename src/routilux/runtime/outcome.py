"""What follows an activation: commit, finish, or one of the answers to a failure.

Design: §5.6, §6.1. Called only in the turn of the cell, so nothing here competes with itself.
"""

import traceback
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from routilux.clock import to_datetime
from routilux.definition import OnFull
from routilux.errors import ActivationTimeoutError, LogicError
from routilux.explanation import Condition, DecisionRecord, Note
from routilux.history import ErrorRecord
from routilux.item_queue import ItemQueue
from routilux.item_store import Taken
from routilux.job_data import activation_id_of
from routilux.recovery import Continue, Retry, Skip, Stop, decide
from routilux.runtime.activation import Activation, Phase
from routilux.runtime.host import Host


class Station(Protocol):
    """What these functions need of a cell."""

    run: Host
    plan: Any
    record: Any
    job: Any
    routine_id: str
    queues: list[ItemQueue]
    flights: list[Activation]
    width: int
    nested: bool
    ask_due: bool
    policy_attempt: int
    policy_pauses: bool
    special: bool
    limiter: Any
    in_line: bool
    is_source: bool
    started: bool
    ticks: Any
    history: Any
    history_numbers: Any

    def tell(self, event: Any) -> None: ...
    def nudge(self) -> None: ...
    def report_drops(self, queue: ItemQueue) -> None: ...
    def unrouted(self, event: str) -> None: ...
    def make_activation(self, cell: Any, /) -> Activation: ...


# --- starting ---------------------------------------------------------------------------------------------------


def launch(cell: Station, activation: Activation) -> None:
    """Start an activation, or its next attempt: here, or as a task of its own where activations overlap."""
    if cell.run.observers:
        _report_start(cell, activation)
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
        run.fail(record_error(cell, activation, error))
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
                answer(cell, activation)
            case Phase.STANDING if activation.owes_boundary and first:
                _reach_boundary(cell, activation)
            case Phase.STANDING if not activation.counts and not activation.owes_boundary:
                activation.phase = Phase.RUNNABLE
            case Phase.STANDING:
                give_place_back(cell, activation)  # its consumers may wait for that very limit
                return
            case Phase.RUNNABLE if cell.run.is_open and _has_place(cell, activation):
                _go_on(cell, activation)
            case _:
                return


def _has_place(cell: Station, activation: Activation) -> bool:
    """Have a place in the limit before an attempt begins; one that goes on has it."""
    if cell.limiter is None or activation.holds_place:
        return True
    if activation.generator is not None and cell.limiter.counts_starts:
        return True
    if cell.in_line or not cell.limiter.acquire(cell):
        return False
    activation.holds_place = cell.limiter.began()
    return True


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
    flights = cell.flights
    if flights[-1] is activation:
        flights.pop()
    else:
        flights.remove(activation)
    activation.is_over = True
    taken = activation.taken
    if taken:
        cell.ask_due = True
    if activation.timer is not None:
        activation.timer.cancel()
    give_place_back(cell, activation)
    activation.ended_at = now = cell.ticks()
    if cell.is_source and cell.started and not flights:
        cell.run.end_routine(cell)
    if activation.error is not None:
        return
    seqs = [(queue.name, [record[0] for record in records]) for queue, records in taken]
    facts = (activation.number, activation.attempt, activation.started_at, now, seqs)
    cell.history((next(cell.history_numbers), now, cell.routine_id, "activated", facts))
    if cell.run.observers:
        seconds = (now - activation.started_at) / 1e9
        emitted = activation.emitted or {}
        cell.run.observe("on_activation_ended", cell.routine_id, activation.activation_id, seconds, emitted)


# --- failures ---------------------------------------------------------------------------------------------------


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
    _report_failure(cell, activation.activation_id, info, name)
    match decision:
        case Retry(delay_seconds):
            _retry(cell, activation, delay_seconds)
        case Continue():
            _continue(cell, activation, info)
        case Skip():
            _leave(cell, activation)
            _skip(cell, info, activation.taken)
        case Stop():
            _leave(cell, activation)
            _put_back(activation.taken)
            _stop(cell, info)


def _leave(cell: Station, activation: Activation) -> None:
    cell.flights.remove(activation)
    give_place_back(cell, activation)


def give_place_back(cell: Any, activation: Activation) -> None:
    """Give back the place in its limit that an activation holds, if it holds one."""
    if activation.holds_place:
        activation.holds_place = False
        cell.limiter.release()


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
    activation.effects = None
    activation.timeout_error = None
    activation.phase = Phase.RETURNED  # ends when its outbox is empty; its error keeps it out of the history


def _skip(cell: Station, info: ErrorRecord, taken: Sequence[tuple[ItemQueue, list[Taken]]] = ()) -> None:
    cell.job.update_routine_state_of(cell.routine_id, {"status": "skipped", "error": info.message})
    cell.record.skipped = True
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
    _report_failure(cell, "", info, type(decision).__name__.lower())
    cell.record.note_no(cell.ticks(), Note(f"policy failed: {info}"), "policy failed")
    match decision:
        case Retry(delay_seconds):
            cell.policy_pauses = True

            def ask_again() -> None:
                cell.policy_pauses = False
                cell.ask_due = True

            cell.run.work_until(cell.ticks() + int(delay_seconds * 1e9), cell, ask_again)
        case Skip():
            _skip(cell, info)
        case Stop():
            _stop(cell, info)
        case Continue():
            cell.policy_attempt = 0


# --- telling ----------------------------------------------------------------------------------------------------


def _report_failure(cell: Station, activation_id: str, info: ErrorRecord, answered: str) -> None:
    event = {"stop": "error_stopped", "continue": "error_continued", "retry": "retry", "skip": "skipped"}[answered]
    data = {"error": str(info), "activation_id": activation_id, "attempt": info.attempt}
    cell.job._history.append(cell.ticks(), cell.routine_id, event, data)
    if cell.run.observers:
        cell.run.observe("on_activation_failed", cell.routine_id, activation_id, info, answered)


def _report_start(cell: Station, activation: Activation) -> None:
    items = {queue.definition.name: [seq for seqs, _ in records for seq in seqs] for queue, records in activation.taken}
    cell.run.observe("on_activation_started", cell.routine_id, activation.activation_id, activation.attempt, items)


def report_decision(cell: Station) -> None:
    """Tell observers what the policy decided."""
    cell.run.observe("on_decision", cell.routine_id, decision_record(cell, cell.record.decisions[-1]))


def decision_record(cell: Any, entry: list[Any]) -> DecisionRecord:
    """Read a compact record of a decision."""
    clock = cell.run.clock
    conditions = conditions_of(cell, entry[2])
    at = to_datetime(clock.epoch_ns(entry[1]))
    if entry[0]:
        activation_id = activation_id_of(cell.job.job_id, cell.routine_id, entry[3])
        return DecisionRecord(True, at, conditions, activation_id=activation_id)
    return DecisionRecord(False, at, conditions, entry[3], to_datetime(clock.epoch_ns(entry[4])))


def conditions_of(cell: Any, facts: Any) -> tuple[Condition, ...]:
    """Turn the facts of a decision into conditions."""
    if isinstance(facts, Note):
        return (Condition(str(facts)),)
    if facts is None and cell.is_source:
        return ()
    policy = cell.plan.policy
    if cell.plan.is_policy_value:
        try:
            conditions: tuple[Condition, ...] = policy.conditions(facts)
        except Exception as error:  # noqa: BLE001  an explanation that fails must not hurt who asks for it
            return (Condition(f"{policy!r} could not explain {facts!r:.80}: {error}"),)
        return conditions
    seen = ", ".join(f"{count} in {slot}" for slot, count in facts or ())
    return (Condition(f"{getattr(policy, '__name__', 'policy')}({seen})"),)
