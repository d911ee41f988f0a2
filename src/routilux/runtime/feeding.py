"""What a run starts from: its cells with their slots and routes, and the inputs that `exec` was given.

Design: §5.4, §4.5.
"""

from collections.abc import Sequence
from typing import Any

from routilux.definition import RoutineDefinition
from routilux.item_queue import ItemQueue
from routilux.record import RoutineRecord
from routilux.runtime.cell import Cell
from routilux.runtime.lineage import Lineage
from routilux.runtime.plan import FlowPlan, RoutinePlan
from routilux.slot import Slot

INPUTS = "inputs"


def make_cells(run: Any, plan: FlowPlan) -> list[Cell]:
    """Make the cells of a job and wire them; slots that the job knows already are kept with what they hold."""
    cells = []
    for routine in plan.routines:
        record = run.job._record(routine.routine_id)
        _make_slots(run, routine, routine.definition, record)
        cells.append(Cell(run, routine, record))
    for routine, cell in zip(plan.routines, cells, strict=True):
        cell.routes = {
            event: tuple((cells[index].record.slots[slot].queue, cells[index]) for index, slot in targets)
            for event, targets in routine.routes.items()
        }
    if plan.scopes:
        _trace(plan, cells)
    return cells


def _trace(plan: FlowPlan, cells: list[Cell]) -> None:
    """Have the routines between fan-outs and gathers carry lineage."""
    lineage = Lineage(plan.scopes, cells)
    for cell in cells:
        part = lineage.part(cell.routine_id)
        if part is not None:
            cell.carry(part)
            for queue in cell.queues:
                queue.trace(part if part.carried_ids else None)


def _make_slots(run: Any, plan: RoutinePlan, definition: RoutineDefinition, record: RoutineRecord) -> None:
    known = record.slots
    record.slots = {}
    for slot in definition.slots:
        shared = not plan.lone_producer[slot.name]
        if slot.name in known:
            queue = known[slot.name].queue
            queue.adopt(slot, run.clock, shared)
            record.slots[slot.name] = known[slot.name]
        else:
            record.slots[slot.name] = Slot.within(ItemQueue(slot, plan.routine_id, run.clock, shared))


class Feed:
    """The inputs of one slot: an outbox that feeds it like a source, and ends when it is empty."""

    key = INPUTS
    tags: Sequence[Any] = ()

    def __init__(self, run: Any, routine_id: str, slot: str, data: list[Any]) -> None:
        self.run = run
        self.cell: Cell = run.cell(routine_id)
        self.slot = slot
        self.data = data
        self.counts: dict[Any, int] = {}

    @property
    def queue(self) -> ItemQueue:
        """The slot it feeds."""
        return self.cell.record.slots[self.slot].queue

    def begin(self) -> None:
        """Put everything in; what finds no room waits outside."""
        queue = self.queue
        data, self.data = self.data, []
        for item in data:
            queue.offer_without_loss(item, queue.clock.ticks(), INPUTS, None, self)

    def emptied(self, queue: ItemQueue) -> None:
        """End as a feeder."""
        self.run.lower(self.cell, self.slot)

    def refuse(self) -> None:
        """Do nothing: what is parked is stored with the job."""
