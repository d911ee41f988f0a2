"""Policies that gather items into one delivery: by number, by time, by a window.

Design: §4, and the catalogue of policies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import ANY_ITEM, Demand, each
from routilux.errors import BadTypeError, BadValueError
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, new_data, take_new
from routilux.policies.ground import (
    AT_END,
    END,
    SECOND,
    Leaf,
    LeafPolicy,
    age_of,
    all_closed,
    duration,
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


@dataclass(frozen=True)
class EachItemPolicy(LeafPolicy):
    """See `each_item_policy`."""

    asks_when_empty = False

    def demand(self, slots: Sequence[str]) -> Demand:
        """Any item."""
        return ANY_ITEM

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when anything waits; takes the oldest."""
        head = oldest(slots)
        if head is None:
            return self.no((("count(any slot)", 0, 1, False),))
        data = {head.name: take_new(slots[head.name], 1)}
        return self.yes(data, {"reason": "each_item", "slot": head.name}, (("count(any slot)", 1, 1, True),))


@dataclass(frozen=True)
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

    def demand(self, slots: Sequence[str]) -> Demand:
        """Its numbers; slots without one are never taken from."""
        rates = dict(self.rates)
        fires = self.at_end == "fire"
        return Demand(rates, is_enough=True, takes=rates, has_timeout=False, fires_at_end=fires, named=tuple(rates))

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


@dataclass(frozen=True)
class CountOrTimeoutPolicy(LeafPolicy):
    """See `count_or_timeout_policy`."""

    n: int
    within_seconds: float
    start: str = "first_item"

    def __post_init__(self) -> None:
        whole(self.n, "n")
        duration(self.within_seconds, "within_seconds")
        one_of(self.start, STARTS, "start")

    def demand(self, slots: Sequence[str]) -> Demand:
        """Its number over all slots, or some and time."""
        return Demand(total=self.n, is_enough=True, seconds=self.within_seconds)

    @property
    def asks_when_empty(self) -> bool:
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


@dataclass(frozen=True)
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

    def demand(self, slots: Sequence[str]) -> Demand:
        """A whole window in every slot, for the first time."""
        fires = self.at_end == "fire"
        takes = each(slots, self.step)
        return Demand(each(slots, self.size), self.size, takes=takes, has_timeout=False, fires_at_end=fires)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when every slot has what the window lacks; keeps the overlap in the memory."""
        memory = job_state.memory()
        kept = self._kept(slots, memory)
        size = self.size
        needed: dict[str, int] = {}
        is_full = True
        for name, slot in slots.items():
            needed[name] = lacks = size - len(kept[name]) if name in kept else size
            if slot.queue.waiting < lacks:
                is_full = False
        if not is_full and not (self.at_end == "fire" and waiting(slots) and all_closed(slots)):
            return self.no(tuple(_leaf(name, slots[name].queue.waiting, lacks) for name, lacks in needed.items()))
        data = self._take(slots, memory, kept, needed)
        facts = (("new(every slot)", size, size, True),) if is_full else (END,)
        return self.yes(data, {"reason": "window", "size": size}, facts)

    def _take(
        self, slots: Slots, memory: dict[str, Any], kept: dict[str, list[Any]], needed: dict[str, int]
    ) -> dict[str, list[Any]]:
        """Take what the window lacks, and keep the overlap."""
        memory["was"] = kept
        memory["next"] = firsts = {}
        memory["overlap"] = keeps = {}
        data = {}
        overlap = self.size - self.step
        for name, slot in slots.items():
            first = slot.queue.peek_first()
            if first is not None:
                firsts[name] = first[0]
            items = take_new(slot, needed[name])
            data[name] = items = [*kept[name], *items] if name in kept else items
            keeps[name] = items[-overlap:] if overlap else []
        return data

    def _kept(self, slots: Slots, memory: dict[str, Any]) -> dict[str, list[Any]]:
        """Give the overlap; the one before, where the last activation was undone."""
        taken: dict[str, int] = memory.get("next") or {}
        for name, seq in taken.items():
            first = slots[name].queue.peek_first() if name in slots else None
            if first is not None and first[0] <= seq:
                was: dict[str, list[Any]] = memory["was"]
                return was
        return memory.get("overlap") or {}


def _leaf(name: str, count: int, needed: int) -> Leaf:
    return f"new({name})", count, needed, count >= needed


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
