"""A job as plain data, and back: what `serialize` gives and `deserialize` takes.

Design: §7.1, §7.2. Times are nanoseconds since 1970, so that another process with another clock can go on.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from routilux.clock import Clock, to_datetime, to_epoch_ns
from routilux.codec import decode, encode
from routilux.definition import SlotDefinition
from routilux.errors import CodecError, StateVersionError
from routilux.explanation import Note
from routilux.history import DeadLetter, ErrorRecord, ExecutionStatus, Leftover, Leftovers, Ring
from routilux.item_queue import ItemQueue
from routilux.item_store import Item
from routilux.record import Group, Groups, ParkedItem, RoutineRecord, StoredActivation
from routilux.slot import Slot

VERSION = 2


def picture_of(
    job: Any, parked: Sequence[ParkedItem], pending: Mapping[str, Sequence[StoredActivation]] | None = None
) -> dict[str, Any]:
    """Picture a job that stands still.

    Raises:
        CodecError: a value that cannot be stored, with its path.
    """
    clock: Clock = job._clock
    writer = _Writer(clock)
    with job._lock:
        return {
            "version": VERSION,
            "job_id": job.job_id,
            "flow_id": job.flow_id,
            "status": str(job.status),
            "run": job.run,
            "priority": job.priority,
            "now": clock.epoch_ns(clock.ticks()) + job._time_shift,
            "params": encode(dict(job.params), "$.params"),
            "answer": encode(job._answer, "$.result"),
            "error": _error_out(job.error),
            "shared": encode(job._shared, "$.shared_data"),
            "log": writer.ring(job._log, "$.shared_log"),
            "history": writer.history(job._history),
            "leftovers": [[left.routine_id, left.slot, left.count, left.explanation] for left in job._leftovers],
            "dead_letter_count": job._dead_letter_count,
            "dead_letters": [writer.dead_letter(letter) for letter in job._dead_letters.values()],
            "parked": [writer.parked(item, number) for number, item in enumerate([*parked, *job._parked])],
            "routines": {
                routine_id: writer.routine(record, (pending or {}).get(routine_id, record.pending))
                for routine_id, record in job._records.items()
            },
        }


def restore(kind: Any, data: Mapping[str, Any], clock: Clock) -> Any:
    """Make a job of what `picture_of` gave.

    Raises:
        StateVersionError: the data is of an unknown version.
        CodecError: the data is damaged.
    """
    version = data.get("version") if isinstance(data, Mapping) else None
    if version != VERSION:
        raise StateVersionError(
            str(data.get("job_id", "?")) if isinstance(data, Mapping) else "?",
            f"stored data of version {version!r} cannot be read; this Routilux reads version {VERSION}",
        )
    try:
        return _Reader(clock, data["now"]).job(kind, data)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, CodecError):
            raise
        raise CodecError("$", f"damaged data: {type(error).__name__}: {error}", "take an older picture") from error


def _error_out(error: ErrorRecord | None) -> list[Any] | None:
    if error is None:
        return None
    return [error.type, error.message, error.traceback, error.routine_id, error.activation_id, error.attempt]


def _group_out(number: int, group: Group) -> list[Any]:
    return [number, [list(tag) for tag in group.tags], group.failed, group.lost, group.item_count, group.delivered_by]


def _group_in(tags: Any, failed: Any, lost: int, item_count: int, delivered_by: int | None) -> Group:
    return Group(tuple((gather, number) for gather, number in tags), failed, lost, item_count, delivered_by)


def _error_in(plain: Any) -> ErrorRecord | None:
    return None if plain is None else ErrorRecord(*plain)


class _Writer:
    """Turns parts of a job into plain data."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now = clock.ticks()

    def time(self, ticks: int) -> int:
        return self._clock.epoch_ns(ticks)

    def deadline(self, ticks: int | None) -> list[int] | None:
        """A deadline, and how long it was away."""
        return None if ticks is None else [self.time(ticks), max(0, ticks - self._now)]

    def item(self, seq: int, item: Item, path: str) -> list[Any]:
        plain = [seq, encode(item[0], path), self.time(item[1]), self.time(item[2]), item[3]]
        if len(item) > 4:
            plain.append(encode(item[4], f"{path}.metadata"))
        return plain

    def ring(self, ring: Ring, path: str) -> dict[str, Any]:
        return {"total": ring.total, "entries": [encode(entry, f"{path}[{entry[0]}]") for entry in ring]}

    def history(self, ring: Ring) -> dict[str, Any]:
        entries = []
        for seq, at, routine_id, event, data in ring:
            if isinstance(data, tuple):
                number, attempt, started, ended, taken = data
                seqs = [[slot, [seq for part in found for seq in part]] for slot, found in taken]
                data = [number, attempt, self.time(started), self.time(ended), seqs]
            else:
                data = encode(data, f"$.execution_history[{seq}]")
                data = {"data": data}
            entries.append([seq, self.time(at), routine_id, event, data])
        return {"total": ring.total, "entries": entries}

    def dead_letter(self, letter: DeadLetter) -> list[Any]:
        path = f"$.dead_letters.{letter.dead_letter_id}"
        items = encode({slot: list(data) for slot, data in letter.items.items()}, path)
        return [letter.dead_letter_id, letter.routine_id, items, _error_out(letter.error), to_epoch_ns(letter.at)]

    def parked(self, item: ParkedItem, number: int) -> list[Any]:
        path = f"$.parked[{number}]"
        return [
            item.routine_id,
            item.slot,
            encode(item.data, path),
            self.time(item.emitted_at),
            item.emitted_from,
            encode(item.metadata, path),
            item.owner,
        ]

    def routine(self, record: RoutineRecord, pending: Sequence[StoredActivation]) -> dict[str, Any]:
        path = f"$.routines.{record.routine_id}"
        wake = record.wake
        return {
            "state": encode(record.state, f"{path}.state"),
            "memory": encode(record.memory, f"{path}.memory"),
            "groups": None if record.groups is None else [_group_out(n, g) for n, g in record.groups.open.items()],
            "wake": None if wake is None else [self.deadline(wake[0]), wake[1]],
            "activations": record.activation_count,
            "undone": record.undone,
            "ended": record.ended,
            "skipped": record.skipped,
            "unrouted": record.unrouted,
            "slots": {name: self.slot(slot.queue, f"{path}.{name}") for name, slot in record.slots.items()},
            "pending": [self.activation(stored, path) for stored in pending],
            "decisions": [self.decision(entry) for entry in record.decisions],
        }

    def slot(self, queue: ItemQueue, path: str) -> dict[str, Any]:
        definition = queue.definition
        with queue.lock:
            return {
                "definition": [definition.max_queue_length, definition.watermark, str(definition.on_full)],
                "limit": queue.limit,
                "next": queue.next_seq,
                "closed": queue.is_closed,
                "discarding": queue.discarding,
                "drops": queue.drops,
                "waiting": [self.item(seq, item, f"{path}[{seq}]") for seq, item in queue.peek()],
                "done": [
                    [
                        self.time(at),
                        [self.item(seq, item, f"{path}[{seq}]") for seq, item in zip(seqs, chunk, strict=True)],
                    ]
                    for at, seqs, chunk in queue.done
                ],
            }

    def activation(self, stored: StoredActivation, path: str) -> dict[str, Any]:
        where = f"{path}.activation[{stored.number}]"
        return {
            "number": stored.number,
            "attempt": stored.attempt,
            "boundary": stored.boundary,
            "taken": [
                [slot, [self.item(seq, item, f"{path}.{slot}[{seq}]") for seq, item in zip(seqs, chunk, strict=True)]]
                for slot, seqs, chunk in stored.taken
            ],
            "data": encode(stored.data, where),
            "message": encode(stored.message, f"{where}.policy_message"),
            "retry_due": self.deadline(stored.retry_due),
            "returned": stored.returned,
            "failed": stored.failed,
        }

    def decision(self, entry: list[Any]) -> list[Any]:
        facts: dict[str, Any]
        try:
            facts = {"note": str(entry[2])} if isinstance(entry[2], Note) else {"facts": encode(entry[2], "$")}
        except CodecError:
            facts = {"note": repr(entry[2])[:200]}
        if entry[0]:
            return [True, self.time(entry[1]), facts, entry[3]]
        return [False, self.time(entry[1]), facts, entry[3], self.time(entry[4])]


