"""Why a routine ran, or does not run now: conditions, decisions, and the sentence that says it.

Design: §4.7.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
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


class Situation(StrEnum):
    """Where a routine stands, those first that keep a job from its end; the value completes "3 ..."."""

    RETRYING = "to be tried again"
    RUNNING = "running"
    IN_LINE = "in line for a limit"
    HELD = "held before an activation"
    READY = "ready, without a free worker"
    TIMED = "waiting for a time"
    BLOCKED = "not through yet"
    PAUSED = "kept by the pause"
    HOLDING = "holding items, waiting for more"
    WAITING = "waiting empty-handed"
    UNASKED = "not asked yet"
    IDLE = "idle"
    SKIPPED = "out of service"
    ENDED = "ended"


_RANK = {situation: rank for rank, situation in enumerate(Situation)}


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
    situation: Situation = Situation.WAITING

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
            "situation": self.situation.name.lower(),
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


LINES = 12  # routines that are told one by one
NAMES = 5  # of those that are only counted
WIDTH = 160  # letters for each routine, where many are told; what comes first in a sentence matters most


@dataclass(frozen=True, slots=True)
class JobExplanation:
    """Why a job is not finished. `str` fits on a screen; iterating gives the routines, those that matter first."""

    job_id: str
    flow_id: str
    status: str
    reasons: tuple[str, ...] = ()
    routines: tuple[Explanation, ...] = ()

    @classmethod
    def of(
        cls, job_id: str, flow_id: str, status: str, reasons: Iterable[str], routines: Iterable[Explanation]
    ) -> "JobExplanation":
        """Make one of routines in any order."""
        ordered = tuple(sorted(routines, key=lambda found: _RANK[found.situation]))
        return cls(job_id, flow_id, status, tuple(reasons), ordered)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.routines)

    def __len__(self) -> int:
        return len(self.routines)

    def counts(self) -> dict[Situation, int]:
        """Count the routines by where they stand."""
        return dict(Counter(found.situation for found in self.routines))

    def __str__(self) -> str:
        lines = [f"{self.job_id} of flow {self.flow_id!r} is {self.status}", *(f"- {text}" for text in self.reasons)]
        if self.routines:
            lines.append(
                "- routines: " + ", ".join(f"{count} {situation}" for situation, count in self.counts().items())
            )
        told = self._told()
        widest = WIDTH if len(told) > LINES // 2 else None
        lines += [_cut(str(found), widest) for found in told]
        names = {found.routine_id for found in told}
        rest = [found for found in self.routines if found.routine_id not in names]
        return "\n".join([*lines, *_counted(rest)])

    def _told(self) -> list[Explanation]:
        """Choose the routines to tell one by one: those that do or hold something; all, if they are few."""
        if len(self.routines) <= LINES // 2:
            return list(self.routines)
        matter = [found for found in self.routines if _RANK[found.situation] < _RANK[Situation.WAITING]]
        return matter[:LINES] or list(self.routines[:1])

    def to_dict(self) -> dict[str, Any]:
        """Give plain data for tools; every routine is there."""
        return {
            "job_id": self.job_id,
            "flow_id": self.flow_id,
            "status": self.status,
            "reasons": list(self.reasons),
            "counts": {situation.name.lower(): count for situation, count in self.counts().items()},
            "routines": [found.to_dict() for found in self.routines],
        }


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else text[: width - 3] + "..."


def _counted(rest: Sequence[Explanation]) -> list[str]:
    """Name some of those that are not told one by one, in one line."""
    if not rest:
        return []
    names = ", ".join(found.routine_id for found in rest[:NAMES])
    return [f"and {len(rest)} more: {names}" + (", ..." if len(rest) > NAMES else "")]


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
