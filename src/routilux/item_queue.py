"""The bounded queue under a slot: what the engine calls while items flow.

Design: §3, §12.

An item is a plain tuple ``(data, emitted_at, enqueued_at, emitted_from[, metadata])``, stamps in ticks. Waiting
items live in a list behind a cursor, so that appending needs no lock where one routine alone feeds the slot:
``if len(queue.items) < queue.line: queue.items.append(item)``. ``line`` is the length at which something must be
looked at (a limit, a watermark, parked items); everything beyond it goes through `offer`, under the lock. Items that
were taken out of the middle, or put back, pass through ``held``, in order of their numbers, each at most once per
taking: no operation grows with what waits.

The consumer is one at a time (the cell that asks the policy). What it takes while it asks is provisional: producers
reckon with ``_full_line``, which moves only when the answer is yes.
"""

import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from routilux.clock import Clock
from routilux.definition import OnFull, SlotDefinition
from routilux.errors import SlotQueueFullError

Item = tuple[Any, ...]
Taken = tuple[Sequence[int], list[Item]]

TAKEN, PARKED, DROPPED = 0, 1, 2
UNBOUNDED = sys.maxsize >> 1
UNBOUNDED_THRESHOLD = 1000
LOCKED = -1


class Outbox(Protocol):
    """Whose parked item it is."""

    key: str
    counts: dict[Any, int]

    def emptied(self, queue: "ItemQueue") -> None:
        """Hear that nothing of this outbox is parked for the slot any more. Called without the queue's lock."""


