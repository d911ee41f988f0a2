"""Slot and SlotDataPoint: the named buffer in front of a routine, as policies and people see it.

Design: §3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from routilux.clock import SYSTEM_CLOCK, Clock, to_datetime, to_epoch_ns
from routilux.definition import OnFull, SlotDefinition
from routilux.errors import SlotClosedError
from routilux.item_queue import ItemQueue
from routilux.item_store import Item


@dataclass(frozen=True, slots=True)
class SlotDataPoint:
    """One item with its three times (aware UTC) and its number in the slot.

    ``emitted_from`` is the name of the routine that emitted it, or "inputs" or "post".
    """

    data: Any
    emitted_at: datetime
    enqueued_at: datetime
    emitted_from: str = ""
    consumed_at: datetime | None = None
    seq: int = -1
    metadata: Any = None


class QueueState(TypedDict):
    """What `Slot.get_queue_state` tells."""

    name: str
    total_count: int
    unconsumed_count: int
    consumed_count: int
    parked_count: int
    enqueued_count: int
    max_length: int | None
    oldest_unconsumed: datetime | None
    is_closed: bool
    dropped: dict[str, int]


class Slot:
    """A bounded queue of items with timestamps. Safe from any thread; also alone, without a job.

    Within a job, what a policy consumes is provisional until it says yes (DESIGN §4.2).

    >>> slot = Slot("in", max_queue_length=10, watermark=0.8)
    >>> slot.enqueue("a")
    >>> slot.enqueue("b")
    >>> slot.consume_one_new(), slot.peek_all_new(), slot.get_total_count()
    ('a', ['b'], 2)

    Raises:
        ValueError: a length below 1, a watermark outside (0, 1], an unknown ``on_full``.
        TypeError: a length that is no int.
    """

    __slots__ = ("queue",)

    def __init__(
        self,
        name: str,
        max_queue_length: int | None = 1000,
        watermark: float = 0.8,
        on_full: OnFull | str = OnFull.WAIT,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        definition = SlotDefinition(name, max_queue_length, watermark, on_full)  # type: ignore[arg-type]
        self.queue = ItemQueue(definition, "", clock, shared=True)

    @classmethod
    def within(cls, queue: ItemQueue) -> "Slot":
        """Make the slot of a job around its queue."""
        slot = cls.__new__(cls)
        slot.queue = queue
        return slot

    @property
    def name(self) -> str:
        """The name within its routine."""
        return self.queue.definition.name

    @property
    def max_queue_length(self) -> int | None:
        """The limit on unconsumed items; None is unbounded."""
        return None if self.queue.definition.max_queue_length is None else self.queue.limit

    @property
    def is_closed(self) -> bool:
        """Whether everything that feeds it has ended: nothing more will come."""
        return self.queue.is_closed

    @property
    def routine_id(self) -> str:
        """The routine it belongs to; empty when it stands alone."""
        return self.queue.routine_id

    # --- putting in -----------------------------------------------------------------------------------------

    def enqueue(self, data: Any, emitted_from: str = "", emitted_at: datetime | None = None) -> None:
        """Append one item; what was consumed is cleared at the watermark or when there is no room.

        Raises:
            SlotQueueFullError: the slot is full of unconsumed items.
            SlotClosedError: nothing may come any more.
        """
        queue = self.queue
        if queue.is_closed:
            raise SlotClosedError(self.name, queue.routine_id)
        now = queue.clock.ticks()
        emitted = now if emitted_at is None else min(now, queue.clock.from_epoch_ns(to_epoch_ns(emitted_at)))
        queue.put(data, emitted, emitted_from)

    # --- consuming ------------------------------------------------------------------------------------------

    def consume_all_new(self) -> list[Any]:
        """Take everything that came since the last consume."""
        return [item[0] for item in self._take(None)]

    def consume_one_new(self) -> Any:
        """Take the oldest new item; None if there is none.

        A stored None looks like an empty slot: use `get_unconsumed_count` to tell.
        """
        chunk = self._take(1)
        return chunk[0][0] if chunk else None

    def consume_new(self, count: int) -> list[Any]:
        """Take up to so many of the oldest new items."""
        return [item[0] for item in self._take(count)]

    def consume_all(self) -> list[Any]:
        """Give old and new items that are still kept, oldest first, and mark all as consumed."""
        queue = self.queue
        with queue.lock:
            points = queue.peek()
            waiting = len(points)
            points += [pair for _, seqs, chunk in queue.done for pair in zip(seqs, chunk, strict=True)]
            points += [pair for seqs, chunk in queue.taken or () for pair in zip(seqs, chunk, strict=True)]
            queue.take(waiting)  # not what came meanwhile
            self._settle_alone()
        points.sort(key=lambda pair: pair[0])
        return [item[0] for _, item in points]

    def consume_latest_and_mark_all_consumed(self) -> Any:
        """Take the newest new item and mark all before it as consumed; None if there is nothing new."""
        chunk = self._take(None)
        return chunk[-1][0] if chunk else None

    def consume_points(self, points: int | Iterable["SlotDataPoint | int"] | None = None) -> list[SlotDataPoint]:
        """Take whole data points: all new, the oldest n, or any given ones (points or their numbers).

        Points that no longer wait are passed over. The cost is that of what is taken.
        """
        queue = self.queue
        with queue.lock:
            if points is None or isinstance(points, int):
                pairs = queue.peek(0, points)
                queue.take(len(pairs))
            else:
                wanted = sorted({point if isinstance(point, int) else point.seq for point in points})
                pairs = [(seq, item) for seq in wanted if (item := queue.waiting_item(seq)) is not None]
                queue.take_seqs([seq for seq, _ in pairs])
            self._settle_alone()
        now = queue.clock.ticks()
        return [self._point(seq, item, now) for seq, item in pairs]

    def drop(self, points: Iterable["SlotDataPoint | int"], reason: str) -> int:
        """Drop waiting items, counted under the reason; stands also when the policy says no. Gives how many."""
        queue = self.queue
        wanted = [point if isinstance(point, int) else point.seq for point in points]
        with queue.lock:
            count = queue.drop_waiting(wanted, reason)
            self._settle_alone()
        return count

    def absorb(self, points: Iterable["SlotDataPoint | int"]) -> int:
        """Take waiting items into the memory of the policy: consumed at once, also when it says no. Gives how many."""
        queue = self.queue
        wanted = [point if isinstance(point, int) else point.seq for point in points]
        with queue.lock:
            count = len(queue.absorb(wanted))
            self._settle_alone()
        return count

    def _take(self, count: int | None) -> list[Item]:
        queue = self.queue
        if queue.taken is not None:
            return queue.take(count)  # the cell that asks is the only consumer
        with queue.lock:
            chunk = queue.take(count)
            self._settle_alone()
            return chunk

    def _settle_alone(self) -> None:
        if self.queue.taken is None:
            self.queue.settle()

    # --- looking --------------------------------------------------------------------------------------------

    def peek_all_new(self) -> list[Any]:
        """Look at everything new, oldest first."""
        with self.queue.lock:
            return [item[0] for _, item in self.queue.peek()]

    def peek_one_new(self) -> Any:
        """Look at the oldest new item; None if there is none."""
        with self.queue.lock:
            first = self.queue.peek_first()
        return first[1][0] if first else None

    def peek_latest(self) -> Any:
        """Look at the newest item that is still kept, new or consumed; None if there is none."""
        queue = self.queue
        with queue.lock:
            last = queue.peek_last()
            if last is not None:
                return last[1][0]
            kept = [*(queue.taken or ()), *((seqs, chunk) for _, seqs, chunk in queue.done)]
        newest = max(kept, key=lambda record: record[0][-1], default=None)
        return newest[1][-1][0] if newest else None

    def peek_points(self, start: int = 0, count: int | None = None) -> list[SlotDataPoint]:
        """Look at new items as whole data points, oldest first."""
        with self.queue.lock:
            pairs = self.queue.peek(start, count)
        return [self._point(seq, item, None) for seq, item in pairs]

    def peek_points_since(self, seq: int) -> list[SlotDataPoint]:
        """Look at new items numbered ``seq`` or later: what a policy with a memory has not seen yet."""
        with self.queue.lock:
            pairs = self.queue.peek_since(seq)
        return [self._point(number, item, None) for number, item in pairs]

    def consumed_points(self) -> list[SlotDataPoint]:
        """Look at consumed items that the watermark has not cleared yet, oldest first."""
        with self.queue.lock:
            done = list(self.queue.done)
        return sorted(
            (self._point(seq, item, at) for at, seqs, chunk in done for seq, item in zip(seqs, chunk, strict=True)),
            key=lambda point: point.seq,
        )

    def get_unconsumed_count(self) -> int:
        """Count new items."""
        return self.queue.waiting

    def get_total_count(self) -> int:
        """Count new items and consumed ones that the watermark has not cleared yet."""
        return self.queue.total

    def get_queue_state(self) -> QueueState:
        """Give a picture of the queue; a copy."""
        queue = self.queue
        with queue.lock:
            first = queue.peek_first()
            waiting = queue.waiting
            drops: Mapping[str, int] = queue.drops or {}
            return {
                "name": self.name,
                "total_count": queue.total,
                "unconsumed_count": waiting,
                "consumed_count": queue.total - waiting,
                "parked_count": queue.parked_count,
                "enqueued_count": queue.next_seq,
                "max_length": self.max_queue_length,
                "oldest_unconsumed": to_datetime(queue.clock.epoch_ns(first[1][2])) if first else None,
                "is_closed": queue.is_closed,
                "dropped": dict(drops),
            }

    def _point(self, seq: int, item: Item, consumed_at: int | None) -> SlotDataPoint:
        clock = self.queue.clock
        return SlotDataPoint(
            item[0],
            to_datetime(clock.epoch_ns(item[1])),
            to_datetime(clock.epoch_ns(item[2])),
            item[3],
            None if consumed_at is None else to_datetime(clock.epoch_ns(consumed_at)),
            seq,
            item[4] if len(item) > 4 else None,
        )

    def __repr__(self) -> str:
        state = ", closed" if self.is_closed else ""
        return f"<Slot {self.name} {self.queue.waiting} new of at most {self.max_queue_length}{state}>"

    def __len__(self) -> int:
        return self.queue.waiting

    def __bool__(self) -> bool:
        return True
