"""The asyncio loop on a thread of its own: runs coroutines of all jobs of one runtime.

Design: §5.2, §9 (Executor). Imported only when the first async logic runs or somebody awaits a job.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class LoopExecutor:
    """One event loop on one daemon thread."""

    def __init__(self, name: str = "routilux") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"{name}-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def start(
        self, coroutine: Coroutine[Any, Any, Any], done: Callable[[Any, BaseException | None], None]
    ) -> "LoopTask":
        """Run a coroutine; ``done(result, error)`` is called on the loop's thread."""
        task = LoopTask(self._loop, coroutine, done)
        self._loop.call_soon_threadsafe(task.begin)
        return task

    def make_room_waiter(self) -> tuple[Any, Callable[[], None]]:
        """Give a future of the loop, and what completes it from any thread."""
        future = self._loop.create_future()

        def complete_it() -> None:
            self._loop.call_soon_threadsafe(complete, future)

        return future, complete_it

    def stop(self) -> None:
        """Cancel what runs, end the loop and its thread."""
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(cancel_all(), self._loop).result(timeout=5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
            self._loop.close()


class LoopTask:
    """A coroutine on its way; can be cancelled from any thread, also before it began."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        done: Callable[[Any, BaseException | None], None],
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._done = done
        self._task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        """Make the task. On the loop's thread."""
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled():
            self._done(None, asyncio.CancelledError())
            return
        error = task.exception()
        self._done(None if error is not None else task.result(), error)

    def cancel(self) -> None:
        """Interrupt it. From any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


def complete(future: "asyncio.Future[None]") -> None:
    """Complete a future unless it is done already."""
    if not future.done():
        future.set_result(None)


async def cancel_all() -> None:
    """Cancel every other task of the running loop, and wait for their ends."""
    current = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not current]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def wait_for_end(add_callback: Callable[[Callable[[Any], object]], None]) -> None:
    """Wait, on the running loop, until a callback that was added is called."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake(_: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop that waited was closed meanwhile
            loop.call_soon_threadsafe(complete, future)

    add_callback(wake)
    await future
