"""The cell: one routine in one job. It decides who runs.

Design: §4, §5.1, §5.2, §12.

A cell is IDLE (its ``token`` lies there), READY (``ready`` holds a token, a dispatcher has an entry), RUNNING (someone
took the token from ``ready`` and is in `turn`), BLOCKED (idle, with activations that wait for room) or in limbo (at
the gate of a paused job, before a breakpoint, in line for a limit). Whoever changes something sets ``dirty`` and takes
the idle token; the cell looks at ``dirty`` once more after it laid the token down, so no wake-up is lost. Taking from a
list is atomic: no lock is needed for any of this.
"""

from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any

from routilux.current import current
from routilux.errors import UnknownEventError
from routilux.explanation import Note
from routilux.item_queue import ItemQueue
from routilux.record import RoutineRecord
from routilux.runtime import failing, outcome, waking
from routilux.runtime.activation import RETURNED, Activation, AtomicActivation, Phase
from routilux.runtime.holding import Hold
from routilux.runtime.host import Host
from routilux.runtime.lineage import Part
from routilux.runtime.plan import RoutinePlan
from routilux.runtime.telling import report_decision
from routilux.runtime.watching import ObservedActivation, ObservedAtomicActivation

SHARE = 64  # activations in one turn
SHARE_TICKS = 2_000_000  # and no longer than this, in nanoseconds


class Next(Enum):
    """What becomes of a cell after its turn."""

    REST = "rest"
    AGAIN = "again"
    LIMBO = "limbo"


