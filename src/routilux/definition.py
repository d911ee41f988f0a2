"""A flow as frozen plain data: what checks, engine, pictures and storage work on.

Design: §1, §2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from routilux.errors import BadTypeError, BadValueError
from routilux.logic import LogicShape
from routilux.recovery import DEFAULT_HANDLER, ErrorHandler

_Choice = TypeVar("_Choice", bound=StrEnum)


class OnFull(StrEnum):
    """What routing does with an item that finds its slot full."""

    WAIT = "wait"
    STRETCH = "stretch"
    DROP = "drop"
    DROP_OLDEST = "drop_oldest"
    FAIL = "fail"


class OnLeftover(StrEnum):
    """What a flow thinks of items that nobody consumed."""

    WARN = "warn"
    OK = "ok"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class SlotDefinition:
    """An input of a routine. ``max_queue_length=None`` is unbounded.

    Raises:
        ValueError: a length below 1, a watermark outside (0, 1], an unknown ``on_full``.
        TypeError: a length that is no int.
    """

    name: str
    max_queue_length: int | None = 1000
    watermark: float = 0.8
    on_full: OnFull = OnFull.WAIT

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise BadValueError(f"a slot needs a name, not {self.name!r}")
        length = self.max_queue_length
        if length is not None and (isinstance(length, bool) or not isinstance(length, int)):
            raise BadTypeError(f"max_queue_length of slot {self.name!r} must be an int or None, not {length!r}")
        if length is not None and length < 1:
            raise BadValueError(f"max_queue_length of slot {self.name!r} must be at least 1, not {length}")
        if isinstance(self.watermark, bool) or not isinstance(self.watermark, int | float):
            raise BadTypeError(f"watermark of slot {self.name!r} must be a number, not {self.watermark!r}")
        if not 0 < self.watermark <= 1:
            raise BadValueError(f"watermark of slot {self.name!r} must be in (0, 1], not {self.watermark!r}")
        object.__setattr__(self, "on_full", choice(OnFull, self.on_full, f"on_full of slot {self.name!r}"))


def choice(kind: type[_Choice], value: str, what: str) -> _Choice:
    """Read a member of a string enum, or say which there are."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(str(member)) for member in kind)
        raise BadValueError(f"{what} must be one of {known}, not {value!r}") from None


@dataclass(frozen=True, slots=True)
class Connection:
    """A link from an event of one routine to a slot of another."""

    source_id: str
    event: str
    target_id: str
    slot: str

    def __str__(self) -> str:
        return f"{self.source_id}.{self.event} -> {self.target_id}.{self.slot}"


@dataclass(frozen=True, slots=True)
class RoutineDefinition:
    """A step of a flow as the engine runs it. ``events`` is None where none are declared."""

    routine_id: str
    name: str
    routine: Any
    slots: tuple[SlotDefinition, ...]
    events: tuple[str, ...] | None
    policy: Callable[..., Any] | None
    logic: Callable[..., Any] | None
    shape: LogicShape | None
    handler: ErrorHandler | None = None
    max_concurrency: int = 1
    ordered: bool = True
    atomic: bool | None = None
    pure: bool = False
    timeout: float | None = None
    limit: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_source(self) -> bool:
        """Tell whether it is activated once, when the job starts."""
        return not self.slots and self.policy is None


@dataclass(frozen=True, slots=True)
class FlowDefinition:
    """A whole flow, frozen. Routines and connections keep the order in which they were added."""

    flow_id: str
    routines: Mapping[str, RoutineDefinition]
    connections: tuple[Connection, ...]
    handler: ErrorHandler | None = None
    max_running_jobs: int | None = None
    max_workers: int | None = None
    timeout: float | None = None
    on_leftover: OnLeftover = OnLeftover.WARN
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What others worked out from it once, by name; no part of its value."""

    def handler_of(self, routine_id: str) -> ErrorHandler:
        """Give the handler that answers: the routine's, else the flow's, else STOP."""
        return self.routines[routine_id].handler or self.handler or DEFAULT_HANDLER

    def edges(self) -> dict[str, list[str]]:
        """Give which routines each routine feeds, each once, in order of connection."""
        found: dict[str, dict[str, None]] = {routine_id: {} for routine_id in self.routines}
        for connection in self.connections:
            if connection.source_id in found and connection.target_id in found:
                found[connection.source_id][connection.target_id] = None
        return {routine_id: list(targets) for routine_id, targets in found.items()}

    def feeders(self, routine_id: str, slot: str) -> list[str]:
        """Give the distinct routines that feed one slot."""
        return list(dict.fromkeys(c.source_id for c in self.connections if (c.target_id, c.slot) == (routine_id, slot)))
