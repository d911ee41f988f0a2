"""Taking a job out of its run, and into the next one: what was under way becomes part of what the job knows.

Design: §5.5, §5.6, §7.1.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from routilux.clock import Clock
from routilux.errors import JobStateError
from routilux.history import ExecutionStatus, Leftovers
from routilux.job import JobState
from routilux.record import ParkedItem, StoredActivation
from routilux.runtime.activation import Activation, Phase
from routilux.runtime.cell import Cell
from routilux.runtime.failing import begin_retry
from routilux.runtime.feeding import INPUTS, Feed
from routilux.runtime.mode import Mode
from routilux.runtime.places import give_place_back


def stored_activation(activation: Activation, interrupted: bool = False) -> StoredActivation:
    """Picture one activation that is under way."""
    returned = activation.phase is Phase.RETURNED and (activation.effects is None or activation.is_committed)
    broken = interrupted or (activation.effects is None and activation.phase in (Phase.STANDING, Phase.RUNNABLE))
    return StoredActivation(
        number=activation.number,
        attempt=activation.attempt + (broken and activation.has_begun),
        boundary=activation.boundary,
        taken=[
            (queue.definition.name, [seq for seqs, _ in records for seq in seqs], [i for _, c in records for i in c])
            for queue, records in activation.taken
        ],
        data=dict(activation.data or {}),
        message=activation.message,
        retry_due=activation.retry_due,
        returned=returned,
        failed=returned and activation.error is not None,
    )


def parked_items(run: Any) -> list[ParkedItem]:
    """Picture everything that waits for room."""
    return [
        ParkedItem(queue.routine_id, queue.definition.name, data, at, sender, metadata, _owner(owner))
        for cell in run.cells
        for queue in cell.queues
        for data, at, sender, metadata, owner in list(queue.parked or ())
    ]


def _owner(owner: Any) -> str | None:
    return owner.key if isinstance(owner, Activation) else None


def detach(run: Any) -> None:
    """Move what is under way from the run into its job."""
    job: JobState = run.job
    job._parked = parked_items(run)
    for cell in run.cells:
        cell.record.pending = [stored_activation(activation) for activation in cell.flights]
        for activation in cell.flights:
            activation.is_over = True
            activation.close()
            give_place_back(cell, activation)
        for queue in cell.queues:
            queue.parked = None


def prepare(job: JobState, clock: Clock, params: Mapping[str, Any] | None) -> None:
    """Make a given job ready for its next run.

    Raises:
        JobStateError: it is completed, or runs at this moment.
    """
    run = _claim(job)
    if run is not None:
        run.retire()
        job._host = _STARTING
    if job._status is not ExecutionStatus.PENDING:
        job.run += 1
    job._clock = clock
    job.error = None
    job._leftovers = Leftovers()
    if params is not None:
        job._params = MappingProxyType({**job._params, **params})


def _claim(job: JobState) -> Any:
    """Take a job for the next run; of several that try at once, one gets it. Gives the paused run it is still in."""
    with job._lock:
        if job._status is ExecutionStatus.COMPLETED:
            raise JobStateError(job.job_id, "is completed; start a new job")
        run: Any = job._host
        if run is None or not run.is_live:
            job._host = _STARTING
            return None
        if run.mode is Mode.PAUSED and job._status is ExecutionStatus.PAUSED:
            return run
        raise JobStateError(
            job.job_id, f"is in a runtime at this moment ({job._status}); wait, pause or cancel it first"
        )


class _Starting:
    """The host of a job between two runs: it belongs to whoever starts it."""

    is_live = True
    mode = Mode.FROZEN


_STARTING: Any = _Starting()


def attach(run: Any) -> None:
    """Give a new run what its job had under way: activations to go on with, and items that wait for room."""
    owners: dict[Any, Any] = {}
    for cell in run.cells:
        pending, cell.record.pending = cell.record.pending, ()
        for stored in pending:
            activation = _revive(cell, stored)
            owners[activation.key] = activation
    job: JobState = run.job
    parked, job._parked = job._parked, []
    for item in parked:
        owner = owners.get(item.owner)
        if owner is None:
            owner = owners.setdefault((INPUTS, item.routine_id, item.slot), Feed(run, item.routine_id, item.slot, []))
        _park(run, item, owner)
    for cell in run.cells:
        if cell.lineage is not None:
            cell.lineage.lineage.recount()
            break
    run.feeds = [owner for owner in owners.values() if isinstance(owner, Feed)]


def _revive(cell: Cell, stored: StoredActivation) -> Activation:
    activation = cell.make_activation(cell)
    activation.number = stored.number
    activation.attempt = stored.attempt
    activation.boundary = stored.boundary
    activation.data = stored.data
    activation.message = stored.message
    activation.started_at = cell.ticks()
    activation.taken = [
        (cell.record.slots[slot].queue, [(seqs, chunk)])
        for slot, seqs, chunk in stored.taken
        if slot in cell.record.slots
    ]
    activation.numbers = [(slot, (seqs,)) for slot, seqs, _ in stored.taken if slot in cell.record.slots]
    activation.counts = {}
    if stored.returned:
        activation.phase = Phase.RETURNED
        activation.effects = None
    if stored.failed:
        activation.error = JobStateError(cell.job.job_id, "this failure was answered before the job was stored")
    cell.flights.append(activation)
    cell.started = True
    cell.look_at_bars()
    if stored.retry_due is not None:
        begin_retry(cell, activation, stored.retry_due)
    return activation


def _park(run: Any, item: ParkedItem, owner: Any) -> None:
    queue = run.cell(item.routine_id).record.slots[item.slot].queue
    with queue.lock:
        emptied = queue.park(item.data, item.emitted_at, item.emitted_from, item.metadata, owner)
    assert not emptied or owner in emptied
