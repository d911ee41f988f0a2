"""One activation: the frame around a logic, what it emits, and how far it got.

Design: §4.2, §5.3, §5.6.
"""

from collections.abc import Callable, Coroutine, Generator, Iterator
from enum import Enum
from inspect import isasyncgen, isawaitable, iscoroutine, isgenerator
from typing import Any, Protocol

from routilux.current import current
from routilux.effects import Effects
from routilux.errors import ActivationEndedError, LogicError, SlotQueueFullError
from routilux.item_queue import DROPPED, PARKED, ItemQueue
from routilux.job_data import activation_id_of


class Phase(Enum):
    """How far an activation got."""

    RUNNABLE = "runnable"  # its logic is to be started, or continued after a boundary
    RUNNING = "running"
    AWAY = "away"  # it runs on the loop, or as a task of its own
    STANDING = "standing"  # at a boundary, its outbox not empty
    RETURNED = "returned"  # the logic is through; to commit, or to wait until the outbox is empty
    FAILED = "failed"
    RETRYING = "retrying"  # until its delay is over


RUNNING, RETURNED = Phase.RUNNING, Phase.RETURNED  # looking a member up in its class takes longer than a call


class Home(Protocol):
    """What an activation needs of its cell."""

    plan: Any
    routine_id: str
    job: Any
    ticks: Callable[[], int]
    keyword_values: dict[str, Any]
    routes: dict[str, Any]
    nested: bool
    priority: int
    width: int

    def nudge(self) -> None: ...

    def check_declared(self, event: str) -> None: ...
    def unrouted(self, event: str) -> None: ...
    def report_drops(self, queue: ItemQueue) -> None: ...
    def hold_back(self, activation: "Activation", queue: ItemQueue) -> None: ...
    def run_now(self, activation: "Activation", target: Any) -> None: ...
    def start_away(self, activation: "Activation", coroutine: Coroutine[Any, Any, Any]) -> None: ...
    def commit_boundary(self, activation: "Activation") -> None: ...
    @property
    def is_open(self) -> bool: ...
    def task_begins(self, activation: "Activation") -> bool: ...
    def task_ends(self, activation: "Activation") -> None: ...
    def room(self, activation: "Activation") -> Any: ...


class Emission:
    """What `emit` gives: it took effect already; awaiting it waits until there is room for what is parked."""

    __slots__ = ("_activation",)

    def __init__(self, activation: "Activation | None") -> None:
        self._activation = activation

    def __await__(self) -> Generator[Any, None, None]:
        activation = self._activation
        if activation is not None:
            while activation.counts and activation.cell.is_open:
                yield from activation.cell.room(activation).__await__()


DELIVERED = Emission(None)


