"""Lineage: which items and activations descend from which activation of a fan-out, and when all of them have ended.

Design: §3.1, and `gather_policy` in the catalogue. Only routines between a fan-out and its gather take part; the tags of
an item are its metadata.

For each activation of a fan-out there is a `Group` in the record of the gather. Its ``pending`` counts what may still
bring members: the items that carry its tag and wait before a routine between the two, the activations that took such
items, the fan-out's own activation, and the groups of scopes within. It is not stored, but counted anew when a job goes
on.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from routilux.item_queue import ItemQueue, Outbox
from routilux.record import Group, Groups
from routilux.runtime.activation import Activation
from routilux.runtime.scopes import Scope

Tag = tuple[str, int]
"""A gather, and the number of an activation of its fan-out."""


def tags_of(metadata: Any) -> Iterable[Tag]:
    """Give the tags that an item carries."""
    return metadata["lineage"] if metadata else ()


def group_numbers(message: Any) -> Iterator[int]:
    """Give the groups that a policy's message says are delivered, however policies are composed."""
    if isinstance(message, dict):
        if message.get("reason") == "gathered":
            yield message["group"]
        for part in message.get("messages", ()):
            yield from group_numbers(part)


class Part:
    """What one routine has to do with lineage: the scopes it opens, lies in, and gathers. The tracer of its queues."""

    __slots__ = ("carried_ids", "gathers", "inside_ids", "lineage", "opens")

    def __init__(self, opens: list[Scope], inside: list[Scope], gathers: list[Scope], lineage: "Lineage") -> None:
        self.opens = opens
        self.gathers = gathers
        self.lineage = lineage
        self.inside_ids = {scope.gather_id for scope in inside}
        self.carried_ids = self.inside_ids | {scope.gather_id for scope in gathers}

    def tag(self, owner: Outbox) -> Any:
        """Give the metadata of an item that enters, and count it. Called with the queue's lock held."""
        tags = tuple(tag for tag in owner.tags if tag[0] in self.carried_ids)
        if not tags:
            return None
        self.lineage.entered(tags)
        self.lineage.add(self.counted(tags))
        return {"lineage": tags}

    def lost(self, metadata: Any) -> None:
        """Hear that an item is gone without being consumed. Called with the queue's lock held."""
        tags = tags_of(metadata)
        self.lineage.lose(tags)
        self.lineage.release(self.counted(tags))

    def kept(self, metadata: Any) -> None:
        """Hear that an item went into a policy's memory: nothing descends from it alone."""
        self.lineage.release(self.counted(tags_of(metadata)))

    def refused(self, owner: Outbox) -> None:
        """Hear that an item was dropped before it entered. Called with the queue's lock held."""
        self.lineage.lose(tag for tag in owner.tags if tag[0] in self.carried_ids)

    def counted(self, tags: Iterable[Tag]) -> list[Tag]:
        """Give those of the tags that something before this routine keeps pending: not those of its own gather."""
        return [tag for tag in tags if tag[0] in self.inside_ids]

    # --- what an activation of this routine does --------------------------------------------------------------

    def begin(self, activation: Activation) -> None:
        """Hear that an activation took its items."""
        consumed = list(_tags_taken(activation))
        tags = set(self.counted(consumed))
        for scope in self.gathers:
            # Without a group in the message another policy fired, as on a timeout: then all that was taken is delivered.
            told = set(group_numbers(activation.message))
            numbers = told or {number for gather_id, number in consumed if gather_id == scope.gather_id}
            for group in self.lineage.deliver(scope, numbers, activation):
                tags.update(self.counted(group.tags))
        self.lineage.add(tags)
        for scope in self.opens:
            if self.lineage.open(scope, activation.number, tuple(sorted(tags))):
                tags.add((scope.gather_id, activation.number))
        activation.tags = tuple(sorted(tags))
        self.lineage.release(self.counted(consumed))

    def end(self, cell: Any, activation: Activation) -> None:
        """Hear that an activation ended, took effect or failed."""
        if activation.error is not None:
            self._fail(cell, activation, activation.tags)
        self._leave(activation)
        for scope in self.gathers:
            self.lineage.close_delivered(scope, activation.number)

    def undo(self, cell: Any, activation: Activation) -> None:
        """Hear that the items of a failed activation went back to their slots: it never was, save what it emitted."""
        self.lineage.add(self.counted(_tags_taken(activation)))
        for scope in self.gathers:
            self.lineage.take_back(scope, activation.number)
        for scope in self.opens:
            if self.lineage.is_empty(scope, activation.number):
                self.lineage.forget(scope, activation.number)
            else:
                self._fail(cell, activation, [(scope.gather_id, activation.number)])
        self._leave(activation)

    def _fail(self, cell: Any, activation: Activation, tags: Iterable[Tag]) -> None:
        failure = {"routine_id": cell.routine_id, "activation_id": activation.activation_id}
        self.lineage.fail(tags, {**failure, "error": f"{type(activation.error).__name__}: {activation.error}"[:1000]})

    def _leave(self, activation: Activation) -> None:
        tags, activation.tags = activation.tags, ()
        self.lineage.release(tags)

    def over(self, cell: Any) -> None:
        """Hear that the routine has ended: what still waits before it never becomes a member."""
        for queue in cell.queues:
            for _, item in queue.peek():
                if len(item) > 4:
                    self.lost(item[4])
        for scope in self.gathers:
            self.lineage.close_all(scope)
        for scope in self.opens:
            self.lineage.nudge(scope)

    def waits_for_groups(self) -> bool:
        """Tell whether a gather must not end: its fan-out has not ended, or a group is open."""
        return any(self.lineage.is_awaited(scope) for scope in self.gathers)


