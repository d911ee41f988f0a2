"""An asyncio loop on the thread and clock of a simulation."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from routilux.engines.async_loop import LoopTask, cancel_all, complete
from routilux.testing.manual_clock import ManualClock
from routilux.testing.step_dispatcher import StepDispatcher


class _ManualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is the manual clock's; it never waits for it."""

    def __init__(self, clock: ManualClock, dispatcher: StepDispatcher) -> None:
        super().__init__()
        self._manual = clock
        self._dispatcher = dispatcher
        self.busy = False

    def time(self) -> float:
        return self._manual.ticks() / 1e9

    def call_soon(  # type: ignore[override]  # typeshed ties callback and arguments together
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        self.busy = True
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(  # type: ignore[override]  # the same
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        self.busy = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_at(  # type: ignore[override]  # the same
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._dispatcher.at(round(when * 1e9), self._make_busy)
        return super().call_at(when, callback, *args, context=context)

    def run_one_round(self) -> None:
        """Run the callbacks that are ready, and return."""
        super().call_soon(self.stop)
        self.run_forever()

    def _make_busy(self) -> None:
        self.busy = True


class SimLoop:
    """An Executor that runs coroutines in rounds, when the simulation steps."""

    def __init__(self, clock: ManualClock, dispatcher: StepDispatcher) -> None:
        self._loop = _ManualLoop(clock, dispatcher)

    def start(self, coroutine: Coroutine[Any, Any, Any], done: Callable[[Any, BaseException | None], None]) -> LoopTask:
        """Run a coroutine from the next round on."""
        task = LoopTask(self._loop, coroutine, done)
        self._loop.call_soon(task.begin)
        return task

    def make_room_waiter(self) -> tuple[Any, Callable[[], None]]:
        """Give a future, and what completes it."""
        future = self._loop.create_future()
        return future, lambda: complete(future)

    def step(self) -> bool:
        """Run one round of callbacks; False if nothing was to do."""
        if not self._loop.busy:
            return False
        self._loop.busy = False
        self._loop.run_one_round()
        return True

    def stop(self) -> None:
        """Close the loop."""
        if not self._loop.is_closed():
            self._loop.run_until_complete(cancel_all())
            self._loop.close()
