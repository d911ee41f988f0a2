"""Policies of silence and pace: debounce, throttle, session.

Design: §4.4, and the catalogue of policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand, Doubt
from routilux.job import JobState
from routilux.policies.core import Answer, Policy, Slots, new_data, take_new
from routilux.policies.ground import (
    END,
    SECOND,
    LeafPolicy,
    Scan,
    age_of,
    all_closed,
    drop_new,
    duration,
    newest_at,
    now_ns,
    oldest,
    one_of,
    ticks_of,
    to_ns,
    waiting,
    wake_in,
    whole,
)

NOTHING_NEW = (("count(any slot)", 0, 1, False),)


def _never_reached(silence: str, quiet: float, limit: str, longest: float | None) -> tuple[Doubt, ...]:
    """Doubt a longest wait that is over before any silence can be."""
    if longest is None or longest >= quiet:
        return ()
    problem = f"{limit}={longest:g} is over before {silence}={quiet:g} can be"
    return (Doubt("R203", problem, f"give a longer {limit}"),)


@dataclass(frozen=True)
class DebouncePolicy(LeafPolicy):
    """See `debounce_policy`."""

    quiet_seconds: float
    max_wait_seconds: float | None = None
    edge: str = "trailing"

    asks_when_empty = False

    def __post_init__(self) -> None:
        duration(self.quiet_seconds, "quiet_seconds")
        duration(self.max_wait_seconds, "max_wait_seconds", optional=True)
        one_of(self.edge, ("trailing", "leading"), "edge")

    def demand(self, slots: Sequence[str]) -> Demand:
        """An item, and silence."""
        doubts = _never_reached("quiet_seconds", self.quiet_seconds, "max_wait_seconds", self.max_wait_seconds)
        return Demand(total=1, seconds=self.quiet_seconds if self.edge == "trailing" else None, doubts=doubts)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when it has been quiet, or the oldest item has waited too long."""
        first = oldest(slots)
        if first is None:
            return self.no(NOTHING_NEW)
        quiet = max(0, ticks_of(slots) - newest_at(slots))
        age = age_of(slots, first.item)
        left = to_ns(self.quiet_seconds) - quiet
        facts: Any = (("quiet seconds", quiet / SECOND, self.quiet_seconds, left <= 0),)
        if self.max_wait_seconds is not None:
            wait_left = to_ns(self.max_wait_seconds) - age
            facts = (*facts, ("age(oldest)", age / SECOND, self.max_wait_seconds, wait_left <= 0))
            left = min(left, wait_left)
        if self.edge == "leading" and self._leads(job_state, age):
            facts = (*facts, ("first after quiet", True, None, True))
            return self._fire(slots, job_state, quiet, "leading", facts)
        if left <= 0:
            return self._fire(slots, job_state, quiet, "quiet" if facts[0][3] else "max_wait", facts)
        if all_closed(slots):
            return self._fire(slots, job_state, quiet, "end", (*facts, END))
        wake_in(job_state, left)
        return self.no(facts)

    def _leads(self, job_state: JobState, age: int) -> bool:
        last = job_state.memory().get("last")
        return last is None or now_ns(job_state) - age - last >= to_ns(self.quiet_seconds)

    def _fire(self, slots: Slots, job_state: JobState, quiet: int, reason: str, facts: Any) -> Answer:
        if self.edge == "leading":
            job_state.memory()["last"] = now_ns(job_state) - quiet
        return self.yes(new_data(slots), {"reason": reason}, facts)


