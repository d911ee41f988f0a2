"""Routine: a step of a flow, as its author writes it.

Design: §2.1, §2.3.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from routilux.current import current
from routilux.definition import OnFull, SlotDefinition
from routilux.errors import BadTypeError, BadValueError, DuplicateNameError, FrozenFlowError, NoActivationError
from routilux.job import JobState
from routilux.recovery import ErrorHandler

_NOTHING: Any = type("Nothing", (), {"__repr__": lambda self: "nothing"})()
Self = TypeVar("Self", bound="Routine")


class Routine:
    """Slots, events, one activation policy and one logic. Holds no data of a job; jobs and flows may share it.

    Logic is a function given with `set_logic`, a method named ``logic`` of a subclass, or what `routine` decorates. It
    gets one list per slot, in definition order, and by keyword, if it accepts them, ``policy_message``, ``job_state``
    and ``routine``. It may be synchronous, async, or a generator whose bare ``yield`` is a boundary.

    ``max_concurrency`` logics of one job may overlap; ``ordered`` ones take effect in the order in which they started.
    ``atomic`` ones take effect together when the logic returns. ``pure`` promises that it has no outside effects.
    ``timeout`` is seconds per activation; ``limit`` names a limit of the Runtime.

    >>> counter = Routine("counter").add_slot("words").add_event("count")
    >>> counter.set_logic(lambda words: counter.emit("count", len(words)))
    <Routine counter>

    Raises:
        ValueError: a number is out of range.
        TypeError: something is of the wrong kind.
    """

    def __init__(
        self,
        name: str,
        *,
        max_concurrency: int = 1,
        ordered: bool = True,
        atomic: bool | None = None,
        pure: bool = False,
        timeout: float | None = None,
        limit: str | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise BadValueError(f"a routine needs a name, not {name!r}")
        self.name = name
        self.max_concurrency = positive(max_concurrency, "max_concurrency")
        self.ordered = bool(ordered)
        if atomic is not None and not isinstance(atomic, bool):
            raise BadTypeError(f"atomic is True, False or None, not {atomic!r}")
        if limit is not None and not isinstance(limit, str):
            raise BadTypeError(f"limit is the name of a limit of the Runtime, not {limit!r}")
        self.atomic = atomic
        self.pure = bool(pure)
        self.timeout = None if timeout is None else positive_seconds(timeout, "timeout")
        self.limit = limit
        self._slots: dict[str, SlotDefinition] = {}
        self._events: dict[str, None] | None = None
        self._policy: Callable[..., Any] | None = None
        self._logic: Callable[..., Any] | None = None
        self._handler: ErrorHandler | None = None
        self._config: dict[str, Any] = {}
        self._frozen_by: str | None = None

    @classmethod
    def create(cls: type[Self], name: str, activation_policy: Callable[..., Any], logic: Callable[..., Any]) -> Self:
        """Make a routine from its three parts."""
        made = cls(name)
        made.set_activation_policy(activation_policy)
        made.set_logic(logic)
        return made

    # --- building -------------------------------------------------------------------------------------------

    def add_slot(
        self: Self,
        name: str,
        max_queue_length: int | None = 1000,
        watermark: float = 0.8,
        on_full: OnFull | str = OnFull.WAIT,
    ) -> Self:
        """Add an input. ``max_queue_length=None`` is unbounded; ``on_full`` is wait, stretch, drop, drop_oldest or fail.

        Raises:
            DuplicateNameError: the routine has a slot of this name.
            ValueError, TypeError: a limit makes no sense.
        """
        self._change("add a slot")
        if name in self._slots:
            raise DuplicateNameError("slot", name)
        self._slots[name] = SlotDefinition(name, max_queue_length, watermark, on_full)  # type: ignore[arg-type]
        return self

    def add_event(self: Self, name: str) -> Self:
        """Declare an event; a routine that declares events may emit only those.

        Raises:
            DuplicateNameError: it is declared already.
        """
        self._change("add an event")
        if not isinstance(name, str) or not name:
            raise BadValueError(f"an event needs a name, not {name!r}")
        if self._events is None:
            self._events = {}
        if name in self._events:
            raise DuplicateNameError("event", name)
        self._events[name] = None
        return self

    def set_activation_policy(self: Self, policy: Callable[..., Any]) -> Self:
        """Say when the logic runs, and with which items; without a policy at once, with all new ones.

        Raises:
            TypeError: it cannot be called.
        """
        self._change("set the activation policy")
        if not callable(policy):
            raise BadTypeError(
                f"an activation policy is called as policy(slots, job_state); {policy!r} cannot be called"
            )
        self._policy = policy
        return self

    def set_logic(self: Self, logic: Callable[..., Any]) -> Self:
        """Say what runs.

        Raises:
            TypeError: it cannot be called.
        """
        self._change("set the logic")
        if not callable(logic):
            raise BadTypeError(f"a logic is called with one list per slot; {logic!r} cannot be called")
        self._logic = logic
        return self

    def set_error_handler(self: Self, handler: ErrorHandler) -> Self:
        """Say what follows a failure here; goes before the flow's handler.

        Raises:
            TypeError: it is no ErrorHandler.
        """
        self._change("set the error handler")
        self._handler = checked_handler(handler)
        return self

    def get_error_handler(self) -> ErrorHandler | None:
        """Give the routine's own handler, or None."""
        return self._handler

    def config(self, key: str, value: Any = _NOTHING) -> Any:
        """Set a value and give the routine back, or read one (None where there is none)."""
        if value is _NOTHING:
            return self._config.get(key)
        self._change("configure it")
        self._config[key] = value
        return self

    # --- reading --------------------------------------------------------------------------------------------

    @property
    def slots(self) -> Mapping[str, SlotDefinition]:
        """The slots that were added, in order."""
        return MappingProxyType(self._slots)

    @property
    def events(self) -> Mapping[str, None]:
        """The events that were declared, in order; empty where none were, and then any may be emitted."""
        return MappingProxyType(self._events or {})

    @property
    def declares_events(self) -> bool:
        """Whether only declared events may be emitted."""
        return self._events is not None

    @property
    def activation_policy(self) -> Callable[..., Any] | None:
        """The policy, or None for "at once, with all new items"."""
        return self._policy

    @property
    def logic_function(self) -> Callable[..., Any] | None:
        """The logic: what was set, else the method named ``logic`` of the subclass."""
        method: Callable[..., Any] | None = getattr(self, "logic", None)
        return self._logic or method

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that `config` set."""
        return MappingProxyType(self._config)

    # --- while a job runs -----------------------------------------------------------------------------------

    def emit(self, event: str, value: Any = _NOTHING, /, *, job_state: JobState | None = None, **data: Any) -> Any:
        """Send an item to every slot connected to the event; takes effect at once.

        ``emit("e", value)`` sends any one object, ``emit("e", a=1)`` a dict, ``emit("e")`` an empty one. What it gives
        may be awaited by async logic: that waits until there is room for what found none. It may run another
        routine's logic on this thread: hold no lock across it.

        Raises:
            UnknownEventError: the routine declares events, and not this one.
            NoActivationError: called outside of an activation of this routine, without ``job_state``.
            ActivationEndedError: the activation is over.
            SlotQueueFullError: a slot with ``on_full="fail"`` is full.
        """
        frame = current.get()
        item = data if value is _NOTHING else value
        if data and item is not data:
            raise BadTypeError(f"emit takes one value or keywords, not both: {event!r} got {sorted(data)} too")
        if frame is not None and frame.routine is self and (job_state is None or job_state is frame.job_state):
            return frame.emit(event, item)
        return self._emit_from_outside(event, item, job_state)

    def _emit_from_outside(self, event: str, item: Any, job_state: JobState | None) -> Any:
        if job_state is None:
            frame = current.get()
            inside = None if frame is None else f"this is an activation of {frame.routine_id!r}, not of {self.name!r}"
            raise NoActivationError(f"{self.name}.emit({event!r})", inside or "")
        host = job_state._host
        if host is None:
            raise NoActivationError(f"{self.name}.emit({event!r})", f"job {job_state.job_id} is in no runtime")
        return host.emit_from_outside(job_state, self, event, item)

    def get_state(self, job_state: JobState, key: str | None = None, default: Any = None) -> Any:
        """Give this routine's namespace in the job, as a shallow copy, or one value of it."""
        return job_state.get_routine_state(self._id_in(job_state, "get_state"), key, default)

    def set_state(self, job_state: JobState, key: str, value: Any) -> None:
        """Set one value in this routine's namespace."""
        job_state.update_routine_state(self._id_in(job_state, "set_state"), {key: value})

    def update_state(self, job_state: JobState, updates: Mapping[str, Any]) -> None:
        """Merge values into this routine's namespace."""
        job_state.update_routine_state(self._id_in(job_state, "update_state"), updates)

    def _id_in(self, job_state: JobState, call: str) -> str:
        routine_id = job_state.current_routine_id
        if routine_id is not None:
            return routine_id
        flow = job_state.get_flow()
        ids = [] if flow is None else flow.ids_of(self)
        if len(ids) != 1:
            problem = f"routine {self.name!r} stands {len(ids)} times in the job's flow; say which by its id"
            raise NoActivationError(call, problem)
        found: str = ids[0]
        return found

    def _freeze(self, flow_id: str) -> None:
        self._frozen_by = flow_id

    def _change(self, change: str) -> None:
        if self._frozen_by is not None:
            raise FrozenFlowError(self._frozen_by, f"{change} of routine {self.name!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the logic as a plain function, for tests of it alone."""
        logic = self.logic_function
        if logic is None:
            raise BadTypeError(f"routine {self.name!r} has no logic to call")
        return logic(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Routine {self.name}>"


def routine(
    name: str | Callable[..., Any] | None = None,
    *,
    policy: Callable[..., Any] | None = None,
    slots: tuple[str, ...] | list[str] = (),
    events: tuple[str, ...] | list[str] = (),
    error_handler: ErrorHandler | None = None,
    **options: Any,
) -> Any:
    """Make a routine of a plain function. Also without brackets: ``@routine``.

    >>> @routine(policy=None, events=["doubled"])
    ... def double(numbers, *, routine):
    ...     for number in numbers:
    ...         routine.emit("doubled", 2 * number)
    >>> double
    <Routine double>
    """
    for what, given in (("slots", slots), ("events", events)):
        if not isinstance(given, tuple | list):
            raise BadTypeError(f"{what} is a list of names, not the string {given!r}: [{given!r}]")

    def make(logic: Callable[..., Any]) -> Routine:
        called = name if isinstance(name, str) else getattr(logic, "__name__", "routine")
        made = Routine(called, **options).set_logic(logic)
        if policy is not None:
            made.set_activation_policy(policy)
        for slot in slots:
            made.add_slot(slot)
        for event in events:
            made.add_event(event)
        if error_handler is not None:
            made.set_error_handler(error_handler)
        return made

    return make(name) if callable(name) else make


def checked_handler(handler: object) -> ErrorHandler:
    """Check that something is an error handler."""
    if not isinstance(handler, ErrorHandler):
        raise BadTypeError(f"set_error_handler takes an ErrorHandler, not {handler!r}")
    return handler


def positive(value: object, what: str) -> int:
    """Check a count."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadTypeError(f"{what} must be an int, not {value!r}")
    if value < 1:
        raise BadValueError(f"{what} must be at least 1, not {value}")
    return value


def positive_seconds(value: object, what: str) -> float:
    """Check a length of time."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadTypeError(f"{what} must be a number of seconds, not {value!r}")
    if not 0 < value < 1e11:
        raise BadValueError(f"{what} must be above 0 and finite, not {value!r}")
    return value