class Lineage:
    """The groups of one run. Its lock guards them, and is an innermost one."""

    def __init__(self, scopes: Iterable[Scope], cells: Iterable[Any]) -> None:
        self._lock = threading.RLock()
        self._scopes = {scope.gather_id: scope for scope in scopes}
        self._cells = {cell.routine_id: cell for cell in cells}

    def part(self, routine_id: str) -> Part | None:
        """Give what a routine has to do with lineage; None if nothing."""
        opens = [scope for scope in self._scopes.values() if scope.origin_id == routine_id]
        inside = [scope for scope in self._scopes.values() if routine_id in scope.inside]
        gathers = [scope for scope in self._scopes.values() if scope.gather_id == routine_id]
        return Part(opens, inside, gathers, self) if opens or inside or gathers else None

    def _groups(self, gather_id: str) -> Groups:
        record = self._cells[gather_id].record
        if record.groups is None:
            record.groups = Groups()
        groups: Groups = record.groups
        return groups

    def _found(self, tags: Iterable[Tag]) -> list[Group]:
        """Give the groups of the tags that are still open."""
        return [group for gather_id, number in tags if (group := self._groups(gather_id).open.get(number))]

    # --- counting -------------------------------------------------------------------------------------------

    def add(self, tags: Iterable[Tag]) -> None:
        """Count one more that may still bring members, for each tag."""
        with self._lock:
            for group in self._found(tags):
                group.pending += 1

    def release(self, tags: Iterable[Tag]) -> None:
        """Count one less; where nothing is left, the group is complete and its gather is asked."""
        with self._lock:
            for gather_id, number in tags:
                groups = self._groups(gather_id)
                group = groups.open.get(number)
                if group is None:
                    continue
                group.pending -= 1
                if not group.pending and group.delivered_by is None:
                    groups.complete[number] = None
                    self._cells[gather_id].nudge()

    def entered(self, tags: Iterable[Tag]) -> None:
        """Count an item that carries these tags."""
        with self._lock:
            for group in self._found(tags):
                group.item_count += 1

    def fail(self, tags: Iterable[Tag], failure: dict[str, Any]) -> None:
        """Note a failed activation in the groups that it belongs to."""
        with self._lock:
            for group in self._found(tags):
                group.failed.append(failure)

    def lose(self, tags: Iterable[Tag]) -> None:
        """Count an item that was dropped, or left over, in the groups that it belongs to."""
        with self._lock:
            for group in self._found(tags):
                group.lost += 1

    # --- groups ---------------------------------------------------------------------------------------------

    def open(self, scope: Scope, number: int, tags: tuple[Tag, ...]) -> bool:
        """Open the group of an activation of the fan-out; False if its gather does not wait for any more."""
        record = self._cells[scope.gather_id].record
        with self._lock:
            if record.ended or record.skipped:
                return False
            self._groups(scope.gather_id).open[number] = Group(tags, pending=1)
            self.add(self._held_by(scope, tags))
            return True

    def _held_by(self, scope: Scope, tags: Iterable[Tag]) -> list[Tag]:
        """Give the outer groups that an inner one keeps pending: those whose gather may still hear of it."""
        return [tag for tag in tags if scope.gather_id in self._scopes[tag[0]].inside]

    def deliver(self, scope: Scope, numbers: Iterable[int], activation: Activation) -> list[Group]:
        """Note which activation of the gather took these groups."""
        with self._lock:
            groups = self._groups(scope.gather_id)
            found = [groups.deliver(number, activation.number) for number in numbers]
            return [group for group in found if group is not None]

    def take_back(self, scope: Scope, activation_number: int) -> None:
        """Note that an activation of the gather did not count."""
        with self._lock:
            self._groups(scope.gather_id).take_back(activation_number)

    def close_delivered(self, scope: Scope, activation_number: int) -> None:
        """Be done with the groups that an activation of the gather took; what still comes of them is late."""
        with self._lock:
            groups = self._groups(scope.gather_id)
            for number in groups.delivered_by(activation_number):
                self.forget(scope, number)
            groups.delivered.pop(activation_number, None)

    def close_all(self, scope: Scope) -> None:
        """Be done with all groups of a gather that has ended."""
        with self._lock:
            for number in list(self._groups(scope.gather_id).open):
                self.forget(scope, number)

    def is_awaited(self, scope: Scope) -> bool:
        """Tell whether groups of a scope are open, or may still be opened."""
        return bool(self._groups(scope.gather_id).open) or not self._cells[scope.origin_id].record.ended

    def nudge(self, scope: Scope) -> None:
        """Have the gather of a scope look again: its fan-out has ended."""
        self._cells[scope.gather_id].nudge()

    def is_empty(self, scope: Scope, number: int) -> bool:
        """Tell whether no item ever carried the tag of a group."""
        group = self._groups(scope.gather_id).open.get(number)
        return group is not None and not group.item_count

    def forget(self, scope: Scope, number: int) -> None:
        """Be done with one group."""
        with self._lock:
            groups = self._groups(scope.gather_id)
            groups.complete.pop(number, None)
            group = groups.open.pop(number)
            self.release(self._held_by(scope, group.tags))

    # --- going on -------------------------------------------------------------------------------------------

    def recount(self) -> None:
        """Count what a job that goes on holds: its items, its activations, its open groups."""
        with self._lock:
            for scope in self._scopes.values():
                self._groups(scope.gather_id).reckon()
            for cell in self._cells.values():
                part: Part | None = cell.lineage
                if part is None:
                    continue
                for activation in cell.flights:
                    activation.tags = self._tags_again(part, activation)
                    self.add(activation.tags)
                for queue in cell.queues:
                    for metadata in _waiting(queue):
                        self.add(part.counted(tags_of(metadata)))
            for scope in self._scopes.values():
                for group in self._groups(scope.gather_id).open.values():
                    self.add(self._held_by(scope, group.tags))
            for scope in self._scopes.values():
                self._groups(scope.gather_id).reckon()

    def _tags_again(self, part: Part, activation: Activation) -> tuple[Tag, ...]:
        tags = set(part.counted(_tags_taken(activation)))
        for scope in part.gathers:
            groups = self._groups(scope.gather_id)
            for number in groups.delivered_by(activation.number):
                tags.update(part.counted(groups.open[number].tags))
        for scope in part.opens:
            if activation.number in self._groups(scope.gather_id).open:
                tags.add((scope.gather_id, activation.number))
        return tuple(sorted(tags))


def _tags_taken(activation: Activation) -> Iterator[Tag]:
    for _, records in activation.taken:
        for _, chunk in records:
            for item in chunk:
                if len(item) > 4:
                    yield from tags_of(item[4])


def _waiting(queue: ItemQueue) -> Iterator[Any]:
    for _, item in queue.peek():
        yield item[4] if len(item) > 4 else None
    for *_, metadata, _ in queue.parked or ():
        yield metadata
