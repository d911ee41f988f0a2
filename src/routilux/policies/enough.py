"""Policies that wait for enough: weight, a delimiter, a quorum of slots.

Design: §4, and the catalogue of policies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from routilux.demand import Demand
from routilux.errors import BadTypeError, BadValueError
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, new_data, take_new
from routilux.policies.ground import (
    AT_END,
    END,
    SECOND,
    LeafPolicy,
    Scan,
    Weigh,
    age_of,
    all_closed,
    duration,
    function,
    oldest,
    one_of,
    to_ns,
    wake_in,
    whole,
)

STARTS = ("first_item", "last_activation")


def _some_items(within_seconds: float | None, at_end: str) -> Demand:
    """Say that it needs items, and what lets go of them."""
    has_timeout = within_seconds is not None
    fires_at_end = has_timeout or at_end == "fire"
    return Demand(total=1, has_timeout=has_timeout, fires_at_end=fires_at_end, seconds=within_seconds)


@dataclass(frozen=True)
class WeightPolicy(LeafPolicy):
    """See `weight_policy`."""

    max_weight: float
    weigh: Weigh
    within_seconds: float | None = None
    at_end: str = "hold"

    asks_when_empty = False

    def __post_init__(self) -> None:
        if isinstance(self.max_weight, bool) or not isinstance(self.max_weight, int | float):
            raise BadTypeError(f"max_weight must be a number, not {self.max_weight!r}")
        if not self.max_weight > 0:
            raise BadValueError(f"max_weight must be above 0, not {self.max_weight!r}")
        function(self.weigh, "weigh")
        duration(self.within_seconds, "within_seconds", optional=True)
        one_of(self.at_end, AT_END, "at_end")

    def demand(self, slots: Sequence[str]) -> Demand:
        """An item; whether it is heavy enough, only a run can tell."""
        return _some_items(self.within_seconds, self.at_end)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when the oldest items together reach the weight, or the time is over."""
        memory = job_state.memory()
        has_ended = all_closed(slots)  # before looking at items: more may come until then
        scan = Scan(slots, memory)
        total = 0 if scan.is_fresh else memory.get("weight", 0)
        while total < self.max_weight and (item := scan.peek()) is not None:
            weight = self.weigh(item[0])
            if total and total + weight > self.max_weight:
                return self._fire(memory, scan, "weight", self._facts(total + weight))
            scan.step()
            total += weight
        memory["weight"] = total
        facts = self._facts(total)
        if total >= self.max_weight:
            return self._fire(memory, scan, "weight", facts)
        first = oldest(slots)
        if first is None:
            return self.no(facts)
        if self.within_seconds is not None:
            age = age_of(slots, first.item)
            left = to_ns(self.within_seconds) - age
            facts = (*facts, ("age(oldest)", age / SECOND, self.within_seconds, left <= 0))
            if left <= 0:
                return self._fire(memory, scan, "timeout", facts)
            wake_in(job_state, left)
        if (self.within_seconds is not None or self.at_end == "fire") and has_ended:
            return self._fire(memory, scan, "end", (*facts, END))
        return self.no(facts)

    def _facts(self, total: float) -> Any:
        return (("weight", total, self.max_weight, total >= self.max_weight),)

    def _fire(self, memory: dict[str, Any], scan: Scan, reason: str, facts: Any) -> Answer:
        memory.pop("weight", None)
        return self.yes(scan.take(), {"reason": reason}, facts)


