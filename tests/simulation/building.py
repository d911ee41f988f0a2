"""Builds the Flow of a plan: logics and policies that write down what they see and do.

An item is ``(uid, hops)``. The uid names the emission; what it became of is read from the books and from the job.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from routilux import (
    Flow,
    Routine,
    SlotQueueFullError,
    all_slots_ready_policy,
    batch_size_policy,
    custom_policy,
    immediate_policy,
    time_interval_policy,
)
from tests.simulation.drawing import EVENTS, MAX_EMISSIONS, Plan, PolicyPlan, StepPlan
from tests.simulation.invariants import Books

Act = tuple[str, ...]


class PlannedError(Exception):
    """A failure that the plan wanted."""


def build(plan: Plan) -> Flow:
    """Build the flow of a plan."""
    flow = Flow(
        f"flow-{plan.seed}",
        max_running_jobs=plan.max_running_jobs,
        max_workers=plan.max_workers,
        timeout=plan.timeout,
        on_leftover=plan.on_leftover,
    )
    for step in plan.steps:
        flow.add_routine(_build_routine(plan, step), step.routine_id)
    for link in plan.links:
        flow.connect(*link)
    if plan.handler is not None:
        flow.set_error_handler(plan.handler)
    return flow


def _build_routine(plan: Plan, step: StepPlan) -> Routine:
    routine = Routine(
        step.routine_id,
        max_concurrency=step.max_concurrency,
        ordered=step.ordered,
        atomic=step.atomic,
        timeout=step.timeout,
        limit=step.limit,
    )
    for slot in step.slots:
        routine.add_slot(slot.name, slot.length, slot.watermark, slot.on_full)
    for event in EVENTS if step.declares else ():
        routine.add_event(event)
    policy = _build_policy(step.policy)
    if policy is not None:
        routine.set_activation_policy(policy)
    if step.handler is not None:
        routine.set_error_handler(step.handler)
    return routine.set_logic(_LOGICS[step.logic](plan, step))


# --- logic ------------------------------------------------------------------------------------------------------


class _Call:
    """One call of a logic: what it is going to do, and the pen."""

    def __init__(self, plan: Plan, step: StepPlan, job: Any, routine: Routine, message: Any, slots: Any) -> None:
        self.step = step
        self.job = job
        self.routine = routine
        self.routine_id: str = job.current_routine_id
        self.activation_id: str = job.activation_id
        self.books: Books = job.resource("books")[job.job_id]
        self.is_atomic = bool(job.resource("atomic")[self.routine_id])
        names = [slot.name for slot in step.slots]
        items = {name: list(found) for name, found in zip(names, slots, strict=True)}
        took = message.get("took") if isinstance(message, dict) else None
        self.books.called(plan, self.routine_id, self.activation_id, job.attempt, job.run, items, took)
        self.acts = self._acts(plan, items)
        self.position = 0
        if self.is_atomic and job.boundary:  # goes on from its own state
            self.position = job.get_routine_state(self.routine_id, f"at {self.activation_id}", 0)
        if not self.position:
            job.append_routine_state(self.routine_id, "seen", self.activation_id)
            job.mutate_shared_data("calls", lambda count: count + 1, 0)

    def _acts(self, plan: Plan, items: dict[str, list[Any]]) -> list[Act]:
        step, attempt, run = self.step, self.job.attempt, self.job.run
        arrived = [item for found in items.values() for item in found]
        if step.is_source:
            arrived = [(f"{self.activation_id} start {number}", plan.hops) for number in range(step.source_items)]
        acts: list[Act] = []
        for index, (uid, hops) in enumerate(arrived):
            if index and index % step.yield_every == 0:
                acts += [("sleep",), ("yield",)]
            for event, times in step.emits.items():
                acts += [("emit", event, str(hops - 1))] * (_times(uid, event, times) if hops > 0 else 0)
        fails = step.fails
        hit = fails.divisor and any(_hash(uid) % fails.divisor == 0 for uid, _ in arrived)
        if hit and attempt <= fails.attempts and not (fails.first_run and run > 1):
            place = {"before": 0, "between": len(acts) // 2, "after": len(acts)}[fails.place]
            acts.insert(place, ("fail",))
        return acts

    def emit(self, number: int, event: str, hops: str) -> Any:
        """Emit one item, and write it down in the same transaction."""
        if self.books.spent >= MAX_EMISSIONS:
            return None
        self.books.spent += 1
        attempt = 0 if self.is_atomic else self.job.attempt
        uid = f"{self.activation_id.split('/', 1)[1]}:{attempt}:{number}"
        self.books.emits(self.job, self.routine_id, event)
        try:
            sent = self.routine.emit(event, (uid, int(hops)))
        except SlotQueueFullError:
            self.job.append_routine_state(self.routine_id, "sent", (uid, event, True))
            raise
        self.job.append_routine_state(self.routine_id, "sent", (uid, event, False))
        return sent

    def do(self, number: int, act: Act) -> Any:
        if act[0] == "emit":
            return self.emit(number, *act[1:])
        if act[0] == "fail":
            raise PlannedError(self.activation_id)
        return None

    def at_boundary(self, number: int) -> None:
        if self.is_atomic:
            self.job.update_routine_state(self.routine_id, {f"at {self.activation_id}": number + 1})

    def remaining(self) -> Iterator[tuple[int, Act]]:
        return ((number, act) for number, act in enumerate(self.acts) if number >= self.position)

    def __enter__(self) -> "_Call":
        self.books.enters(self.step, self.routine_id, self.activation_id)
        return self

    def __exit__(self, *_: object) -> None:
        self.books.leaves(self.routine_id, self.activation_id)


def _plain(plan: Plan, step: StepPlan) -> Callable[..., Any]:
    def logic(*slots: Any, job_state: Any, routine: Any, policy_message: Any) -> None:
        with _Call(plan, step, job_state, routine, policy_message, slots) as call:
            for number, act in call.remaining():
                call.do(number, act)

    return logic


def _generator(plan: Plan, step: StepPlan) -> Callable[..., Any]:
    def logic(*slots: Any, job_state: Any, routine: Any, policy_message: Any) -> Iterator[None]:
        with _Call(plan, step, job_state, routine, policy_message, slots) as call:
            for number, act in call.remaining():
                call.do(number, act)
                if act[0] == "yield":
                    call.at_boundary(number)
                    yield

    return logic


def _coroutine(plan: Plan, step: StepPlan) -> Callable[..., Any]:
    async def logic(*slots: Any, job_state: Any, routine: Any, policy_message: Any) -> None:
        with _Call(plan, step, job_state, routine, policy_message, slots) as call:
            for number, act in call.remaining():
                sent = call.do(number, act)
                if sent is not None and number % 2:
                    await sent
                if act[0] == "sleep":
                    await asyncio.sleep(step.sleep_seconds)

    return logic


def _async_generator(plan: Plan, step: StepPlan) -> Callable[..., Any]:
    async def logic(*slots: Any, job_state: Any, routine: Any, policy_message: Any) -> AsyncIterator[None]:
        with _Call(plan, step, job_state, routine, policy_message, slots) as call:
            for number, act in call.remaining():
                sent = call.do(number, act)
                if sent is not None and number % 2:
                    await sent
                if act[0] == "sleep":
                    await asyncio.sleep(step.sleep_seconds)
                if act[0] == "yield":
                    call.at_boundary(number)
                    yield

    return logic


_LOGICS = {"plain": _plain, "generator": _generator, "coroutine": _coroutine, "async_generator": _async_generator}


def _hash(uid: str) -> int:
    return zlib.crc32(uid.encode())


def _times(uid: str, event: str, times: int) -> int:
    """How often an item is sent on: 2 and 3 stand for "sometimes"."""
    return times if times < 2 else _hash(event + uid) % (times + 1)


# --- policies ---------------------------------------------------------------------------------------------------


def _build_policy(plan: PolicyPlan) -> Any:
    match plan.kind:
        case "none":
            return None
        case "immediate":
            return immediate_policy()
        case "batch":
            return batch_size_policy(plan.number, at_end=plan.at_end)
        case "all_slots_ready":
            return all_slots_ready_policy()
        case "interval":
            return time_interval_policy(plan.seconds)
        case "custom":
            return custom_policy(_enough(plan.number))
        case _:
            return _WRITTEN[plan.kind](plan)


def _enough(number: int) -> Callable[..., bool]:
    def enough(slots: Any, job_state: Any) -> bool:
        count = sum(slot.get_unconsumed_count() for slot in slots.values())
        return count >= number or (count > 0 and _at_end(slots))

    return enough


def _at_end(slots: Any) -> bool:
    return all(slot.is_closed for slot in slots.values())


def _yes(taken: dict[str, list[Any]]) -> Any:
    return True, taken, {"took": {name: [item[0] for item in found] for name, found in taken.items()}}


NO: tuple[bool, dict[str, list[Any]], None] = (False, {}, None)


def _all_new(slots: Any) -> dict[str, list[Any]]:
    return {name: slot.consume_all_new() for name, slot in slots.items()}


def _one(plan: PolicyPlan) -> Any:
    def one(slots: Any, job_state: Any) -> Any:
        for name, slot in slots.items():
            if slot.get_unconsumed_count():
                return _yes({name: [slot.consume_one_new()]})
        return NO

    return one


def _fickle(plan: PolicyPlan) -> Any:
    def fickle(slots: Any, job_state: Any) -> Any:
        """Consume everything, and then say no, a few times."""
        memory = job_state.memory()
        taken = _all_new(slots)
        if not any(taken.values()):
            return NO
        memory["asked"] = memory.get("asked", 0) + 1
        if memory["asked"] % (plan.number + 1) and not _at_end(slots):
            job_state.wake_after(plan.seconds)
            return NO
        return _yes(taken)

    return fickle


def _latest(plan: PolicyPlan) -> Any:
    def latest(slots: Any, job_state: Any) -> Any:
        took = {name: [item[0] for item in slot.peek_all_new()] for name, slot in slots.items()}
        if not any(took.values()):
            return NO
        data = {name: [slot.consume_latest_and_mark_all_consumed()] for name, slot in slots.items() if took[name]}
        return True, data, {"took": took}

    return latest


def _dropper(plan: PolicyPlan) -> Any:
    def dropper(slots: Any, job_state: Any) -> Any:
        books: Books = job_state.resource("books")[job_state.job_id]
        for name, slot in slots.items():
            unwanted = [point for point in slot.peek_points() if _hash(point.data[0]) % 3 == 0]
            count = slot.drop(unwanted, "unwanted")
            books.policy_dropped(job_state.current_routine_id, name, [point.data[0] for point in unwanted], count)
        if sum(slot.get_unconsumed_count() for slot in slots.values()) < plan.number and not _at_end(slots):
            return NO
        taken = _all_new(slots)
        return _yes(taken) if any(taken.values()) else NO

    return dropper


def _delayed(plan: PolicyPlan) -> Any:
    def delayed(slots: Any, job_state: Any) -> Any:
        memory = job_state.memory()
        if not any(slot.get_unconsumed_count() for slot in slots.values()):
            return NO
        now = job_state.monotonic()
        due = memory.setdefault("due", now + plan.seconds)
        if now < due - 1e-6 and not _at_end(slots):
            job_state.wake_after(due - now, keep_alive=plan.at_end == "fire")
            return NO
        del memory["due"]
        return _yes(_all_new(slots))

    return delayed


def _picky(plan: PolicyPlan) -> Any:
    def picky(slots: Any, job_state: Any) -> Any:
        """Take every other item, out of the middle."""
        taken = {}
        for name, slot in slots.items():
            points = slot.peek_points()
            chosen = points if _at_end(slots) else points[1 :: plan.number + 1]
            taken[name] = [point.data for point in slot.consume_points(chosen)]
        return _yes(taken) if any(taken.values()) else NO

    return picky


def _raises(plan: PolicyPlan) -> Any:
    def raises(slots: Any, job_state: Any) -> Any:
        memory = job_state.memory()
        taken = _all_new(slots)
        if not any(taken.values()):
            return NO
        memory["asked"] = memory.get("asked", 0) + 1
        if memory["asked"] == plan.number:
            raise PlannedError("policy")
        return _yes(taken)

    return raises


def _always(plan: PolicyPlan) -> Any:
    def always(slots: Any, job_state: Any) -> Any:
        return _yes({name: slot.consume_new(plan.number) for name, slot in slots.items()})

    return always


_WRITTEN: dict[str, Callable[[PolicyPlan], Any]] = {
    "one": _one,
    "fickle": _fickle,
    "latest": _latest,
    "dropper": _dropper,
    "delayed": _delayed,
    "picky": _picky,
    "raises": _raises,
    "always": _always,
}