class Cell:
    """One routine in one job; see the module. Only `turn` runs user code, and only one turn runs at a time."""

    __slots__ = (
        "armed",
        "ask_due",
        "clock_ended",
        "dirty",
        "feeders",
        "flights",
        "forced",
        "history",
        "history_numbers",
        "hold",
        "in_line",
        "inbox",
        "is_barred",
        "is_plain",
        "job",
        "keeps_alive",
        "keyword_values",
        "limiter",
        "lineage",
        "lost",
        "make_activation",
        "nested",
        "open_slots",
        "places",
        "plan",
        "policy_attempt",
        "policy_pauses",
        "priority",
        "queued",
        "queues",
        "ready",
        "record",
        "routes",
        "routine_id",
        "run",
        "special",
        "started",
        "ticks",
        "token",
        "width",
    )

    def __init__(self, run: Host, plan: RoutinePlan, record: RoutineRecord) -> None:
        definition = plan.definition
        self.run = run
        self.plan = plan
        self.record = record
        self.job = run.job
        self.routine_id = plan.routine_id
        self.priority = run.job.priority
        self.ticks: Callable[[], int] = run.clock.ticks
        self.width = definition.max_concurrency
        self.queues = [record.slots[name].queue for name in plan.slot_names]
        self.routes: dict[str, Any] = {}
        self.feeders: dict[str, int] = {}
        self.open_slots = len(self.queues)
        self.hold: Hold | None = None
        self._lie_idle()
        keywords = {"job_state": run.job, "routine": plan.routine}
        self.keyword_values = {name: keywords[name] for name in plan.keywords if name in keywords}
        self.make_activation: Callable[[Any], Activation] = self._kind()
        self.history, self.history_numbers = run.job.history_door()
        self.special = bool(run.observers)
        self.limiter = run.limiter(definition.limit) if definition.limit is not None else None
        self.is_plain = not (
            self.width > 1
            or self.plan.is_source
            or self.special
            or plan.is_atomic
            or self.limiter is not None
            or definition.timeout is not None
        )

    def _lie_idle(self) -> None:
        self.token: list[None] = [None]
        self.ready: list[None] = []
        self.dirty = False
        self.ask_due = False
        self.lineage: Part | None = None
        self.started = False
        self.forced = 0
        self.queued = False
        self.lost = False
        self.in_line = False  # for a place of its limit
        self.places = 0  # that it was given and has not used yet
        self.nested = False
        self.flights: list[Activation] = []
        self.inbox: list[Callable[[], None]] = []
        self.armed: tuple[int, bool, Any] | None = None
        self.keeps_alive = False
        self.clock_ended = False
        self.policy_attempt = 0
        self.policy_pauses = False
        self.is_barred = self.record.ended or self.record.skipped

    def carry(self, part: Part) -> None:
        """Carry lineage: this routine stands at a fan-out, at its gather, or between the two."""
        self.lineage = part
        self.special = True
        self.is_plain = False

    def _kind(self) -> Callable[[Any], Activation]:
        atomic = self.plan.is_atomic
        if self.run.observers:
            return ObservedAtomicActivation if atomic else ObservedActivation
        return AtomicActivation if atomic else Activation

    # --- who runs -------------------------------------------------------------------------------------------

    def nudge(self) -> None:
        """Hear that something changed, so that the policy must be asked: an item, a timer, a close."""
        self.dirty = True
        self.wake()

    def wake(self) -> None:
        """Make it ready if it is idle."""
        try:
            self.token.pop()
        except IndexError:
            return  # it is ready or running, and will look again
        self.run.work.append(None)
        self.make_ready()

    def make_ready(self) -> None:
        """Let a worker take it; the caller owns the cell."""
        self.ready.append(None)
        if not self.queued:
            self.queued = True
            self.run.submit(self)

    def turn(self) -> None:
        """Run for a fair share, then rest and look again."""
        run = self.run
        run.running.append(self)
        if run.permits is not None and not self.nested and not run.take_permit(self):
            run.running.remove(self)
            return
        try:
            following = self._work()
        except BaseException as error:  # noqa: BLE001  a worker must survive, and the job must not hang
            run.crash(self.routine_id, error)
            following = Next.REST
        current.set(None)
        try:
            run.running.remove(self)
        except ValueError:
            return  # it was abandoned: the job goes on, or has ended, without this call
        if run.permits is not None and not self.nested:
            run.give_permit()
        if following is Next.REST:
            self._rest()
        elif following is Next.AGAIN:
            self.make_ready()
        if not run.is_open:
            run.check_rest()

    def tell(self, event: Callable[[], None]) -> None:
        """Have something done in the next turn, from any thread."""
        self.inbox.append(event)  # before looking: a cell on its way to limbo looks at it under the lock
        self.wake()
        self.run.leave_limbo(self)

    def go_on(self) -> None:
        """Hear that it got a place in its limit. No reason to ask the policy anew: that is due anyway."""
        self.tell(looked_after)

    def _rest(self) -> None:
        self.token.append(None)
        if self.dirty or self.inbox:
            try:
                self.token.pop()
            except IndexError:
                pass  # somebody else made it ready, with work of its own
            else:
                self.make_ready()
                return
        self.run.release_work()

    def _work(self) -> Next:
        try:
            return self._serve()
        finally:
            self.record.trim()
            self.job.trim()

    def _serve(self) -> Next:
        run = self.run
        flights = self.flights
        share = SHARE
        until = self.ticks() + SHARE_TICKS
        while True:
            if self.dirty:
                self.dirty = False
                self.ask_due = True
            if self.inbox:
                self._hear()
            if flights:
                outcome.tend(self)
            if self.is_barred or not (self.ask_due and run.is_open) or len(flights) >= self.width or self.in_line:
                following = self._stop_here()
                if following is not None:
                    return following
                continue
            if self.limiter is not None and not self.limiter.acquire(self):
                return Next.REST
            self.ask_due = False
            activation = self._decide()
            if activation is None:
                following = self._after_no()
                if following is not None:
                    return following
                continue
            self._begin_logic(activation)
            share -= 1
            if not share or activation.ended_at > until:
                return Next.AGAIN

    def _stop_here(self) -> Next | None:
        """Say how to leave a turn in which nothing can start; None if the gate opened meanwhile."""
        run = self.run
        if not run.is_open:
            if self.places and self.limiter is not None:
                self.limiter.leave(self)
            if run.is_stopping:
                return Next.REST
            return Next.LIMBO if run.wait_at_gate(self) else None
        if self.record.skipped or not (self.open_slots or self.ask_due):
            self._maybe_end()
        return Next.REST

    def look_at_bars(self) -> None:
        """Note whether its policy must not be asked any more, or for a while."""
        record = self.record
        is_through = record.ended or record.skipped or (self.plan.is_source and self.started)
        self.is_barred = is_through or self.policy_pauses

    def _after_no(self) -> Next | None:
        """Give back what was taken for an activation that does not come."""
        if self.limiter is not None:
            self.limiter.release()
        hold = self.hold
        if hold is None or not hold.is_standing:
            return None
        self.ask_due = True
        return self._stand(hold)

    def _begin_logic(self, activation: Activation) -> None:
        if not self.is_plain:
            outcome.launch(self, activation)
            if activation.taken and self.width > 1:
                self.ask_due = True  # what still waits may run beside it
            return
        if self.nested:
            activation.nested = True
        activation.execute()
        if activation.phase is RETURNED and not activation.counts and not activation.is_abandoned:
            self.flights.pop()
            activation.is_over = True
            if activation.taken:
                self.ask_due = True
            outcome.note_end(self, activation)

    def _hear(self) -> None:
        while self.inbox:
            self.inbox.pop(0)()

    def _stand(self, hold: Hold) -> Next:
        """Stay before a breakpoint, unless it was stepped over or released meanwhile."""
        if not self.run.enter_limbo(self):
            return Next.REST
        if not hold.is_standing or self.hold is not hold:
            self.run.leave_limbo(self)
        return Next.LIMBO

    def _maybe_end(self) -> None:
        """End the routine: nothing can come, it declined since, and nothing of it is under way."""
        if self.dirty or self.inbox or self.flights or self.policy_pauses or self.record.wake is not None:
            return
        if self.lineage is not None and not self.record.skipped and self.lineage.waits_for_groups():
            return
        if not self.record.ended and (self.started or self.record.skipped or not self.plan.is_source):
            self.run.end_routine(self)

    # --- asking the policy ----------------------------------------------------------------------------------

    def _decide(self) -> Activation | None:
        """Ask the policy; give the activation to launch, its items taken, or None."""
        activation = self.make_activation(self)
        if self.plan.is_source:
            return self._decide_source(activation)
        current.set(activation)
        queues = self.queues
        for queue in queues:
            queue.taken = []
        try:
            answer = self.plan.ask(self.record.slots, self.job) if not self.forced else self._take_all()
            if answer[0] and self.hold is not None and self.hold.stops(answer[1]):
                self._reject()
                return None
        except Exception as error:  # noqa: BLE001  whatever a policy raises is answered by its handler
            self._reject()
            failing.policy_failed(self, error)
            return None
        if not answer[0]:
            self._say_no(answer)
            return None
        activation.started_at = at = self.ticks()
        activation.taken = taken = []
        activation.numbers = numbers = []
        for queue in queues:
            if queue.taken:
                records = queue.taken
                taken.append((queue, records))
                numbers.append((queue.name, (records[0][0],) if len(records) == 1 else [seqs for seqs, _ in records]))
                for outbox in queue.accept(at):
                    outbox.emptied(queue)
            elif queue.has_left:
                self._give_back(queue)
            else:
                queue.taken = None
            if queue.fresh_drops:
                self.report_drops(queue)
        return self._begin(activation, answer)

    def _decide_source(self, activation: Activation) -> Activation | None:
        """Begin the one activation of a routine without slots and policy."""
        if self.started or (self.hold is not None and self.hold.stops({})):
            return None
        current.set(activation)
        activation.started_at = self.ticks()
        self.is_barred = True
        return self._begin(activation, (True, {}, None, None))

    def _begin(self, activation: Activation, answer: Any) -> Activation:
        record = self.record
        self.started = True
        record.activation_count = activation.number = number = record.activation_count + 1
        _, activation.data, activation.message, facts = answer
        record.decisions.append([True, activation.started_at, facts, number])
        if self.special:
            self._after_special(activation)
        self.flights.append(activation)
        if self.limiter is not None:
            activation.holds_place = self.limiter.began()
        return activation

    def _after_special(self, activation: Activation) -> None:
        """Clear what made this yes special: a timer, a policy that had failed, an activation by hand, observers."""
        if self.forced:
            self.forced -= 1
        self.policy_attempt = 0
        if self.record.wake is not None or self.armed is not None:
            self.record.wake = None
            self.arm()
        self.special = bool(self.forced or self.run.observers or self.lineage)
        if self.lineage is not None:
            self.lineage.begin(self, activation)
        if self.run.observers:
            report_decision(self)

    def _say_no(self, answer: Any) -> None:
        self._reject()
        record = self.record
        value = self.plan.value
        cause = None if value is None else value.cause(answer[3])
        record.note_no(self.ticks(), answer[3], cause)
        self.policy_attempt = 0
        if record.wake is not None or self.armed is not None:
            self.special = True
            self.arm()
        if self.run.observers:
            report_decision(self)

    def _reject(self) -> None:
        for queue in self.queues:
            if queue.taken or queue.has_left:
                self._give_back(queue)
            elif queue.fresh_drops:
                self.report_drops(queue)
            queue.taken = None

    def _give_back(self, queue: ItemQueue) -> None:
        """Put back what was taken provisionally; let parked items into the room that drops made."""
        enqueued = queue.next_seq
        for outbox in queue.reject():
            outbox.emptied(queue)
        if queue.next_seq != enqueued:
            self.dirty = True
        if queue.fresh_drops:
            self.report_drops(queue)

    def _take_all(self) -> Any:
        data = {name: slot.consume_all_new() for name, slot in self.record.slots.items()}
        return True, data, {"reason": "activated by hand"}, Note("activated by hand")

    def arm(self) -> None:
        """Set the timer that the policy asked for last."""
        waking.arm(self)

    # --- what an activation asks of it ----------------------------------------------------------------------

    def dissolve(self) -> None:
        """Let go of what refers back to it: its job has ended."""
        if self.limiter is not None:
            self.limiter.leave(self)
        self.routes = {}
        self.flights = []
        if self.lineage is not None:
            self.lineage = None
            for queue in self.queues:
                queue.trace(None)

    def check_declared(self, event: str) -> None:
        """Refuse an event that a declaring routine does not declare."""
        events = self.plan.definition.events
        if events is not None and event not in events:
            raise UnknownEventError(self.routine_id, event, events)

    def unrouted(self, event: str) -> None:
        """Count an emission that goes nowhere, or refuse one that is not declared."""
        self.check_declared(event)
        record = self.record
        with self.run.lock:
            if record.unrouted is None:
                record.unrouted = {}
            record.unrouted[event] = record.unrouted.get(event, 0) + 1

    def report_drops(self, queue: ItemQueue) -> None:
        """Tell the history what a queue dropped since it was last asked."""
        drops, queue.fresh_drops = queue.fresh_drops, None
        for reason, count in drops or ():
            self.run.dropped(queue.routine_id, queue.definition.name, reason, count)

    def run_now(self, activation: Activation, target: "Cell") -> None:
        """Let a consumer whose slot is full run on this thread, before anything is parked."""
        if self.run.is_open:
            self.run.run_nested(activation, target)

    def hold_back(self, activation: Activation, queue: ItemQueue) -> None:
        """Keep an emitter from running away from its consumers."""
        self.run.hold_back(activation, queue)

    def start_away(self, activation: Activation, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine of an activation on the loop."""
        outcome.start_away(self, activation, coroutine)

    def commit_boundary(self, activation: Activation) -> None:
        """Let what was done so far take effect."""
        outcome.commit(self, activation)

    @property
    def is_open(self) -> bool:
        """Whether the job lets things run."""
        return self.run.is_open

    def task_begins(self, activation: Activation) -> bool:
        """Let an overlapping activation begin; False if it must wait, for the gate or for a permit."""
        run = self.run
        if not run.is_open:
            activation.phase = Phase.RUNNABLE
            self.tell(looked_after)
            run.release_work()
            return False
        if run.permits is not None and not run.take_permit(activation):
            return False
        run.running.append(activation)
        outcome.start_clock(self, activation)
        return True

    def task_ends(self, activation: Activation) -> None:
        """Hear that an overlapping activation stands, returned, failed or went to the loop."""
        run = self.run
        with run.lock:  # between being told and being gone nobody may see the run at rest
            if activation.is_abandoned:
                return
            run.running.remove(activation)
            self.tell(looked_after)
        if run.permits is not None:
            run.give_permit()
        run.release_work()
        if not run.is_open:
            run.check_rest()

    def room(self, activation: Activation) -> Any:
        """Give an awaitable that completes when nothing of the activation is parked."""
        return self.run.room(activation)


def looked_after() -> None:
    """Do nothing: being told is enough to look at the activations again."""