class ItemQueue:
    """Waiting, held, parked and consumed items of one slot."""

    __slots__ = (
        "_base",
        "_cursor",
        "_done",
        "_done_count",
        "_full_line",
        "_held",
        "_threshold",
        "clock",
        "definition",
        "discarding",
        "drops",
        "fresh_drops",
        "is_closed",
        "items",
        "limit",
        "line",
        "lock",
        "parked",
        "routine_id",
        "shared",
        "taken",
    )

    def __init__(self, definition: SlotDefinition, routine_id: str, clock: Clock, shared: bool) -> None:
        length = definition.max_queue_length
        self.definition = definition
        self.routine_id = routine_id
        self.clock = clock
        self.lock = threading.Lock()  # guards all fields but items (append) and, while asking, the cursor
        self.items: list[Any] = []
        self.limit = UNBOUNDED if length is None else length
        self._threshold = UNBOUNDED_THRESHOLD if length is None else max(1, int(length * definition.watermark))
        self._base = 0  # the number of items[0]
        self._cursor = 0  # index of the first waiting item in items
        self._full_line = self.limit  # the length of items at which the slot is full
        self._held: OrderedDict[int, Item] | None = None
        self._done: list[tuple[int, Sequence[int], list[Item]]] = []  # consumed: when, numbers, items
        self._done_count = 0
        self.taken: list[Taken] | None = None  # what the policy took so far; None: nobody is asking
        self.parked: deque[tuple[Any, int, str, Any, Outbox]] | None = None
        self.shared = shared
        self.is_closed = False
        self.discarding: str | None = None
        self.drops: dict[str, int] | None = None
        self.fresh_drops: list[tuple[str, int]] | None = None
        self.line = LOCKED if shared else self.limit

    def refill(
        self,
        waiting: list[tuple[int, Item]],
        done: list[tuple[int, list[tuple[int, Item]]]],
        next_seq: int,
        limit: int,
    ) -> None:
        """Take items as they were stored."""
        with self.lock:
            self.limit = max(self.limit, limit)
            self._base = next_seq
            self._held = OrderedDict(waiting) if waiting else None
            for at, pairs in done:
                self._keep(at, [seq for seq, _ in pairs], [item for _, item in pairs])
            self.settle()

    def adopt(self, definition: SlotDefinition, clock: Clock, shared: bool) -> None:
        """Serve in another run, perhaps under a changed definition and by another clock."""
        with self.lock:
            stretched = self.limit if definition.on_full is OnFull.STRETCH else 0
            length = definition.max_queue_length
            self.definition = definition
            self.clock = clock
            self.limit = UNBOUNDED if length is None else max(length, stretched)
            self._threshold = UNBOUNDED_THRESHOLD if length is None else max(1, int(length * definition.watermark))
            self.shared = shared
            self.settle()

    # --- counting -------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many items nobody consumed yet, parked ones not counted."""
        held = self._held
        return len(self.items) - self._cursor + (len(held) if held else 0)

    @property
    def next_seq(self) -> int:
        """The number that the next item will get: how many were ever enqueued."""
        return self._base + len(self.items)

    @property
    def parked_count(self) -> int:
        """How many items found no room and wait outside."""
        return len(self.parked) if self.parked else 0

    @property
    def consumed_count(self) -> int:
        """How many consumed items are still kept."""
        pending = sum(len(chunk) for _, chunk in self.taken) if self.taken else 0
        return self._done_count + pending

    def full_error(self) -> SlotQueueFullError:
        """Say that there is no room."""
        waiting = self.waiting
        return SlotQueueFullError(
            self.definition.name, self.routine_id, self.limit, waiting, waiting + self._done_count
        )

    # --- putting in -----------------------------------------------------------------------------------------

    def put(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any = None) -> None:
        """Append one item or raise `SlotQueueFullError`; never parks, never drops."""
        with self.lock:
            if self.discarding is not None:
                self.count_drop(self.discarding)
                return
            if self.parked or not self._has_room():
                raise self.full_error()
            self._append(data, emitted_at, emitted_from, metadata)

    def offer(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any, owner: Outbox) -> int:
        """Append, park or drop one item, as ``on_full`` says.

        Raises:
            SlotQueueFullError: it is full and ``on_full`` is "fail".
        """
        with self.lock:
            if self.discarding is not None:
                self.count_drop(self.discarding)
                return TAKEN
            if not self.parked and self._has_room():
                self._append(data, emitted_at, emitted_from, metadata)
                return TAKEN
            on_full = self.definition.on_full
            if on_full is OnFull.FAIL:
                raise self.full_error()
            if on_full is OnFull.DROP:
                self.count_drop("full")
                return DROPPED
            if on_full is OnFull.DROP_OLDEST:
                self._drop_oldest()
                self._append(data, emitted_at, emitted_from, metadata)
                return DROPPED
            self.park(data, emitted_at, emitted_from, metadata, owner)
            return PARKED

    def offer_without_loss(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any, owner: Outbox) -> int:
        """Append or park, whatever ``on_full`` says: what is fed at the start is not lost."""
        with self.lock:
            if not self.parked and self._has_room():
                self._append(data, emitted_at, emitted_from, metadata)
                return TAKEN
            self.park(data, emitted_at, emitted_from, metadata, owner)
            return PARKED

    def has_room_for(self, count: int) -> bool:
        """Tell whether that many items fit now. Call it with the lock held."""
        return not self.parked and self._has_room() and len(self.items) + count <= self._full_line

    def share(self, may_be_emitting: bool) -> None:
        """Let others than the one feeding routine put items in, from now on.

        An emitter that looked at ``line`` before it changed may still append one item; `put` leaves that place free.
        """
        with self.lock:
            if not self.shared:
                self.shared = True
                self.line = LOCKED
                if may_be_emitting and len(self.items) == self._full_line - 1:
                    raise self.full_error()

    def _has_room(self) -> bool:
        if self._done_count and len(self.items) >= self._full_line - self.limit + self._threshold - self._done_count:
            self.clear_consumed()
        return len(self.items) < self._full_line

    def _append(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any) -> None:
        now = self.clock.ticks()
        if metadata is None:
            self.items.append((data, emitted_at, now, emitted_from))
        else:
            self.items.append((data, emitted_at, now, emitted_from, metadata))
        self.set_line()

    def park(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any, owner: Outbox) -> None:
        """Let an item wait outside until there is room. Call it with the lock held."""
        if self.parked is None:
            self.parked = deque()
        self.parked.append((data, emitted_at, emitted_from, metadata, owner))
        owner.counts[self] = owner.counts.get(self, 0) + 1
        self.line = LOCKED

    def set_line(self) -> None:
        """Say at which length producers must look again. Call it with the lock held."""
        if self.shared or self.parked or self.is_closed or self.discarding is not None:
            self.line = LOCKED
        elif self._done_count:
            self.line = min(self._full_line, self._full_line - self.limit + self._threshold - self._done_count)
        else:
            self.line = self._full_line

    def clear_consumed(self) -> None:
        """Forget consumed items. Call it with the lock held."""
        self._done = []
        self._done_count = 0
        self.set_line()

    # --- taking out -----------------------------------------------------------------------------------------

    def take(self, count: int | None = None) -> list[Item]:
        """Take the oldest waiting items, all or so many; the caller is the only consumer."""
        chunk: list[Item] = []
        if self._held:
            chunk = self._take_held(count)
            if count is not None:
                count -= len(chunk)
        items = self.items
        cursor = self._cursor
        end = len(items) if count is None else min(len(items), cursor + count)
        if end > cursor:
            fresh = items[cursor:end]
            self._note(range(self._base + cursor, self._base + end), fresh)
            self._cursor = end
            chunk = chunk + fresh if chunk else fresh
        return chunk

    def _take_held(self, count: int | None) -> list[Item]:
        held = self._held
        assert held is not None
        number = len(held) if count is None else min(count, len(held))
        pairs = [held.popitem(last=False) for _ in range(number)]
        chunk = [item for _, item in pairs]
        if pairs:
            self._note([seq for seq, _ in pairs], chunk)
        return chunk

    def take_seqs(self, seqs: Iterable[int]) -> list[Item]:
        """Take waiting items by number, wherever they stand; numbers that do not wait are passed over."""
        found = self.pull(seqs)
        if found:
            self._note([seq for seq, _ in found], [item for _, item in found])
        return [item for _, item in found]

    def pull(self, seqs: Iterable[int]) -> list[tuple[int, Item]]:
        """Remove waiting items by number, without a record."""
        held = self.hold_all()
        found = [(seq, held.pop(seq)) for seq in seqs if seq in held]
        found.sort(key=lambda pair: pair[0])
        return found

    def hold_all(self) -> OrderedDict[int, Item]:
        """Move every waiting item into ``held``, in order."""
        held = self._held
        if held is None:
            held = self._held = OrderedDict()
        end = len(self.items)
        for index in range(self._cursor, end):
            held[self._base + index] = self.items[index]
        self._cursor = end
        return held

    def _note(self, seqs: Sequence[int], chunk: list[Item]) -> None:
        if self.taken is not None:
            self.taken.append((seqs, chunk))
        else:
            self._keep(self.clock.ticks(), seqs, chunk)

    def _keep(self, at: int, seqs: Sequence[int], chunk: list[Item]) -> None:
        self._done.append((at, seqs, chunk))
        self._done_count += len(chunk)

    def peek(self, start: int = 0, count: int | None = None) -> list[tuple[int, Item]]:
        """Look at waiting items with their numbers, oldest first."""
        found: list[tuple[int, Item]] = []
        if self._held:
            found = list(self._held.items())
        first = self._cursor
        found.extend((self._base + index, self.items[index]) for index in range(first, len(self.items)))
        return found[start:] if count is None else found[start : start + count]

    def peek_first(self) -> tuple[int, Item] | None:
        """Look at the oldest waiting item, at a cost that does not grow."""
        if self._held:
            seq = next(iter(self._held))
            return seq, self._held[seq]
        cursor = self._cursor
        return (self._base + cursor, self.items[cursor]) if cursor < len(self.items) else None

    def peek_last(self) -> tuple[int, Item] | None:
        """Look at the newest waiting item, at a cost that does not grow."""
        if self._cursor < len(self.items):
            return self._base + len(self.items) - 1, self.items[-1]
        if self._held:
            seq = next(reversed(self._held))
            return seq, self._held[seq]
        return None

    def peek_since(self, seq: int) -> list[tuple[int, Item]]:
        """Look at waiting items numbered ``seq`` or later; costs only what is found, and what is held out of order."""
        start = max(self._cursor, seq - self._base)
        found = [(self._base + index, self.items[index]) for index in range(start, len(self.items))]
        if self._held and next(reversed(self._held)) >= seq:
            held = []
            for number in reversed(self._held):
                if number < seq:
                    break
                held.append((number, self._held[number]))
            return held[::-1] + found
        return found

    def waiting_item(self, seq: int) -> Item | None:
        """Look at one waiting item by its number."""
        if self._held and seq in self._held:
            return self._held[seq]
        index = seq - self._base
        return self.items[index] if self._cursor <= index < len(self.items) else None

    def replace(self, seq: int, data: Any) -> bool:
        """Change the data of a waiting item, in place. Call it with the lock held, while nobody asks."""
        item = self.waiting_item(seq)
        if item is None:
            return False
        changed = (data, *item[1:])
        if self._held and seq in self._held:
            self._held[seq] = changed
        else:
            self.items[seq - self._base] = changed
        return True

    # --- after the answer -----------------------------------------------------------------------------------

    def accept(self, at: int) -> tuple[list[Taken], list[Outbox]]:
        """Make final what was taken; let parked items in. Gives the records and the outboxes that emptied."""
        taken = self.taken
        self.taken = None
        if not taken:
            return [], []
        with self.lock:
            for seqs, chunk in taken:
                self._done.append((at, seqs, chunk))
                self._done_count += len(chunk)
            return taken, self.settle()

    def reject(self) -> None:
        """Put what was taken back in place: the answer was no."""
        taken = self.taken
        self.taken = None
        if taken:
            with self.lock:
                self._restore(taken)
                if self.definition.on_full is OnFull.DROP_OLDEST:
                    while self.waiting > self.limit:
                        self._drop_oldest()
                self.settle()

    def put_back(self, taken: Iterable[Taken]) -> None:
        """Put consumed items back to the head of the slot, in their order."""
        records = list(taken)
        with self.lock:
            for _, chunk in records:
                for index, (_, _, kept) in enumerate(self._done):
                    if kept is chunk:
                        del self._done[index]
                        self._done_count -= len(chunk)
                        break
            self._restore(records)
            self.settle()

    def _restore(self, records: list[Taken]) -> None:
        for seqs, chunk in reversed(records):
            if isinstance(seqs, range) and not self._held and seqs.stop == self._base + self._cursor:
                size = len(chunk)
                if self._cursor >= size and self.items[self._cursor - 1] is chunk[-1]:
                    self._cursor -= size
                    continue
            held = self.hold_all()
            held.update(zip(seqs, chunk, strict=True))
            self._held = OrderedDict(sorted(held.items()))

    def settle(self) -> list[Outbox]:
        """Reckon anew after something was taken or put back. Call it with the lock held."""
        cursor = self._cursor
        if cursor and cursor * 2 >= len(self.items):
            self.line = LOCKED  # before the list shrinks: a producer must not see room that is not there
            del self.items[:cursor]
            self._base += cursor
            self._cursor = cursor = 0
        held = self._held
        self._full_line = cursor + self.limit - (len(held) if held else 0)
        emptied = self.admit() if self.parked else []
        self.set_line()
        return emptied

    def admit(self) -> list[Outbox]:
        """Let parked items in while there is room. Call it with the lock held."""
        parked = self.parked
        emptied: list[Outbox] = []
        if not parked:
            return emptied
        now = self.clock.ticks()
        while parked and self._has_room():
            data, emitted_at, emitted_from, metadata, owner = parked.popleft()
            if metadata is None:
                self.items.append((data, emitted_at, now, emitted_from))
            else:
                self.items.append((data, emitted_at, now, emitted_from, metadata))
            self._unpark(owner, emptied)
        return emptied

    def _unpark(self, owner: Outbox, emptied: list[Outbox]) -> None:
        left = owner.counts[self] - 1
        if left:
            owner.counts[self] = left
            return
        del owner.counts[self]
        emptied.append(owner)

    # --- losing, always counted -----------------------------------------------------------------------------

    def count_drop(self, reason: str, count: int = 1) -> None:
        """Count items that are gone. Call it with the lock held, or as the only consumer."""
        if self.drops is None:
            self.drops = {}
        self.drops[reason] = self.drops.get(reason, 0) + count
        if self.fresh_drops is None:
            self.fresh_drops = []
        self.fresh_drops.append((reason, count))

    def _drop_oldest(self) -> None:
        if self._held:
            self._held.popitem(last=False)
        elif self._cursor < len(self.items):
            self._cursor += 1
        self.count_drop("superseded by newer items")
        self._full_line = self._cursor + self.limit - (len(self._held) if self._held else 0) - self._pending()

    def _pending(self) -> int:
        return sum(len(chunk) for _, chunk in self.taken) if self.taken else 0

    def drop_parked_head(self, reason: str) -> Outbox | None:
        """Drop the oldest parked item; give its outbox if that is now empty."""
        with self.lock:
            if not self.parked:
                return None
            owner = self.parked.popleft()[4]
            self.count_drop(reason)
            emptied: list[Outbox] = []
            self._unpark(owner, emptied)
            self.set_line()
            return emptied[0] if emptied else None

    def stretch(self) -> list[Outbox]:
        """Grow by one place, which the oldest parked item takes."""
        with self.lock:
            self.limit += 1
            return self.settle()

    def discard(self, reason: str) -> tuple[int, list[Outbox]]:
        """Drop all that waits or is parked, and all that will come; gives the count and the emptied outboxes."""
        with self.lock:
            self.discarding = reason
            count = self.waiting + self.parked_count
            self._held = None
            self._cursor = len(self.items)
            emptied: list[Outbox] = []
            while self.parked:
                self._unpark(self.parked.popleft()[4], emptied)
            if count:
                self.count_drop(reason, count)
            self.settle()
            return count, emptied

    def close(self) -> None:
        """Take nothing more."""
        with self.lock:
            self.is_closed = True
            self.set_line()
