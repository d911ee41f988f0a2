"""Keeping an emitter from running away from its consumers, without ever blocking for good.

Design: §3.3 ("wait"), §12.
"""

import time
from typing import Any

from routilux.current import current
from routilux.item_queue import ItemQueue
from routilux.runtime import settling
from routilux.runtime.activation import Activation


def hold_back(run: Any, activation: Activation, queue: ItemQueue) -> None:
    """Run other cells of the job, or wait for them, while too much of this activation is parked.

    Called from `emit` of a synchronous logic, never nested deeper than one. Returns early, so that the rest is parked
    without limit, where waiting could be for ever: at a closed gate, on the last free worker, and where only a
    timer or a post can make room.
    """
    activation.waits_for = queue
    while not activation.is_satisfied and run.is_open and not activation.is_over:
        if _help(run, activation, queue):
            continue
        with run.lock:
            if any(cell.ready for cell in run.cells):
                continue
            busy = [entry for entry in run.running if entry is not activation.cell and entry is not activation]
            if not busy:
                if _is_in_transit(run):
                    time.sleep(0)  # a worker has claimed a cell and is about to say so: let it
                    continue
                if len(run.work) > 1:
                    return
                if not (settling.close_next(run) or settling.drop_one(run)):
                    return
                continue
            if not run.dispatcher.begin_wait():
                return
            run.waiting.append(activation)
        _wait(run, activation)


def _is_in_transit(run: Any) -> bool:
    """Whether some cell is just being claimed, or about to rest: it is nowhere to be found, and will be soon."""
    elsewhere = [*run.running, *run.limbo, *run.starved, *(activation.cell for activation in run.waiting)]
    return any(not (cell.token or cell.ready or cell.lost or cell in elsewhere) for cell in run.cells)


def _help(run: Any, activation: Activation, queue: ItemQueue) -> bool:
    """Run one ready cell of this job on this thread: the one behind the full slot if it is ready."""
    if run_nested(activation, run.cell(queue.routine_id)):
        return True
    ready = [candidate for candidate in run.cells if candidate.ready]
    if not ready:
        return False
    run_nested(activation, ready[run.dispatcher.choose(len(ready))])
    return True  # also where another worker was faster: look again


def run_nested(activation: Activation, cell: Any) -> bool:
    """Run a turn of a ready cell inside of an activation; False if it is not ready, or another worker was faster."""
    try:
        cell.ready.pop()
    except IndexError:
        return False
    cell.nested = True
    try:
        cell.turn()
    finally:
        cell.nested = False
        current.set(activation)
    return True


def _wait(run: Any, activation: Activation) -> None:
    """Block until there is room, or the gate closes. Meanwhile the emitter is no work: if all wait, the run settles."""
    activation.wake_emitter = lambda: run.wake_emitter(activation)
    try:
        run.running.remove(activation.cell if activation.cell.width == 1 else activation)
        if activation.is_satisfied or not run.is_open:
            run.wake_emitter(activation)
        run.release_work()
        with run.rested:
            while activation in run.waiting:
                run.rested.wait()
    finally:
        activation.wake_emitter = None
        run.dispatcher.end_wait()
