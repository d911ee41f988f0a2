"""How a composed policy asks its parts: each with a memory and a timer of its own, and what it took can be undone.

Design: §4.2, §4.8.
"""

from typing import Any, cast

from routilux.errors import BadTypeError, BadValueError
from routilux.explanation import Condition
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots
from routilux.policies.ground import SECOND, ask_again, wake_in

PART = "part "
KEYS = "part keys"
KEPT = "kept"
"""What a policy notes under this name stands, like a drop, also when its yes does not count."""
Facts = tuple[bool, Any]
"""What a part decided, and the facts behind it."""


class PartOfJob:
    """The job as one part of a composed policy sees it. All but memory and timer is the job's own."""

    def __init__(self, job_state: JobState, memory: dict[str, Any]) -> None:
        self._whole = job_state
        self._memory = memory
        self.wake: tuple[int, bool] | None = None
        self.is_to_be_asked_again = False

    def memory(self) -> dict[str, Any]:
        """Give the memory of this part."""
        return self._memory

    def wake_after(self, seconds: float, *, keep_alive: bool = False) -> None:
        """Note when this part wants to be asked again."""
        if not 0 <= seconds < 1e11:
            raise BadValueError(f"wake_after takes seconds from 0 up, not {seconds!r}")
        self.wake = (int(seconds * SECOND), keep_alive)

    def ask_part_again(self) -> None:
        """Note that this part is to be asked again after its yes."""
        self.is_to_be_asked_again = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


class Asked:
    """One part that was asked: its answer, and how to undo what it did to its memory."""

    def __init__(self, policy: Policy, place: int, slots: Slots, job_state: JobState) -> None:
        self._memory: dict[str, Any] = job_state.memory().setdefault(f"{PART}{place}", {})
        self._before = _copied(self._memory)
        self.view = PartOfJob(job_state, self._memory)
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
        _undo(self._memory, self._before)


def _undo(memory: dict[str, Any], before: dict[str, Any]) -> None:
    """Give a memory, and those of its parts, their former values; what is kept stays."""
    for name in [name for name in memory if name != KEPT and not _is_memory(name)]:
        del memory[name]
    for name, own in memory.items():
        if _is_memory(name):
            _undo(own, before.get(name, {}))
    memory.update({name: value for name, value in before.items() if name not in memory})


def _is_memory(name: Any) -> bool:
    """Whether the memory of a part is found under this name."""
    return isinstance(name, str) and name.removeprefix(PART).isdigit() and name.startswith(PART)


def _copied(memory: dict[str, Any]) -> dict[str, Any]:
    """Copy a memory: policies replace their values, only the memories of parts are changed in place."""
    return {name: _copied_part(name, value) for name, value in memory.items()}


def _copied_part(name: Any, value: Any) -> Any:
    if name == KEYS:
        return {
            key: {"at": kept["at"], "items": dict(kept["items"]), "memory": _copied(kept["memory"])}
            for key, kept in value.items()
        }
    is_part = isinstance(value, dict) and isinstance(name, str) and name.startswith(PART)
    return _copied(value) if is_part else value


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

    def __init__(self, slots: Slots) -> None:
        self._queues = {name: slot.queue for name, slot in slots.items()}
        self._by_hand = [queue for queue in self._queues.values() if queue.taken is None]
        for queue in self._by_hand:
            queue.taken = []
        self._marks = {name: len(queue.taken or ()) for name, queue in self._queues.items()}

    def taken(self) -> dict[str, list[int]]:
        """Give the numbers of what was taken, by slot."""
        return {
            name: [seq for seqs, _ in (queue.taken or [])[self._marks[name] :] for seq in seqs]
            for name, queue in self._queues.items()
        }

    @property
    def has_taken(self) -> bool:
        """Whether anything was taken."""
        return any(self.taken().values())

    def undo(self) -> None:
        """Put what was taken back in place."""
        for name, queue in self._queues.items():
            taken = queue.taken or []
            newer = taken[self._marks[name] :]
            if not newer:
                continue
            del taken[self._marks[name] :]
            with queue.lock:
                lent = queue.lent or set()
                cut = [record for record in newer if record[0][0] not in lent]
                for seqs, _ in newer:
                    lent.difference_update(seqs)
                queue._restore(cut)

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
