"""The join by key: items of several slots that belong together, wherever they stand in their queues.

Design: §4, and the catalogue of policies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand, each
from routilux.errors import BadTypeError, BadValueError
from routilux.explanation import Condition
from routilux.job import JobState
from routilux.policies.core import Answer, DataSlice, Policy, Slots, take_seqs
from routilux.policies.ground import LeafPolicy, age_of, duration, oldest, one_of, to_ns, wake_in, whole
from routilux.policies.key_groups import KeyGroups, Keys, check_key, key_for, key_of
from routilux.policies.parts import KEPT

ENDS = ("hold", "fire", "drop")
JOIN, EXPIRED, END = "join", "expired", "end"
NO_PARTNER = "no partner can come"
TOO_MANY = "too many keys"


@dataclass(frozen=True)
class JoinPolicy(LeafPolicy):
    """See `join_policy`."""

    key: Keys
    need: int | str = "all"
    within_seconds: float | None = None
    build: str | None = None
    on_expire: str = "drop"
    at_end: str | None = None
    max_keys: int = 10_000

    asks_when_empty = False

    def __post_init__(self) -> None:
        if isinstance(self.key, Mapping):
            object.__setattr__(self, "key", dict(self.key))
        for key in self.key.values() if isinstance(self.key, Mapping) else [self.key]:
            check_key(key)
        if self.need != "all":
            whole(self.need, 'need is "all" or a number of slots: it')
        duration(self.within_seconds, "within_seconds", optional=True)
        if self.build is not None and not isinstance(self.build, str):
            raise BadTypeError(f"build is the name of a slot, not {self.build!r}")
        one_of(self.on_expire, ("drop", "fire"), "on_expire")
        if self.at_end is not None:
            one_of(self.at_end, ENDS, "at_end")
        whole(self.max_keys, "max_keys")

    def __hash__(self) -> int:
        key = tuple(sorted(self.key.items(), key=lambda pair: pair[0])) if isinstance(self.key, Mapping) else self.key
        rest = (self.need, self.within_seconds, self.build, self.on_expire, self.at_end, self.max_keys)
        return hash((key, rest))

    @property
    def absorbs(self) -> bool:
        """Whether one side is taken at once."""
        return self.build is not None

    @property
    def ending(self) -> str:
        """What becomes of items whose partners cannot come any more."""
        if self.at_end is not None:
            return self.at_end
        if self.build is not None:
            return "fire"
        return "hold" if self.within_seconds is None else self.on_expire

    def demand(self, slots: Sequence[str]) -> Demand:
        """One item of each slot that must have the key; that they have one in common is not said."""
        needed = self.need if isinstance(self.need, int) else 0
        one = {} if needed else each([name for name in slots if name != self.build], 1)
        return Demand(
            one,
            1,
            needed if self.build is None else 0,
            takes=one if one and self.build is None else None,
            has_timeout=self.within_seconds is not None,
            fires_at_end=self.ending != "hold",
            seconds=self.within_seconds,
            keys=self.max_keys,
            named=() if self.build is None else (self.build,),
        )

    def needed(self, slots: Slots) -> int:
        """Give how many slots must have the key.

        Raises:
            ValueError: there are not so many, or the build slot is none of them.
        """
        if self.build is not None and self.build not in slots:
            raise BadValueError(f"build {self.build!r} is none of the slots {list(slots)}")
        if not isinstance(self.need, int):
            return len(slots)
        if self.need > len(slots):
            raise BadValueError(f"a join that needs {self.need} slots can never activate with {list(slots)}")
        return self.need

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes for the key that has been complete for longest; takes one item of each slot that has it."""
        join = _Join(self, slots, job_state)
        join.update()
        answer = join.next_complete()
        while answer is None and join.finds_expired():
            answer = join.next_complete()
        if answer is not None:
            return answer
        join.bound()
        return self.no(join.facts_of_no())

    def conditions(self, facts: Any) -> tuple[Condition, ...]:
        """Which slots have the key, and what is known of the build side."""
        reason, key, present, needed, known = facts
        table = () if known is None else (Condition(f"keys known of {self.build}", known),)
        if reason is None and key is None:
            return (Condition("keys that wait", 0, 1, is_met=False), *table)
        if reason in (EXPIRED, END):
            return (Condition(f"key {key}, {reason} with {', '.join(present)}"), *table)
        found = f"{len(present)} ({', '.join(present)})" if reason is None else len(present)
        return (Condition(f"slots with key {key}", found, needed, is_met=reason is not None), *table)

    def cause(self, facts: Any) -> Any:
        """Any no is like another."""
        return "no key"


