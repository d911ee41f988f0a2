"""Policies that keep the latest item of a slot.

Design: §4, and the catalogue of policies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from routilux.demand import ANY_ITEM, Demand, each
from routilux.errors import BadTypeError, BadValueError
from routilux.job import JobState
from routilux.policies.core import Answer, DataSlice, Policy, Slots, take_new
from routilux.policies.ground import (
    LeafPolicy,
    Scan,
    drop_new,
    oldest,
    waiting,
)
from routilux.slot import Slot

SUPERSEDED = "superseded"


@dataclass(frozen=True)
class LatestPolicy(LeafPolicy):
    """See `latest_policy`."""

    asks_when_empty = False

    def demand(self, slots: Sequence[str]) -> Demand:
        """Any item; older ones are dropped."""
        return replace(ANY_ITEM, keeps=1)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when anything is new; drops all but the newest of each slot."""
        count = waiting(slots)
        facts = (("count(any slot)", count, 1, count > 0),)
        if not count:
            return self.no(facts)
        return self.yes({name: _newest(slot) for name, slot in slots.items()}, {"reason": "latest"}, facts)


def _newest(slot: Slot) -> list[Any]:
    _keep_newest(slot)
    return take_new(slot, 1)


def _keep_newest(slot: Slot) -> None:
    older = slot.queue.waiting - 1
    if older > 0:
        drop_new(slot, SUPERSEDED, older)


class _LatestMemory:
    """The latest value of each slot, as the job remembers it; undone where the last activation was."""

    def __init__(self, slots: Slots, memory: dict[str, Any]) -> None:
        self._memory = memory
        self.values: DataSlice = memory.get("latest") or {}
        taken: dict[str, int] = memory.get("taken") or {}
        for name, seq in taken.items():
            first = slots[name].queue.peek_first() if name in slots else None
            if first is not None and first[0] <= seq:
                self.values = memory["was"]
                return

    def take(self, slots: Slots, oldest_of: dict[str, int]) -> None:
        """Take the oldest item of these slots, whose number is given, as their latest value."""
        memory = self._memory
        memory["was"] = self.values
        self.values = values = self.values.copy()
        memory["taken"] = oldest_of
        for name in oldest_of:
            values[name] = take_new(slots[name], 1)
        memory["latest"] = values


@dataclass(frozen=True)
class CombineLatestPolicy(LeafPolicy):
    """See `combine_latest_policy`."""

    emit_on: Sequence[str] | None = None

    needs = "all"
    asks_when_empty = False

    def __post_init__(self) -> None:
        if self.emit_on is not None:
            if isinstance(self.emit_on, str) or not all(isinstance(name, str) for name in self.emit_on):
                raise BadTypeError(f"emit_on takes names of slots, such as ('orders',), not {self.emit_on!r}")
            object.__setattr__(self, "emit_on", tuple(self.emit_on))

    def demand(self, slots: Sequence[str]) -> Demand:
        """One item of every slot, for the first time."""
        named = tuple(self.emit_on or ())
        return Demand(each(slots, 1), 1, has_timeout=False, fires_at_end=False, named=named, keeps=1)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes at each arrival, once every slot was seen; goes over arrivals in their order."""
        memory = _LatestMemory(slots, job_state.memory())
        values = memory.values
        if len(values) == len(slots):
            first = oldest(slots)
            if first is not None and (self.emit_on is None or first.name in self.emit_on):
                return self._fire(slots, memory, {first.name: first.seq})
        pending = self._go_over(slots, [name for name in slots if name not in values])
        if pending is not None:
            return self._fire(slots, memory, pending)
        facts = tuple((f"seen({name})", int(seen), 1, seen) for name, seen in _seen(slots, values))
        return self.no((*facts, ("an arrival that emits", "not yet", None, False)))

    def _go_over(self, slots: Slots, missing: list[str]) -> dict[str, int] | None:
        """Drop what is superseded up to the first arrival that emits; give the latest by then, None without one."""
        pending: dict[str, int] = {}
        stale: dict[str, list[int]] = {}
        scan = Scan(slots, {})
        fires = False
        while not fires and scan.peek() is not None:
            scan.step()
            if scan.name in pending:
                stale.setdefault(scan.name, []).append(pending[scan.name])
            pending[scan.name] = scan.seq
            emits = bool(missing) or self.emit_on is None or scan.name in self.emit_on
            fires = emits and all(name in pending for name in missing)
        for name, seqs in stale.items():
            slots[name].drop(seqs, SUPERSEDED)
        return pending if fires else None

    def _fire(self, slots: Slots, memory: _LatestMemory, pending: dict[str, int]) -> Answer:
        memory.take(slots, pending)
        data = {name: items[:] for name, items in memory.values.items()}
        facts = (("seen(every slot)", 1, 1, True), ("an arrival that emits", "yes", None, True))
        return self.yes(data, {"reason": "combine_latest", "new": list(pending)}, facts)


def _seen(slots: Slots, values: DataSlice) -> list[tuple[str, bool]]:
    return [(name, name in values or slot.queue.waiting > 0) for name, slot in slots.items()]


@dataclass(frozen=True)
class WithLatestPolicy(LeafPolicy):
    """See `with_latest_policy`."""

    primary: str

    needs = "all"
    asks_when_empty = False

    def __post_init__(self) -> None:
        if not isinstance(self.primary, str):
            raise BadTypeError(f"primary is the name of a slot, not {self.primary!r}")

    def demand(self, slots: Sequence[str]) -> Demand:
        """One item of every slot, for the first time."""
        return Demand(each(slots, 1), 1, has_timeout=False, fires_at_end=False, named=(self.primary,))

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes for the oldest primary item, once every other slot has a value."""
        if self.primary not in slots:
            raise BadValueError(f"primary {self.primary!r} is none of the slots {list(slots)}")
        has_ended = slots[self.primary].queue.is_closed  # before looking at it: more may come until then
        first = slots[self.primary].queue.peek_first()
        memory = _LatestMemory(slots, job_state.memory())
        others = [name for name in slots if name != self.primary]
        if first is None:
            for name in others:
                self._tidy(slots[name], has_ended)
            return self.no(((f"count({self.primary})", 0, 1, False),))
        pending = {}
        facts: list[Any] = [(f"count({self.primary})", 1, 1, True)]
        for name in others:
            new = self._reach(slots[name], first[1][2], name in memory.values)
            if new is not None:
                pending[name] = new
            seen = new is not None or name in memory.values
            facts.append((f"seen({name})", int(seen), 1, seen))
        if not all(leaf[3] for leaf in facts):
            return self.no(tuple(facts))
        memory.take(slots, pending)
        values = {name: memory.values[name][:] for name in others}
        data = {**values, self.primary: take_new(slots[self.primary], 1)}
        return self.yes(data, {"reason": "with_latest"}, tuple(facts))

    @staticmethod
    def _tidy(slot: Slot, has_ended: bool) -> None:
        """Keep only the newest while no primary item waits; none when none can come."""
        if has_ended:
            drop_new(slot, "no primary item can come")
        else:
            _keep_newest(slot)

    def _reach(self, slot: Slot, at: int, has_value: bool) -> int | None:
        """Drop what is older than the latest at that time; give the number of a new latest, which heads the slot."""
        scan = Scan({slot.name: slot}, {})
        seen: list[int] = []
        while (item := scan.peek()) is not None and item[2] <= at:
            seen.append(scan.seq)
            scan.step()
        if len(seen) > 1:
            slot.drop(seen[:-1], SUPERSEDED)
        if seen:
            return seen[-1]
        first = None if has_value else slot.queue.peek_first()
        return None if first is None else first[0]


