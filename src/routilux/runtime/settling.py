"""How a run ends: slots close, clocks end, what is stuck is dropped, and then the final status.

Design: §4.5, §5.5, §12.
"""

import logging
from typing import Any

from routilux.definition import OnFull, OnLeftover
from routilux.errors import LeftoverError
from routilux.history import ErrorRecord, ExecutionStatus, Leftover, Leftovers
from routilux.runtime import explaining
from routilux.runtime.cell import Cell
from routilux.runtime.mode import Mode

logger = logging.getLogger(__name__)


# --- the start --------------------------------------------------------------------------------------------------


def begin(run: Any, feeds: list[Any], keep_open: bool) -> None:
    """Count who feeds what, close what nothing feeds, and nudge who may say yes at the start."""
    with run.lock:
        if keep_open:
            run.door_open = True
            run.work.append(None)
        for cell in run.cells:
            cell.open_slots = sum(not queue.is_closed for queue in cell.queues)
            for name, feeding in cell.plan.feeders.items():
                alive = sum(not run.cells[index].record.ended for index in feeding)
                cell.feeders[name] = alive + keep_open
        for feed in feeds:
            feed.cell.feeders[feed.slot] += 1
        for feed in feeds:
            feed.begin()
            if not feed.counts:
                lower(run, feed.cell, feed.slot)
        for cell in run.cells:
            for name, count in cell.feeders.items():
                if count == 0:
                    close(cell, name)
            if _begins(cell):
                cell.nudge()


def _begins(cell: Cell) -> bool:
    if cell.flights:
        return True
    if cell.record.ended:
        return False
    if cell.plan.is_source or cell.plan.value is None:
        return True
    asks = cell.plan.value.asks_when_empty
    return bool(asks or cell.record.waiting or not cell.open_slots)


# --- closing ----------------------------------------------------------------------------------------------------


def lower(run: Any, cell: Cell, slot: str) -> None:
    """Note that one of those who feed a slot has ended; the last one closes it."""
    with run.lock:
        cell.feeders[slot] -= 1
        if cell.feeders[slot] == 0:
            close(cell, slot)


def close(cell: Cell, slot: str) -> None:
    """Close one slot; its policy is asked once more. Call it with the run's lock held."""
    queue = cell.record.slots[slot].queue
    if queue.is_closed:
        return
    queue.close()
    cell.dirty = True  # before the count: who sees the last slot closed must see that asking is due
    cell.open_slots -= 1
    if not cell.record.ended:
        cell.nudge()


def end_routine(run: Any, cell: Cell) -> None:
    """Note that a routine has ended; what it alone fed closes."""
    with run.lock:
        if cell.record.ended:
            return
        cell.record.ended = True
        cell.look_at_bars()
        if cell.armed is not None or cell.record.wake is not None:
            cell.record.wake = None
            cell.arm()
        if cell.lineage is not None:
            cell.lineage.over(cell)
        for index, slot in cell.plan.feeds:
            lower(run, run.cells[index], slot)


def shut_door(run: Any) -> bool:
    """Take no more posts: kept-open slots close when their routines end. False if it was shut."""
    with run.lock:
        if not run.started and not run.is_stopping:
            run.keeps_shut = True  # it waits for its start: then its door does not open
            return True
        if not run.door_open:
            return False
        run.door_open = False
        for cell in run.cells:
            for name in cell.feeders:
                lower(run, cell, name)
    run.release_work()
    return True


def close_next(run: Any) -> bool:
    """Close, together, the open slots of the first cycle whose outer feeders have all ended."""
    if run.door_open:
        return False
    for group in run.plan.components:
        cells = [run.cells[index] for index in group]
        open_slots = [(cell, name) for cell in cells for name in cell.feeders if not cell.record.slots[name].is_closed]
        if not open_slots:
            continue
        inside = set(group)
        if all(cell.feeders[name] == _inner_feeders(run, cell, name, inside) for cell, name in open_slots):
            for cell, name in open_slots:
                close(cell, name)
            return True
    return False


def _inner_feeders(run: Any, cell: Cell, slot: str, inside: set[int]) -> int:
    return sum(index in inside and not run.cells[index].record.ended for index in cell.plan.feeders[slot])


# --- when nothing is under way ----------------------------------------------------------------------------------


def settle(run: Any) -> None:
    """Do what a quiet job does next; end it when there is nothing. Called with the last token of work gone."""
    while True:
        with run.lock:
            if run.work or run.settling or run.mode in (Mode.FROZEN, Mode.OVER):
                return
            if run.mode is Mode.PAUSED:
                break
            run.settling = True
            run.work.append(None)
            if run.mode is Mode.STOPPING or _is_done(run) or not take_next_step(run):
                _finalize(run)
                over = True
            else:
                over = False
            run.settling = False
        if over:
            _after_the_end(run)
            return
        run.work.pop()
    run.check_rest()