class _Join:
    """The keys of one job, while the policy is asked."""

    def __init__(self, policy: JoinPolicy, slots: Slots, job_state: JobState) -> None:
        self._policy = policy
        self._slots = slots
        self._job_state = job_state
        self._needed = policy.needed(slots)
        self._limit = None if policy.within_seconds is None else to_ns(policy.within_seconds)
        self._kept: dict[str, Any] = job_state.memory().setdefault(KEPT, {})
        self._table: dict[Any, Any] = self._kept.setdefault("table", {})
        # before looking at items: of what is closed now, all items are seen
        self._closed = [name for name in slots if slots[name].queue.is_closed]
        build = policy.build
        self._waiting = slots if build is None else {name: slot for name, slot in slots.items() if name != build}
        self._groups = KeyGroups(self._waiting, policy.key, self._kept)

    def update(self) -> None:
        """See what came and what closed since."""
        if self._policy.build is not None:
            self._absorb(self._policy.build)
        self._groups.update()
        if self._closed != self._kept.get("closed", []):
            self._kept["closed"] = self._closed
            self._groups.look_at(*self._groups.groups)

    def _absorb(self, build: str) -> None:
        """Take what came of the build side into the table: the newest item of each key."""
        slot = self._slots[build]
        if not slot.queue.waiting:
            return
        with slot.queue.lock:
            found = slot.queue.peek()
        taken, refused = [], []
        try:
            for seq, item in found:
                key = key_of(key_for(self._policy.key, build), item[0])
                if key not in self._table and len(self._table) >= self._policy.max_keys:
                    refused.append(seq)
                    continue
                self._table[key] = item[0]
                taken.append(seq)
                if key in self._groups.groups:
                    self._groups.look_at(key)
        finally:
            slot.absorb(taken)
            if refused:
                slot.drop(refused, TOO_MANY)

    # --- which key ------------------------------------------------------------------------------------------

    def next_complete(self) -> Answer | None:
        """Deliver the next key that is complete, expired or beyond hope, if it is to be delivered."""
        for key in self._groups.due():
            present = self._present(key)
            reason = self._verdict(key, present) if present else None
            if reason is None:
                continue
            told = self._policy.on_expire if reason == EXPIRED else self._policy.ending
            if reason == JOIN or told == "fire":
                return self._deliver(key, present, reason)
            if reason == EXPIRED:
                self._drop_first(key, present)
            elif told == "drop":
                self._drop_key(key, NO_PARTNER)
        return None

    def _present(self, key: Any) -> list[str]:
        """Give the slots whose first item of this key came in time for the oldest of them."""
        group = self._groups.groups.get(key)
        if group is None:
            return []
        if self._limit is None:
            return [name for name in self._waiting if name in group]
        arrivals = self._arrivals(key)
        first = min(arrivals.values(), default=0)
        return [name for name, at in arrivals.items() if at - first < self._limit]

    def _arrivals(self, key: Any) -> dict[str, int]:
        return {name: item[2] for name, item in self._groups.first_items(key).items()}

    def _verdict(self, key: Any, present: list[str]) -> str | None:
        is_known = key in self._table
        if len(present) + is_known >= self._needed:
            return JOIN
        if self._limit is not None and self._is_expired(key):
            return EXPIRED
        silent = sum(name not in present for name in self._closed)
        if is_known and self._policy.build in self._closed:
            silent -= 1
        return END if len(self._slots) - silent < self._needed else None

    def _is_expired(self, key: Any) -> bool:
        now = next(iter(self._slots.values())).queue.clock.ticks()
        first = min(self._arrivals(key).values(), default=now)
        return self._limit is not None and now - first >= self._limit

    # --- what becomes of it ---------------------------------------------------------------------------------

    def _deliver(self, key: Any, present: list[str], reason: str) -> Answer:
        taken = self._groups.take(key, present)
        data: DataSlice = {name: take_seqs(self._slots[name], [seq]) for name, seq in taken.items()}
        if not all(data.values()):  # a producer superseded one at this moment: what was taken goes back
            self._groups.see_all()
            wake_in(self._job_state, 1)
            return self._policy.no(self.facts_of_no())
        if self._policy.build is not None:
            data[self._policy.build] = [self._table[key]] if key in self._table else []
            present = [*present, self._policy.build] if key in self._table else present
        facts = (reason, f"{key!r:.80}", tuple(present), self._needed, self._known)
        return self._policy.yes(data, {"reason": reason, "key": key}, facts)

    def _drop_first(self, key: Any, present: list[str]) -> None:
        """Drop the items that waited for too long; what came later may still find its own partners."""
        arrivals = self._arrivals(key)
        first = min(arrivals.values(), default=0)
        for name in [name for name in present if arrivals.get(name) == first]:
            self._slots[name].drop([self._groups.remove_first(key, name)], EXPIRED)
        self._groups.look_first_at(key)

    def _drop_key(self, key: Any, reason: str) -> None:
        for name, seqs in self._groups.remove_key(key).items():
            self._slots[name].drop(seqs, reason)

    def finds_expired(self) -> bool:
        """Look at the item that waits longest: whether it is too old. Wakes when it will be."""
        head = oldest(self._waiting) if self._limit is not None else None
        if head is None or self._limit is None:
            return False
        left = self._limit - age_of(self._waiting, head.item)
        if left > 0:
            wake_in(self._job_state, left)
            return False
        self._groups.look_first_at(self._groups.key_at(head.name, head.seq))
        return True

    def bound(self) -> None:
        """Drop the keys that wait longest where too many wait."""
        while len(self._groups.groups) > self._policy.max_keys:
            head = oldest(self._waiting)
            assert head is not None
            self._drop_key(self._groups.key_at(head.name, head.seq), TOO_MANY)

    @property
    def _known(self) -> int | None:
        return None if self._policy.build is None else len(self._table)

    def facts_of_no(self) -> Any:
        """Tell what the key that waits longest has."""
        head = oldest(self._waiting)
        if head is None:
            return None, None, (), self._needed, self._known
        key = self._groups.key_at(head.name, head.seq)
        present = [name for name in self._waiting if name in self._groups.groups[key]]
        return None, f"{key!r:.80}", tuple(present), self._needed, self._known


