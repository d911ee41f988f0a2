"""The bounded queue under a slot: what the engine calls while items flow.

Design: §3, §12.

An item is a plain tuple ``(data, emitted_at, enqueued_at, emitted_from[, metadata])``, stamps in ticks. Waiting items
live in a list behind a cursor, so that appending needs no lock where one routine alone feeds the slot:
``if len(queue.items) < queue.line: queue.items.append(item)``. ``line`` is the length at which something must be looked
at (the limit, the watermark, parked items); where several feed the slot it is closed, and ``edge`` says the same to
those who hold the lock. Everything beyond goes through `offer`. Items that were
taken out of the middle, or put back, pass through ``held``, in order of their numbers, each at most once per taking: no
operation grows with what waits.

The consumer is one at a time (the cell that asks the policy) and takes no lock. What it takes while it asks is
provisional: producers reckon with ``_committed``, which moves only when the answer is yes. The consumer moves it, then
looks for parked items; a producer parks an item, then looks at it again: one of the two sees the other. Only where the
oldest item makes room do producers take too: such a queue is claimed while the policy is asked, see `claim`.
"""

import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from routilux.clock import Clock
from routilux.definition import OnFull, SlotDefinition
from routilux.errors import SlotQueueFullError
from routilux.item_store import Item, ItemStore, Taken

TAKEN, PARKED, DROPPED = 0, 1, 2
UNBOUNDED = sys.maxsize >> 1
UNBOUNDED_THRESHOLD = 1000
LOCKED = -1
COMPACT = 64  # consumed items at the front of the list before it is worth shortening


class Outbox(Protocol):
    """Whose parked item it is."""

    counts: dict[Any, int]
    tags: Sequence[Any]

    @property
    def key(self) -> str:
        """Name it, for storing."""

    def emptied(self, queue: "ItemQueue") -> None:
        """Hear that nothing of this outbox is parked for the slot any more. Called without the queue's lock."""

    def refuse(self) -> None:
        """Hear that the job has ended, and what is parked stays outside."""


class Tracer(Protocol):
    """Who follows which items come from which activation of a fan-out. Called with the queue's lock held."""

    def tag(self, owner: Outbox) -> Any:
        """Give the metadata of an item that enters, and count it."""

    def lost(self, metadata: Any) -> None:
        """Hear that an item which had entered is gone without being consumed."""

    def kept(self, metadata: Any) -> None:
        """Hear that an item went into a policy's memory."""

    def refused(self, owner: Outbox) -> None:
        """Hear that an item was dropped before it entered."""


