"""How a composed policy asks its parts: each with a memory and a timer of its own, and what it took can be undone.

Design: §4.2, §4.8.
"""

from collections.abc import Callable
from typing import Any, cast

from routilux.errors import BadTypeError, BadValueError
from routilux.explanation import Condition
from routilux.item_queue import ItemQueue
from routilux.item_store import Taken
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots
from routilux.policies.ground import SECOND, ask_again, wake_in

PART = "part "
KEPT = f"{PART}kept"
"""What a policy notes under this name stands, like a drop, also when its yes does not count."""
Facts = tuple[bool, Any]
"""What a part decided, and the facts behind it."""


class PartOfJob:
    """The job as one part of a composed policy sees it. All but memory and timer is the job's own.

    What was changed since it was made can be undone: the memory as it was when it was first looked at comes back,
    with those of the parts within. Policies replace the values of their memory; only what is kept is changed in place.
    """

    __slots__ = ("_before", "_memory", "_place", "_undoers", "_whole", "is_to_be_asked_again", "wake")

    def __init__(self, job_state: JobState, memory: dict[str, Any] | None = None, place: int | None = None) -> None:
        self._whole = job_state
        self._memory = memory
        self._place = place
        self._before: dict[str, Any] | None = None
        self._undoers: list[Callable[[], None]] = []
        self.wake: tuple[int, bool] | None = None
        self.is_to_be_asked_again = False

    def memory(self) -> dict[str, Any]:
        """Give the memory of this part: the one it was made with, one within the whole's, or the whole's."""
        memory = self._memory
        if memory is None or self._before is None:
            if memory is None:
                memory = self._whole.memory()
                if self._place is not None:
                    memory = memory.setdefault(f"{PART}{self._place}", {})
                self._memory = memory
            self._before = dict(memory)
        return memory

    def wake_after(self, seconds: float, *, keep_alive: bool = False) -> None:
        """Note when this part wants to be asked again."""
        if not 0 <= seconds < 1e11:
            raise BadValueError(f"wake_after takes seconds from 0 up, not {seconds!r}")
        self.wake = (int(seconds * SECOND), keep_alive)

    def ask_part_again(self) -> None:
        """Note that this part is to be asked again after its yes."""
        self.is_to_be_asked_again = True

    def forget(self) -> None:
        """Undo what its yes, which does not count, did to its memory; what is kept stays."""
        while self._undoers:
            self._undoers.pop()()
        memory, before = self._memory, self._before
        if memory is None or before is None:
            return
        stays = {name: value for name, value in memory.items() if _is_of_part(name)}
        memory.clear()
        memory.update(before | stays)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


def on_undo(job_state: Any, undo: Callable[[], None]) -> None:
    """Have something undone where the yes that is about to be given does not count; newest first."""
    if isinstance(job_state, PartOfJob):
        job_state._undoers.append(undo)


def _is_of_part(name: Any) -> bool:
    return isinstance(name, str) and name.startswith(PART)


class Asked:
    """One part that was asked: its answer, and how to undo what it did to its memory."""

    __slots__ = ("answer", "view")

    def __init__(self, policy: Policy, place: int, slots: Slots, job_state: JobState) -> None:
        self.view = PartOfJob(job_state, None, place)
        on_undo(job_state, self.view.forget)
        self.answer: Answer = policy.ask(slots, cast(JobState, self.view))

    @property
    def is_yes(self) -> bool:
        """Whether the part is ready."""
        return self.answer[0]

    @property
    def facts(self) -> Facts:
        """What it decided, and why."""
        return self.answer[0], self.answer[3]

    def forget(self) -> None:
        """Undo what its yes, which does not count, did to its memory."""
        self.view.forget()


def wake_for(asked: list[Asked], job_state: JobState) -> None:
    """Set the earliest of the timers that parts asked for."""
    wakes = [part.view.wake for part in asked if part.view.wake is not None]
    if wakes:
        wake_in(job_state, min(wake[0] for wake in wakes), any(wake[1] for wake in wakes))


def see_to_the_others(chosen: list[Asked], draft: "Draft", job_state: JobState) -> None:
    """Have the whole asked again after a yes that took nothing: other parts may have set timers."""
    if any(part.view.is_to_be_asked_again for part in chosen) or not draft.has_taken:
        ask_again(job_state)


class Draft:
    """What parts take while a composed policy is asked; also by hand, outside of an engine."""

    __slots__ = ("_by_hand", "_marks")

    def __init__(self, slots: Slots) -> None:
        self._by_hand: list[ItemQueue] = []
        self._marks: list[tuple[str, ItemQueue, list[Taken], int]] = []
        for name, slot in slots.items():
            queue = slot.queue
            if queue.taken is None:
                queue.taken = []
                self._by_hand.append(queue)
            self._marks.append((name, queue, queue.taken, len(queue.taken)))

    def taken(self) -> dict[str, list[int]]:
        """Give the numbers of what was taken, by slot."""
        return {name: [seq for seqs, _ in taken[mark:] for seq in seqs] for name, _, taken, mark in self._marks}

    @property
    def has_taken(self) -> bool:
        """Whether anything was taken."""
        return any(len(taken) > mark for _, _, taken, mark in self._marks)

    def undo(self) -> None:
        """Put what was taken back in place."""
        for _, queue, taken, mark in self._marks:
            if len(taken) > mark:
                queue.untake(mark)

    def close(self, keep: bool) -> None:
        """Make final what was taken by hand, or put it back."""
        for queue in self._by_hand:
            if keep:
                queue.accept(queue.clock.ticks())
            else:
                queue.reject()


def check_policy(value: object) -> None:
    """Check that it is a policy.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, Policy):
        raise BadTypeError(f"only policies compose, not {value!r}; make a function one with custom_policy")


def nested(part: Policy) -> str:
    """Show a part, in brackets where it needs them."""
    return f"({part!r})" if part.is_several else repr(part)


def of_part(part: Policy, decided: bool, facts: Any) -> Condition:
    """Give the one condition of a part."""
    found = part.explained(decided, facts)
    if len(found) == 1 and found[0].is_met == decided:
        return found[0]
    return Condition(repr(part), is_met=decided, parts=found)