def join_policy(
    key: Keys,
    need: int | str = "all",
    within_seconds: float | None = None,
    build: str | None = None,
    on_expire: str = "drop",
    at_end: str | None = None,
    max_keys: int = 10_000,
) -> Policy:
    """Activate when items of the same key are there; takes them out of the middle of their queues.

    ``key`` is a function, the name of a field, or a mapping of slots to these. The message of the logic is
    ``{"reason": "join" | "expired" | "end", "key": …}``. With ``build`` the items of that slot are a reference table:
    consumed as they come, the newest of each key is kept and goes to the logic with every item of its key.

    join_policy(str.lower)
    activates   when every slot (need=2: any two slots) has an item of one key; the key that is complete longest first
    takes       the oldest item of that key from each slot that has one; with build the kept one beside them
    holds back  items without partners; at most within_seconds each, then on_expire="drop" as "expired", or "fire"
    at end      at_end="hold", "fire" or "drop" as "no partner can come", as soon as a key cannot be completed;
                default: "fire" with build, on_expire with within_seconds, else "hold"
    full slot   items without partner fill it: give within_seconds; a build slot never fills. Beyond max_keys the key
                that waits longest is dropped as "too many keys"; of the build side the item of a new key is
    resume      keys, table and remaining times are stored with the job
    explains    slots with key 'a' 1 (x) of 2 no
    picture     x    abc--d-|          one character = 1 s, | = end
                y    --B-A-D|
                out  --[bB]-[aA]-[dD]|
                left c

    Raises:
        ValueError: a number below 1, a time not above 0, an unknown ``on_expire`` or ``at_end``.
        TypeError: no int, a time that is no number, a key that is no function and no name.
    """
    return JoinPolicy(key, need, within_seconds, build, on_expire, at_end, max_keys)