class _Reader:
    """Turns plain data into parts of a job; no stamp is later than now."""

    def __init__(self, clock: Clock, stored_now: int) -> None:
        self._clock = clock
        self._now = clock.ticks()
        self._shift = max(0, int(stored_now) - clock.epoch_ns(self._now))

    def time(self, epoch_ns: int) -> int:
        return min(self._now, self._clock.from_epoch_ns(epoch_ns))

    def deadline(self, plain: list[int] | None) -> int | None:
        if plain is None:
            return None
        at, remaining = plain
        left = at - self._clock.epoch_ns(self._now) - self._shift
        return self._now + max(0, min(left, remaining))

    def item(self, plain: list[Any]) -> tuple[int, Item]:
        seq, data, emitted_at, enqueued_at, sender, *metadata = plain
        item = (decode(data), self.time(emitted_at), self.time(enqueued_at), sender)
        return seq, (*item, decode(metadata[0])) if metadata else item

    def job(self, kind: Any, data: Mapping[str, Any]) -> Any:
        job = kind(data["flow_id"], data["job_id"], params=decode(data["params"]), clock=self._clock)
        job._status = ExecutionStatus(data["status"])
        job.run = data["run"]
        job.priority = data["priority"]
        job._time_shift = self._shift
        job._answer = decode(data["answer"])
        job.error = _error_in(data["error"])
        job._shared = decode(data["shared"])
        log = data["log"]
        job._log.restore([decode(entry) for entry in log["entries"]], log["total"])
        self.history(job._history, data["history"])
        job._leftovers = Leftovers(Leftover(*plain) for plain in data["leftovers"])
        job._dead_letter_count = data["dead_letter_count"]
        for letter_id, routine_id, items, error, at in data["dead_letters"]:
            found = _error_in(error)
            assert found is not None
            job._dead_letters[letter_id] = DeadLetter(letter_id, routine_id, decode(items), found, to_datetime(at))
        job._parked = [
            ParkedItem(routine_id, slot, decode(item), self.time(at), sender, decode(metadata), owner)
            for routine_id, slot, item, at, sender, metadata, owner in data["parked"]
        ]
        for routine_id, plain in data["routines"].items():
            job._records[routine_id] = self.routine(routine_id, plain)
        return job

    def history(self, ring: Ring, plain: Mapping[str, Any]) -> None:
        entries: list[tuple[Any, ...]] = []
        for seq, at, routine_id, event, data in plain["entries"]:
            if isinstance(data, list):
                number, attempt, started, ended, taken = data
                found = [(slot, [tuple(seqs)]) for slot, seqs in taken]
                data = (number, attempt, self.time(started), self.time(ended), found)
            else:
                data = decode(data["data"])
            entries.append((seq, self.time(at), routine_id, event, data))
        ring.restore(entries, plain["total"])

    def routine(self, routine_id: str, plain: Mapping[str, Any]) -> RoutineRecord:
        record = RoutineRecord(routine_id)
        record.state = decode(plain["state"])
        record.memory = decode(plain["memory"])
        if plain["groups"] is not None:
            record.groups = Groups(OrderedDict((number, _group_in(*group)) for number, *group in plain["groups"]))
        if plain["wake"] is not None:
            deadline = self.deadline(plain["wake"][0])
            assert deadline is not None
            record.wake = (deadline, plain["wake"][1])
        record.activation_count = plain["activations"]
        record.undone = plain["undone"]
        record.ended = plain["ended"]
        record.skipped = plain["skipped"]
        record.unrouted = plain["unrouted"]
        record.slots = {name: self.slot(routine_id, name, slot) for name, slot in plain["slots"].items()}
        record.pending = [self.activation(stored) for stored in plain["pending"]]
        for should, at, told, *rest in plain["decisions"]:
            facts = Note(told["note"]) if "note" in told else decode(told["facts"])
            if should:
                record.note_yes(self.time(at), facts, rest[0])
            else:
                record.note_no(self.time(at), facts, object())
                record.decisions[-1][3:] = [rest[0], self.time(rest[1]), None]
        return record

    def slot(self, routine_id: str, name: str, plain: Mapping[str, Any]) -> Slot:
        length, watermark, on_full = plain["definition"]
        queue = ItemQueue(SlotDefinition(name, length, watermark, on_full), routine_id, self._clock, shared=True)
        queue.refill(
            waiting=[self.item(item) for item in plain["waiting"]],
            done=[(self.time(at), [self.item(item) for item in items]) for at, items in plain["done"]],
            next_seq=plain["next"],
            limit=plain["limit"],
        )
        queue.is_closed = plain["closed"]
        queue.discarding = plain["discarding"]
        queue.drops = plain["drops"]
        return Slot.within(queue)

    def activation(self, plain: Mapping[str, Any]) -> StoredActivation:
        taken = []
        for slot, items in plain["taken"]:
            pairs = [self.item(item) for item in items]
            taken.append((slot, [seq for seq, _ in pairs], [item for _, item in pairs]))
        return StoredActivation(
            plain["number"],
            plain["attempt"],
            plain["boundary"],
            taken,
            decode(plain["data"]),
            decode(plain["message"]),
            self.deadline(plain["retry_due"]),
            plain["returned"],
            plain["failed"],
        )
