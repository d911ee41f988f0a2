"""What must be true of every run: independent books of each item, and the questions asked of a job.

`Books` are kept by the drawn logics, the drawn policies and the driver, one per job. What an activation emitted is
also written by the logic into the state of its routine (``sent``), in the same transaction as the emission itself.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from routilux import ExecutionStatus, Observer
from routilux.runtime.activation import Phase
from routilux.runtime.mode import Mode
from tests.simulation.drawing import Plan, StepPlan

Copy = tuple[str, str, str]  # uid, routine_id, slot


class Violation(AssertionError):
    """Something that must never happen, happened."""


class Books:
    """Who took what, who works on what; of one job."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.spent = 0
        self.fed: list[Copy] = []  # inputs and posts that were accepted
        self.taken: dict[str, dict[str, list[str]]] = {}  # activation id: slot: uids
        self.delivered: dict[str, set[tuple[str, str]]] = {}  # activation id: uids that the policy passed on
        self.calls: dict[str, list[tuple[int, int]]] = {}  # activation id: (run, attempt) of each call
        self.seqs: dict[str, dict[str, list[int]]] = {}  # activation id: slot: numbers, as the observer heard them
        self.numbers: dict[tuple[str, str, int], str] = {}  # routine, slot, number: uid
        self.unwanted: dict[tuple[str, str], list[str]] = {}
        self.working: dict[str, set[str]] = {}  # routine: activation ids whose logic is inside
        self.under_way: dict[str, set[str]] = {}  # the same, as the observer hears it
        self.cancelled_run = 0
        self.run_began = 0  # the first record of this run in the history
        self.reposted: list[str] = []
        self.problems: list[str] = []

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def put_back(self, job: Any, routine_id: str, slot: str) -> int:
        """Count what failed activations put back into a slot, whatever room there was."""
        stopped = {r.data["activation_id"] for r in job.execution_history if r.event_name == "error_stopped"}
        return sum(
            len(taken.get(slot, ()))
            for activation_id, taken in self.taken.items()
            if activation_id in stopped and activation_id.split("/")[1] == routine_id
        )

    # --- told by logics and policies --------------------------------------------------------------------------

    def called(
        self,
        plan: Plan,
        routine_id: str,
        activation_id: str,
        attempt: int,
        run: int,
        items: dict[str, list[Any]],
        took: dict[str, list[str]] | None,
    ) -> None:
        uids = took or {name: [uid for uid, _ in found] for name, found in items.items()}
        uids = {name: list(found) for name, found in uids.items() if found}
        self.delivered[activation_id] = {(slot, uid) for slot, found in items.items() for uid, _ in found}
        calls = self.calls.setdefault(activation_id, [])
        if (run, attempt) < max(calls, default=(0, 0)):
            self.problem(f"{activation_id}: attempt {attempt} of run {run} after {calls}")
        calls.append((run, attempt))
        known = self.taken.setdefault(activation_id, uids)
        if known != uids:
            self.problem(f"{activation_id} got {uids} in attempt {attempt}, and {known} before")
        self._note_numbers(routine_id, activation_id)

    def _note_numbers(self, routine_id: str, activation_id: str) -> None:
        for slot, seqs in self.seqs.get(activation_id, {}).items():
            uids = self.taken[activation_id].get(slot, [])
            if len(uids) != len(seqs):
                self.problem(f"{activation_id} was given {uids} of {slot}, and the observer heard of {seqs}")
            for seq, uid in zip(seqs, uids, strict=False):
                self.number(routine_id, slot, seq, uid)

    def number(self, routine_id: str, slot: str, seq: int, uid: str) -> None:
        known = self.numbers.setdefault((routine_id, slot, seq), uid)
        if known != uid:
            self.problem(f"{routine_id}.{slot}[{seq}] is {uid}, and was {known}")

    def emits(self, job: Any, routine_id: str, event: str) -> None:
        """Check that what the emitter feeds is still open, unless a cycle was closed."""
        for target, slot in self.plan.targets(routine_id, event):
            skipped = job._records[routine_id].skipped  # its events count as ended at once
            if job.slots(target)[slot].is_closed and not skipped and not in_one_cycle(self.plan, routine_id, target):
                self.problem(f"{target}.{slot} is closed while {job.activation_id} still feeds it")

    def enters(self, step: StepPlan, routine_id: str, activation_id: str) -> None:
        inside = self.working.setdefault(routine_id, set())
        inside.add(activation_id)
        if len(inside) > step.max_concurrency:
            self.problem(f"{sorted(inside)} overlap; max_concurrency is {step.max_concurrency}")

    def leaves(self, routine_id: str, activation_id: str) -> None:
        self.working.setdefault(routine_id, set()).discard(activation_id)

    def policy_dropped(self, routine_id: str, slot: str, uids: list[str], count: int) -> None:
        if count != len(uids):
            self.problem(f"{routine_id}.{slot}: drop() says {count} of {uids}")
        self.unwanted.setdefault((routine_id, slot), []).extend(uids)


