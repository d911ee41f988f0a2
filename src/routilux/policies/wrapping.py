"""Policies around one other: not while, within a time, so many times, under a label.

Design: §4.8, and the catalogue of policies. Build them with the methods of `Policy`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand, demand_of
from routilux.errors import BadTypeError
from routilux.explanation import Condition
from routilux.job import JobState
from routilux.policies.combining import needs_times, needs_unless, needs_within
from routilux.policies.core import Answer, Policy, Slots, new_data
from routilux.policies.ground import (
    SECOND,
    age_of,
    all_closed,
    drop_new,
    duration,
    oldest,
    one_of,
    to_ns,
    wake_in,
    whole,
)
from routilux.policies.parts import Asked, Draft, check_policy, nested, of_part, see_to_the_others, wake_for


@dataclass(frozen=True)
class Unless(Policy):
    """``a.unless(b)``: as a, but not while b is ready."""

    inner: Policy
    gate: Policy

    def __post_init__(self) -> None:
        check_policy(self.gate)

    @property
    def asks_when_empty(self) -> bool:
        """Whether the policy does."""
        return self.inner.asks_when_empty

    def demand(self, slots: Sequence[str]) -> Demand:
        """What the policy needs."""
        inner, gate = demand_of(self.inner, slots), demand_of(self.gate, slots)
        return needs_unless(inner, gate, self.inner == self.gate)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Ask the gate, undo what it took, and ask the policy."""
        draft = Draft(slots)
        gate = Asked(self.gate, 1, slots, job_state)
        draft.undo()
        if gate.is_yes:
            gate.forget()
            draft.close(keep=False)
            return self.no((gate.facts, None))
        asked = Asked(self.inner, 0, slots, job_state)
        facts = (gate.facts, asked.facts)
        if asked.is_yes:
            see_to_the_others([asked], draft, job_state)
        else:
            draft.undo()
            wake_for([asked, gate], job_state)
        draft.close(keep=asked.is_yes)
        return asked.answer[0], asked.answer[1], asked.answer[2], facts

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """That the gate is not ready, and those of the policy."""
        gate, own = facts
        closed = Condition(f"not while {self.gate!r}", is_met=not gate[0])
        return (closed,) if own is None else (closed, of_part(self.inner, *own))

    def cause(self, facts: Any) -> Any:
        """The gate, or the cause of the policy."""
        return "gate" if facts[1] is None else self.inner.cause(facts[1][1])

    def __repr__(self) -> str:
        return f"{nested(self.inner)}.unless({self.gate!r})"


@dataclass(frozen=True)
class Within(Policy):
    """``a.within(seconds)``: as a; what waited too long is delivered or dropped."""

    inner: Policy
    seconds: float
    on_timeout: str = "fire"

    def __post_init__(self) -> None:
        duration(self.seconds, "seconds")
        one_of(self.on_timeout, ("fire", "drop"), "on_timeout")

    @property
    def asks_when_empty(self) -> bool:
        """Whether the policy does."""
        return self.inner.asks_when_empty

    def demand(self, slots: Sequence[str]) -> Demand:
        """What the policy needs, until the time is over."""
        return needs_within(demand_of(self.inner, slots), self.seconds, self.on_timeout == "drop")

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Ask the policy; if it declines, look at what waited too long."""
        draft = Draft(slots)
        asked = Asked(self.inner, 0, slots, job_state)
        if asked.is_yes:
            see_to_the_others([asked], draft, job_state)
            draft.close(keep=True)
            return self.yes(asked.answer[1], asked.answer[2], (asked.facts, None))
        draft.undo()
        wake_for([asked], job_state)
        answer = self._late(slots, job_state, asked)
        draft.close(keep=answer[0])
        return answer

    def _late(self, slots: Slots, job_state: JobState, asked: Asked) -> Answer:
        first = oldest(slots)
        limit = to_ns(self.seconds)
        while first is not None and self.on_timeout == "drop" and age_of(slots, first.item) >= limit:
            slots[first.name].drop([first.seq], "expired")
            first = oldest(slots)
        if first is None:
            return self.no((asked.facts, None))
        age = age_of(slots, first.item)
        ends = self.on_timeout == "fire" and all_closed(slots)
        facts = (asked.facts, (age / SECOND, age >= limit, ends))
        if age >= limit or ends:
            return self.yes(new_data(slots), {"reason": "timeout" if age >= limit else "end"}, facts)
        wake = asked.view.wake
        wake_in(job_state, limit - age if wake is None else min(limit - age, wake[0]), wake is not None and wake[1])
        return self.no(facts)

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Those of the policy, or the age of the oldest item."""
        own, late = facts
        first = of_part(self.inner, *own)
        if late is None:
            return (first,)
        age = Condition("age(oldest)", late[0], self.seconds, late[1])
        parts = (first, age, Condition("end of input", True)) if late[2] else (first, age)
        return (Condition("any", is_met=any(part.is_met for part in parts), parts=parts),)

    def cause(self, facts: Any) -> Any:
        """The cause of the policy."""
        return self.inner.cause(facts[0][1])

    def __repr__(self) -> str:
        timeout = "" if self.on_timeout == "fire" else f", on_timeout={self.on_timeout!r}"
        return f"{nested(self.inner)}.within({self.seconds!r}{timeout})"


