"""A consistent picture of a job, also while it runs.

Design: §7.1.
"""

import time
from typing import Any

from routilux.errors import SnapshotBusyError
from routilux.record import StoredActivation
from routilux.runtime.activation import Activation
from routilux.runtime.detaching import parked_items, stored_activation
from routilux.runtime.mode import Mode
from routilux.snapshot import picture_of


def take(run: Any, timeout: float | None, interrupted: bool) -> dict[str, Any]:
    """Freeze the job, wait until live activations return or yield, and picture it.

    Raises:
        SnapshotBusyError: live activations did not reach a boundary in time.
        CodecError: a value that cannot be stored.
    """
    with run.picture_lock:
        froze = _freeze(run)
        try:
            busy = _wait_for_boundaries(run, timeout)
            if busy and not interrupted:
                raise SnapshotBusyError(run.job.job_id, busy)
            with run.commit_lock:
                return _draw(run, busy)
        finally:
            if froze:
                _thaw(run)


def _freeze(run: Any) -> bool:
    with run.lock:
        if run.mode is not Mode.OPEN:
            return False
        run.close_gate(Mode.FROZEN)
        return True


def _thaw(run: Any) -> None:
    with run.lock:
        if run.mode is not Mode.FROZEN:
            return
        if run.wants_pause:
            run.close_gate(Mode.PAUSED)
            paused = True
        else:
            run.open_gate()
            paused = False
    if paused:
        run.check_rest()


def _wait_for_boundaries(run: Any, timeout: float | None) -> list[str]:
    """Wait; give the routines whose live activations stand in the way."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        with run.rested:
            busy = _live(run)
            if not busy:
                return []
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return busy
            if run.is_mine():
                return busy  # taken inside of a logic of this job: it cannot wait for itself
            if not run.dispatcher.wait(run.rested, left):
                return busy


def _live(run: Any) -> list[str]:
    """Name the routines that run something that could take effect before it commits."""
    found = [
        entry.routine_id
        for entry in run.running
        if not (_executing(entry) and all(flight.effects is not None for flight in _executing(entry)))
    ]
    return found + [cell.routine_id for cell in run.cells if cell.inbox and cell.routine_id not in found]


def _executing(entry: Any) -> list[Activation]:
    return [entry] if isinstance(entry, Activation) else [a for a in entry.flights if a.is_executing]


def _draw(run: Any, busy: list[str]) -> dict[str, Any]:
    pending: dict[str, list[StoredActivation]] = {
        cell.routine_id: [
            stored_activation(activation, interrupted=cell.routine_id in busy) for activation in cell.flights
        ]
        for cell in run.cells
    }
    return picture_of(run.job, parked_items(run), pending)