def _is_done(run: Any) -> bool:
    """Whether every routine has ended: then there is no next step to look for."""
    return all(cell.record.ended for cell in run.cells)


def take_next_step(run: Any) -> bool:
    """Let a waiting emitter go on, else close slots, else end clocks, else drop one parked item."""
    return wake_satisfied(run) or close_next(run) or _end_clocks(run) or drop_one(run)


def wake_satisfied(run: Any) -> bool:
    """Let emitters go on whose outbox is within its limit again."""
    found = [activation for activation in run.waiting if activation.is_satisfied]
    for activation in found:
        run.wake_emitter(activation)
    return bool(found)


def _end_clocks(run: Any) -> bool:
    """End the timers that do not keep a job alive."""
    if run.door_open:
        return False
    ticking = [cell for cell in run.cells if cell.armed is not None and not cell.keeps_alive]
    for cell in ticking:
        cell.clock_ended = True
        cell.record.wake = None
        cell.arm()
        cell.nudge()
    return bool(ticking)


def stop_timers(run: Any) -> None:
    """Cancel the policies' timers of a run that stops; their deadlines stay in the job."""
    release = 0
    for cell in run.cells:
        if cell.limiter is not None:
            cell.limiter.leave(cell)
    with run.lock:
        for cell in run.cells:
            if cell.armed is not None:
                cell.armed[2].cancel()
                cell.armed = None
            release += cell.keeps_alive
            cell.keeps_alive = False
    for _ in range(release):
        run.release_work()


def drop_one(run: Any) -> bool:
    """Give the oldest parked item a place by stretching, or drop it: no progress is possible otherwise."""
    parked = [queue for cell in run.cells for queue in cell.queues if queue.parked]
    if not parked:
        return False
    free = [queue for queue in parked if not _is_held_back(run.cell(queue.routine_id))]
    queue = min(free or parked, key=lambda candidate: candidate.parked[0][1])
    cell = run.cell(queue.routine_id)
    if queue.definition.on_full is OnFull.STRETCH or (cell.plan.value is not None and cell.plan.value.stretches):
        if queue.limit == queue.definition.max_queue_length:
            logger.warning(
                "job %s: slot %s.%s grows beyond its length, or nothing could go on",
                run.job.job_id,
                queue.routine_id,
                queue.definition.name,
            )
        for outbox in queue.stretch():
            outbox.emptied(queue)
        cell.nudge()
        return True
    if not (queue.drops and "full" in queue.drops):
        logger.warning("job %s can go on only by dropping: %s", run.job.job_id, queue.full_error())
    owner = queue.drop_parked_head("full")
    cell.report_drops(queue)
    if owner is not None:
        owner.emptied(queue)
    return True


def _is_held_back(cell: Cell) -> bool:
    return any(activation.counts for activation in cell.flights)


# --- the end ----------------------------------------------------------------------------------------------------


def _finalize(run: Any) -> None:
    """Set the final status. Call it with the lock held."""
    job = run.job
    status, error = run.ending or (ExecutionStatus.COMPLETED, None)
    run.close_gate(Mode.OVER)
    for timer in run.timers.values():
        timer.cancel()
    run.timers.clear()
    job._leftovers = Leftovers(_leftovers_of(run))
    if job._leftovers and status is ExecutionStatus.COMPLETED:
        on_leftover = run.plan.definition.on_leftover
        if on_leftover is OnLeftover.FAIL:
            status = ExecutionStatus.FAILED
            problem = LeftoverError(job.job_id, str(job._leftovers))
            error = ErrorRecord(type(problem).__name__, str(problem))
        elif on_leftover is OnLeftover.WARN:
            logger.warning("job %s ended with items nobody consumed: %s", job.job_id, job._leftovers)
    job.error = error
    job._history.append(run.clock.ticks(), "", str(status), {"error": str(error)} if error else {})
    job._set_status(status)
    for queue in (queue for cell in run.cells for queue in cell.queues if queue.parked):
        for *_, owner in list(queue.parked):
            owner.refuse()


def _leftovers_of(run: Any) -> list[Leftover]:
    found = []
    for cell in run.cells:
        for queue in cell.queues:
            count = queue.waiting + queue.parked_count
            if count:
                found.append(
                    Leftover(cell.routine_id, queue.definition.name, count, str(explaining.explain(run, cell)))
                )
    return found


def _after_the_end(run: Any) -> None:
    logger.info("job %s of %s ended: %s", run.job.job_id, run.job.flow_id, run.job.status)
    run.let_go()
    if run.on_over is not None:
        run.on_over(run)
    run.tell()