@dataclass(frozen=True)
class Times(Policy):
    """``a.times(n)``: as a, but only so often; what comes then is dropped."""

    inner: Policy
    n: int

    def __post_init__(self) -> None:
        whole(self.n, "n")

    @property
    def asks_when_empty(self) -> bool:
        """Whether the policy does."""
        return self.inner.asks_when_empty

    def demand(self, slots: Sequence[str]) -> Demand:
        """What the policy needs."""
        return needs_times(demand_of(self.inner, slots))

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Ask the policy while it has activations left; an activation that was undone does not count."""
        memory = job_state.memory()
        count: int = memory.get("count", 0)
        last: dict[str, int] = memory.get("last") or {}
        if any(name in slots and slots[name].queue.waiting_item(seq) is not None for name, seq in last.items()):
            count -= 1
            memory.update(count=count, last={})
        if count >= self.n:
            for slot in slots.values():
                drop_new(slot, "enough")
            return self.no((count, None))
        draft = Draft(slots)
        asked = Asked(self.inner, 0, slots, job_state)
        if asked.is_yes:
            taken = {name: seqs[0] for name, seqs in draft.taken().items() if seqs}
            memory.update(count=count + 1, last=taken)
            see_to_the_others([asked], draft, job_state)
        else:
            draft.undo()
            wake_for([asked], job_state)
        draft.close(keep=asked.is_yes)
        return asked.answer[0], asked.answer[1], asked.answer[2], (count, asked.facts)

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """That activations are left, and those of the policy."""
        count, own = facts
        left = Condition("activations left", self.n - count, 1, count < self.n)
        return (left,) if own is None else (left, of_part(self.inner, *own))

    def cause(self, facts: Any) -> Any:
        """That it had enough, or the cause of the policy."""
        return "enough" if facts[1] is None else self.inner.cause(facts[1][1])

    def __repr__(self) -> str:
        return f"{nested(self.inner)}." + ("once()" if self.n == 1 else f"times({self.n})")


@dataclass(frozen=True)
class Labelled(Policy):
    """``a.labelled("…")``: as a, named in explanations."""

    inner: Policy
    label: str

    def __post_init__(self) -> None:
        if not isinstance(self.label, str):
            raise BadTypeError(f"a label is a text, not {self.label!r}")

    @property
    def asks_when_empty(self) -> bool:
        """Whether the policy does."""
        return self.inner.asks_when_empty

    def demand(self, slots: Sequence[str]) -> Demand:
        """What the policy needs."""
        return demand_of(self.inner, slots)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Ask the policy."""
        answer = self.inner.ask(slots, job_state)
        return answer[0], answer[1], answer[2], (answer[0], answer[3])

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Those of the policy, under the label."""
        return (Condition(self.label, is_met=facts[0], parts=self.inner.explained(*facts)),)

    def cause(self, facts: Any) -> Any:
        """The cause of the policy."""
        return self.inner.cause(facts[1])

    def __repr__(self) -> str:
        return f"{nested(self.inner)}.labelled({self.label!r})"
