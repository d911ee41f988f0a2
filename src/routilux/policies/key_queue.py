"""The items of one key within a slot, as a queue of their own: a view, so that making one costs nothing.

Design: §3, §4.8. All that is taken and dropped is taken and dropped in the slot itself, at the same numbers.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from routilux.item_queue import ItemQueue
from routilux.item_store import Item

_FIRST, _COUNT, _SEQS = 0, 1, 2
Chain = list[Any]
"""The numbers of one key in one slot: the index of the first, how many wait, and all in order; some wait no more."""


def add(chain: Chain, seq: int) -> None:
    """Note the number of a newer item."""
    chain[_SEQS].append(seq)
    chain[_COUNT] += 1


def new_chain() -> Chain:
    """Give a chain without numbers."""
    return [0, 0, []]


def put_back(chain: Chain, count: int) -> None:
    """Note that so many that were taken wait again."""
    chain[_COUNT] += count


def seqs_of(chain: Chain) -> list[int]:
    """Give the numbers of a chain; some may wait no more."""
    seqs: list[int] = chain[_SEQS][chain[_FIRST] :]
    return seqs


def count_of(chain: Chain) -> int:
    """Tell how many items of a chain wait."""
    count: int = chain[_COUNT]
    return count


def tidied(chain: Chain, queue: ItemQueue) -> Chain:
    """Forget numbers that wait no more: those in front, and the others when they are many. Nothing may be on loan."""
    seqs: list[int] = chain[_SEQS]
    first: int = chain[_FIRST]
    while first < len(seqs) and queue.waiting_item(seqs[first]) is None:
        first += 1
    if first * 2 > len(seqs):
        del seqs[:first]
        first = 0
    if len(seqs) - first > 2 * chain[_COUNT] + 8:
        chain[_SEQS] = [seq for seq in seqs[first:] if queue.waiting_item(seq) is not None]
        first = 0
    chain[_FIRST] = first
    return chain


class KeyQueue(ItemQueue):
    """The items of one key, while the policy is asked. Its lock is its own: that of the slot is taken within."""

    __slots__ = ("_chain", "_start", "_whole")

    def __init__(self, whole: ItemQueue, chain: Chain, is_closed: bool) -> None:
        super().__init__(whole.definition, whole.routine_id, whole.clock, shared=True)
        self._whole = whole
        self._chain = chain
        self._start: int = chain[_FIRST]
        self.taken = whole.taken  # the same list: what is taken here is taken there
        self.is_closed = is_closed  # as it was before the items were looked at

    # --- looking --------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many items of this key wait."""
        return count_of(self._chain)

    @property
    def next_seq(self) -> int:
        """The number that the next item of the slot will get."""
        return self._whole.next_seq

    @property
    def total(self) -> int:
        """How many items are kept: those that wait."""
        return self.waiting

    def _pairs(self, index: int) -> Iterator[tuple[int, Item]]:
        """Give what waits, from a place of the chain on."""
        seqs = self._chain[_SEQS]
        for place in range(index, len(seqs)):
            item = self._whole.waiting_item(seqs[place])
            if item is not None:
                yield seqs[place], item

    def _place_of(self, seq: int) -> int:
        return bisect_left(self._chain[_SEQS], seq, self._start)

    def peek(self, start: int = 0, count: int | None = None) -> list[tuple[int, Item]]:
        """Look at waiting items with their numbers, oldest first."""
        return list(islice(self._pairs(self._start), start, None if count is None else start + count))

    def peek_first(self) -> tuple[int, Item] | None:
        """Look at the oldest waiting item, at a cost that does not grow."""
        seqs = self._chain[_SEQS]
        while self._start < len(seqs):
            item = self._whole.waiting_item(seqs[self._start])
            if item is not None:
                return seqs[self._start], item
            self._start += 1
        return None

    def peek_last(self) -> tuple[int, Item] | None:
        """Look at the newest waiting item."""
        for seq in reversed(self._chain[_SEQS]):
            item = self._whole.waiting_item(seq)
            if item is not None:
                return seq, item
        return None

    def peek_since(self, seq: int) -> list[tuple[int, Item]]:
        """Look at waiting items numbered ``seq`` or later."""
        return list(self._pairs(self._place_of(seq)))

    def next_waiting(self, seq: int) -> tuple[int, Item] | None:
        """Look at the oldest waiting item numbered ``seq`` or later."""
        return next(self._pairs(self._place_of(seq)), None)

    def waiting_item(self, seq: int) -> Item | None:
        """Look at one waiting item of this key by its number."""
        seqs = self._chain[_SEQS]
        place = self._place_of(seq)
        return self._whole.waiting_item(seq) if place < len(seqs) and seqs[place] == seq else None

    # --- taking ---------------------------------------------------------------------------------------------

    def take(self, count: int | None = None) -> list[Item]:
        """Take the oldest waiting items, all or so many."""
        return self._take([seq for seq, _ in self.peek(0, count)])

    def take_one(self) -> Any:
        """Take the data of the oldest waiting item, of which there is one."""
        return self.take(1)[0][0]

    def take_seqs(self, seqs: Iterable[int]) -> list[Item]:
        """Take waiting items by number; numbers that do not wait, or are of another key, are passed over."""
        return self._take([seq for seq in sorted(set(seqs)) if self.waiting_item(seq) is not None])

    def _take(self, seqs: list[int]) -> list[Item]:
        if not seqs:
            return []
        with self._whole.lock:
            items = self._whole.take_seqs(seqs)
        self._chain[_COUNT] -= len(items)
        return items

    def untake(self, mark: int) -> None:
        """Put back in place what was taken, all but the first so many takings."""
        assert self.taken is not None
        self._chain[_COUNT] += sum(len(seqs) for seqs, _ in self.taken[mark:])
        self._start = self._chain[_FIRST]
        self._whole.untake(mark)

    def drop_waiting(self, seqs: Iterable[int], reason: str) -> int:
        """Drop waiting items of this key by number; gives how many there were."""
        wanted = [seq for seq in seqs if self.waiting_item(seq) is not None]
        with self._whole.lock:
            count = self._whole.drop_waiting(wanted, reason) if wanted else 0
        self._chain[_COUNT] -= count
        return count
