"""Keys by a time, the earliest first: kept in the job's memory, at a cost that hardly grows with the keys.

Design: §4.6.
"""

from heapq import heapify, heappop, heappush
from typing import Any


class Earliest:
    """Which key comes first. A key's time may change: what is out of date in the heap is passed over."""

    __slots__ = ("_heap", "_kept", "_ranks")

    def __init__(self, kept: dict[str, Any]) -> None:
        self._kept = kept
        self._heap: list[list[Any]] = kept.setdefault("heap", [])  # time, number of the setting, key
        self._ranks: dict[Any, list[int]] = kept.setdefault("ranks", {})  # key -> time, number of the setting

    def set(self, key: Any, at: int) -> None:
        """Give a key its time; of equal ones the one set earlier comes first."""
        number: int = self._kept.get("number", 0)
        self._kept["number"] = number + 1
        self._ranks[key] = [at, number]
        heappush(self._heap, [at, number, key])
        if len(self._heap) > 2 * len(self._ranks) + 32:
            self._heap[:] = [[*rank, key] for key, rank in self._ranks.items()]
            heapify(self._heap)

    def at(self, key: Any) -> int | None:
        """Give the time of a key, if it has one."""
        rank = self._ranks.get(key)
        return None if rank is None else rank[0]

    def remove(self, key: Any) -> None:
        """Forget a key."""
        self._ranks.pop(key, None)

    def first(self) -> tuple[int, Any] | None:
        """Give the earliest time and its key."""
        heap = self._heap
        while heap:
            at, number, key = heap[0]
            if self._ranks.get(key) == [at, number]:
                return at, key
            heappop(heap)
        return None
