"""Waiting items by key: kept in the job's memory, brought up to date at the cost of what came since.

Design: §4.6, and the catalogue of policies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from routilux.errors import BadTypeError, BadValueError
from routilux.item_queue import ItemQueue
from routilux.policies.core import Slots
from routilux.policies.ground import Item

Key = Callable[[Any], Any] | str
Keys = Key | Mapping[str, Key]

_FIRST, _LAST = 0, 1
_KEY, _NEXT = 0, 1


def check_key(value: object) -> None:
    """Check what tells the key of an item.

    Raises:
        TypeError: it is neither a function nor a name.
    """
    if not callable(value) and not isinstance(value, str):
        raise BadTypeError(f"key is a function or the name of a field, not {value!r}")


def key_of(key: Key, data: Any) -> Any:
    """Give the key of an item: by a function, or as the field of that name.

    Raises:
        TypeError: it cannot be a key.
    """
    if callable(key):
        found = key(data)
    else:
        found = data[key] if isinstance(data, Mapping) else getattr(data, key)
    try:
        hash(found)
    except TypeError as error:
        raise BadTypeError(f"{found!r} of {data!r:.80} cannot be a key: it must be hashable") from error
    return found


def key_for(keys: Keys, slot: str) -> Key:
    """Give what tells the key of the items of one slot.

    Raises:
        ValueError: the keys are given by slot, and this one has none.
    """
    if not isinstance(keys, Mapping):
        return keys
    if slot not in keys:
        raise BadValueError(f"no key is given for slot {slot!r}, only for {', '.join(keys)}")
    return keys[slot]


class KeyGroups:
    """The waiting items of some slots, in order for each key: adding and taking cost the same however many wait.

    ``groups`` holds key -> slot -> [first, last] and ``links`` slot -> number -> [key, the following of that key].
    Where items were put back or others took some, that shows in the counts, and all is noted anew.
    """

    def __init__(self, slots: Slots, keys: Keys, kept: dict[str, Any]) -> None:
        self._slots = slots
        self._keys = keys
        self._kept = kept
        self.groups: dict[Any, dict[str, list[int]]] = kept.setdefault("groups", {})
        self._links: dict[str, dict[int, list[Any]]] = kept.setdefault("links", {})
        self._seen: dict[str, int] = kept.setdefault("seen", {})
        self._due: list[list[Any]] = kept.setdefault("due", [[], []])  # keys to look at: to be popped, and newer ones

    def due(self) -> Iterator[Any]:
        """Give the keys that something changed for, each time anew, oldest change first."""
        older, newer = self._due
        while older or newer:
            if not older:
                older.extend(reversed(newer))
                newer.clear()
            yield older.pop()

    def look_at(self, *keys: Any) -> None:
        """Have keys looked at after all that are due."""
        self._due[1].extend(keys)

    def look_first_at(self, key: Any) -> None:
        """Have a key looked at before all that are due."""
        self._due[0].append(key)

    def update(self) -> None:
        """See what came, and what was put back or taken by others."""
        self._see_returned()
        for name, slot in self._slots.items():
            queue = slot.queue
            links = self._links.setdefault(name, {})
            self._see_new(name, queue)
            while len(links) != queue.waiting:
                if not self._see_new(name, queue):
                    self.see_all()
                    return

    def _see_new(self, name: str, queue: ItemQueue) -> bool:
        seen = self._seen.get(name, 0)
        if queue.next_seq == seen:
            return False
        found = queue.peek_since(seen)
        for seq, item in found:
            self._add(name, seq, item)
            self._seen[name] = seq + 1
        return bool(found)

    def _add(self, name: str, seq: int, item: Item) -> None:
        key = key_of(key_for(self._keys, name), item[0])
        group = self.groups.setdefault(key, {})
        self._links[name][seq] = [key, None]
        chain = group.get(name)
        if chain is None:
            group[name] = [seq, seq]
            self.look_at(key)
        else:
            self._links[name][chain[_LAST]][_NEXT] = seq
            chain[_LAST] = seq

    def see_all(self) -> None:
        """Begin anew with what waits now; every key is due."""
        self.groups.clear()
        for keys in self._due:
            keys.clear()
        self._kept.pop("taken", None)
        waits = []
        for place, (name, slot) in enumerate(self._slots.items()):
            self._links[name] = {}
            seen = slot.queue.next_seq
            with slot.queue.lock:
                found = slot.queue.peek()
            self._seen[name] = max(seen, found[-1][0] + 1) if found else seen  # one may have come in between
            waits += [(item[2], place, seq, name, item) for seq, item in found]
        for _, _, seq, name, item in sorted(waits, key=lambda found: found[:3]):
            self._add(name, seq, item)

    # --- taking and putting back ----------------------------------------------------------------------------

    def first_items(self, key: Any) -> dict[str, Item]:
        """Give the first item of a key in each slot that has one."""
        chains = self.groups.get(key, {})
        items = {name: self._item(name, chains[name][_FIRST]) for name in self._slots if name in chains}
        found = {name: item for name, item in items.items() if item is not None}
        if len(found) == len(items):
            return found
        self.see_all()  # somebody took one meanwhile
        return self.first_items(key)

    def _item(self, name: str, seq: int) -> Item | None:
        return self._slots[name].queue.waiting_item(seq)

    def key_at(self, name: str, seq: int) -> Any:
        """Give the key of a waiting item."""
        if seq not in self._links[name]:
            self.see_all()
        return self._links[name][seq][_KEY]

    def take(self, key: Any, names: Iterable[str]) -> dict[str, int]:
        """Strike out the first item of a key in each of these slots, to be delivered; gives their numbers."""
        taken = {name: self.remove_first(key, name) for name in names}
        self._kept["taken"] = [key, taken]
        if key in self.groups:
            self.look_at(key)
        return taken

    def remove_first(self, key: Any, name: str) -> int:
        """Strike out the first item of a key in one slot; gives its number."""
        group = self.groups[key]
        seq = group[name][_FIRST]
        following = self._links[name].pop(seq)[_NEXT]
        if following is not None:
            group[name][_FIRST] = following
            return seq
        del group[name]
        if not group:
            del self.groups[key]
        return seq

    def remove_key(self, key: Any) -> dict[str, list[int]]:
        """Strike out a whole key; gives the numbers of its items."""
        removed: dict[str, list[int]] = {}
        for name in list(self.groups[key]):
            removed[name] = []
            while name in self.groups.get(key, {}):
                removed[name].append(self.remove_first(key, name))
        return removed

    def _see_returned(self) -> None:
        """See what was taken last back in its place, where the yes did not count: the items that wait again."""
        if "taken" not in self._kept:
            return
        key, taken = self._kept.pop("taken")
        for name, seq in taken.items():
            if name in self._slots and self._item(name, seq) is not None:
                chain = self.groups.setdefault(key, {}).setdefault(name, [seq, seq])
                following = chain[_FIRST] if chain[_FIRST] != seq else None
                self._links[name][seq] = [key, following]
                chain[_FIRST] = seq
                self.look_first_at(key)
