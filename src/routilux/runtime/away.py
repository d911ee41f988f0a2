"""Activations that run elsewhere: on the asyncio loop, or in a call that does not come back.

Design: §5.2, §5.8.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from routilux import rings
from routilux.current import current
from routilux.runtime.activation import Activation
from routilux.runtime.places import give_place_back


def start(
    run: Any,
    activation: Activation,
    coroutine: Coroutine[Any, Any, Any],
    done: Callable[[Any, BaseException | None], None],
) -> Any:
    """Run a coroutine as a task of the loop, with the activation around it."""
    return run.executor().start(_in_frame(activation, coroutine), done)


async def _in_frame(activation: Activation, coroutine: Coroutine[Any, Any, Any]) -> Any:
    current.set(activation)
    return await coroutine


async def room(run: Any, activation: Activation) -> None:
    """Wait, on the loop, until nothing of the activation is parked; meanwhile it is no work."""
    waiter, complete = run.executor().make_room_waiter()
    woken: list[None] = []

    def wake() -> None:
        with run.lock:
            if woken:
                return
            woken.append(None)
            run.work.append(None)
            run.running.append(activation)
        complete()

    with run.lock:
        if not activation.counts or not run.is_open:
            return
        if activation.room_waiters is None:
            activation.room_waiters = []
        activation.room_waiters.append(wake)
        run.parked_tasks[activation] = None
        run.running.remove(activation)
    if not activation.counts:
        wake()
    held_place = activation.holds_place
    give_place_back(activation.cell, activation)  # its consumers may wait for that very limit
    run.release_work()
    try:
        await waiter
    finally:
        wake()
        with run.lock:
            run.parked_tasks.pop(activation, None)
    if held_place:
        await _take_place_again(run, activation)


async def _take_place_again(run: Any, activation: Activation) -> None:
    cell: Any = activation.cell
    limiter = cell.limiter
    waiter, complete = run.executor().make_room_waiter()
    taker = PlaceTaker(run, complete)
    if not limiter.acquire(taker):
        try:
            await waiter  # the place is given to the taker before it is woken
        except BaseException:
            limiter.leave(taker)
            raise
        taker.places = 0
    activation.holds_place = True


class PlaceTaker:
    """Stands in line for a place of a limit on behalf of an async logic that goes on."""

    def __init__(self, run: Any, complete: Callable[[], None]) -> None:
        self.run = run
        self.go_on = complete
        self.in_line = False
        self.places = 0


def interrupt(run: Any) -> None:
    """Cancel what runs on the loop."""
    for cell in run.cells:
        for activation in list(cell.flights):
            if activation.task is not None:
                activation.task.cancel()


def abandon(run: Any, activation: Activation) -> None:
    """Stop waiting for a call that does not return; whatever it still does is refused."""
    cell: Any = activation.cell
    with run.lock:
        if activation.is_abandoned:
            return
        entry: Any = next((busy for busy in run.running if busy is activation or busy is cell), None)
        if entry is None:
            return
        try:
            run.running.remove(entry)  # whoever takes it out ends it: its own turn, or we
        except ValueError:
            return
        activation.is_abandoned = True
        activation.is_over = True
        if entry is cell:
            cell.lost = True
        give_place_back(cell, activation)
        if activation in run.waiting:
            run.waiting.remove(activation)
            run.tell_rested()
    run.release_work()


async def finished(run: Any) -> None:
    """Wait, on the loop of the caller, until the run is over."""
    await rings.load("routilux.engines.async_loop").wait_for_end(run.job.on_complete)
