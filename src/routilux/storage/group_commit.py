"""Group commit without linger: whoever comes first writes all that waits, and goes on while more came.

Design: §7.3. No thread of its own. Two tokens: one for writing, one for calling back, so that a group can be written
while the callbacks of the one before run; both in order.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

MOST_ENTRIES = 1_000
MOST_BYTES = 4_000_000
ROUNDS = 8  # after so many groups, the next thread that comes takes over

logger = logging.getLogger(__name__)

Done = Callable[[Exception | None], None]


class Entry:
    """One change that waits to be written. ``settled`` once it is durable or refused."""

    __slots__ = ("change", "done", "error", "landed", "settled", "size")

    def __init__(self, change: Any, size: int, done: Done | None) -> None:
        self.change = change
        self.size = size
        self.done = done
        self.landed = None if done else threading.Event()
        self.error: Exception | None = None
        self.settled = False

    def settle(self, error: Exception | None = None) -> None:
        """Say how it went."""
        self.error = error
        self.settled = True


class GroupCommit:
    """The line of changes. ``write`` settles every entry it is given; it is never called twice at once."""

    def __init__(self, write: Callable[[list[Entry]], None]) -> None:
        self._write = write
        self._waiting: deque[Entry] = deque()
        self._written: deque[Entry] = deque()
        self._writing = threading.Lock()
        self._telling = threading.Lock()
        self._teller: int | None = None
        self._relief: list[None] = []  # one for each thread that is about to take over
        self._is_tired = False

    def submit(self, entry: Entry) -> None:
        """Write it, or leave it to the thread that is writing."""
        self._waiting.append(entry)
        if self._teller == threading.get_ident():
            return  # this thread writes after its callbacks, and then all that they brought
        if self._is_tired:
            self._take_over()
        self._work()

    def wait_for(self, entry: Entry) -> None:
        """Write it, or wait until another thread has."""
        self._waiting.append(entry)
        if self._teller == threading.get_ident():
            while not entry.settled:
                with self._in_turn():
                    self._write_group()
            return
        if self._is_tired:
            self._take_over()
        self._work()
        if entry.landed:
            entry.landed.wait()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the token of writing, after all that waited before has been written."""
        last = self._last_waiting()
        try:
            while last and not last.settled:
                with self._in_turn():
                    self._write_group()
            with self._in_turn():
                yield
        finally:
            if self._teller != threading.get_ident():
                self._work()

    def _last_waiting(self) -> Entry | None:
        try:
            return self._waiting[-1]
        except IndexError:
            return None

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Wait for the token; the thread that writes steps back, and leaves its duty to this one."""
        self._relief.append(None)
        with self._writing:
            self._relief.pop()
            yield

    def _take_over(self) -> None:
        with self._in_turn():
            self._is_tired = False
            self._write_group()

    def _work(self) -> None:
        rounds = 0
        while self._waiting or self._written:
            wrote = self._try_to_write()
            if not self._try_to_tell() and not wrote:
                return  # others do both, and look again when they are through
            rounds += wrote
            if rounds >= ROUNDS:
                if self._relief:
                    return
                self._is_tired = True

    def _try_to_write(self) -> bool:
        if not self._waiting or not self._writing.acquire(blocking=False):
            return False
        try:
            self._write_group()
        finally:
            self._writing.release()
        return True

    def _write_group(self) -> None:
        group = self._next_group()
        if not group:
            return
        try:
            self._write(group)
        except BaseException:  # as Ctrl-C on this thread: the group stays, and `write` finds out what became of it
            self._waiting.extendleft(reversed([entry for entry in group if not entry.settled]))
            raise
        finally:
            self._hand_on([entry for entry in group if entry.settled])

    def _next_group(self) -> list[Entry]:
        group: list[Entry] = []
        size = 0
        while self._waiting and len(group) < MOST_ENTRIES and size < MOST_BYTES:
            entry = self._waiting.popleft()
            group.append(entry)
            size += entry.size
        return group

    def _hand_on(self, group: list[Entry]) -> None:
        for entry in group:
            if entry.landed:
                entry.landed.set()
            else:
                self._written.append(entry)

    def _try_to_tell(self) -> bool:
        if not self._written or not self._telling.acquire(blocking=False):
            return False
        self._teller = threading.get_ident()
        try:
            while self._written:
                tell(self._written.popleft())
        finally:
            self._teller = None
            self._telling.release()
        return True


def tell(entry: Entry) -> None:
    """Call back; what fails there is logged."""
    if entry.done is None:
        return
    try:
        entry.done(entry.error)
    except Exception:  # the code of others: its fault must not stop the line
        logger.exception("a callback after a commit failed; the commit stands")
