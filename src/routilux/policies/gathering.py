"""Policies that gather items into one delivery: by number, time, weight, or up to a delimiter.

Design: §4, and the catalogue of policies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
    now_ns,
    oldest,
    one_of,
    take_oldest,
    to_ns,
    waiting,
    wake_in,
    whole,
)

STARTS = ("first_item", "last_activation")


@dataclass(frozen=True, repr=False)
class EachItemPolicy(LeafPolicy):
    """See `each_item_policy`."""

    asks_when_empty = False

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when anything waits; takes the oldest."""
        head = oldest(slots)
        if head is None:
            return self.no((("count(any slot)", 0, 1, False),))
        data = {head.name: take_new(slots[head.name], 1)}
        return self.yes(data, {"reason": "each_item", "slot": head.name}, (("count(any slot)", 1, 1, True),))


@dataclass(frozen=True, repr=False)
class RatesPolicy(LeafPolicy):
    """See `rates_policy`."""

    rates: Mapping[str, int]
    at_end: str = "hold"

    needs = "all"
    asks_when_empty = False

    def __post_init__(self) -> None:
        if not isinstance(self.rates, Mapping) or not self.rates:
            raise BadTypeError(f"rates_policy takes a number per slot, such as {{'orders': 2}}, not {self.rates!r}")
        for name, rate in self.rates.items():
            whole(rate, f"the rate of {name!r}")
        one_of(self.at_end, AT_END, "at_end")
        object.__setattr__(self, "rates", dict(self.rates))

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.rates.items())), self.at_end))

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when each slot has its number."""
        counts = {name: slots[name].queue.waiting if name in slots else 0 for name in self.rates}
        facts = tuple((f"count({name})", counts[name], rate, counts[name] >= rate) for name, rate in self.rates.items())
        if all(leaf[3] for leaf in facts):
            data = {name: take_new(slots[name], rate) for name, rate in self.rates.items()}
            return self.yes(data, {"reason": "rates"}, facts)
        if self.at_end == "fire" and any(counts.values()) and all_closed(slots):
            data = {name: take_new(slots[name], rate) for name, rate in self.rates.items() if name in slots}
            return self.yes(data, {"reason": "end"}, (END,))
        return self.no(facts)


@dataclass(frozen=True, repr=False)
class CountOrTimeoutPolicy(LeafPolicy):
    """See `count_or_timeout_policy`."""

    n: int
    within_seconds: float
    start: str = "first_item"

    def __post_init__(self) -> None:
        whole(self.n, "n")
        duration(self.within_seconds, "within_seconds")
        one_of(self.start, STARTS, "start")

    @property
    def asks_when_empty(self) -> bool:  # type: ignore[override]
        """Whether it must see the start of the job: time counts from there."""
        return self.start == "last_activation"

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when enough wait, or the time is over."""
        count = waiting(slots)
        head = oldest(slots)
        within = to_ns(self.within_seconds)
        age = self._age(slots, job_state, head)
        facts = (
            ("count", count, self.n, count >= self.n),
            (f"seconds since {self.start}", age / SECOND, self.within_seconds, count > 0 and age >= within),
        )
        if count >= self.n:
            return self._fire(job_state, take_oldest(slots, self.n), "count", facts)
        if count and age >= within:
            return self._fire(job_state, new_data(slots), "timeout", facts)
        if count and all_closed(slots):
            return self._fire(job_state, new_data(slots), "end", (*facts, END))
        if count:
            wake_in(job_state, within - age)
        return self.no(facts)

    def _age(self, slots: Slots, job_state: JobState, head: Any) -> int:
        if self.start == "last_activation":
            now = now_ns(job_state)
            last: int = job_state.memory().setdefault("last", now)
            return max(0, now - last)
        return age_of(slots, head.item) if head is not None else 0

    def _fire(self, job_state: JobState, data: Any, reason: str, facts: Any) -> Answer:
        if self.start == "last_activation":
            job_state.memory()["last"] = now_ns(job_state)
        return self.yes(data, {"reason": reason}, facts)


@dataclass(frozen=True, repr=False)
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

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when the oldest items together reach the weight, or the time is over."""
        memory = job_state.memory()
        scan = Scan(slots, memory)
        total = 0 if scan.is_fresh else memory.get("weight", 0)
        while total < self.max_weight and (head := scan.peek()) is not None:
            weight = self.weigh(head.item[0])
            if total and total + weight > self.max_weight:
                return self._fire(memory, scan, "weight", self._facts(total + weight))
            scan.next()
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
        if (self.within_seconds is not None or self.at_end == "fire") and all_closed(slots):
            return self._fire(memory, scan, "end", (*facts, END))
        return self.no(facts)

    def _facts(self, total: float) -> Any:
        return (("weight", total, self.max_weight, total >= self.max_weight),)

    def _fire(self, memory: dict[str, Any], scan: Scan, reason: str, facts: Any) -> Answer:
        memory.pop("weight", None)
        return self.yes(scan.take(), {"reason": reason}, facts)


@dataclass(frozen=True, repr=False)
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

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when a delimiter was seen, or too many items came without one."""
        memory = job_state.memory()
        scan = Scan(slots, memory)
        count = 0 if scan.is_fresh else memory.get("count", 0)
        while (head := scan.peek()) is not None:
            if self.is_last(head.item[0]):
                if self.include:
                    scan.next()
                    count += 1
                else:
                    slots[head.name].drop([head.seq], "delimiter")
                if count:
                    return self._fire(memory, scan, "delimiter", self._facts(count, True))
                continue
            scan.next()
            count += 1
            if count == self.max_items:
                return self._fire(memory, scan, "max_items", self._facts(count, False))
        memory["count"] = count
        facts = self._facts(count, False)
        if count and self.at_end == "fire" and all_closed(slots):
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