class ItemQueue(ItemStore):
    """Waiting, held, parked and consumed items of one slot."""

    __slots__ = (
        "_committed",
        "_threshold",
        "definition",
        "discarding",
        "drops",
        "edge",
        "fresh_drops",
        "has_left",
        "is_closed",
        "limit",
        "line",
        "name",
        "parked",
        "routine_id",
        "shared",
        "tracer",
    )

    def __init__(self, definition: SlotDefinition, routine_id: str, clock: Clock, shared: bool) -> None:
        super().__init__(clock)
        length = definition.max_queue_length
        self.definition = definition
        self.name = definition.name
        self.routine_id = routine_id
        self.limit = UNBOUNDED if length is None else length
        self._threshold = UNBOUNDED_THRESHOLD if length is None else max(1, int(length * definition.watermark))
        self._committed = 0  # the cursor less the held items, as producers see it
        self.parked: deque[tuple[Any, int, str, Any, Outbox]] | None = None
        self.shared = shared
        self.is_closed = False
        self.tracer: Tracer | None = None
        self.discarding: str | None = None
        self.drops: dict[str, int] | None = None
        self.fresh_drops: list[tuple[str, int]] | None = None
        self.has_left = False  # whether items are gone for good, dropped or absorbed, since room was reckoned
        self.edge = min(self._threshold, self.limit)
        self.line = LOCKED if shared else self.edge

    def refill(
        self, waiting: list[tuple[int, Item]], done: list[tuple[int, list[tuple[int, Item]]]], next_seq: int, limit: int
    ) -> None:
        """Take items as they were stored."""
        with self.lock:
            self.limit = max(self.limit, limit)
            self._base = next_seq
            self.held = OrderedDict(waiting) if waiting else None
            self.done = [(at, [seq for seq, _ in pairs], [item for _, item in pairs]) for at, pairs in done]
            self._forgotten = next_seq - len(waiting) - sum(len(pairs) for _, pairs in done)
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
    def parked_count(self) -> int:
        """How many items found no room and wait outside."""
        return len(self.parked) if self.parked else 0

    def full_error(self) -> SlotQueueFullError:
        """Say that there is no room."""
        return SlotQueueFullError(self.name, self.routine_id, self.limit, self.waiting, self.total)

    # --- putting in -----------------------------------------------------------------------------------------

    def add(self, data: Any, emitted_at: int, emitted_from: str) -> bool:
        """Append one item if there is room for it without a further look."""
        with self.lock:
            if len(self.items) >= self.edge:
                return False
            self.items.append((data, emitted_at, self.clock.ticks(), emitted_from))
            return True

    @property
    def would_park(self) -> bool:
        """Whether an item would have to wait outside at this moment."""
        if not self.parked and len(self.items) < self._committed + self.limit:
            return False
        return self.definition.on_full in (OnFull.WAIT, OnFull.STRETCH)

    def put(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any = None) -> None:
        """Append one item or raise `SlotQueueFullError`; never parks, drops only where all is discarded."""
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
                self._refuse(self.discarding, owner)
                return TAKEN
            if not self.parked and self._has_room():
                self._append(data, emitted_at, emitted_from, self._tagged(metadata, owner))
                return TAKEN
            on_full = self.definition.on_full
            if on_full is OnFull.FAIL:
                raise self.full_error()
            if on_full is OnFull.DROP:
                self._refuse("full", owner)
                return DROPPED
            metadata = self._tagged(metadata, owner)
            if on_full is OnFull.DROP_OLDEST:
                return self._make_room(data, emitted_at, emitted_from, metadata)
            emptied = self.park(data, emitted_at, emitted_from, metadata, owner)
        return _after_parking(self, emptied, owner)

    def _make_room(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any) -> int:
        """Append an item and drop the oldest; while the policy is asked, who takes them drops them afterwards."""
        if self.taken is None:
            while self.waiting >= self.limit:
                self._drop_oldest()
            self._append(data, emitted_at, emitted_from, metadata)
            return DROPPED
        self._append(data, emitted_at, emitted_from, metadata)
        self.has_left = True  # room must be reckoned
        return TAKEN

    def claim(self) -> None:
        """Keep producers from dropping while the policy is asked. Call it when ``taken`` is set."""
        with self.lock:  # who began to drop before has done so now
            if self.held is None:
                self.held = OrderedDict()  # so that what is taken is made final with the lock

    def offer_without_loss(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any, owner: Outbox) -> int:
        """Append or park, whatever ``on_full`` says: what is fed from outside with care is not lost."""
        with self.lock:
            if not self.parked and self._has_room():
                self._append(data, emitted_at, emitted_from, metadata)
                return TAKEN
            emptied = self.park(data, emitted_at, emitted_from, metadata, owner)
        return _after_parking(self, emptied, owner)

    def has_room_for(self, count: int) -> bool:
        """Tell whether that many items fit now. Call it with the lock held."""
        return not self.parked and self._has_room() and len(self.items) + count <= self._committed + self.limit

    def share(self, may_be_emitting: bool) -> None:
        """Let others than the one feeding routine put items in, from now on.

        An emitter that looked at ``line`` before it changed may still append one item: the last place is left to it.
        """
        with self.lock:
            if not self.shared:
                self.shared = True
                self.line = LOCKED
                if may_be_emitting and len(self.items) == self._committed + self.limit - 1:
                    raise self.full_error()

    def _has_room(self) -> bool:
        if self.total >= self._threshold and self.done:
            self.clear_consumed()
        return len(self.items) < self._committed + self.limit

    def _append(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any) -> None:
        now = self.clock.ticks()
        if metadata is None:
            self.items.append((data, emitted_at, now, emitted_from))
        else:
            self.items.append((data, emitted_at, now, emitted_from, metadata))
        self.set_line()

    def park_behind(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any, owner: Outbox) -> bool:
        """Park an item behind others of the same outbox; False if none of them waits any more."""
        with self.lock:
            if self not in owner.counts or not self.parked:
                return False
            owner.counts[self] += 1
            self.parked.append((data, emitted_at, emitted_from, self._tagged(metadata, owner), owner))
            return True

    def park(self, data: Any, emitted_at: int, emitted_from: str, metadata: Any, owner: Outbox) -> list[Outbox]:
        """Let an item wait outside until there is room; gives the outboxes that emptied. Call it with the lock held."""
        if self.parked is None:
            self.parked = deque()
        owner.counts[self] = owner.counts.get(self, 0) + 1
        self.parked.append((data, emitted_at, emitted_from, metadata, owner))
        self.line = LOCKED
        if len(self.items) < self._committed + self.limit:  # the consumer made room meanwhile, and saw nothing parked
            emptied = self.admit()
            self.set_line()
            return emptied
        return []

    def set_line(self) -> None:
        """Say at which length producers must look again. Call it with the lock held."""
        if self.parked or self.is_closed or self.discarding is not None or self.tracer is not None:
            self.line = self.edge = LOCKED
            return
        full = self._committed + self.limit
        watermark = self._threshold + self._forgotten - self._base
        self.edge = watermark if self.done and watermark < full else full
        self.line = LOCKED if self.shared else self.edge

    def clear_consumed(self) -> None:
        """Forget consumed items. Call it with the lock held."""
        self.done = []
        self._forgotten = self._base + self._committed
        self.set_line()

    # --- after the answer -----------------------------------------------------------------------------------

    def accept(self, at: int) -> Sequence[Outbox]:
        """Make final what was taken; let parked items in. Gives the outboxes that emptied."""
        taken = self.taken
        assert taken is not None
        done = self.done
        for seqs, chunk in taken:
            done.append((at, seqs, chunk))
        held = self.held
        if held is None:
            self.taken = None
            self._committed = cursor = self.cursor
            if not self.parked and (cursor < COMPACT or cursor * 2 < len(self.items)):
                return ()
        with self.lock:
            self.taken = None
            if held is not None:
                for seq in self.lent or ():
                    del held[seq]
                self.lent = None
                self._drop_surplus()
            return self.settle()

    def reject(self) -> list[Outbox]:
        """Put what was taken back in place: the answer was no. Gives the outboxes that emptied."""
        with self.lock:
            taken = self.taken
            self.taken = None
            if taken:
                lent, self.lent = self.lent or (), None
                self._restore([record for record in taken if record[0][0] not in lent])
            self._drop_surplus()
            return self.settle()

    def _drop_surplus(self) -> None:
        if self.definition.on_full is OnFull.DROP_OLDEST:
            while self.waiting > self.limit:
                self._drop_oldest()

    def put_back(self, taken: Iterable[Taken]) -> list[Outbox]:
        """Put consumed items back to the head of the slot, in their order. Gives the outboxes that emptied."""
        records = list(taken)
        chunks = {id(chunk) for _, chunk in records}
        with self.lock:
            self.done = [record for record in self.done if id(record[2]) not in chunks]
            self._restore(records)
            self._forgotten = min(self._forgotten, self.next_seq - self.waiting)
            return self.settle()

    def settle(self) -> list[Outbox]:
        """Reckon anew after something was taken or put back. Call it with the lock held."""
        cursor = self.cursor
        if cursor and cursor * 2 >= len(self.items):
            self.line = LOCKED  # before the list shrinks: a producer must not see room that is not there
            del self.items[:cursor]
            self._base += cursor
            self.cursor = cursor = 0
        self.has_left = False
        held = self.held
        if held is not None and not held:
            self.held = held = None
        self._committed = cursor - len(held) if held else cursor
        emptied = self.admit() if self.parked else []
        self.set_line()
        return emptied

    def admit(self) -> list[Outbox]:
        """Let parked items in while there is room; gives the outboxes that emptied. Call it with the lock held."""
        parked = self.parked
        emptied: list[Outbox] = []
        if not parked or not self._has_room():
            return emptied
        now = self.clock.ticks()
        room = self._committed + self.limit - len(self.items)
        moving = [parked.popleft() for _ in range(min(room, len(parked)))]
        self.items += [
            (data, emitted_at, now, sender) if metadata is None else (data, emitted_at, now, sender, metadata)
            for data, emitted_at, sender, metadata, _ in moving
        ]
        moved: dict[Outbox, int] = {}
        for *_, owner in moving:
            moved[owner] = moved.get(owner, 0) + 1
        for owner, count in moved.items():
            self._unpark(owner, emptied, count)
        return emptied

    def _unpark(self, owner: Outbox, emptied: list[Outbox], count: int = 1) -> None:
        left = owner.counts[self] - count
        if left:
            owner.counts[self] = left
            return
        del owner.counts[self]
        emptied.append(owner)

    def absorb(self, seqs: Iterable[int]) -> list[Item]:
        """Consume waiting items by number at once, whatever the policy answers. Call it with the lock held."""
        pairs = self.pull(seqs)
        if pairs:
            self.has_left = True
            self.done.append((self.clock.ticks(), [seq for seq, _ in pairs], [item for _, item in pairs]))
            if self.tracer is not None:
                for _, item in pairs:
                    self.tracer.kept(item[4] if len(item) > 4 else None)
        return [item for _, item in pairs]

    # --- whose items they are -------------------------------------------------------------------------------

    def trace(self, tracer: Tracer | None) -> None:
        """Have somebody follow which items come and go, from now on."""
        with self.lock:
            self.tracer = tracer
            self.set_line()

    def _tagged(self, metadata: Any, owner: Outbox) -> Any:
        return metadata if self.tracer is None or metadata is not None else self.tracer.tag(owner)

    def _lose(self, items: Iterable[Item]) -> None:
        if self.tracer is not None:
            for item in items:
                if len(item) > 4:
                    self.tracer.lost(item[4])

    def _refuse(self, reason: str, owner: Outbox) -> None:
        self.count_drop(reason)
        if self.tracer is not None:
            self.tracer.refused(owner)

    # --- losing, always counted -----------------------------------------------------------------------------

    def count_drop(self, reason: str, count: int = 1) -> None:
        """Count items that are gone. Call it with the lock held."""
        if self.drops is None:
            self.drops = {}
        self.drops[reason] = self.drops.get(reason, 0) + count
        if self.fresh_drops is None:
            self.fresh_drops = []
        self.fresh_drops.append((reason, count))

    def drop_waiting(self, seqs: Iterable[int], reason: str) -> int:
        """Drop waiting items by number; gives how many there were. Call it with the lock held."""
        pulled = self.pull(seqs)
        count = len(pulled)
        self._lose(item for _, item in pulled)
        if count:
            self.has_left = True
            self._forgotten += count
            self.count_drop(reason, count)
        return count

    def _drop_oldest(self) -> None:
        first = next(self._held_pairs(), None)
        if first is not None and self.held:
            self._lose([self.held.pop(first[0])])
        elif self.cursor < len(self.items):
            self._lose([self.items[self.cursor]])
            self.cursor += 1
        self._forgotten += 1
        self._committed += 1
        self.count_drop("superseded by newer items")

    def drop_parked_head(self, reason: str) -> Outbox | None:
        """Drop the oldest parked item; give its outbox if that is now empty."""
        with self.lock:
            if not self.parked:
                return None
            *_, metadata, owner = self.parked.popleft()
            self._lose([(None, 0, 0, "", metadata)])
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

    def discard(self, reason: str) -> list[Outbox]:
        """Drop all that waits or is parked, and all that will come; gives the emptied outboxes."""
        with self.lock:
            self.discarding = reason
            waiting = self.waiting
            count = waiting + self.parked_count
            self._lose(item for _, item in self.peek())
            self._lose((None, 0, 0, "", metadata) for *_, metadata, _ in self.parked or ())
            self.held = self.lent = None
            self.cursor = len(self.items)
            self._forgotten += waiting
            emptied: list[Outbox] = []
            while self.parked:
                self._unpark(self.parked.popleft()[4], emptied)
            if count:
                self.count_drop(reason, count)
            self.settle()
            return emptied

    def close(self) -> None:
        """Take nothing more."""
        with self.lock:
            self.is_closed = True
            self.set_line()


def _after_parking(queue: ItemQueue, emptied: list[Outbox], owner: Outbox) -> int:
    """Tell others that their outbox emptied; say what became of the item."""
    for outbox in emptied:
        if outbox is not owner:
            outbox.emptied(queue)
    return PARKED if queue in owner.counts else TAKEN
