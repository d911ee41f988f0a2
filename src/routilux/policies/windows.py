"""The policy of windows in time: tumbling or hopping, by time of arrival or by the item's own.

Design: §4.4, and the catalogue of policies. Items wait in their slots until the last window that needs them. The memory
holds their numbers for each open window, and how far each input's own time has come. All of it is changed in place, so
that it agrees with how far arrivals were looked at. Windows are numbered from the epoch: k begins at k times every.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routilux.demand import Demand
from routilux.errors import BadValueError
from routilux.job import JobState
from routilux.policies.arrivals import Arrivals, Deliveries, Drops
from routilux.policies.core import Answer, DataSlice, Policy, Slots, take_seqs
from routilux.policies.event_time import DATETIME, KIND, TimeOf, check_time_of, item_time, to_moment
from routilux.policies.ground import END, SECOND, LeafPolicy, all_closed, ask_again, duration, one_of, to_ns, wake_in
from routilux.policies.timing import seconds

ON_LATE = ("drop", "deliver")
MOST_WINDOWS = 1000  # that one item may be in
FIRST = -(1 << 80)
"""A watermark before any time."""


@dataclass(frozen=True)
class WindowPolicy(LeafPolicy):
    """See `window_policy`."""

    size_seconds: float
    every_seconds: float | None = None
    time_of: TimeOf | None = None
    lateness_seconds: float = 0
    on_late: str = "drop"
    idle_seconds: float | None = None

    needs = "all"
    asks_when_empty = False

    def __post_init__(self) -> None:
        duration(self.size_seconds, "size_seconds")
        duration(self.every_seconds, "every_seconds", optional=True)
        if not self.size_seconds / MOST_WINDOWS <= (self.every_seconds or self.size_seconds) <= self.size_seconds:
            raise BadValueError(
                f"every_seconds must be from a thousandth of size_seconds up to all of it, not {self.every_seconds}: "
                "longer would lose items"
            )
        check_time_of(self.time_of)
        seconds(self.lateness_seconds, "lateness_seconds")
        one_of(self.on_late, ON_LATE, "on_late")
        duration(self.idle_seconds, "idle_seconds", optional=True)
        if self.time_of is None and (self.lateness_seconds or self.idle_seconds is not None or self.on_late != "drop"):
            raise BadValueError("lateness_seconds, on_late and idle_seconds need time_of=: an arrival is never late")

    def demand(self, slots: Sequence[str]) -> Demand:
        """One item, and the time of a window."""
        return Demand(total=1, seconds=self.size_seconds)

    def ask(self, slots: Slots, job_state: JobState) -> Answer:
        """Yes for each window that is over, the oldest first."""
        windows = _Windows(self, slots, job_state)
        number = windows.next_over()
        if number is not None:
            return windows.deliver(number)
        windows.see_to_timer()
        return self.no(windows.why_not())


class _Windows:
    """The open windows of one job, while the policy is asked."""

    def __init__(self, policy: WindowPolicy, slots: Slots, job_state: JobState) -> None:
        self._policy = policy
        self._slots = slots
        self._job_state = job_state
        clock = next(iter(slots.values())).queue.clock
        self._to_epoch = clock.epoch_ns(0) + job_state._time_shift
        self._now = clock.ticks() + self._to_epoch
        self._size = to_ns(policy.size_seconds)
        self._every = self._size if policy.every_seconds is None else to_ns(policy.every_seconds)
        self._idle = None if policy.idle_seconds is None else to_ns(policy.idle_seconds)
        self._lateness = to_ns(policy.lateness_seconds)
        self._has_ended = all_closed(slots)  # before looking at items: more may come until then
        memory = job_state.memory()
        self._deliveries = deliveries = Deliveries(job_state, memory)
        self._state = state = self._known(memory)
        self._open: dict[int, dict[str, list[int]]] = state["open"]
        self._order: list[int] = state["order"]  # the numbers of open windows, ascending
        self._newest: dict[str, list[int]] = state["newest"]  # by slot: its latest own time, its last arrival
        self._drops = Drops()
        self._arrivals = Arrivals(slots, state["marks"])
        delivered = deliveries.done()
        if delivered is not None:
            self._close(delivered)

    def _known(self, memory: dict[str, Any]) -> dict[str, Any]:
        state: dict[str, Any] | None = memory.get("state")
        if state is None:
            state = {"open": {}, "order": [], "newest": {}, "marks": {}, "back": {}, "watermark": FIRST}
            if self._policy.time_of is None:
                state[KIND] = DATETIME
            memory["state"] = state
        if self._deliveries.was_overtaken():
            state.update(open={}, order=[], marks={}, back=state["marks"])
        return state

    # --- looking at arrivals --------------------------------------------------------------------------------

    def next_over(self) -> int | None:
        """Go on looking at arrivals until a window is over."""
        try:
            return self._look()
        finally:
            self._drops.carry_out(self._slots)

    def _look(self) -> int | None:
        while True:
            item = self._arrivals.peek()
            self._let_time_pass(self._now if item is None else item[2] + self._to_epoch)
            while self._order and self._end(self._order[0]) <= self._state["watermark"]:
                if self._holds(self._order[0]):
                    return self._order[0]
                self._close(self._order[0])
            if item is None:
                return self._first_at_end()
            self._see(item)
            self._arrivals.step()

    def _first_at_end(self) -> int | None:
        """Give the oldest window if nothing more can come."""
        if not self._has_ended:
            return None
        while self._order and not self._holds(self._order[0]):
            self._close(self._order[0])
        return self._order[0] if self._order else None

    def _see(self, item: Any) -> None:
        """Put an item into its open windows; it may be late."""
        name, seq, state = self._arrivals.name, self._arrivals.seq, self._state
        arrived = item[2] + self._to_epoch
        if self._policy.time_of is None:
            at = max(arrived, state["watermark"])  # what was stored may come back to a clock that is behind
        else:
            at = item_time(item, self._policy.time_of, state)
            newest = self._newest.get(name)
            self._newest[name] = [at if newest is None else max(at, newest[0]), arrived]
        last = at // self._every
        numbers = range((max(at, state["watermark"]) - self._size) // self._every + 1, last + 1)
        if not numbers and seq >= state["back"].get(name, 0):
            if self._policy.on_late == "drop":
                self._drops.add(name, seq, "late")
                return
            state["late"] = last
        for number in numbers or [last]:
            if number not in self._open:
                self._open[number] = {}
                insort(self._order, number)
            window = self._open[number]
            if name in window:
                window[name].append(seq)
            else:
                window[name] = [seq]

    def _let_time_pass(self, at: int) -> None:
        """Move the watermark: everything of before has come, or is late."""
        low = at if self._policy.time_of is None else self._slowest(at)[0] - self._lateness
        if low > self._state["watermark"]:
            self._state["watermark"] = low

    def _slowest(self, at: int) -> tuple[int, str]:
        """Find how far the own time of the slowest input has come, and which that is; silent ones do not count."""
        slowest: tuple[int, str] | None = None
        since: int = self._state.setdefault("since", at)
        for name, slot in self._slots.items():
            queue = slot.queue
            if queue.is_closed and queue.next_waiting(self._state["marks"].get(name, 0)) is None:
                continue
            own, arrived = self._newest.get(name, (FIRST, since))
            if self._idle is not None and at - arrived >= self._idle:
                continue
            if slowest is None or own < slowest[0]:
                slowest = own, name
        if slowest is None:
            return max((own for own, _ in self._newest.values()), default=FIRST), ""
        return slowest

    # --- delivering -----------------------------------------------------------------------------------------

    def deliver(self, number: int) -> Answer:
        """Deliver a window; take the items that no later one needs."""
        state, policy = self._state, self._policy
        later = self._open.get(number + 1)
        data: DataSlice = {}
        has_taken = False
        for name, seqs in self._open[number].items():
            slot = self._slots[name]
            needed = set(later[name]) if later is not None and name in later else None
            if not needed:
                data[name] = take_seqs(slot, seqs)
                has_taken = has_taken or bool(data[name])
                continue
            look = slot.queue.waiting_item
            data[name] = [item[0] for seq in seqs if (item := look(seq)) is not None]
            has_taken = bool(take_seqs(slot, [seq for seq in seqs if seq not in needed])) or has_taken
        self._deliveries.note(number)
        if not has_taken:
            ask_again(self._job_state)
        start = number * self._every
        past = (state["watermark"] - self._end(number)) / SECOND
        reason = "end" if past < 0 else "late" if state.get("late") == number else "window"
        message = {"reason": reason, "start": to_moment(start, state), "end": to_moment(start + self._size, state)}
        return policy.yes(data, message, (END,) if past < 0 else (("seconds past the window", past, 0, True),))

    def _holds(self, number: int) -> bool:
        """Tell whether any item of a window still waits."""
        return any(
            name in self._slots and self._slots[name].queue.waiting_item(seq) is not None
            for name, seqs in self._open[number].items()
            for seq in seqs
        )

    def _close(self, number: int) -> None:
        if self._open.pop(number, None) is not None:
            del self._order[bisect_left(self._order, number)]

    def _end(self, number: int) -> int:
        return number * self._every + self._size

    # --- a no -----------------------------------------------------------------------------------------------

    def see_to_timer(self) -> None:
        """Wake when the oldest window ends, or the next silent input counts no more."""
        if not self._order:
            return
        if self._policy.time_of is None:
            wake_in(self._job_state, self._end(self._order[0]) - self._now)
        elif self._idle is not None:
            since = self._state["since"]
            dues = [self._newest.get(name, (0, since))[1] + self._idle - self._now for name in self._slots]
            dues = [due for due in dues if due > 0]
            if dues:
                wake_in(self._job_state, min(dues))

    def why_not(self) -> Any:
        """Say what the oldest window lacks."""
        if not self._order:
            return (("count(any slot)", 0, 1, False),)
        end = self._end(self._order[0])
        if self._policy.time_of is None:
            return (("seconds to the end of the window", (end - self._now) / SECOND, 0, False),)
        watermark = self._state["watermark"]
        lacks = (end - watermark) / SECOND if watermark > FIRST else "unknown"
        by = self._slowest(self._now)[1]
        return ("seconds that its own time lacks", lacks, 0, False), ("held back by", by or "silence", None, False)


def window_policy(
    size_seconds: float,
    every_seconds: float | None = None,
    time_of: TimeOf | None = None,
    lateness_seconds: float = 0,
    on_late: str = "drop",
    idle_seconds: float | None = None,
) -> Policy:
    """Activate when a window of time is over, with the items of that window.

    Windows are aligned to the epoch and half open: [start, end). One begins every ``every_seconds`` (default: the size,
    so that they tumble); shorter than the size, they hop, and an item is delivered in each that it falls into. Items
    fall into windows by their arrival, or by their own time: ``time_of(data)`` gives seconds (from any zero) or an
    aware datetime. Then an input's time has come as far as the newest item that it sent, less ``lateness_seconds``; a
    window is over when the time of every input that is neither closed nor silent for ``idle_seconds`` (default: never
    silent) has come to its end. Where all are silent, the fastest counts. An item all of whose windows are over is late:
    on_late="drop" drops it as "late", "deliver" activates with it alone, in the last of them. What is late depends on
    the order of arrival only, never on when the policy is asked. The message tells ``start`` and ``end``, in the kind of
    time of the items, and ``reason``: "window", "late" or "end".

    window_policy(4)
    activates   when a window is over, once for each that holds an item; never empty
    takes       its items in order of arrival, over all slots; when windows hop, those that no later one needs
    holds back  the items of open windows
    at end      delivers every window that holds an item, the oldest first
    full slot   producers wait for the end of the window; with time_of a slot must have room for the open windows
                and the item that ends the first of them, or nothing ends them
    resume      windows stay as they are; overdue = activates once
    explains    seconds to the end of the window 1.5 of 0 no
    picture     in  -ab-c--(de)f|          one character = 1 s, | = end
                out ----[ab]---[cde]([f]|)

    Raises:
        ValueError: a time not above 0, windows that begin too seldom or too often, an unknown ``on_late``, or lateness
            without ``time_of``.
        TypeError: a time that is no number, or ``time_of`` cannot be called.
    """
    return WindowPolicy(size_seconds, every_seconds, time_of, lateness_seconds, on_late, idle_seconds)