class Watch(Observer):
    """An observer that writes into the books of the job it hears of."""

    def __init__(self, plan: Plan, books: dict[str, Books]) -> None:
        self.plan = plan
        self.books = books

    def on_activation_started(self, job_state: Any, routine_id: str, *facts: Any) -> None:
        activation_id, _attempt, items = facts
        books = self.books[job_state.job_id]
        books.seqs[activation_id] = {slot: list(seqs) for slot, seqs in items.items()}
        under_way = books.under_way.setdefault(routine_id, set())
        under_way.add(activation_id)
        most = self.plan.step(routine_id).max_concurrency
        if len(under_way) > most:
            books.problem(f"{sorted(under_way)} are under way at once; max_concurrency is {most}")

    def on_activation_ended(self, job_state: Any, routine_id: str, *facts: Any) -> None:
        self._over(job_state, routine_id, facts[0])

    def on_activation_failed(self, job_state: Any, routine_id: str, *facts: Any) -> None:
        activation_id, _, answer = facts
        if activation_id and answer != "retry":
            self._over(job_state, routine_id, activation_id)

    def _over(self, job_state: Any, routine_id: str, activation_id: str) -> None:
        self.books[job_state.job_id].under_way.setdefault(routine_id, set()).discard(activation_id)


# --- the graph --------------------------------------------------------------------------------------------------


