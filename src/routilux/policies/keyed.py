"""A policy for each key: `Policy.by_key`.

Design: §4.8, and the catalogue of policies. The memory holds, for each key, the numbers of its items, the memory of the
policy, its timer and when it was last seen; the items stay in the slots until they are taken, out of the middle. A
decision costs what changed, not how many keys and items there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from routilux.demand import Demand, demand_of
from routilux.errors import BadTypeError
from routilux.explanation import Condition
from routilux.item_queue import ItemQueue
from routilux.job import JobState
from routilux.policies.combining import needs_by_key
from routilux.policies.core import Answer, Policy, Slots
from routilux.policies.earliest import Earliest
from routilux.policies.ground import Item, ask_again, duration, now_ns, to_ns, wake_in, whole
from routilux.policies.key_groups import Key, check_key, key_of
from routilux.policies.key_queue import KeyQueue, add, count_of, new_chain, put_back, seqs_of, tidied
from routilux.policies.parts import KEPT, Draft, PartOfJob, on_undo
from routilux.slot import Slot

Timer = tuple[int, bool] | None
"""When the policy of a key wants to be asked again, and whether that keeps the job alive."""


@dataclass(frozen=True)
class ByKey(Policy):
    """``a.by_key(key)``: as a, for the items of each key by themselves."""

    inner: Policy
    key: Key
    max_keys: int = 10_000
    idle_seconds: float | None = None

    def __post_init__(self) -> None:
        check_key(self.key)
        if _any_part(self.inner, "absorbs"):
            raise BadTypeError(f"{self.inner!r} keeps items by key itself: it cannot be applied by_key")
        if _any_part(self.inner, "gathers"):
            raise BadTypeError(f"{self.inner!r} gathers a whole group, whatever its keys: it cannot be applied by_key")
        whole(self.max_keys, "max_keys")
        duration(self.idle_seconds, "idle_seconds", optional=True)

    @property
    def asks_when_empty(self) -> bool:
        """Whether the policy does."""
        return self.inner.asks_when_empty

    def demand(self, slots: Sequence[str]) -> Demand:
        """What the policy needs, of one key."""
        return needs_by_key(demand_of(self.inner, slots), self.max_keys, self.idle_seconds is not None)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Ask for the keys that something changed for, in order, until one is ready."""
        keys = _Keys(self, slots, job_state)
        keys.update()
        keys.forget_idle()
        draft = Draft(slots)
        is_yes = False
        asked: tuple[str, Any] | None = None
        try:
            for key in keys.due():
                answer = keys.ask_for(key)
                if answer is not None and answer[0]:
                    is_yes = True
                    return answer
                asked = asked if answer is None else (f"{key!r:.80}", answer[3])
        finally:
            draft.close(keep=is_yes)
            failure = keys.see_to_failed()
        keys.see_to_timers()
        if failure is not None:
            raise failure
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


def _any_part(policy: Any, kind: str) -> bool:
    """Whether a policy, or any that it is made of, is of a kind: it takes items while it says no, it gathers."""
    parts = policy.parameters().values() if isinstance(policy, Policy) else policy if isinstance(policy, tuple) else ()
    return (isinstance(policy, Policy) and getattr(policy, kind)) or any(_any_part(part, kind) for part in parts)


