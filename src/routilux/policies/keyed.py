"""A policy for each key: `Policy.by_key`.

Design: §4.8, and the catalogue of policies. The memory holds, for each key, the numbers of its items, the memory of the
policy, its timer and when it was last seen; the items stay in the slots until they are taken, out of the middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from routilux.definition import SlotDefinition
from routilux.demand import Demand, demand_of
from routilux.errors import BadTypeError
from routilux.explanation import Condition
from routilux.item_queue import ItemQueue
from routilux.job import JobState
from routilux.policies.combining import needs_by_key
from routilux.policies.core import Answer, Policy, Slots
from routilux.policies.ground import duration, now_ns, to_ns, wake_in, whole
from routilux.policies.key_groups import Key, check_key, key_of
from routilux.policies.parts import KEYS, PART, Draft, PartOfJob
from routilux.slot import Slot


@dataclass(frozen=True)
class ByKey(Policy):
    """``a.by_key(key)``: as a, for the items of each key by themselves."""

    inner: Policy
    key: Key
    max_keys: int = 10_000
    idle_seconds: float | None = None

    asks_when_empty = False

    def __post_init__(self) -> None:
        check_key(self.key)
        if _absorbs(self.inner):
            raise BadTypeError(f"{self.inner!r} keeps items by key itself: it cannot be applied by_key")
        whole(self.max_keys, "max_keys")
        duration(self.idle_seconds, "idle_seconds", optional=True)

    def demand(self, slots: Sequence[str]) -> Demand:
        """What the policy needs, of one key."""
        return needs_by_key(demand_of(self.inner, slots), self.max_keys, self.idle_seconds is not None)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Ask for the keys that something changed for, in order, until one is ready."""
        keys = _Keys(self, slots, job_state)
        keys.sort_arrivals()
        keys.forget_idle()
        asked = None
        for key in keys.due():
            answer = keys.ask_for(key)
            if answer[0]:
                keys.see_to_timers()
                return self.yes(answer[1], {"key": key, "message": answer[2]}, (True, f"{key!r:.80}", answer[3]))
            asked = f"{key!r:.80}", answer[3]
        keys.see_to_timers()
        return self.no((False, len(keys.entries), asked))

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """The conditions of the key that was ready; or how many keys wait, and what the one asked last lacks."""
        if facts[0]:
            return (Condition(f"key {facts[1]}", is_met=True, parts=self.inner.explained(True, facts[2])),)
        _, count, asked = facts
        counted = (Condition("keys that are ready", 0, 1, is_met=False), Condition("keys", count))
        if asked is None:
            return counted
        parts = tuple(_of_key(condition, asked[0]) for condition in self.inner.explained(False, asked[1]))
        return (*counted, Condition(f"key {asked[0]}", is_met=False, parts=parts))

    def cause(self, facts: Any) -> Any:
        """Any no is like another."""
        return "no key"

    def __repr__(self) -> str:
        key = repr(self.key) if isinstance(self.key, str) else getattr(self.key, "__name__", repr(self.key))
        more = "" if self.max_keys == 10_000 else f", max_keys={self.max_keys}"
        more += "" if self.idle_seconds is None else f", idle_seconds={self.idle_seconds}"
        return f"({self.inner!r}).by_key({key}{more})"


def _of_key(condition: Condition, key: str) -> Condition:
    """Name the key in each leaf, as a leaf may be shown alone."""
    if not condition.parts:
        return replace(condition, name=f"key {key}: {condition.name}")
    return replace(condition, parts=tuple(_of_key(part, key) for part in condition.parts))


def _absorbs(policy: Any) -> bool:
    """Whether a policy, or any that it is made of, takes items while it says no."""
    parts = policy.parameters().values() if isinstance(policy, Policy) else policy if isinstance(policy, tuple) else ()
    return (isinstance(policy, Policy) and policy.absorbs) or any(map(_absorbs, parts))