def reaches(plan: Plan, start: str, goal: str) -> bool:
    """Whether a way of one link or more leads from start to goal."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        for source, _, target, _ in plan.links:
            if source == here and target not in seen:
                seen.add(target)
                todo.append(target)
    return goal in seen


def in_one_cycle(plan: Plan, one: str, other: str) -> bool:
    return reaches(plan, one, other) and reaches(plan, other, one)


# --- at every step ----------------------------------------------------------------------------------------------


def check_bounds(books: Books, run: Any) -> None:
    """No slot is above its length; what a failed activation put back may be on top of it."""
    for cell in run.cells:
        for queue in cell.queues:
            length = queue.definition.max_queue_length
            if length is None or queue.waiting <= length or queue.definition.on_full == "stretch":
                continue
            if queue.waiting > length + books.put_back(run.job, cell.routine_id, queue.definition.name):
                books.problem(f"{cell.routine_id}.{queue.definition.name} holds {queue.waiting} of at most {length}")


# --- when nothing is ready --------------------------------------------------------------------------------------


def check_idle(books: Books, run: Any) -> None:
    """No open job stands still while something could be done."""
    if run.mode is not Mode.OPEN or run.starved:
        return
    for cell in run.cells:
        for text in _undone(cell):
            books.problem(f"at rest, but {cell.routine_id} {text}")


def _undone(cell: Any) -> Iterator[str]:
    for queue in cell.queues:
        if queue.parked and queue.waiting < queue.limit:
            yield f"has room in {queue.definition.name} for {queue.parked_count} parked items"
    for flight in cell.flights:
        in_line = flight is not cell.flights[0] and cell.plan.definition.ordered
        waits = (Phase.STANDING, Phase.FAILED, Phase.RETURNED)
        if not flight.counts and not in_line and flight.phase in waits:
            yield f"has {flight.activation_id} in phase {flight.phase}"
    if (
        len(cell.flights) >= cell.width
        or cell.record.ended
        or cell.hold is not None
        or cell.policy_pauses
        or cell.limiter is not None
    ):
        return
    if wants_to_run(cell.plan.definition, [queue.waiting for queue in cell.queues], cell.started):
        yield f"could run with {[queue.waiting for queue in cell.queues]}"
    if _kind(cell.plan.definition) == "TimeIntervalPolicy" and cell.record.waiting and cell.armed is None:
        yield "holds items for a time, and no timer runs"


def _kind(definition: Any) -> str:
    return "ImmediatePolicy" if definition.policy is None else type(definition.policy).__name__


def wants_to_run(definition: Any, counts: list[int], started: bool) -> bool:
    """Whether a built-in policy that only counts would say yes."""
    if definition.is_source:
        return not started
    match _kind(definition):
        case "ImmediatePolicy":
            return any(counts)
        case "BatchSizePolicy":
            return all(count >= definition.policy.min_batch_size for count in counts)
        case "AllSlotsReadyPolicy":
            return all(counts)
    return False


# --- at the end -------------------------------------------------------------------------------------------------


class Outcome:
    """What the history says became of each activation, and what was dropped."""

    def __init__(self, job: Any) -> None:
        self.of: dict[str, str] = {}
        self.seqs: dict[str, dict[str, list[int]]] = {}
        self.drops: Counter[tuple[str, str, str]] = Counter()
        self.problems: list[str] = []
        for record in job.execution_history:
            self._read(record)

    def _read(self, record: Any) -> None:
        if record.event_name == "dropped":
            self.drops[record.routine_id, record.data["slot"], record.data["reason"]] += record.data["count"]
        activation_id = record.data.get("activation_id") if isinstance(record.data, dict) else None
        if not activation_id:
            return
        before = self.of.get(activation_id)
        if before not in (None, "retry"):
            self.problems.append(f"{activation_id} is {record.event_name} after it was {before}")
        self.of[activation_id] = record.event_name
        if record.event_name == "activated":
            self.seqs[activation_id] = record.data["items"]


def check_end(books: Books, run: Any, cells: list[Any]) -> None:
    """Ask everything of a job whose run is over. Problems go into the books."""
    job = run.job
    outcome = Outcome(job)
    books.problems += outcome.problems
    _check_status(books, run)
    _check_machine(books, run, cells)
    _check_activations(books, run, outcome)
    _check_items(books, run, outcome)
    _check_order(books, run)
    if job.status is ExecutionStatus.COMPLETED:
        _check_completed(books, run, cells)


def _check_status(books: Books, run: Any) -> None:
    job = run.job
    last = [record for record in job.execution_history if not record.routine_id]
    if not last or last[-1].event_name != job.status:
        books.problem(f"status is {job.status}, the history says {last[-1:]}")
    errors = [
        record.data["error"]
        for record in job.execution_history
        if record.event_name == "error_stopped" and record.seq >= books.run_began
    ]
    match job.status:
        case ExecutionStatus.COMPLETED:
            if job.error is not None or errors or books.cancelled_run == job.run:
                books.problem(f"completed with error {job.error}, stops {errors}, cancelled {books.cancelled_run}")
        case ExecutionStatus.CANCELLED:
            if books.cancelled_run != job.run:
                books.problem("cancelled by nobody")
        case ExecutionStatus.FAILED:
            known = ("JobTimeoutError", "LeftoverError", "ActivationTimeoutError")
            if job.error is None or (job.error.type not in known and str(job.error) not in errors):
                books.problem(f"failed by {job.error}; the history knows of {errors}")
        case _:
            books.problem(f"over with status {job.status}")


def _check_machine(books: Books, run: Any, cells: list[Any]) -> None:
    """Nothing is ready or counted any more."""
    ready = [cell.routine_id for cell in cells if cell.ready]
    lost = [cell.routine_id for cell in cells if not cell.token and not cell.lost]
    if run.mode is not Mode.OVER or len(run.work) != 1 or ready or lost or run.limbo or run.timers or run.waiting:
        books.problem(
            f"after the end: {run.mode}, work {len(run.work)}, ready {ready}, without token {lost}, "
            f"limbo {run.limbo}, timers {list(run.timers)}, waiting {run.waiting}"
        )


def _pending(job: Any) -> dict[str, Any]:
    return {
        f"{job.job_id}/{routine_id}/{stored.number}": stored
        for routine_id, record in job._records.items()
        for stored in record.pending
    }


def _check_activations(books: Books, run: Any, outcome: Outcome) -> None:
    job = run.job
    pending = _pending(job)
    atomic = job.resource("atomic")
    seen = Counter(x for rid in atomic for x in job.get_routine_state(rid, "seen", []))
    for activation_id, calls in books.calls.items():
        what = outcome.of.get(activation_id)
        routine_id = activation_id.split("/")[1]
        goes_on = what in (None, "retry")
        stored = pending.get(activation_id)
        waits_for_its_outbox = what in ("error_continued", "skipped") and stored and stored.returned and stored.failed
        if goes_on != (stored is not None) and not waits_for_its_outbox:
            books.problem(f"{activation_id} is {what}, pending: {stored}")
        times = seen[activation_id]
        if not atomic[routine_id] and times != len(calls):
            books.problem(f"{activation_id} was called {len(calls)} times and noted it {times} times")
        if atomic[routine_id] and times > 1:
            books.problem(f"atomic {activation_id} took effect {times} times")
        if atomic[routine_id] and what == "activated" and times != 1:
            books.problem(f"atomic {activation_id} is activated, and its state is not there")
    for activation_id in outcome.of:
        if activation_id not in books.calls:
            books.problem(f"{activation_id} is {outcome.of[activation_id]} and was never called")
    if job.get_shared_data("calls", 0) != sum(seen.values()):
        books.problem(f"shared count {job.get_shared_data('calls')} of {sum(seen.values())}")


def _check_items(books: Books, run: Any, outcome: Outcome) -> None:
    job = run.job
    wanted, maybe = _copies(books, job)
    fates: dict[Copy, list[str]] = {}

    def fate(uid: str, routine_id: str, slot: str, what: str) -> None:
        fates.setdefault((uid, routine_id, slot), []).append(what)

    pending = _pending(job)
    skipped: Counter[tuple[str, str]] = Counter()
    for activation_id, taken in books.taken.items():
        routine_id = activation_id.split("/")[1]
        what = outcome.of.get(activation_id)
        for slot, uids in taken.items():
            for uid in uids:
                if what == "activated":
                    fate(uid, routine_id, slot, f"consumed by {activation_id}")
                elif what == "error_continued" and (slot, uid) not in books.delivered[activation_id]:
                    fate(uid, routine_id, slot, f"passed over in {activation_id}")  # by the policy, not by the engine
                elif what == "skipped":
                    fate(uid, routine_id, slot, f"skipped with {activation_id}")
                    skipped[routine_id, slot] += 1
                elif activation_id in pending and what not in ("error_continued", "skipped"):
                    fate(uid, routine_id, slot, f"pending in {activation_id}")
    for activation_id, stored in pending.items():
        if activation_id not in books.taken:  # taken, and its logic never called
            for slot, _, chunk in stored.taken:
                for item in chunk:
                    fate(item[0][0], activation_id.split("/")[1], slot, f"pending in {activation_id}")
    for letter in job.dead_letters:
        for slot, found in letter.items.items():
            for uid, _ in found:
                fate(uid, letter.routine_id, slot, f"dead in {letter.dead_letter_id}")
    for step in books.plan.steps:
        for slot_name, found in job.slots(step.routine_id).items():
            for point in found.peek_points():
                fate(point.data[0], step.routine_id, slot_name, f"waiting as {point.seq}")
    for parked in job._parked:
        fate(parked.data[0], parked.routine_id, parked.slot, "parked")
    for (routine_id, slot_name), uids in books.unwanted.items():
        for uid in uids:
            fate(uid, routine_id, slot_name, "unwanted")
    for copy, found in fates.items():
        if len(found) > 1 or (copy not in wanted and copy not in maybe):
            books.problem(f"{copy} is {found}, {'known' if copy in wanted else 'never sent'}")
    _check_drops(books, job, outcome, [copy for copy in wanted if copy not in fates], skipped)


def _copies(books: Books, job: Any) -> tuple[set[Copy], set[Copy]]:
    """Every item that was sent to a slot, and those of which a full slot with on_full="fail" refused some."""
    wanted: list[Copy] = list(books.fed)
    maybe: set[Copy] = set()
    for step in books.plan.steps:
        for uid, event, refused in job.get_routine_state(step.routine_id, "sent", []):
            for target, slot in books.plan.targets(step.routine_id, event):
                fails = next(s for s in books.plan.step(target).slots if s.name == slot).on_full == "fail"
                if refused and fails:
                    maybe.add((uid, target, slot))
                else:
                    wanted.append((uid, target, slot))
    twice = [copy for copy, count in Counter(wanted).items() if count > 1]
    if twice:
        books.problem(f"sent twice: {twice[:5]}")
    return set(wanted), maybe


def _check_drops(
    books: Books, job: Any, outcome: Outcome, missing: list[Copy], skipped: Counter[tuple[str, str]]
) -> None:
    lost = Counter((routine_id, slot) for _, routine_id, slot in missing)
    for place in {*lost, *job.drops, *books.unwanted}:
        routine_id, slot = place
        drops = job.drops.get(place, {})
        plan = next(s for s in books.plan.step(routine_id).slots if s.name == slot)
        unwanted = len(books.unwanted.get(place, ()))
        if drops.get("unwanted", 0) != unwanted:
            books.problem(f"{place}: policy dropped {unwanted}, counted {drops}")
        if sum(drops.values()) != lost[place] + unwanted + skipped[place]:
            gone = [uid for uid, *rest in missing if (rest[0], rest[1]) == place]
            books.problem(f"{place}: gone {gone}, policy dropped {unwanted}, skipped {skipped[place]}, counted {drops}")
        for reason, count in drops.items():
            if outcome.drops[routine_id, slot, reason] != count:
                books.problem(
                    f"{place}: {count} dropped as {reason}, history {outcome.drops[routine_id, slot, reason]}"
                )
        allowed = {"unwanted", "skipped"}
        allowed |= {"superseded by newer items"} if plan.on_full == "drop_oldest" else set()
        allowed |= {"full"} if plan.on_full != "stretch" else set()
        if not set(drops) <= allowed:
            books.problem(f"{place} with on_full={plan.on_full} dropped {drops}")


def _check_order(books: Books, run: Any) -> None:
    """Items of one producer and event stand in a slot in the order in which they were emitted."""
    job = run.job
    rank: dict[str, int] = {}
    for step in books.plan.steps:
        last = 0
        for uid, _, _ in job.get_routine_state(step.routine_id, "sent", []):
            rank[uid] = len(rank)
            number = int(uid.split("/")[1].split(":")[0])
            if number < last and (step.max_concurrency == 1 or step.ordered):
                books.problem(f"{uid} took effect after activation {last} of {step.routine_id}")
            last = max(last, number)
    for uid, *_ in books.fed:
        rank[uid] = len(rank)
    for step in books.plan.steps:
        for slot_name, slot in job.slots(step.routine_id).items():
            for point in slot.peek_points():
                books.number(step.routine_id, slot_name, point.seq, point.data[0])
                if not point.emitted_at <= point.enqueued_at:
                    books.problem(f"{step.routine_id}.{slot_name}[{point.seq}] was enqueued before it was emitted")
    last_of: dict[tuple[str, str, str], tuple[int, str]] = {}
    events = _events(books, job)
    for (routine_id, slot_name, _), uid in sorted(books.numbers.items()):
        if uid in books.reposted or uid not in rank:
            continue
        stream = (routine_id, slot_name, events.get(uid, uid.split()[0]))
        before = last_of.get(stream, (-1, ""))
        if rank[uid] < before[0]:
            books.problem(f"{routine_id}.{slot_name}: {uid} stands behind {before[1]}")
        last_of[stream] = (rank[uid], uid)


def _events(books: Books, job: Any) -> dict[str, str]:
    return {
        uid: f"{step.routine_id}.{event}"
        for step in books.plan.steps
        for uid, event, _ in job.get_routine_state(step.routine_id, "sent", [])
    }


def _check_completed(books: Books, run: Any, cells: list[Any]) -> None:
    job = run.job
    left = {(found.routine_id, found.slot): found.count for found in job.leftovers}
    for cell in cells:
        record = cell.record
        if not record.ended or cell.open_slots or record.pending:
            books.problem(f"completed, but {cell.routine_id} has not ended: {record.pending}")
        counts = [queue.waiting for queue in cell.queues]
        told = [left.get((cell.routine_id, queue.definition.name), 0) for queue in cell.queues]
        if counts != told or job._parked:
            books.problem(f"{cell.routine_id} holds {counts}; leftovers say {told}; parked {job._parked}")
        cyclic = reaches(books.plan, cell.routine_id, cell.routine_id)
        definition = cell.plan.definition
        late = _kind(definition) == "TimeIntervalPolicy" and any(counts)
        if not cyclic and (late or wants_to_run(definition, counts, record.activation_count > 0)):
            books.problem(f"completed, but {cell.routine_id} could have run with {counts}")
