"""Policies that count: immediate, batch, all slots ready, and the custom check.

Design: §4; the report's §2.1 and §9.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import ANY_ITEM, Demand, each
from routilux.errors import BadTypeError, BadValueError
from routilux.explanation import Condition
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, counts_of, new_data, take_new

AT_END = ("hold", "fire")


def _at_least_one(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadTypeError(f"{what} must be an int, not {value!r}")
    if value < 1:
        raise BadValueError(f"{what} must be at least 1, not {value}")
    return value


def of_every_slot(slots: Sequence[str], count: int, *, fires_at_end: bool) -> Demand:
    """Say that every slot must hold this number, that this is enough, and that exactly this is taken."""
    items = each(slots, count)
    return Demand(items, count, is_enough=True, takes=items, has_timeout=False, fires_at_end=fires_at_end)


@dataclass(frozen=True)
class ImmediatePolicy(Policy):
    """See `immediate_policy`."""

    asks_when_empty = False

    def demand(self, slots: Sequence[str]) -> Demand:
        """Any item."""
        return ANY_ITEM

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes as soon as anything is new."""
        facts = counts_of(slots)
        if not any(count for _, count in facts):
            return False, {}, None, facts
        return True, new_data(slots), {"reason": "immediate"}, facts

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Any slot has something new."""
        return (
            Condition(
                "any",
                is_met=any(count for _, count in facts),
                parts=tuple(Condition(f"count({name})", count, 1, count >= 1) for name, count in facts),
            ),
        )


@dataclass(frozen=True)
class BatchSizePolicy(Policy):
    """See `batch_size_policy`."""

    min_batch_size: int
    at_end: str = "hold"

    asks_when_empty = False

    def __post_init__(self) -> None:
        _at_least_one(self.min_batch_size, "min_batch_size")
        if self.at_end not in AT_END:
            raise BadValueError(f"at_end must be one of {', '.join(map(repr, AT_END))}, not {self.at_end!r}")

    def demand(self, slots: Sequence[str]) -> Demand:
        """Its number in every slot."""
        return of_every_slot(slots, self.min_batch_size, fires_at_end=self.at_end == "fire")

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when every slot has enough; takes exactly that."""
        size = self.min_batch_size
        for slot in slots.values():
            if slot.queue.waiting < size:
                break
        else:
            data = {name: take_new(slot, size) for name, slot in slots.items()}
            return True, data, {"reason": "batch_ready", "batch_size": size}, size
        facts = counts_of(slots)
        if self.at_end == "fire" and any(n for _, n in facts) and all(s.is_closed for s in slots.values()):
            data = {name: take_new(slot, size) for name, slot in slots.items()}
            return True, data, {"reason": "end", "batch_size": size}, -sum(count for _, count in facts)
        return False, {}, None, facts

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Every slot has its number."""
        if isinstance(facts, int):
            if facts < 0:
                return (Condition("end of input, items held", -facts),)
            return (Condition("count(every slot)", facts, facts),)
        return tuple(
            Condition(f"count({name})", count, self.min_batch_size, count >= self.min_batch_size)
            for name, count in facts
        )

    def cause(self, facts: Any) -> Any:
        """Which slots lack something."""
        return tuple(count < self.min_batch_size for _, count in facts)


@dataclass(frozen=True)
class AllSlotsReadyPolicy(Policy):
    """See `all_slots_ready_policy`."""

    asks_when_empty = False

    def demand(self, slots: Sequence[str]) -> Demand:
        """One in every slot."""
        return of_every_slot(slots, 1, fires_at_end=False)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when every slot has one; takes exactly one of each."""
        for slot in slots.values():
            queue = slot.queue
            if queue.cursor == len(queue.items) and not queue.held and not queue.waiting:  # the last: a view of a queue
                return False, {}, None, counts_of(slots)
        data = {}
        for name, slot in slots.items():
            data[name] = [slot.queue.take_one()]
        return True, data, {"reason": "all_slots_ready"}, None

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Every slot has one."""
        if facts is None:
            return (Condition("count(every slot)", 1, 1),)
        return tuple(Condition(f"count({name})", count, 1, count >= 1) for name, count in facts)

    def cause(self, facts: Any) -> Any:
        """Which slots are empty."""
        return tuple(count < 1 for _, count in facts)


@dataclass(frozen=True)
class CustomPolicy(Policy):
    """See `custom_policy`."""

    check: Callable[[Slots, JobState], Any]

    def __post_init__(self) -> None:
        if not callable(self.check):
            raise BadTypeError(f"custom_policy takes a function check(slots, job_state), not {self.check!r}")

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when the check says so; takes all that is new."""
        counts = counts_of(slots)
        if not self.check(slots, job_state):
            return False, {}, None, (False, counts)
        return True, new_data(slots), {"reason": "custom"}, (True, counts)

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """What the check saw."""
        name = getattr(self.check, "__name__", "check")
        verdict, counts = facts
        seen = ", ".join(f"{count} in {slot}" for slot, count in counts)
        return (Condition(f"{name}({seen})", is_met=verdict),)