@dataclass(frozen=True, repr=False)
class SlidingPolicy(LeafPolicy):
    """See `sliding_policy`."""

    size: int
    step: int = 1
    at_end: str = "hold"

    needs = "all"
    asks_when_empty = False

    def __post_init__(self) -> None:
        if whole(self.step, "step") > whole(self.size, "size"):
            raise BadValueError(f"step may not exceed size: {self.step} > {self.size} would lose items")
        one_of(self.at_end, AT_END, "at_end")

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when every slot has what the window lacks; keeps the overlap in the memory."""
        memory = job_state.memory()
        kept: dict[str, list[Any]] = self._kept(slots, memory)
        needed = {name: self.size - len(kept.get(name, ())) for name in slots}
        counts = {name: slot.queue.waiting for name, slot in slots.items()}
        facts: Any = tuple((f"new({name})", counts[name], needed[name], counts[name] >= needed[name]) for name in slots)
        if not all(leaf[3] for leaf in facts):
            if not (self.at_end == "fire" and any(counts.values()) and all_closed(slots)):
                return self.no(facts)
            facts = (END,)
        memory["next"] = {name: first[0] for name, slot in slots.items() if (first := slot.queue.peek_first())}
        memory["was"] = kept
        data = {name: [*kept.get(name, ()), *take_new(slot, needed[name])] for name, slot in slots.items()}
        overlap = self.size - self.step
        memory["kept"] = {name: items[-overlap:] if overlap else [] for name, items in data.items()}
        return self.yes(data, {"reason": "window", "size": self.size}, facts)

    def _kept(self, slots: Slots, memory: dict[str, Any]) -> dict[str, list[Any]]:
        """Give the overlap; the one before, where the last activation was undone."""
        taken: dict[str, int] = memory.get("next") or {}
        for name, seq in taken.items():
            first = slots[name].queue.peek_first() if name in slots else None
            if first is not None and first[0] <= seq:
                return dict(memory["was"])
        return dict(memory.get("kept") or {})


def each_item_policy() -> Policy:
    """Activate once for each item, over all slots in order of arrival.

    each_item_policy()
    activates   when any slot has a new item
    takes       the one that arrived first; at the same instant the slots go in their order
    holds back  nothing
    at end      nothing is held
    full slot   no matter: one item is enough
    resume      goes on with the oldest item
    explains    count(any slot) 0 of 1 no
    picture     x   -(ab)---|          one character = 1 s, | = end
                y   -c---d--|
                out -([a][b][c])---[d]--|
    """
    return EachItemPolicy()


def rates_policy(rates: Mapping[str, int], at_end: str = "hold") -> Policy:
    """Activate when each named slot has its number of new items (synchronous dataflow).

    rates_policy({"x": 2, "y": 1})
    activates   when x has 2 new items and y has 1
    takes       exactly these; slots without a number are left alone
    holds back  what has no counterpart yet
    at end      holds the remainder; at_end="fire" delivers it
    full slot   a slot shorter than its number never activates
    resume      goes on counting what waits
    explains    count(x) 1 of 2 no; count(y) 1 of 1 yes
    picture     x    -a-b-c--|          one character = 1 s, | = end
                y    --1-----|
                out  ---[ab1]----|
                left c

    Raises:
        ValueError: a number below 1, or an unknown ``at_end``.
        TypeError: no mapping of ints.
    """
    return RatesPolicy(rates, at_end)


def count_or_timeout_policy(n: int, within_seconds: float, start: str = "first_item") -> Policy:
    """Activate when ``n`` items wait, or some have waited long enough, whichever is first.

    count_or_timeout_policy(3, within_seconds=5, start="first_item")
    activates   when 3 new items wait over all slots, or 5 s after the oldest of them arrived
                ("last_activation": 5 s after the last activation, or the start of the job)
    takes       the oldest 3, over all slots in order of arrival; on timeout all
    holds back  1 or 2 items, at most 5 s; never activates empty
    at end      delivers the remainder at once
    full slot   a slot shorter than 3 activates by time only
    resume      the timer goes on with its remaining time; overdue = activates once
    explains    any of (count 2 of 3 no ; seconds since first_item 3.1 of 5 no)
    picture     in  -a-b------c--|          one character = 1 s, | = end
                out ------[ab]------([c]|)

    Raises:
        ValueError: ``n`` below 1, a time not above 0, an unknown ``start``.
        TypeError: ``n`` is no int, or the time no number.
    """
    return CountOrTimeoutPolicy(n, within_seconds, start)


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


def sliding_policy(size: int, step: int = 1, at_end: str = "hold") -> Policy:
    """Activate with a window of the last ``size`` items, each time ``step`` new ones came.

    sliding_policy(3, step=1)
    activates   when every slot has seen 3 items, then with every further one
    takes       the new items; delivers them behind the overlap, which is kept in the job
    holds back  the first 2 items, and fewer than step new ones
    at end      holds new items that complete no window; at_end="fire" delivers them with the overlap
    full slot   a slot shorter than 3 cannot fill the first window
    resume      the overlap is stored with the job
    explains    new(in) 2 of 3 no
    picture     in  -abcd--e-|          one character = 1 s, | = end
                out ---[abc][bcd]--[cde]-|

    Raises:
        ValueError: a number below 1, a step above the size, an unknown ``at_end``.
        TypeError: no int.
    """
    return SlidingPolicy(size, step, at_end)
