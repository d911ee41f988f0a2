"""Composed policies: when all are ready, as the first that is ready; and where all ways to compose are found.

Design: §4.8, and the catalogue of policies. Build them with the operators and methods of `Policy`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand, demand_of
from routilux.errors import BadTypeError
from routilux.explanation import Condition
from routilux.job import JobState
from routilux.policies.combining import needs_all, needs_first
from routilux.policies.core import Answer, DataSlice, Policy, Slots, take_seqs
from routilux.policies.keyed import ByKey
from routilux.policies.parts import Asked, Draft, check_policy, nested, of_part, see_to_the_others, wake_for
from routilux.policies.wrapping import Labelled, Times, Unless, Within

__all__ = ["AllOf", "ByKey", "FirstOf", "Labelled", "Times", "Unless", "Within", "first_of"]


@dataclass(frozen=True)
class _Several(Policy):
    """A policy of several parts, in order."""

    parts: tuple[Policy, ...]

    is_several = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts:
            raise BadTypeError("a composed policy needs at least one part")
        for part in self.parts:
            check_policy(part)

    @property
    def asks_when_empty(self) -> bool:
        """Whether any part does."""
        return any(part.asks_when_empty for part in self.parts)

    def cause(self, facts: Any) -> Any:
        """Why each part declined."""
        return tuple(
            (decided, None if decided else part.cause(seen))
            for part, (decided, seen) in zip(self.parts, facts, strict=False)
        )

    def _conditions(self, facts: Any) -> tuple[Condition, ...]:
        return tuple(of_part(part, *seen) for part, seen in zip(self.parts, facts, strict=False))


class AllOf(_Several):
    """``a & b``: when every part is ready; what they take is united."""

    def demand(self, slots: Sequence[str]) -> Demand:
        """What all parts need."""
        return needs_all([demand_of(part, slots) for part in self.parts])

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Ask every part about the same items."""
        draft = Draft(slots)
        asked: list[Asked] = []
        taken: list[dict[str, list[int]]] = []
        for place, part in enumerate(self.parts):
            draft.undo()
            asked.append(Asked(part, place, slots, job_state))
            taken.append(draft.taken())
        facts = tuple(part.facts for part in asked)
        if not all(part.is_yes for part in asked):
            for ready in (part for part in asked if part.is_yes):
                ready.forget()
            wake_for([part for part in asked if not part.is_yes], job_state)
            draft.undo()
            draft.close(keep=False)
            return self.no(facts)
        given = [part.answer[1] for part in asked]
        if any(found != taken[-1] for found in taken) or any(map(_is_more, given, taken)):
            draft.undo()
            data = {name: _united(slots, name, given, taken) for name in slots}
        else:
            data = given[-1]  # all took the same: what the last one took stands
        see_to_the_others(asked, draft, job_state)
        draft.close(keep=True)
        return self.yes(data, {"reason": "all", "messages": [part.answer[2] for part in asked]}, facts)

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """The conditions of every part."""
        return self._conditions(facts)

    def __repr__(self) -> str:
        return " & ".join(map(nested, self.parts))


def _is_more(given: DataSlice, taken: dict[str, list[int]]) -> bool:
    """Whether a part delivers other items than those that it took."""
    return any(len(given.get(name, ())) != len(seqs) for name, seqs in taken.items())


def _united(slots: Slots, name: str, given: list[DataSlice], taken: list[dict[str, list[int]]]) -> list[Any]:
    """Take what any part took of a slot, in order; a list that is more than what was taken (an overlap) goes first."""
    lists = [data.get(name, []) for data in given]
    more = next((i for i, items in enumerate(lists) if len(items) != len(taken[i][name])), None)
    wanted = {seq for seqs in taken for seq in seqs[name]}
    waits = sorted(seq for seq in wanted if slots[name].queue.waiting_item(seq) is not None)  # a part may drop some
    items = take_seqs(slots[name], waits) if waits else []
    if more is None:
        return items
    known = set(taken[more][name])
    return [*lists[more], *(item for seq, item in zip(waits, items, strict=True) if seq not in known)]


class FirstOf(_Several):
    """``a | b`` or ``first_of(a, b, …)``: the first part that is ready decides."""

    def demand(self, slots: Sequence[str]) -> Demand:
        """What the part that needs least needs."""
        return needs_first([demand_of(part, slots) for part in self.parts])

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Ask in order until one says yes."""
        draft = Draft(slots)
        asked: list[Asked] = []
        for place, part in enumerate(self.parts):
            asked.append(Asked(part, place, slots, job_state))
            if asked[-1].is_yes:
                _, data, message, _ = asked[-1].answer
                see_to_the_others(asked[-1:], draft, job_state)
                draft.close(keep=True)
                return self.yes(data, message, tuple(seen.facts for seen in asked))
            draft.undo()
        wake_for(asked, job_state)
        draft.close(keep=False)
        return self.no(tuple(part.facts for part in asked))

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Any part."""
        return (Condition("any", is_met=any(seen[0] for seen in facts), parts=self._conditions(facts)),)

    def __repr__(self) -> str:
        return " | ".join(map(nested, self.parts))


def first_of(*policies: Policy) -> Policy:
    """Activate as the first of these policies that is ready, in this order.

    first_of(until_policy(str.isupper), batch_size_policy(3), debounce_policy(2))
    picture     in  -aB-cde-f--|
                out --[aB]---[cde]---[f]|

    >>> from routilux.policies import batch_size_policy, debounce_policy
    >>> first_of(batch_size_policy(10), debounce_policy(2))
    batch_size_policy(10) | debounce_policy(2)

    Raises:
        TypeError: none is given, or one is no policy.
    """
    return FirstOf(policies)