def latest_policy() -> Policy:
    """Activate with the newest item only; what it overtook is dropped.

    latest_policy()
    activates   when the routine is idle and any slot has a new item
    takes       the newest item of each slot; older ones are dropped as "superseded"
    holds back  nothing
    at end      nothing is held
    full slot   producers wait while the routine is busy: on_full="drop_oldest" suits it
    resume      goes on with the newest item
    explains    count(any slot) 0 of 1 no
    picture     in   -(abc)-d-|          one character = 1 s, | = end
                out  -[c]-[d]-|
                drop -(ab)
    """
    return LatestPolicy()


def combine_latest_policy(emit_on: Iterable[str] | None = None) -> Policy:
    """Activate at each arrival with the latest item of every slot, once every slot was seen.

    combine_latest_policy()
    activates   when every slot was seen for the first time, then at each arrival (in a slot of emit_on)
    takes       the item that arrived; delivers the latest of every slot, which stay in the job
    holds back  the latest of each slot until all were seen; older ones are dropped as "superseded"
    at end      holds what was never combined
    full slot   holds one item per slot
    resume      the latest items are stored with the job
    explains    seen(x) 1 of 1 yes; seen(y) 0 of 1 no; an arrival that emits not yet no
    picture     x    ca--b---|          one character = 1 s, | = end
                y    --1--2--|
                out  --[a1]-[b1][b2]--|
                drop -c

    Raises:
        TypeError: ``emit_on`` is no list of slot names.
    """
    return CombineLatestPolicy(emit_on if emit_on is None or isinstance(emit_on, str) else tuple(emit_on))


def with_latest_policy(primary: str) -> Policy:
    """Activate for each item of the primary slot, with the latest item of the others.

    with_latest_policy("x")
    activates   when x has an item and every other slot has had one
    takes       one item of x; delivers with it what was the latest of the others when it arrived
    holds back  items of x, without loss, until the others have one; of the others the newest
    at end      holds items of x without counterpart; what the others still have is dropped
    full slot   x fills while another slot was never seen; the others hold one item
    resume      the latest items are stored with the job
    explains    count(x) 1 of 1 yes; seen(y) 0 of 1 no
    picture     x   -a-b--c-|          one character = 1 s, | = end
                y   --1--2--|
                out --[a1][b1]--[c2]-|

    Raises:
        TypeError: ``primary`` is no name.
    """
    return WithLatestPolicy(primary)