class _Keys:
    """The keys of one job, while the policy is asked.

    What it knows is kept: it tells the items that wait, whatever becomes of a yes. An entry holds the numbers of the
    items of a key by slot, the memory of the policy, and whether the key is to be asked for.
    """

    def __init__(self, whole: ByKey, slots: Slots, job_state: JobState) -> None:
        self._whole = whole
        self._slots = slots
        self._job_state = job_state
        self._kept: dict[str, Any] = job_state.memory().setdefault(KEPT, {})
        self.now = now_ns(job_state)
        self._closed = [name for name, slot in slots.items() if slot.is_closed]  # before looking at items
        self.entries: dict[Any, dict[str, Any]] = self._kept.setdefault("entries", {})
        self._seen: dict[str, int] = self._kept.setdefault("seen", {})
        self._counts: dict[str, int] = self._kept.setdefault("counts", {})  # of what waits, by slot
        self._due: list[list[Any]] = self._kept.setdefault("due", [[], []])  # to be popped, and newer ones
        self._last_arrivals = Earliest(self._kept.setdefault("arrivals", {}))
        self._timers = Earliest(self._kept.setdefault("timers", {}))
        self._failed: list[tuple[Any, Exception]] = []
        self._alive: dict[Any, None] = self._kept.setdefault("alive", {})  # keys whose timer keeps the job alive

    # --- what came ------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Note the items that were not seen yet under their keys; see what was put back, or taken by others."""
        undone = self._job_state._asking("by_key").undone
        if undone != self._kept.get("undone", 0):
            self._kept["undone"] = undone
            self._see_all()
        for name, slot in self._slots.items():
            self._see_new(name, slot.queue)
            while self._counts.get(name, 0) != slot.queue.waiting:
                if not self._see_new(name, slot.queue):
                    self._see_all()
                    break
        if self._closed != self._kept.get("closed", []):
            self._kept["closed"] = self._closed
            for key in self.entries:
                self._look_at(key)

    def _see_new(self, name: str, queue: ItemQueue) -> bool:
        seen = self._seen.get(name, 0)
        if queue.next_seq == seen:
            return False
        found = queue.peek_since(seen)
        for seq, item in found:
            key = self._add(name, seq, item)
            self._seen[name] = seq + 1
            self._last_arrivals.set(key, self.now)
            while len(self.entries) > self._whole.max_keys:
                longest_idle = self._last_arrivals.first()
                assert longest_idle is not None
                self._drop(longest_idle[1], "too many keys")
        return bool(found)

    def _add(self, name: str, seq: int, item: Item) -> Any:
        key = key_of(self._whole.key, item[0])
        entry = self.entries.setdefault(key, {"items": {}, "memory": {}, "is_due": False})
        add(entry["items"].setdefault(name, new_chain()), seq)
        self._counts[name] = self._counts.get(name, 0) + 1
        self._look_at(key)
        return key

    def _see_all(self) -> None:
        """Begin anew with what waits now; every key is due."""
        for key, entry in self.entries.items():
            entry["items"] = {}
            self._look_at(key)
        self._counts.clear()
        waits = []
        for place, (name, slot) in enumerate(self._slots.items()):
            seen = slot.queue.next_seq
            with slot.queue.lock:
                found = slot.queue.peek()
            self._seen[name] = max(seen, found[-1][0] + 1) if found else seen  # one may have come in between
            waits += [(item[2], place, seq, name, item) for seq, item in found]
        for _, _, seq, name, item in sorted(waits, key=lambda found: found[:3]):
            key = self._add(name, seq, item)
            if self._last_arrivals.at(key) is None:
                self._last_arrivals.set(key, self.now)

    # --- whom to ask for ------------------------------------------------------------------------------------

    def _look_at(self, key: Any) -> None:
        """Have a key asked for after all that are due."""
        if not self.entries[key]["is_due"]:
            self.entries[key]["is_due"] = True
            self._due[1].append(key)

    def _look_first_at(self, key: Any) -> None:
        self.entries[key]["is_due"] = True
        self._due[0].append(key)

    def due(self) -> Iterator[Any]:
        """Give the keys to ask for, each once: something came for it, or its timer is due."""
        while (first := self._timers.first()) is not None and first[0] <= self.now:
            self._set_timer(first[1], None)
            self._look_at(first[1])
        older, newer = self._due
        while older or newer:
            if not older:
                older.extend(reversed(newer))
                newer.clear()
            key = older.pop()
            if key in self.entries and self.entries[key]["is_due"]:
                self.entries[key]["is_due"] = False
                yield key

    def ask_for(self, key: Any) -> Answer | None:
        """Ask the policy about the items of one key; None where nothing of it is left to ask about."""
        entry = self.entries[key]
        if not any(map(count_of, entry["items"].values())):
            if not entry["memory"]:
                self._remove(key)
                return None
            if not self._whole.inner.asks_when_empty:
                return None
        own = {name: Slot.within(self._queue_of(entry, name)) for name in self._slots}
        before = {name: slot.queue.waiting for name, slot in own.items()}
        draft = Draft(own)
        view = PartOfJob(self._job_state, entry["memory"])
        try:
            answer = self._whole.inner.ask(own, cast(JobState, view))
        except Exception as error:  # noqa: BLE001  raised when the other keys, which it does not concern, were asked
            draft.undo()
            self._failed.append((key, error))
            return None
        else:
            if not answer[0]:
                draft.undo()
        finally:
            for name, slot in own.items():
                self._counts[name] = self._counts.get(name, 0) + slot.queue.waiting - before[name]
        return self._activate(key, view, draft, answer) if answer[0] else self._decline(key, view, answer)

    def see_to_failed(self) -> Exception | None:
        """Have the keys looked at again whose policy failed; gives the first error."""
        for key, _ in self._failed:
            self._look_at(key)
        return self._failed[0][1] if self._failed else None

    def _queue_of(self, entry: dict[str, Any], name: str) -> KeyQueue:
        whole = self._slots[name].queue
        chain = entry["items"].get(name)
        return KeyQueue(whole, new_chain() if chain is None else tidied(chain, whole), name in self._closed)

    def _decline(self, key: Any, view: PartOfJob, answer: Answer) -> Answer:
        self._set_timer(key, None if view.wake is None else (self.now + view.wake[0], view.wake[1]))
        return answer

    def _activate(self, key: Any, view: PartOfJob, draft: Draft, answer: Answer) -> Answer:
        """Deliver; the key is looked at again if that changed anything for it."""
        on_undo(self._job_state, partial(self._undo, key, view, draft.taken(), self._timer_of(key)))
        self._set_timer(key, None)
        if draft.has_taken or view.is_to_be_asked_again:
            self._look_first_at(key)
        if not draft.has_taken or view.is_to_be_asked_again:
            ask_again(self._job_state)  # timers of other keys may be set
        message = {"key": key, "message": answer[2]}
        return True, answer[1], message, (True, f"{key!r:.80}", answer[3])

    def _undo(self, key: Any, view: PartOfJob, taken: dict[str, list[int]], timer: Timer) -> None:
        """Make what a yes changed as it was before."""
        view.forget()
        for name, seqs in taken.items():
            if seqs:
                put_back(self.entries[key]["items"][name], len(seqs))
                self._counts[name] += len(seqs)
        self._set_timer(key, timer)
        self._look_first_at(key)

    # --- timers and the end of keys -------------------------------------------------------------------------

    def _timer_of(self, key: Any) -> Timer:
        at = self._timers.at(key)
        return None if at is None else (at, key in self._alive)

    def _set_timer(self, key: Any, timer: Timer) -> None:
        self._alive.pop(key, None)
        if timer is None:
            self._timers.remove(key)
            return
        self._timers.set(key, timer[0])
        if timer[1]:
            self._alive[key] = None

    def see_to_timers(self) -> None:
        """Wake for the first key that is due, or was idle for too long."""
        dues = [first[0] for first in (self._timers.first(),) if first is not None]
        longest_idle = None if self._whole.idle_seconds is None else self._last_arrivals.first()
        if longest_idle is not None and self._whole.idle_seconds is not None:
            dues.append(longest_idle[0] + to_ns(self._whole.idle_seconds))
        if dues:
            wake_in(self._job_state, min(dues) - self.now, keep_alive=bool(self._alive))

    def forget_idle(self) -> None:
        """Drop what belongs to keys that were idle too long."""
        if self._whole.idle_seconds is None:
            return
        limit = self.now - to_ns(self._whole.idle_seconds)
        while (first := self._last_arrivals.first()) is not None and first[0] <= limit:
            self._drop(first[1], "idle key")

    def _drop(self, key: Any, reason: str) -> None:
        for name, chain in self._remove(key)["items"].items():
            self._counts[name] -= self._slots[name].drop(seqs_of(chain), reason)

    def _remove(self, key: Any) -> dict[str, Any]:
        self._last_arrivals.remove(key)
        self._set_timer(key, None)
        return self.entries.pop(key)