class _Keys:
    """The keys of one job, while the policy is asked."""

    def __init__(self, whole: ByKey, slots: Slots, job_state: JobState) -> None:
        self._whole = whole
        self._slots = slots
        self._job_state = job_state
        self._memory = job_state.memory()
        self.now = now_ns(job_state)
        self.entries: dict[Any, dict[str, Any]] = self._memory.setdefault(KEYS, {})
        self._timers: dict[Any, int] = self._memory.setdefault(f"{PART}timers", {})
        self._dirty: dict[Any, None] = dict.fromkeys(self._memory.get("dirty", ()))
        self._closed = closed = [name for name, slot in slots.items() if slot.is_closed]  # before looking at items
        if closed != self._memory.get("closed", []):
            self._memory["closed"] = closed
            self._dirty.update(dict.fromkeys(self.entries))

    def sort_arrivals(self) -> None:
        """Note the items that were not seen yet under their keys."""
        taken: dict[str, list[int]] = self._memory.pop("taken", None) or {}
        for name, seqs in taken.items():
            back = [seq for seq in seqs if name in self._slots and self._slots[name].queue.waiting_item(seq)]
            for seq in back:
                item = self._slots[name].queue.waiting_item(seq)
                assert item is not None
                self._add(name, seq, item[0])
        seen: dict[str, int] = dict(self._memory.get("seen") or {})
        self._memory["seen"] = seen
        for name, slot in self._slots.items():
            for point in slot.peek_points_since(seen.get(name, 0)):
                self._add(name, point.seq, point.data)
                seen[name] = point.seq + 1  # not the queue's: one more may have come meanwhile

    def _add(self, name: str, seq: int, data: Any) -> None:
        key = key_of(self._whole.key, data)
        entry = self.entries.pop(key, None) or {"items": {}, "memory": {}}
        self.entries[key] = entry  # at the end: the first is the one that was idle longest
        entry["at"] = self.now
        entry["items"][name] = sorted([*entry["items"].get(name, ()), seq])
        self._dirty[key] = None
        while len(self.entries) > self._whole.max_keys:
            self._drop(next(iter(self.entries)), "too many keys")

    def _drop(self, key: Any, reason: str) -> None:
        entry = self.entries.pop(key)
        self._dirty.pop(key, None)
        self._timers.pop(key, None)
        for name, seqs in entry["items"].items():
            self._slots[name].drop(seqs, reason)

    def forget_idle(self) -> None:
        """Drop what belongs to keys that were idle too long."""
        if self._whole.idle_seconds is None:
            return
        limit = to_ns(self._whole.idle_seconds)
        while self.entries:
            key = next(iter(self.entries))
            if self.now - self.entries[key]["at"] < limit:
                return
            self._drop(key, "idle key")

    def due(self) -> list[Any]:
        """Give the keys to ask for: something came, or their timer is due."""
        self._dirty.update(dict.fromkeys(key for key, due in self._timers.items() if due <= self.now))
        return [key for key in self._dirty if key in self.entries]

    def ask_for(self, key: Any) -> Answer:
        """Ask the policy about the items of one key."""
        entry = self.entries[key]
        own = {name: self._own_slot(name, entry["items"].get(name, [])) for name in self._slots}
        view = PartOfJob(self._job_state, entry["memory"])
        draft = Draft(own)
        answer = self._whole.inner.ask(own, cast(JobState, view))
        self._timers.pop(key, None)
        if not answer[0] and view.wake is not None:
            self._timers[key] = self.now + view.wake[0]
        taken = {name: sorted(seqs) for name, seqs in draft.taken().items() if seqs} if answer[0] else {}
        for name, slot in own.items():
            waits = [seq for seq in entry["items"].get(name, ()) if slot.queue.waiting_item(seq) is not None]
            self._drop_with(name, slot, entry["items"].get(name, []), waits, taken.get(name, []))
            if answer[0]:
                entry["items"][name] = waits
        draft.close(keep=answer[0])
        if not answer[0]:
            self._dirty.pop(key, None)
            return answer
        for name, seqs in taken.items():
            self._slots[name].consume_points(seqs)
        self._memory["taken"] = taken
        if not any(entry["items"].values()) and not entry["memory"]:
            del self.entries[key]
        return answer

    def _drop_with(self, name: str, slot: Slot, had: list[int], waits: list[int], taken: list[int]) -> None:
        """Drop what the policy dropped, for the same reasons."""
        gone = sorted(set(had).difference(waits, taken))
        held = set(slot.queue.lent or ())
        gone = [seq for seq in gone if seq not in held]
        reasons = list(slot.queue.drops or {})
        if gone and reasons:
            self._slots[name].drop(gone, reasons[0])

    def _own_slot(self, name: str, seqs: list[int]) -> Slot:
        queue = self._slots[name].queue
        pairs = [(seq, item) for seq in seqs if (item := queue.waiting_item(seq)) is not None]
        own = ItemQueue(SlotDefinition(name, None), queue.routine_id, queue.clock, shared=True)
        own.refill(waiting=pairs, done=[], next_seq=queue.next_seq, limit=1)
        own.is_closed = name in self._closed
        return Slot.within(own)

    def see_to_timers(self) -> None:
        """Remember which keys are to be asked for, and wake for the first that is due."""
        self._memory["dirty"] = [key for key in self._dirty if key in self.entries]
        dues = list(self._timers.values())
        if self._whole.idle_seconds is not None and self.entries:
            first = next(iter(self.entries.values()))
            dues.append(first["at"] + to_ns(self._whole.idle_seconds))
        if dues:
            wake_in(self._job_state, min(dues) - self.now)
