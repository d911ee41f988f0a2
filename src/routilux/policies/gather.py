"""The gather: all that descends from one activation of a fan-out, together.

Design: §4, and the catalogue of policies. The engine knows what descends from what: `routilux.runtime.lineage`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand
from routilux.errors import BadTypeError
from routilux.item_queue import ItemQueue
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, counts_of, take_new, take_seqs
from routilux.policies.counting import ImmediatePolicy
from routilux.policies.ground import Item, Leaf, LeafPolicy, ask_again, oldest, whole
from routilux.record import Group, Groups

LATE = "late"


@dataclass(frozen=True)
class GatherPolicy(LeafPolicy):
    """See `gather_policy`."""

    of: str | None = None
    need: int | str = "all"

    needs = "any"
    gathers = True
    stretches = True

    def __post_init__(self) -> None:
        if self.of is not None and not isinstance(self.of, str):
            raise BadTypeError(f"of is the id of a routine, not {self.of!r}")
        if self.need != "all":
            whole(self.need, 'need is "all" or a number of members: it')

    def demand(self, slots: Sequence[str]) -> Demand:
        """What descends from one activation of its fan-out, were it nothing."""
        return Demand(gathers=(self.of,))

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes for the group that has been complete, or large enough, for longest."""
        groups = job_state.groups()
        members = _Members(slots, job_state.memory(), groups)
        members.see_new(self.need)
        number = members.next_due()
        if number is None:
            return self.no(_facts(groups, members))
        group = groups.open[number]
        seqs = members.of(number)
        data = {name: take_seqs(slots[name], found) if found else [] for name, found in seqs.items()}
        count = sum(map(len, data.values()))
        message = {
            "reason": "gathered",
            "group": number,
            "members": count,
            "failed": [dict(failure) for failure in group.failed],
            "lost": group.lost,
            "is_complete": not group.pending,
        }
        members.note_delivered(number)
        if not count:
            ask_again(job_state)
        return self.yes(data, message, (_leaf(number, count, group, is_met=True),))


class OneGroupPolicy(ImmediatePolicy):
    """What `immediate_policy` means on the way from a fan-out to its gather: all that is new, of one group at a time.

    So what comes of an activation belongs to one group only.
    """

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes as soon as anything is new; takes what stands at the front with the lineage of the oldest item."""
        head = oldest(slots)
        if head is None:
            return self.no(counts_of(slots))
        facts = counts_of(slots)
        wanted = _lineage(head.item)
        data = {name: take_new(slot, _alike(slot.queue, wanted)) for name, slot in slots.items()}
        return self.yes(data, {"reason": "immediate"}, facts)


def _lineage(item: Item) -> Any:
    return item[4]["lineage"] if len(item) > 4 and item[4] else None


def _alike(queue: ItemQueue, lineage: Any) -> int:
    """Count the items at the front that carry this lineage."""
    count = 0
    found = queue.next_waiting(0)
    while found is not None and _lineage(found[1]) == lineage:
        count += 1
        found = queue.next_waiting(found[0] + 1)
    return count


class _Members:
    """Which waiting items belong to which group: each item is looked at once, when it came."""

    def __init__(self, slots: Slots, memory: dict[str, Any], groups: Groups) -> None:
        self._slots = slots
        self._groups = groups
        self._seen: dict[str, int] = memory.setdefault("seen", {})
        self._found: dict[int, dict[str, list[int]]] = memory.setdefault("members", {})
        self._enough: list[int] = memory.setdefault("enough", [])
        self._delivered: list[int] = memory.setdefault("delivered", [])

    def see_new(self, need: int | str) -> None:
        """Note what came, drop what is late, and forget the groups that are done with."""
        for done in [number for number in self._delivered if number not in self._groups.open]:
            self._delivered.remove(done)
            for name, seqs in self._found.pop(done, {}).items():
                self._slots[name].drop(seqs, LATE)
        for name, slot in self._slots.items():
            late: list[int] = []
            queue = slot.queue
            seen = self._seen.get(name, 0)
            for seq, item in queue.peek_since(seen) if queue.next_seq != seen else ():
                self._seen[name] = seq + 1
                own = _own(item[4] if len(item) > 4 else None, slot.routine_id)
                number = next((number for number in own if number in self._groups.open), None)
                if number is not None:
                    self._add(number, name, seq, need)
                elif own:
                    late.append(seq)
            if late:
                slot.drop(late, LATE)

    def _add(self, number: int, name: str, seq: int, need: int | str) -> None:
        self._found.setdefault(number, {}).setdefault(name, []).append(seq)
        if self.count(number) == need:
            self._enough.append(number)

    def next_due(self) -> int | None:
        """Give the next group to deliver; None if there is none."""
        while self._enough:
            number = self._enough[0]
            if number in self._groups.open and self._groups.open[number].delivered_by is None:
                return number
            self._enough.pop(0)
        return next(iter(self._groups.complete), None)

    def of(self, number: int) -> dict[str, list[int]]:
        """Give the members of a group: their numbers, by slot."""
        return {name: self._found.get(number, {}).get(name, []) for name in self._slots}

    def count(self, number: int) -> int:
        """Count the members of a group."""
        return sum(map(len, self._found.get(number, {}).values()))

    def note_delivered(self, number: int) -> None:
        """Note that a group is to be forgotten once the engine is done with it."""
        if number not in self._delivered:
            self._delivered.append(number)


def _own(metadata: Any, gather_id: str) -> list[int]:
    """Give the groups of this gather that an item belongs to: several where one activation took items of several."""
    tags = metadata["lineage"] if metadata else ()
    return [number for owner, number in tags if owner == gather_id]


def _facts(groups: Groups, members: _Members) -> tuple[Leaf, ...]:
    number = next((number for number, group in groups.open.items() if group.delivered_by is None), None)
    if number is None:
        return (("groups open", 0, 1, False),)
    return (_leaf(number, members.count(number), groups.open[number], is_met=False),)


def _leaf(number: int, count: int, group: Group, is_met: bool) -> Leaf:
    return (f"group {number}: {count} here, {group.pending} under way", count, None, is_met)


def gather_policy(of: str | None = None, need: int | str = "all") -> Policy:
    """Activate when everything that descends from one activation of a fan-out has ended, with all that came of it.

    ``of`` is the routine that fans out; by default the nearest one that every way to this routine passes, and that does
    not feed it as the only one. ``need=k`` does not wait for more than k members. The message of the logic is
    ``{"reason": "gathered", "group", "members", "failed": [{"routine_id", "activation_id", "error"}], "lost",
    "is_complete"}``: failed members are seen, an empty fan-out gives empty lists. Only the routines between the two carry
    lineage; an item from outside belongs to no group and stays. On the way, `immediate_policy` takes items of one group
    at a time; where another policy takes items of several, what comes of them belongs to the first that is still open.

    gather_policy()
    activates   when nothing that descends from an activation of the fan-out is queued or runs; need=k: with k members
    takes       the members of that group, wherever they stand; one group at a time, in order of completion
    holds back  members of groups that are not complete
    at end      every group is complete by then; nothing is held
    full slot   it grows beyond its length, since members cannot wait outside
    resume      groups and members are stored with the job
    explains    group 3: 2 here, 5 under way
    picture     in  -(ab)--()-c-|          what one activation of the fan-out emits; one character = 1 s, | = end
                out -[ab]--[]-[c]-|

    Raises:
        ValueError: need is below 1.
        TypeError: need is no int, ``of`` is no id.
    """
    return GatherPolicy(of, need)