class Activation:
    """A live activation: what it does takes effect as it happens. Also the frame of a policy that is asked.

    As an `Outbox` it owns what it parked; as a `Runnable` it runs by itself where activations overlap.
    """

    number = 0
    attempt = 1
    boundary = 0
    is_over = False
    is_abandoned = False
    is_committed = False
    has_begun = False  # its logic was called, in this run of the job
    owes_boundary = False  # it yielded, and waits until it is the first to take effect
    holds_place = False  # of its routine's limit
    nested = False
    effects: Effects | None = None
    phase = Phase.RUNNABLE
    counts: Any = None  # what is parked, per queue; a dict from the first parked item on
    generator: Any = None
    error: BaseException | None = None
    data: Any = None
    message: Any = None
    taken: Any = ()  # [(queue, records of what was consumed)]
    tags: Any = ()  # which groups of a fan-out it belongs to: see `routilux.runtime.lineage`
    numbers: Any = ()  # the same for the history: [(slot, sequences of numbers)]
    started_at = 0
    ended_at = 0
    retry_due: int | None = None
    timer: Any = None
    timeout_error: BaseException | None = None
    task: Any = None
    room_waiters: Any = None
    emitted: Any = None
    queued = False
    wake_emitter: Any = None
    waits_for: Any = None
    ready: Any = ()

    def __init__(self, cell: Home) -> None:
        self.cell = cell
        self.routine = cell.plan.routine
        self.routes = cell.routes

    @property
    def job_state(self) -> Any:
        """The job it belongs to."""
        return self.cell.job

    @property
    def routine_id(self) -> str:
        """The routine it belongs to."""
        return self.cell.routine_id

    @property
    def key(self) -> str:
        """Whose outbox it is, when it is stored."""
        return f"{self.cell.routine_id}/{self.number}"

    @property
    def activation_id(self) -> str:
        """Its id, the same over retries and recovery."""
        return activation_id_of(self.cell.job.job_id, self.cell.routine_id, self.number)

    # --- emitting -------------------------------------------------------------------------------------------

    def emit(self, event: str, data: Any) -> Emission:
        """Route data to every connected slot, now."""
        if self.is_over:
            raise ActivationEndedError(self.activation_id)
        cell = self.cell
        try:
            routes = self.routes[event]
        except KeyError:
            cell.unrouted(event)
            return DELIVERED
        now = cell.ticks()
        name = cell.plan.name
        delivered = DELIVERED
        refused = None
        for queue, target in routes:
            items = queue.items
            if len(items) < queue.line:
                items.append((data, now, now, name))
            elif (self.counts and queue in self.counts) or not queue.add(data, now, name):
                if target.ready and not self.nested and self.phase is RUNNING and queue.would_park:
                    cell.run_now(self, target)
                try:
                    if self.offer(queue, data, now, name):
                        delivered = Emission(self)
                        continue
                except SlotQueueFullError as error:
                    refused = error  # the other targets get their item first
                    continue
            target.dirty = True
            if target.token:
                target.nudge()
        if refused is not None:
            raise refused
        return delivered

    def offer(self, queue: ItemQueue, data: Any, emitted_at: int, name: str, metadata: Any = None) -> bool:
        """Put an item into a slot that may be full; True if it was parked."""
        if self.counts is None:
            self.counts = {}
        if not (self.counts and queue.park_behind(data, emitted_at, name, metadata, self)):
            outcome = queue.offer(data, emitted_at, name, metadata, self)
            if outcome == DROPPED or queue.fresh_drops:
                self.cell.report_drops(queue)
            if outcome != PARKED:
                return False
        if self.counts.get(queue, 0) > queue.limit and not self.nested and self.phase is RUNNING:
            self.cell.hold_back(self, queue)
        return True

    def emptied(self, queue: ItemQueue) -> None:
        """Hear that nothing of ours is parked for this slot any more."""
        if self.counts:
            return
        waiters, self.room_waiters = self.room_waiters, None
        for wake in waiters or ():
            wake()
        if self.wake_emitter is not None:
            self.wake_emitter()
        self.cell.nudge()

    def refuse(self) -> None:
        """Do nothing: what is parked is stored with the job."""

    @property
    def is_executing(self) -> bool:
        """Whether its logic runs at this moment."""
        return self.phase is Phase.RUNNING or self.phase is Phase.AWAY

    @property
    def is_satisfied(self) -> bool:
        """Whether so little is parked for the slot it waits for that it may go on."""
        queue = self.waits_for
        return queue is None or self.counts.get(queue, 0) <= queue.limit

    # --- running --------------------------------------------------------------------------------------------

    def execute(self) -> None:
        """Run the logic until it returns, fails, stands at a boundary or goes elsewhere; never raises."""
        self.phase = RUNNING
        self.has_begun = True
        if current.get() is not self:
            current.set(self)
        try:
            if self.generator is None:
                plan = self.cell.plan
                data = self.data
                names = plan.slot_names
                if len(names) == 1 and len(data) == 1 and not plan.keeps_data:
                    arguments = data.values()
                else:
                    arguments = self._arguments(names, plan.keeps_data)
                keywords = self.cell.keyword_values
                if plan.wants_message:
                    result = plan.logic(*arguments, **keywords, policy_message=self.message)
                elif keywords:
                    result = plan.logic(*arguments, **keywords)
                else:
                    result = plan.logic(*arguments)
                if result is None or not self._goes_on(result):
                    self.phase = RETURNED
                    return
                if self.phase is Phase.AWAY:
                    return
            self._continue()
        except BaseException as error:  # noqa: BLE001  whatever a logic raises is answered by its handler
            self.fail(error)

    def _arguments(self, names: tuple[str, ...], keeps_data: bool) -> list[list[Any]]:
        """Give a list per slot, in their order; copies where the data may be needed once more."""
        data = self.data
        if keeps_data:
            return [list(data[name]) if name in data else [] for name in names]
        return [data[name] if name in data else [] for name in names]  # noqa: SIM401  each its own list

    def fail(self, error: BaseException) -> None:
        """Note that the logic failed."""
        self.error = error
        self.phase = Phase.FAILED

    def _goes_on(self, result: Any) -> bool:
        """Take a coroutine or generator that a logic returned; any other result is ignored."""
        if isgenerator(result) or isasyncgen(result):
            self.generator = result
            return True
        if isawaitable(result) and not isinstance(result, Emission):
            self.phase = Phase.AWAY
            self.cell.start_away(self, result if iscoroutine(result) else _awaited(result))
            return True
        return False

    def _continue(self) -> None:
        """Run a generator up to its next yield."""
        if isasyncgen(self.generator):
            self.phase = Phase.AWAY
            self.cell.start_away(self, _advance(self.generator))
            return
        iterator: Iterator[Any] = self.generator
        try:
            value = next(iterator)
        except StopIteration:
            self.phase = RETURNED
            return
        self.yielded(value)

    def yielded(self, value: Any) -> None:
        """Reach a boundary: what was done so far takes effect."""
        if value is not None:
            self.close()
            raise LogicError(
                self.routine_id, f"yields {type(value).__name__}; a bare yield is a boundary, emit() sends values"
            )
        if self.cell.plan.is_ordered_overlap:
            self.owes_boundary = True  # the cell lets it take effect when it is its turn
            self.phase = Phase.STANDING
            return
        self.cell.commit_boundary(self)
        self.boundary += 1
        self.phase = Phase.STANDING if self.counts else Phase.RUNNABLE

    def close(self) -> None:
        """End the generator, if there is one, without running on."""
        generator, self.generator = self.generator, None
        if isgenerator(generator):
            generator.close()

    # --- as a task of its own -------------------------------------------------------------------------------

    @property
    def priority(self) -> int:
        """That of its job."""
        return self.cell.priority

    def turn(self) -> None:
        """Run as one of several overlapping activations."""
        if not self.cell.task_begins(self):
            return
        self.execute()
        current.set(None)
        self.cell.task_ends(self)


class AtomicActivation(Activation):
    """An activation whose effects wait until it commits."""

    def __init__(self, cell: Home) -> None:
        super().__init__(cell)
        self.effects: Effects = Effects()

    def emit(self, event: str, data: Any) -> Emission:
        """Note an emission for the commit."""
        if self.is_over:
            raise ActivationEndedError(self.activation_id)
        if event not in self.routes:
            self.cell.check_declared(event)
        self.effects.emissions.append((event, data, self.cell.ticks(), None))
        return DELIVERED


async def _awaited(awaitable: Any) -> None:
    await awaitable


async def _advance(generator: Any) -> tuple[Any] | None:
    """Run an async generator to its next yield; gives what it yielded, in a tuple, or None at its end."""
    try:
        value = await anext(generator)
    except StopAsyncIteration:
        return None
    if value is not None:
        await generator.aclose()
    return (value,)
