"""What a job remembers of what happened: bounded rings, records, dead letters, leftovers.

Design: §6.1, §6.3, §6.5.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class ExecutionStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the run has ended; a failed or cancelled job can begin its next run."""
        return self in _FINAL


_FINAL = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})


class Ring:
    """The last so many entries, numbered; appending is safe from any thread and takes no lock.

    A list that is cut back to ``size`` when it holds twice as many: an empty deque would take 600 bytes of every job.
    """

    __slots__ = ("_entries", "_most", "_numbers", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._most = 2 * size
        self._numbers = itertools.count()
        self._entries: list[tuple[Any, ...]] = []

    def append(self, *entry: Any) -> None:
        """Add an entry; the oldest ones go when there are too many."""
        self._entries.append((next(self._numbers), *entry))
        if len(self._entries) >= self._most:
            self.trim()

    def door(self) -> tuple[Callable[[tuple[Any, ...]], None], Iterator[int]]:
        """Give what adds an entry ``(number, ...)``, and the numbers; who uses them calls `trim` now and then."""
        return self._entries.append, self._numbers

    def trim(self) -> None:
        """Forget the oldest entries where there are too many."""
        surplus = len(self._entries) - self._size
        if surplus >= self._size:
            del self._entries[:surplus]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._entries[-self._size :])

    def __len__(self) -> int:
        return min(len(self._entries), self._size)

    @property
    def total(self) -> int:
        """How many entries there ever were."""
        return self._entries[-1][0] + 1 if self._entries else 0

    @property
    def forgotten(self) -> int:
        """How many entries the ring no longer holds."""
        return self.total - len(self)

    def clear(self) -> None:
        """Forget all entries; the numbers go on."""
        self._entries.clear()

    def restore(self, entries: list[tuple[Any, ...]], start: int) -> None:
        """Take entries as they were stored."""
        self._entries.extend(entries)
        self._numbers = itertools.count(start)


class ExecutionRecord(NamedTuple):
    """One line of a job's history."""

    seq: int
    timestamp: datetime
    routine_id: str
    event_name: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as data: it can be stored, and shown after the exception is gone."""

    type: str
    message: str
    traceback: str = ""
    routine_id: str | None = None
    activation_id: str | None = None
    attempt: int = 1

    def __str__(self) -> str:
        where = f" in {self.routine_id!r}" if self.routine_id else ""
        return f"{self.type}{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Items whose activation failed under CONTINUE: kept, and can be posted again.

    ``items`` maps slots to lists of data. ``kind`` is "logic".
    """

    dead_letter_id: str
    routine_id: str
    items: Mapping[str, list[Any]]
    error: ErrorRecord
    at: datetime


@dataclass(frozen=True, slots=True)
class Leftover:
    """Items of one slot that nobody consumed, and what the policy said last."""

    routine_id: str
    slot: str
    count: int
    explanation: str

    def __str__(self) -> str:
        return f"{self.count} in {self.routine_id}.{self.slot} ({self.explanation})"


class Leftovers(tuple[Leftover, ...]):
    """All leftovers of a job; falsy when there are none."""

    __slots__ = ()

    @property
    def item_count(self) -> int:
        """How many items remained."""
        return sum(leftover.count for leftover in self)

    def __str__(self) -> str:
        return "; ".join(str(leftover) for leftover in self)
