"""What comes from outside into a job: inputs, posts, dead letters again, activations by hand.

Design: §3.4, §5.4, §5.8.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from routilux.errors import (
    BadTypeError,
    DeadLetterNotFoundError,
    ItemNotFoundError,
    JobFinishedError,
    RoutineNotFoundError,
    SlotClosedError,
    SlotNotFoundError,
    SlotQueueFullError,
)
from routilux.item_queue import ItemQueue
from routilux.runtime.cell import Cell
from routilux.runtime.plan import FlowPlan

POST = "post"


def checked_inputs(
    plan: FlowPlan, inputs: Mapping[str, Mapping[str, Iterable[Any]]] | None
) -> list[tuple[str, str, list[Any]]]:
    """Check what `exec` got as inputs, before any job exists."""
    found = []
    if inputs is not None and not isinstance(inputs, Mapping):
        raise BadTypeError(f"inputs maps routine ids to slots to lists of items, not {inputs!r:.80}")
    for routine_id, slots in (inputs or {}).items():
        if routine_id not in plan.index:
            raise RoutineNotFoundError(routine_id, plan.index)
        names = plan.routines[plan.index[routine_id]].slot_names
        if not isinstance(slots, Mapping):
            raise BadTypeError(f"inputs[{routine_id!r}] maps slots to lists of items, not {slots!r:.80}")
        for slot, items in slots.items():
            if slot not in names:
                raise SlotNotFoundError(routine_id, slot, names)
            if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
                raise BadTypeError(f"inputs[{routine_id!r}][{slot!r}] is a list of items, not {items!r:.80}")
            found.append((routine_id, slot, list(items)))
    return found


def post(run: Any, routine_id: str, slot: str, data: Any, timeout: float | None) -> None:
    """Put one item in, or raise."""
    cell, queue = _open_queue(run, routine_id, slot)
    try:
        try:
            _put(cell, queue, data)
        except SlotQueueFullError:
            if timeout is None or timeout <= 0 or not run.dispatcher.begin_wait():
                raise
            try:
                _wait_for_room(run, queue, data, timeout)
            finally:
                run.dispatcher.end_wait()
        cell.nudge()
    finally:
        run.release_work()


def _open_queue(run: Any, routine_id: str, slot: str) -> tuple[Cell, ItemQueue]:
    """Find a queue that may be posted to, and keep the job from ending meanwhile: the caller owes `release_work`."""
    cell: Cell = run.cell(routine_id)
    if slot not in cell.record.slots:
        raise SlotNotFoundError(routine_id, slot, cell.plan.slot_names)
    queue = cell.record.slots[slot].queue
    with run.lock:
        if run.is_stopping:
            raise JobFinishedError(run.job.job_id, f"takes no more items: it is {run.job.status}")
        if queue.is_closed:
            raise SlotClosedError(slot, routine_id)
        run.work.append(None)
    return cell, queue


def _share(cell: Cell, queue: ItemQueue) -> None:
    if not queue.shared:
        feeders = [cell.run.cells[index] for index in cell.plan.feeders[queue.name]]
        queue.share(may_be_emitting=any(feeder.flights for feeder in feeders))


def _put(cell: Cell, queue: ItemQueue, data: Any) -> None:
    _share(cell, queue)
    queue.put(data, queue.clock.ticks(), POST)
    if queue.fresh_drops:
        cell.report_drops(queue)


class _PostBox:
    """The outbox of one post that waits for room."""

    key = POST
    tags: Sequence[Any] = ()

    def __init__(self) -> None:
        self.counts: dict[Any, int] = {}
        self.room = threading.Event()
        self.refused = False

    def emptied(self, queue: ItemQueue) -> None:
        """Hear that the item is in, or was dropped."""
        self.room.set()

    def refuse(self) -> None:
        """Hear that the job ended first."""
        self.refused = True
        self.room.set()


def _wait_for_room(run: Any, queue: ItemQueue, data: Any, timeout: float) -> None:
    box = _PostBox()
    queue.offer_without_loss(data, queue.clock.ticks(), POST, None, box)
    if box.counts and not box.room.wait(timeout):
        with queue.lock:
            if box.counts and queue.parked:
                entry = next(parked for parked in queue.parked if parked[4] is box)
                queue.parked.remove(entry)
                queue.set_line()
                raise queue.full_error()
    if box.refused:
        raise JobFinishedError(run.job.job_id, f"takes no more items: it is {run.job.status}")


def repost(run: Any, dead_letter_id: str) -> None:
    """Put the items of a dead letter back into the slots they came from."""
    job = run.job
    with job._lock:
        letter = job._dead_letters.get(dead_letter_id)
        if letter is None:
            raise DeadLetterNotFoundError(job.job_id, dead_letter_id, job._dead_letters)
    found: list[tuple[Cell, ItemQueue, list[Any]]] = []
    try:
        for slot, items in letter.items.items():
            if items:
                found.append((*_open_queue(run, letter.routine_id, slot), items))
        for cell, queue, items in found:
            _share(cell, queue)
            with queue.lock:
                if not queue.has_room_for(len(items)):
                    raise queue.full_error()
        with job._lock:
            if job._dead_letters.pop(dead_letter_id, None) is None:
                raise DeadLetterNotFoundError(job.job_id, dead_letter_id, job._dead_letters)
        for cell, queue, items in found:
            for item in items:  # others may have been faster since we looked: then it waits for room
                queue.offer_without_loss(item, queue.clock.ticks(), POST, None, _PostBox())
            cell.nudge()
        job._history.append(run.clock.ticks(), letter.routine_id, "reposted", {"dead_letter_id": dead_letter_id})
    finally:
        for _ in found:
            run.release_work()


def activate(run: Any, routine_id: str) -> None:
    """Have a routine activated once, whatever its policy says."""
    cell: Cell = run.cell(routine_id)
    with run.lock:
        if run.is_stopping or cell.record.ended:
            raise JobFinishedError(run.job.job_id, f"routine {routine_id!r} has ended and cannot be activated")
        cell.forced += 1
        cell.special = True
        cell.started = False if cell.plan.is_source else cell.started
        cell.look_at_bars()
        cell.nudge()


def replace_item(run: Any, routine_id: str, slot: str, seq: int, data: Any) -> None:
    """Replace the data of a waiting item."""
    cell: Cell = run.cell(routine_id)
    if slot not in cell.record.slots:
        raise SlotNotFoundError(routine_id, slot, cell.plan.slot_names)
    queue = cell.record.slots[slot].queue
    with queue.lock:
        if not queue.replace(seq, data):
            raise ItemNotFoundError(slot, seq)
    run.job._history.append(run.clock.ticks(), routine_id, "item_replaced", {"slot": slot, "seq": seq})
    cell.nudge()


def emit_from_outside(run: Any, routine: Any, event: str, item: Any) -> None:
    """Post an item to every slot that an event of a routine feeds.

    Raises:
        SlotQueueFullError, SlotClosedError, JobFinishedError: as for `post`; what was delivered before stays.
    """
    cells = [cell for cell in run.cells if cell.plan.routine is routine]
    if not cells:
        raise RoutineNotFoundError(routine.name, run.plan.index)
    for cell in cells:
        if event not in cell.routes:
            cell.unrouted(event)
        refused = None
        for queue, target in cell.routes.get(event, ()):
            try:
                post(run, target.routine_id, queue.name, item, None)
            except SlotQueueFullError as error:
                refused = error  # the other targets get their item first
        if refused is not None:
            raise refused
