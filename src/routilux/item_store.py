"""Where the items of one slot are kept: waiting, held, lent, consumed. Knows nothing of limits and producers.

Design: §3. See `routilux.item_queue` for the whole picture and the protocol between producers and consumer.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from routilux.clock import Clock

Item = tuple[Any, ...]
Taken = tuple[Sequence[int], list[Item]]
Done = tuple[int, Sequence[int], list[Item]]


class ItemStore:
    """Numbered items behind a cursor; one consumer at a time takes them, anyone may look."""

    __slots__ = ("_base", "_forgotten", "clock", "cursor", "done", "held", "items", "lent", "lock", "taken")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.Lock()  # guards what producers change; the consumer changes the rest without it
        self.items: list[Any] = []
        self._base = 0  # the number of items[0]
        self._forgotten = 0  # how many items were dropped, or consumed and cleared
        self.cursor = 0  # index of the first waiting item in items, as the consumer sees it
        self.held: OrderedDict[int, Item] | None = None
        self.lent: set[int] | None = None  # numbers of held items that the policy took, until it has answered
        self.done: list[Done] = []  # consumed: when, numbers, items
        self.taken: list[Taken] | None = None  # what the policy took so far; None: nobody is asking

    def settle(self) -> list[Any]:
        """Reckon anew after something was taken. Call it with the lock held."""
        return []

    # --- counting -------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many items nobody consumed yet, parked ones not counted."""
        held = self.held
        count = len(self.items) - self.cursor
        if held:
            count += len(held)
            if self.lent:
                count -= len(self.lent)
        return count

    @property
    def next_seq(self) -> int:
        """The number that the next item will get: how many were ever enqueued."""
        return self._base + len(self.items)

    @property
    def total(self) -> int:
        """How many items are kept: waiting, or consumed and not cleared yet."""
        return self._base + len(self.items) - self._forgotten

    # --- taking out -----------------------------------------------------------------------------------------

    def take(self, count: int | None = None) -> list[Item]:
        """Take the oldest waiting items, all or so many; the caller is the only consumer."""
        chunk: list[Item] = []
        if self.held:
            chunk = self._take_held(count)
            if count is not None:
                count -= len(chunk)
        items = self.items
        cursor = self.cursor
        end = len(items) if count is None else min(len(items), cursor + count)
        if end > cursor:
            fresh = items[cursor:end]
            base = self._base
            self._note(range(base + cursor, base + end), fresh)
            self.cursor = end
            chunk = chunk + fresh if chunk else fresh
        return chunk

    def _take_held(self, count: int | None) -> list[Item]:
        return self._lend(islice(self._held_pairs(), count))

    def take_one(self) -> Any:
        """Take the data of the oldest waiting item, of which there is one, while the policy is asked."""
        taken = self.taken
        if taken is None:
            with self.lock:
                chunk = self.take(1)
                self.settle()
            return chunk[0][0]
        if self.held:
            return self.take(1)[0][0]
        cursor = self.cursor
        item = self.items[cursor]
        self.cursor = cursor + 1
        taken.append(((self._base + cursor,), [item]))
        return item[0]

    def is_next(self, seq: int) -> bool:
        """Tell whether this is the number of the oldest waiting item, nothing having been taken out of the middle."""
        cursor = self.cursor
        return self._base + cursor == seq and cursor < len(self.items) and not self.held

    def take_seqs(self, seqs: Iterable[int]) -> list[Item]:
        """Take waiting items by number, wherever they stand; numbers that do not wait are passed over."""
        wanted = sorted(set(seqs))
        if wanted and not self.held and wanted[0] == self._base + self.cursor and wanted[-1] < wanted[0] + len(wanted):
            return self.take(len(wanted))  # the oldest ones: nothing is taken out of the middle
        held = self.hold_all()
        lent = self.lent or ()
        wanted = [seq for seq in wanted if seq in held and seq not in lent]
        return self._lend((seq, held[seq]) for seq in wanted)

    def _lend(self, pairs: Iterable[tuple[int, Item]]) -> list[Item]:
        """Take held items: for good, or until the policy has answered."""
        assert self.held is not None
        found = list(pairs)
        seqs = [seq for seq, _ in found]
        chunk = [item for _, item in found]
        if found:
            self._note(seqs, chunk)
        if self.taken is None:
            for seq in seqs:
                del self.held[seq]
        else:
            self.lent = (self.lent or set()).union(seqs)
        return chunk

    def _held_pairs(self) -> Iterator[tuple[int, Item]]:
        """Give held items that are not lent, oldest first."""
        lent = self.lent
        pairs = iter((self.held or {}).items())
        return (pair for pair in pairs if pair[0] not in lent) if lent else pairs

    def pull(self, seqs: Iterable[int]) -> list[tuple[int, Item]]:
        """Remove waiting items by number, without a record."""
        wanted = [seq for seq in sorted(set(seqs)) if self.waiting_item(seq) is not None]
        if not wanted:
            return []
        held = self.hold_all()
        return [(seq, held.pop(seq)) for seq in wanted]

    def hold_all(self) -> OrderedDict[int, Item]:
        """Move every waiting item into ``held``, in order."""
        held = self.held
        if held is None:
            held = self.held = OrderedDict()
        end = len(self.items)
        for index in range(self.cursor, end):
            held[self._base + index] = self.items[index]
        self.cursor = end
        return held

    def _note(self, seqs: Sequence[int], chunk: list[Item]) -> None:
        if self.taken is not None:
            self.taken.append((seqs, chunk))
        else:
            self.done.append((self.clock.ticks(), seqs, chunk))

    # --- looking --------------------------------------------------------------------------------------------

    def peek(self, start: int = 0, count: int | None = None) -> list[tuple[int, Item]]:
        """Look at waiting items with their numbers, oldest first."""
        stop = self.waiting if count is None else min(self.waiting, start + count)
        found = list(islice(self._held_pairs(), start, stop))
        first = len(self.items) - self.waiting  # where the first waiting item would stand in the list
        base = self._base
        for index in range(max(self.cursor, first + start), first + stop):
            found.append((base + index, self.items[index]))
        return found

    def peek_first(self) -> tuple[int, Item] | None:
        """Look at the oldest waiting item, at a cost that does not grow."""
        if self.held:
            for pair in self._held_pairs():
                return pair
        cursor = self.cursor
        return (self._base + cursor, self.items[cursor]) if cursor < len(self.items) else None

    def peek_last(self) -> tuple[int, Item] | None:
        """Look at the newest waiting item, at a cost that does not grow."""
        if self.cursor < len(self.items):
            return self._base + len(self.items) - 1, self.items[-1]
        for seq in reversed(self.held or ()):
            if seq not in (self.lent or ()):
                assert self.held is not None
                return seq, self.held[seq]
        return None

    def peek_since(self, seq: int) -> list[tuple[int, Item]]:
        """Look at waiting items numbered ``seq`` or later; costs only what is found."""
        start = max(self.cursor, seq - self._base)
        found = [(self._base + index, self.items[index]) for index in range(start, len(self.items))]
        older = []
        for number in reversed(self.held or ()):
            if number < seq:
                break
            assert self.held is not None
            if number not in (self.lent or ()):
                older.append((number, self.held[number]))
        return older[::-1] + found

    def next_waiting(self, seq: int) -> tuple[int, Item] | None:
        """Look at the oldest waiting item numbered ``seq`` or later; costs what is passed over."""
        if not self.held:
            index = max(seq - self._base, self.cursor)
            return (self._base + index, self.items[index]) if index < len(self.items) else None
        first = self.peek_first()
        if first is None or first[0] >= seq:
            return first
        for number in range(seq, self._base + len(self.items)):
            item = self.waiting_item(number)
            if item is not None:
                return number, item
        return None

    def waiting_item(self, seq: int) -> Item | None:
        """Look at one waiting item by its number."""
        if self.held and seq in self.held:
            return None if seq in (self.lent or ()) else self.held[seq]
        index = seq - self._base
        return self.items[index] if self.cursor <= index < len(self.items) else None

    def replace(self, seq: int, data: Any) -> bool:
        """Change the data of a waiting item, in place. Call it with the lock held."""
        item = self.waiting_item(seq)
        if item is None:
            return False
        changed = (data, *item[1:])
        if self.held and seq in self.held:
            self.held[seq] = changed
        else:
            self.items[seq - self._base] = changed
        return True

    def untake(self, mark: int) -> None:
        """Put back in place what was taken while the policy is asked, all but the first so many takings."""
        assert self.taken is not None
        newer = self.taken[mark:]
        del self.taken[mark:]
        with self.lock:
            lent = self.lent or set()
            cut = [record for record in newer if record[0][0] not in lent]
            for seqs, _ in newer:
                lent.difference_update(seqs)
            self._restore(cut)

    def _restore(self, records: list[Taken]) -> None:
        for seqs, chunk in reversed(records):
            size = len(chunk)
            cursor = self.cursor
            is_last_taken = not self.held and cursor >= size and self.items[cursor - 1] is chunk[-1]
            if is_last_taken and seqs[-1] - seqs[0] == size - 1 and self._base + cursor == seqs[-1] + 1:
                self.cursor -= size
                continue
            held = self.hold_all()
            in_front = not held or seqs[-1] < next(iter(held))
            for seq, item in zip(reversed(seqs), reversed(chunk), strict=True):
                held[seq] = item
                held.move_to_end(seq, last=False)
            if not in_front:
                self.held = OrderedDict(sorted(held.items()))
