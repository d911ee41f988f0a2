"""What a job knows about one of its routines: storable, one per routine and job.

Design: §1 (knows), §4.6.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from routilux.item_store import Item
from routilux.slot import Slot

DECISIONS_KEPT = 32


@dataclass(slots=True)
class StoredActivation:
    """An activation that had begun and not ended when its job was stored."""

    number: int
    attempt: int
    boundary: int
    taken: list[tuple[str, list[int], list[Item]]]
    data: dict[str, list[Any]]
    message: Any
    retry_due: int | None = None
    returned: bool = False
    failed: bool = False


@dataclass(slots=True)
class ParkedItem:
    """An item that was parked when its job was stored. ``owner`` is ``routine_id/number``, or None for inputs."""

    routine_id: str
    slot: str
    data: Any
    emitted_at: int
    emitted_from: str
    metadata: Any
    owner: str | None


@dataclass(slots=True)
class Group:
    """What descends from one activation of a fan-out, as the routine that gathers it knows it.

    ``tags`` are the groups that this one is within: (gathering routine, number of the activation of its fan-out).
    """

    tags: tuple[tuple[str, int], ...] = ()
    failed: list[dict[str, str]] = field(default_factory=list)  # routine_id, activation_id, error
    lost: int = 0  # items that were dropped, or left over, on the way
    item_count: int = 0  # items that ever carried its tag
    delivered_by: int | None = None  # the activation that took it
    pending: int = 0  # what may still bring members; counted anew when a job goes on


@dataclass(slots=True)
class Groups:
    """The groups that one routine gathers, by the number of the fan-out's activation."""

    open: dict[int, Group] = field(default_factory=dict)
    complete: dict[int, None] = field(default_factory=dict)  # not delivered yet, in order of completion

    def delivered_by(self, activation_number: int) -> list[int]:
        """Give the groups that an activation took."""
        return [number for number, group in self.open.items() if group.delivered_by == activation_number]


class RoutineRecord:
    """The storable side of a cell: slots, namespace, policy memory, timer, counters, decisions."""

    __slots__ = (
        "activation_count",
        "decisions",
        "ended",
        "groups",
        "memory",
        "pending",
        "routine_id",
        "skipped",
        "slots",
        "state",
        "undone",
        "unrouted",
        "wake",
    )

    def __init__(self, routine_id: str) -> None:
        self.routine_id = routine_id
        self.slots: dict[str, Slot] = {}
        self.state: dict[str, Any] | None = None
        self.memory: dict[str, Any] | None = None
        self.groups: Groups | None = None  # of a routine that gathers
        self.wake: tuple[int, bool] | None = None  # ticks when due; whether it keeps the job alive at all costs
        self.activation_count = 0
        self.undone = 0  # the number of the last activation whose items went back; 0: none yet
        self.ended = False
        self.skipped = False
        self.pending: Sequence[StoredActivation] = ()
        self.unrouted: dict[str, int] | None = None
        self.decisions: list[list[Any]] = []  # the last ones; cut back by `trim`

    @property
    def waiting(self) -> int:
        """How many items wait in all its slots."""
        return sum(slot.queue.waiting for slot in self.slots.values())

    def trim(self) -> None:
        """Forget the oldest decisions where there are too many."""
        surplus = len(self.decisions) - DECISIONS_KEPT
        if surplus > 0:
            del self.decisions[:surplus]

    def note_yes(self, at: int, facts: Any, number: int) -> None:
        """Keep a record of a yes."""
        self.decisions.append([True, at, facts, number])

    def note_no(self, at: int, facts: Any, cause: Any) -> None:
        """Keep a record of a no; one more of the same cause only counts."""
        decisions = self.decisions
        if decisions:
            last = decisions[-1]
            if not last[0] and last[5] == cause:
                last[2] = facts
                last[3] += 1
                last[4] = at
                return
        decisions.append([False, at, facts, 1, at, cause])