def immediate_policy() -> Policy:
    """Activate as soon as any slot has new items, with all new items of every slot: what "no policy" means.

    immediate_policy()
    activates   when any slot has a new item
    takes       all new items of every slot
    holds back  nothing
    at end      nothing is held
    full slot   no matter: one item is enough
    resume      goes on with what waits
    explains    any of (count(in) 0 of 1 no)
    picture     in  -a-(bc)-|          one character = 1 s, | = end
                out -[a]-[bc]-|
    """
    return ImmediatePolicy()


def batch_size_policy(min_batch_size: int, *, at_end: str = "hold") -> Policy:
    """Activate when every slot has ``min_batch_size`` new items, with exactly that many of each.

    batch_size_policy(2)
    activates   when every slot has 2 new items
    takes       exactly 2 of each slot
    holds back  what makes no full batch
    at end      holds it as leftover; at_end="fire" delivers it
    full slot   a slot shorter than the batch is warned of by validation
    resume      goes on counting what waits
    explains    count(in) 1 of 2 no
    picture     in   -a-b--c-|          one character = 1 s, | = end
                out  ---[ab]----|
                left c

    Raises:
        ValueError: the size is below 1, or ``at_end`` is unknown.
        TypeError: the size is no int.
    """
    return BatchSizePolicy(min_batch_size, at_end)


def all_slots_ready_policy() -> Policy:
    """Activate when every slot has a new item, with exactly one of each (zip).

    all_slots_ready_policy()
    activates   when every slot has a new item
    takes       the oldest item of each slot
    holds back  what has no partner yet
    at end      holds it as leftover
    full slot   no matter: one item is enough
    resume      goes on with what waits
    explains    count(x) 1 of 1 yes; count(y) 0 of 1 no
    picture     x    -ab---c-|          one character = 1 s, | = end
                y    ---1-2--|
                out  ---[a1]-[b2]--|
                left c
    """
    return AllSlotsReadyPolicy()


def custom_policy(check_function: Callable[[Slots, JobState], Any]) -> Policy:
    """Activate when ``check_function(slots, job_state)`` is true, with all new items.

    custom_policy(lambda slots, job_state: slots["in"].get_unconsumed_count() >= 2)
    activates   when the check says so; it is asked when something changed
    takes       all new items of every slot
    holds back  everything until then
    at end      the check is asked once more (slot.is_closed); what it declines is held
    full slot   producers wait for the check
    resume      the check is asked again
    explains    <lambda>(1 in in) no
    picture     in   -a-b--c-|          one character = 1 s, | = end
                out  ---[ab]----|
                left c

    Raises:
        TypeError: it cannot be called.
    """
    return CustomPolicy(check_function)
