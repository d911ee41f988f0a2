"""Why a routine ran, or does not run now: conditions, decisions, and the sentence that says it.

Design: §4.7.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class Note(str):
    """Facts that the engine itself has to tell, where no policy decided."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a decision: what was found against what is needed. Conditions may nest."""

    name: str
    actual: Any = None
    needed: Any = None
    is_met: bool = True
    parts: tuple["Condition", ...] = ()

    def __str__(self) -> str:
        verdict = "yes" if self.is_met else "no"
        if self.parts:
            return f"{self.name} of ({' ; '.join(str(part) for part in self.parts)})"
        if self.needed is None:
            found = "" if self.actual is None else f" {_plain(self.actual)}"
            return f"{self.name}{found} {verdict}"
        return f"{self.name} {_plain(self.actual)} of {_plain(self.needed)} {verdict}"

    def walk(self) -> Iterator["Condition"]:
        """Give every leaf."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.walk()

    def to_dict(self) -> dict[str, Any]:
        """Give plain data for tools."""
        plain: dict[str, Any] = {"name": self.name, "is_met": self.is_met}
        if self.parts:
            plain["parts"] = [part.to_dict() for part in self.parts]
        else:
            plain["actual"], plain["needed"] = self.actual, self.needed
        return plain


def _plain(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision of a policy. Noes of one cause that follow each other are one record with a count."""

    should_activate: bool
    at: datetime
    conditions: tuple[Condition, ...]
    count: int = 1
    last_at: datetime | None = None
    activation_id: str | None = None

    def __str__(self) -> str:
        what = "yes" if self.should_activate else "no"
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.at:%H:%M:%S.%f}Z {what}{times}: " + ("; ".join(map(str, self.conditions)) or "no conditions")

    def to_dict(self) -> dict[str, Any]:
        """Give plain data for tools."""
        return {
            "should_activate": self.should_activate,
            "at": self.at.isoformat(),
            "last_at": self.last_at.isoformat() if self.last_at else None,
            "count": self.count,
            "activation_id": self.activation_id,
            "conditions": [condition.to_dict() for condition in self.conditions],
        }


@dataclass(frozen=True, slots=True)
class SlotSituation:
    """What one slot holds, and who could still deliver to it."""

    slot: str
    waiting: int
    since: datetime | None
    is_closed: bool
    parked: int = 0
    producers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a routine runs, or does not run now. `str` gives one clear sentence."""

    routine_id: str
    status: str
    slots: tuple[SlotSituation, ...] = ()
    conditions: tuple[Condition, ...] = ()
    decided_at: datetime | None = None
    next_wake_up: datetime | None = None
    notes: tuple[str, ...] = ()
    advice: str = ""
    decisions: tuple[DecisionRecord, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        parts = [f"{self.routine_id} {self.status}", *self.notes]
        held = [_holding(slot) for slot in self.slots if slot.waiting or slot.parked]
        if held:
            parts.append("holding " + " and ".join(held))
        unmet = [str(leaf) for condition in self.conditions for leaf in condition.walk() if not leaf.is_met]
        if unmet:
            parts.append("unmet: " + ", ".join(unmet))
        elif self.conditions:
            parts.append("decided by " + ", ".join(str(condition) for condition in self.conditions))
        parts += [_producers(slot) for slot in self.slots if slot.producers or (slot.is_closed and not self.advice)]
        if self.next_wake_up is not None:
            parts.append(f"wakes {self.next_wake_up:%H:%M:%S}.{self.next_wake_up.microsecond // 1000:03d}Z")
        if self.advice:
            parts.append(self.advice)
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Give plain data for tools."""
        return {
            "routine_id": self.routine_id,
            "status": self.status,
            "slots": [
                {
                    "slot": slot.slot,
                    "waiting": slot.waiting,
                    "since": slot.since.isoformat() if slot.since else None,
                    "is_closed": slot.is_closed,
                    "parked": slot.parked,
                    "producers": list(slot.producers),
                }
                for slot in self.slots
            ],
            "conditions": [condition.to_dict() for condition in self.conditions],
            "decided_at": self.decided_at.isoformat() if self.decided_at else None,
            "next_wake_up": self.next_wake_up.isoformat() if self.next_wake_up else None,
            "notes": list(self.notes),
            "advice": self.advice,
            "decisions": [decision.to_dict() for decision in self.decisions],
        }


def _holding(slot: SlotSituation) -> str:
    text = f"{slot.waiting} of {slot.slot!r}"
    if slot.since is not None:
        text += f" since {slot.since:%H:%M:%S}"
    return text + (f" (+{slot.parked} parked)" if slot.parked else "")


def _producers(slot: SlotSituation) -> str:
    if slot.is_closed:
        return f"{slot.slot!r} is closed: nothing more can come"
    listed: Sequence[str] = slot.producers
    return f"{slot.slot!r} can still get items from {', '.join(listed)}"