@dataclass(frozen=True)
class ThrottlePolicy(LeafPolicy):
    """See `throttle_policy`."""

    n: int
    per_seconds: float
    burst: int | None = None
    excess: str = "hold"

    needs = "all"
    asks_when_empty = False

    def __post_init__(self) -> None:
        whole(self.n, "n")
        duration(self.per_seconds, "per_seconds")
        if self.burst is not None:
            whole(self.burst, "burst")
        one_of(self.excess, ("hold", "drop"), "excess")

    def demand(self, slots: Sequence[str]) -> Demand:
        """An item, and a token."""
        return Demand(total=1, keeps=0 if self.excess == "drop" else None)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when something waits and a token is free."""
        first = oldest(slots)
        if first is None:
            return self.no(NOTHING_NEW)
        memory = job_state.memory()
        now = now_ns(job_state)
        spacing = -(-to_ns(self.per_seconds) // self.n)
        allowance = spacing * ((self.burst or self.n) - 1)
        full_at = max(now, memory.get("full_at", now))  # when every token will be there again
        left = full_at - allowance - now
        facts = (("count(any slot)", 1, 1, True), ("seconds to the next token", max(0, left) / SECOND, 0, left <= 0))
        if left <= 0:
            memory["full_at"] = full_at + spacing
            return self.yes({first.name: take_new(slots[first.name], 1)}, {"reason": "token"}, facts)
        if self.excess == "hold":
            wake_in(job_state, left)
        else:
            for slot in slots.values():
                drop_new(slot, "throttled")
        return self.no(facts)


@dataclass(frozen=True)
class SessionPolicy(LeafPolicy):
    """See `session_policy`."""

    gap_seconds: float
    max_seconds: float | None = None

    asks_when_empty = False

    def __post_init__(self) -> None:
        duration(self.gap_seconds, "gap_seconds")
        duration(self.max_seconds, "max_seconds", optional=True)

    def demand(self, slots: Sequence[str]) -> Demand:
        """An item, and a gap."""
        doubts = _never_reached("gap_seconds", self.gap_seconds, "max_seconds", self.max_seconds)
        return Demand(total=1, seconds=self.gap_seconds, doubts=doubts)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes when the oldest session is over."""
        if not waiting(slots):
            return self.no(NOTHING_NEW)
        memory = job_state.memory()
        has_ended = all_closed(slots)  # before looking at items: more may come until then
        scan = Scan(slots, memory)
        gap = to_ns(self.gap_seconds)
        longest = None if self.max_seconds is None else to_ns(self.max_seconds)
        first = oldest(slots)
        assert first is not None
        last: int = first.at if scan.is_fresh else max(first.at, first.at + memory.get("length", 0))
        while (item := scan.peek()) is not None:
            at: int = item[2]
            if at - last >= gap or (longest is not None and at - first.at >= longest):
                return self._fire(memory, scan, "next session", self._facts(at - last, at - first.at))
            scan.step()
            last = at
        memory["length"] = last - first.at
        ticks = ticks_of(slots)
        quiet, length = max(0, ticks - last), max(0, ticks - first.at)
        facts = self._facts(quiet, length)
        left = gap - quiet if longest is None else min(gap - quiet, longest - length)
        if left <= 0:
            return self._fire(memory, scan, "gap" if quiet >= gap else "max_seconds", facts)
        if has_ended:
            return self._fire(memory, scan, "end", (*facts, END))
        wake_in(job_state, left)
        return self.no(facts)

    def _facts(self, quiet: int, length: int) -> Any:
        leaf = ("quiet seconds", quiet / SECOND, self.gap_seconds, quiet >= to_ns(self.gap_seconds))
        if self.max_seconds is None:
            return (leaf,)
        return leaf, ("session seconds", length / SECOND, self.max_seconds, length >= to_ns(self.max_seconds))

    def _fire(self, memory: dict[str, Any], scan: Scan, reason: str, facts: Any) -> Answer:
        memory.pop("length", None)
        return self.yes(scan.take(), {"reason": reason}, facts)


def debounce_policy(quiet_seconds: float, max_wait_seconds: float | None = None, edge: str = "trailing") -> Policy:
    """Activate when it has been quiet since the last item; with all items, not only the last.

    debounce_policy(2, max_wait_seconds=6)
    activates   when nothing came for 2 s, or the oldest new item is 6 s old;
                edge="leading": also at once with the first item after a quiet time
    takes       all new items of every slot
    holds back  what came less than 2 s ago, at most 6 s
    at end      delivers at once
    full slot   producers wait until it is quiet: give max_wait_seconds or a longer slot
    resume      the timer goes on with its remaining time; overdue = activates once
    explains    any of (quiet seconds 1 of 2 no ; age(oldest) 3 of 6 no)
    picture     in  -ab-----cdefghi|          one character = 1 s, | = end
                out ----[ab]---------[cdefgh]([i]|)

    Raises:
        ValueError: a time not above 0, or an unknown ``edge``.
        TypeError: a time that is no number.
    """
    return DebouncePolicy(quiet_seconds, max_wait_seconds, edge)


def throttle_policy(n: int, per_seconds: float, burst: int | None = None, excess: str = "hold") -> Policy:
    """Activate at most ``n`` times per ``per_seconds``, once for each item (token bucket).

    throttle_policy(1, per_seconds=2)
    activates   when an item waits and a token is free; tokens return evenly, at most burst (default n) are kept
    takes       the item that arrived first, over all slots
    holds back  items without a token; excess="drop" drops them as "throttled"
    at end      goes on at its rate until nothing is held
    full slot   producers wait: that is backpressure
    resume      tokens return also while the job is stored
    explains    count(any slot) 1 of 1 yes; seconds to the next token 1 of 0 no
    picture     in  (abc)-|          one character = 1 s, | = end
                out [a]-[b]-([c]|)

    Raises:
        ValueError: a number below 1, a time not above 0, or an unknown ``excess``.
        TypeError: no int, or a time that is no number.
    """
    return ThrottlePolicy(n, per_seconds, burst, excess)


def session_policy(gap_seconds: float, max_seconds: float | None = None) -> Policy:
    """Activate with the items of one session: they follow each other by less than the gap.

    session_policy(2, max_seconds=4)
    activates   when nothing came for 2 s after an item of the session, or the session is 4 s old
    takes       the items of that session, over all slots; never two sessions at once, however late it is asked
    holds back  the session under way, at most 4 s
    at end      delivers at once
    full slot   a session longer than its slot waits until its end: give max_seconds or a longer slot
    resume      sessions follow the times of arrival; overdue = activates once
    explains    any of (quiet seconds 1 of 2 no ; session seconds 3 of 4 no)
    picture     in  -ab----cde(fg)h|          one character = 1 s, | = end
                out ----[ab]------[cdefg]([h]|)

    Raises:
        ValueError: a time not above 0.
        TypeError: a time that is no number.
    """
    return SessionPolicy(gap_seconds, max_seconds)