@dataclass(frozen=True)
class UntilPolicy(LeafPolicy):
    """See `until_policy`."""

    is_last: Callable[[Any], Any]
    include: bool = True
    max_items: int | None = None
    at_end: str = "hold"

    asks_when_empty = False

    def __post_init__(self) -> None:
        function(self.is_last, "is_last")
        if self.max_items is not None:
            whole(self.max_items, "max_items")
        one_of(self.at_end, AT_END, "at_end")

    def demand(self, slots: Sequence[str]) -> Demand:
        """An item; whether it is the last, only a run can tell."""
        return _some_items(None, self.at_end)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when a delimiter was seen, or too many items came without one."""
        memory = job_state.memory()
        has_ended = all_closed(slots)  # before looking at items: more may come until then
        scan = Scan(slots, memory)
        count = 0 if scan.is_fresh else memory.get("count", 0)
        while (item := scan.peek()) is not None:
            if self.is_last(item[0]):
                if self.include:
                    scan.step()
                    count += 1
                else:
                    slots[scan.name].drop([scan.seq], "delimiter")
                if count:
                    return self._fire(memory, scan, "delimiter", self._facts(count, True))
                continue
            scan.step()
            count += 1
            if count == self.max_items:
                return self._fire(memory, scan, "max_items", self._facts(count, False))
        memory["count"] = count
        facts = self._facts(count, False)
        if count and self.at_end == "fire" and has_ended:
            return self._fire(memory, scan, "end", (*facts, END))
        return self.no(facts)

    def _facts(self, count: int, seen: bool) -> Any:
        leaf = ("delimiter", "seen" if seen else "not seen", "seen", seen)
        if self.max_items is None:
            return (leaf,)
        return leaf, ("count", count, self.max_items, count >= self.max_items)

    def _fire(self, memory: dict[str, Any], scan: Scan, reason: str, facts: Any) -> Answer:
        memory.pop("count", None)
        return self.yes(scan.take(), {"reason": reason}, facts)


def weight_policy(max_weight: float, weigh: Weigh, within_seconds: float | None = None, at_end: str = "hold") -> Policy:
    """Activate when the items that wait weigh enough together.

    weight_policy(5, weigh=int)
    activates   when the weights of the oldest items reach 5, or the next one would exceed it;
                with within_seconds also when the oldest has waited so long
    takes       the items up to that weight, over all slots in order of arrival; a heavier item goes alone
    holds back  items that weigh less than 5 together
    at end      holds the remainder; delivers it with within_seconds or at_end="fire"
    full slot   a slot too short for the weight never activates: add within_seconds
    resume      goes on weighing where it was; each item is weighed once
    explains    weight 4 of 5 no
    picture     in   -2-4-1-9-1|          one character = 1 s, | = end
                out  ---[2]-[41]-[9]--|
                left 1

    Raises:
        ValueError: a weight or time not above 0, or an unknown ``at_end``.
        TypeError: the weight is no number, or ``weigh`` cannot be called.
    """
    return WeightPolicy(max_weight, weigh, within_seconds, at_end)


def until_policy(
    is_last: Callable[[Any], Any], include: bool = True, max_items: int | None = None, at_end: str = "hold"
) -> Policy:
    """Activate when an item says that it is the last of its group.

    until_policy(str.isupper)
    activates   when is_last(item) is true of an item, or max_items came without such a one
    takes       everything up to that item, over all slots in order of arrival;
                include=False drops it as "delimiter", and never activates empty
    holds back  the items of an unfinished group
    at end      holds the unfinished group; at_end="fire" delivers it
    full slot   a group longer than its slot needs max_items
    resume      goes on looking where it was; each item is looked at once
    explains    delimiter not seen of seen no
    picture     in   -a-bC-d-E-f|          one character = 1 s, | = end
                out  ----[abC]---[dE]--|
                left f

    Raises:
        ValueError: ``max_items`` below 1, or an unknown ``at_end``.
        TypeError: ``is_last`` cannot be called.
    """
    return UntilPolicy(is_last, include, max_items, at_end)


@dataclass(frozen=True)
class QuorumPolicy(LeafPolicy):
    """See `quorum_policy`."""

    k: int
    within_seconds: float | None = None
    at_end: str = "hold"

    asks_when_empty = False

    def __post_init__(self) -> None:
        whole(self.k, "k")
        duration(self.within_seconds, "within_seconds", optional=True)
        one_of(self.at_end, AT_END, "at_end")

    def demand(self, slots: Sequence[str]) -> Demand:
        """Its number of slots that hold an item."""
        return replace(_some_items(self.within_seconds, self.at_end), slot_count=self.k, is_enough=True)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when enough slots have an item, or the oldest has waited too long."""
        present = [name for name, slot in slots.items() if slot.queue.waiting]
        facts: Any = (("slots with an item", len(present), self.k, len(present) >= self.k),)
        if len(present) >= self.k:
            return self._fire(slots, present, "quorum", facts)
        first = oldest(slots)
        if first is None:
            return self.no(facts)
        if self.within_seconds is not None:
            age = age_of(slots, first.item)
            left = to_ns(self.within_seconds) - age
            facts = (*facts, ("age(oldest)", age / SECOND, self.within_seconds, left <= 0))
            if left <= 0:
                return self._fire(slots, present, "timeout", facts)
            wake_in(job_state, left)
        if (self.within_seconds is not None or self.at_end == "fire") and all_closed(slots):
            return self.yes(new_data(slots), {"reason": "end"}, (*facts, END))
        return self.no(facts)

    def _fire(self, slots: Slots, present: list[str], reason: str, facts: Any) -> Answer:
        data = {name: take_new(slots[name], 1) for name in present}
        return self.yes(data, {"reason": reason, "slots": present}, facts)


def quorum_policy(k: int, within_seconds: float | None = None, at_end: str = "hold") -> Policy:
    """Activate when ``k`` distinct slots have an item.

    quorum_policy(2)
    activates   when 2 slots have an item; with within_seconds also when the oldest has waited so long
    takes       the oldest item of each slot that has one
    holds back  items of fewer slots
    at end      holds them; delivers them with within_seconds or at_end="fire"
    full slot   no matter: one item per slot is enough
    resume      the timer goes on with its remaining time; overdue = activates once
    explains    slots with an item 1 of 2 no
    picture     x    -a----|          one character = 1 s, | = end
                y    --1---|
                z    ----p-|
                out  --[a1]---|
                left p

    Raises:
        ValueError: ``k`` below 1, a time not above 0, an unknown ``at_end``.
        TypeError: no int, or a time that is no number.
    """
    return QuorumPolicy(k, within_seconds, at_end)
