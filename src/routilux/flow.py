"""Flow: routines and connections, as their author wires them; static and shared by all its jobs.

Design: §2.4, §2.5.
"""

from collections.abc import Callable
from typing import Any

from routilux import checks
from routilux.definition import Connection, FlowDefinition, OnLeftover, RoutineDefinition, SlotDefinition, choice
from routilux.errors import (
    BadTypeError,
    BadValueError,
    DuplicateNameError,
    FrozenFlowError,
    InvalidFlowError,
    RoutineNotFoundError,
    SlotNotFoundError,
    UnknownEventError,
)
from routilux.findings import Finding
from routilux.logic import shape_of
from routilux.recovery import ErrorHandler
from routilux.routine import Routine, checked_handler, positive, positive_seconds


class Flow:
    """A static wiring of routines. Holds no data of any job; frozen once registered or run.

    >>> flow = Flow("greeting")
    >>> hello = Routine("hello").set_logic(lambda routine: routine.emit("said", "hello"))
    >>> show = Routine("show").set_logic(lambda said: print(*said))
    >>> flow.add_routine(hello, "hello").add_routine(show, "show").connect("hello", "said", "show", "said")
    <Flow greeting: 2 routines, 1 connection>

    ``max_running_jobs`` jobs of it run at once, the others wait; ``max_workers`` threads work for one job;
    ``timeout`` is seconds per job; ``on_leftover`` is warn, ok or fail.
    """

    def __init__(
        self,
        flow_id: str,
        *,
        max_running_jobs: int | None = None,
        max_workers: int | None = None,
        timeout: float | None = None,
        on_leftover: OnLeftover | str = OnLeftover.WARN,
    ) -> None:
        if not isinstance(flow_id, str) or not flow_id:
            raise BadValueError(f"a flow needs an id, not {flow_id!r}")
        self.flow_id = flow_id
        self.max_running_jobs = None if max_running_jobs is None else positive(max_running_jobs, "max_running_jobs")
        self.max_workers = None if max_workers is None else positive(max_workers, "max_workers")
        self.timeout = None if timeout is None else positive_seconds(timeout, "timeout")
        self.on_leftover = choice(OnLeftover, on_leftover, "on_leftover")
        self._routines: dict[str, Routine] = {}
        self._connections: dict[Connection, None] = {}
        self._handler: ErrorHandler | None = None
        self._frozen: FlowDefinition | None = None

    # --- building -------------------------------------------------------------------------------------------

    def add_routine(self, routine: Routine, routine_id: str | None = None) -> "Flow":
        """Add a routine under an id (its name, if none is given).

        Raises:
            DuplicateNameError: the id is taken.
            TypeError: it is no Routine.
        """
        self._change("add a routine")
        if not isinstance(routine, Routine):
            raise BadTypeError(f"add_routine takes a Routine, not {routine!r}; decorate a function with @routine")
        name = routine.name if routine_id is None else routine_id
        if not isinstance(name, str) or not name:
            raise BadValueError(f"a routine id is a non-empty string, not {name!r}")
        if name in self._routines:
            raise DuplicateNameError("routine", name, "choose another routine_id")
        self._routines[name] = routine
        return self

    def connect(self, source_id: str, event: str, target_id: str, slot: str) -> "Flow":
        """Send every item of an event to a slot, as it is. Many to many; cycles are allowed.

        Raises:
            RoutineNotFoundError: one of the routines was not added.
            UnknownEventError: the source declares events, and not this one.
            SlotNotFoundError: the target has added slots, and not this one.
            DuplicateNameError: this very connection exists.
        """
        self._change("connect")
        for routine_id in (source_id, target_id):
            if not isinstance(routine_id, str):
                raise BadTypeError(f"connect takes routine ids, which are strings, not {routine_id!r}")
            if routine_id not in self._routines:
                raise RoutineNotFoundError(routine_id, self._routines)
        for text, what in ((event, "event"), (slot, "slot")):
            if not isinstance(text, str) or not text:
                raise BadValueError(f"{what} must be a non-empty string, not {text!r}")
        source, target = self._routines[source_id], self._routines[target_id]
        if source.declares_events and event not in source.events:
            raise UnknownEventError(source_id, event, source.events)
        if target.slots and slot not in target.slots:
            raise SlotNotFoundError(target_id, slot, target.slots)
        connection = Connection(source_id, event, target_id, slot)
        if connection in self._connections:
            raise DuplicateNameError("connection", str(connection), "connect it once")
        self._connections[connection] = None
        return self

    def set_error_handler(self, handler: ErrorHandler) -> "Flow":
        """Say what follows a failure in routines that have no handler of their own.

        Raises:
            TypeError: it is no ErrorHandler.
        """
        self._change("set the error handler")
        self._handler = checked_handler(handler)
        return self

    def get_error_handler(self) -> ErrorHandler | None:
        """Give the flow's handler, or None."""
        return self._handler

    # --- reading --------------------------------------------------------------------------------------------

    @property
    def routines(self) -> dict[str, Routine]:
        """The routines by id; a copy."""
        return dict(self._routines)

    @property
    def connections(self) -> list[Connection]:
        """The connections, in order; a copy."""
        return list(self._connections)

    def routine(self, routine_id: str) -> Routine:
        """Find a routine.

        Raises:
            RoutineNotFoundError: there is none of this id.
        """
        try:
            return self._routines[routine_id]
        except KeyError:
            raise RoutineNotFoundError(routine_id, self._routines) from None

    def ids_of(self, routine: Routine) -> list[str]:
        """Give every id under which this very routine stands."""
        return [routine_id for routine_id, known in self._routines.items() if known is routine]

    def get_connections_for_event(self, source_id: str, event: str) -> list[Connection]:
        """Give the connections of one event of one routine, in order.

        Raises:
            RoutineNotFoundError: there is none of this id.
        """
        self.routine(source_id)
        return [link for link in self._connections if (link.source_id, link.event) == (source_id, event)]

    @property
    def definition(self) -> FlowDefinition:
        """The flow as plain data, with slots settled from logics and connections."""
        if self._frozen is not None:
            return self._frozen
        connected: dict[str, list[str]] = {}
        for link in self._connections:
            connected.setdefault(link.target_id, []).append(link.slot)
        return FlowDefinition(
            flow_id=self.flow_id,
            routines={key: self._define(key, found, connected.get(key, [])) for key, found in self._routines.items()},
            connections=tuple(self._connections),
            handler=self._handler,
            max_running_jobs=self.max_running_jobs,
            max_workers=self.max_workers,
            timeout=self.timeout,
            on_leftover=self.on_leftover,
        )

    def validate(self) -> list[Finding]:
        """Find all problems at once: errors keep the flow from running, warnings do not."""
        return checks.check(self.definition)

    def checked(self) -> FlowDefinition:
        """Give the definition if the flow can run.

        Raises:
            InvalidFlowError: it cannot; with all findings that say why.
        """
        if self._frozen is not None:
            return self._frozen
        definition = self.definition
        errors = [finding for finding in checks.check(definition) if finding.is_error]
        if errors:
            raise InvalidFlowError(self.flow_id, errors)
        return definition

    def freeze(self, definition: FlowDefinition | None = None) -> FlowDefinition:
        """Freeze: from now on the flow and its routines cannot be changed. Warnings are logged.

        Raises:
            InvalidFlowError: it cannot run. It is not frozen then.
        """
        if self._frozen is None:
            self._frozen = definition or self.checked()
            checks.log(self.flow_id, checks.check(self._frozen))
            for routine in self._routines.values():
                routine._freeze(self.flow_id)
        return self._frozen

    def _define(self, routine_id: str, routine: Routine, connected: list[str]) -> RoutineDefinition:
        logic: Callable[..., Any] | None = routine.logic_function
        shape = None if logic is None else shape_of(logic)
        added = list(routine.slots)
        names = shape.slots_for(added, connected) if shape is not None else tuple(added or dict.fromkeys(connected))
        return RoutineDefinition(
            routine_id=routine_id,
            name=routine.name,
            routine=routine,
            slots=tuple(routine.slots.get(name) or SlotDefinition(name) for name in names),
            events=tuple(routine.events) if routine.declares_events else None,
            policy=routine.activation_policy,
            logic=logic,
            shape=shape,
            handler=routine.get_error_handler(),
            max_concurrency=routine.max_concurrency,
            ordered=routine.ordered,
            atomic=routine.atomic,
            pure=routine.pure,
            timeout=routine.timeout,
            limit=routine.limit,
            config=dict(routine.settings),
        )

    def _change(self, change: str) -> None:
        if self._frozen is not None:
            raise FrozenFlowError(self.flow_id, change)

    def __repr__(self) -> str:
        routines, links = len(self._routines), len(self._connections)
        return (
            f"<Flow {self.flow_id}: {routines} routine{'s' * (routines != 1)}, {links} connection{'s' * (links != 1)}>"
        )
