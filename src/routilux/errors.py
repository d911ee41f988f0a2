"""Every error of Routilux.

    RoutiluxError
    ├── DefinitionError (ValueError)        something is wrong with a flow, a routine or a policy
    │   ├── RoutineNotFoundError            an unknown routine id
    │   ├── SlotNotFoundError               an unknown slot
    │   ├── UnknownEventError               an event that a declaring routine does not declare
    │   ├── DuplicateNameError              a name or connection that is taken
    │   ├── FrozenFlowError                 a change to a flow that runs or is registered
    │   └── InvalidFlowError                all findings of a flow that cannot run
    ├── FlowNotFoundError (LookupError)     an unregistered flow name
    ├── JobNotFoundError (LookupError)      a job id that this runtime does not know
    ├── ResourceNotFoundError (LookupError) a resource that the runtime was not given
    ├── DeadLetterNotFoundError (LookupError)
    ├── ItemNotFoundError (LookupError)     an item that is not waiting in its slot
    ├── SlotQueueFullError                  no room in a slot
    ├── SlotClosedError                     nothing can be put into this slot any more
    ├── PolicyError (TypeError)             a policy answered something that is no decision
    ├── LogicError (TypeError)              a logic did what its kind must not do
    ├── NoActivationError (RuntimeError)    a call that needs an activation around it
    ├── ActivationEndedError (RuntimeError) an effect of an activation that is over
    ├── ActivationTimeoutError (TimeoutError)
    ├── JobTimeoutError (TimeoutError)
    ├── JobStateError (ValueError)          this job cannot do that in its status
    │   ├── JobFinishedError                a post to a job that has ended
    │   └── StateVersionError               stored data of another version or flow
    ├── SnapshotBusyError (RuntimeError)    live activations stood in the way of a picture
    ├── LeftoverError (RuntimeError)        items remained in a flow that forbids it
    ├── WaitWouldDeadlockError (RuntimeError)
    ├── RuntimeClosedError (RuntimeError)   the runtime was shut down, or belongs to another process
    ├── CodecError (ValueError)             a value that cannot be stored
    ├── StoreError (RuntimeError)           the store of durable jobs
    │   ├── StoreAddressError (ValueError)  no store can be made of this address
    │   ├── StoreOwnedError                 another process runs the jobs of this file
    │   ├── StoreVersionError               the file is of a newer format
    │   ├── StoreDamagedError               the file as a whole is damaged, or lost its last commits
    │   ├── StoreUnavailableError           disk full, I/O error, connection lost: nothing acknowledged is lost
    │   ├── StoreClosedError                the store is closed, read-only, or belongs to another process
    │   ├── JobDamagedError                 the stored data of one job is damaged
    │   ├── FencedError                     another executor has taken the job over
    │   ├── SequenceError                   a record that does not follow the last one
    │   ├── DuplicateKeyError               a record whose key is stored already
    │   └── RecordRefusedError              a record that the store cannot write
    ├── BadValueError (ValueError)          an argument out of its range
    ├── BadTypeError (TypeError)            an argument of the wrong kind
    └── EngineError (RuntimeError)          a fault of Routilux itself

Facts are fields; the message is built from them and says what to do. All survive pickling.
"""

from collections.abc import Iterable


def names(known: Iterable[str]) -> str:
    """List names for a message."""
    listed = [repr(name) for name in known]
    return ", ".join(listed) if listed else "none"


class RoutiluxError(Exception):
    """Everything that Routilux raises on its own account."""


class BadValueError(RoutiluxError, ValueError):
    """An argument has a value that makes no sense; the message says which are allowed."""


class BadTypeError(RoutiluxError, TypeError):
    """An argument is of the wrong kind."""


class DefinitionError(RoutiluxError, ValueError):
    """A flow, routine, slot or policy is defined in a way that cannot work."""


class RoutineNotFoundError(DefinitionError):
    """No routine of this flow has this id."""

    def __init__(self, routine_id: str, known: Iterable[str]) -> None:
        self.routine_id = routine_id
        self.known = tuple(known)
        super().__init__(routine_id, self.known)

    def __str__(self) -> str:
        return f"no routine {self.routine_id!r}; this flow has {names(self.known)}"


class SlotNotFoundError(DefinitionError):
    """The routine has no slot of this name."""

    def __init__(self, routine_id: str, slot: str, known: Iterable[str]) -> None:
        self.routine_id = routine_id
        self.slot = slot
        self.known = tuple(known)
        super().__init__(routine_id, slot, self.known)

    def __str__(self) -> str:
        return f"routine {self.routine_id!r} has no slot {self.slot!r}; it has {names(self.known)}"


class UnknownEventError(DefinitionError):
    """A routine that declares its events may emit only those."""

    def __init__(self, routine_id: str, event: str, known: Iterable[str]) -> None:
        self.routine_id = routine_id
        self.event = event
        self.known = tuple(known)
        super().__init__(routine_id, event, self.known)

    def __str__(self) -> str:
        return (
            f"routine {self.routine_id!r} declares no event {self.event!r}; it declares "
            f"{names(self.known)}; add it with add_event({self.event!r})"
        )


class DuplicateNameError(DefinitionError):
    """A name, an id or a connection exists already."""

    def __init__(self, kind: str, name: str, advice: str = "choose another one") -> None:
        self.kind = kind
        self.name = name
        self.advice = advice
        super().__init__(kind, name, advice)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} exists already; {self.advice}"


class FrozenFlowError(DefinitionError):
    """A registered or running flow cannot be changed."""

    def __init__(self, flow_id: str, change: str) -> None:
        self.flow_id = flow_id
        self.change = change
        super().__init__(flow_id, change)

    def __str__(self) -> str:
        return (
            f"cannot {self.change}: flow {self.flow_id!r} is registered or has run, so jobs share it; build a new Flow"
        )


class InvalidFlowError(DefinitionError):
    """A flow has findings that keep it from running; all of them are listed."""

    def __init__(self, flow_id: str, findings: Iterable[object]) -> None:
        self.flow_id = flow_id
        self.findings = tuple(findings)
        super().__init__(flow_id, self.findings)

    def __str__(self) -> str:
        lines = "".join(f"\n  {finding}" for finding in self.findings)
        return f"flow {self.flow_id!r} cannot run:{lines}"


class FlowNotFoundError(RoutiluxError, LookupError, ValueError):
    """No flow is registered under this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(name, self.known)

    def __str__(self) -> str:
        return f"no flow {self.name!r} is registered; registered are {names(self.known)}"


class JobNotFoundError(RoutiluxError, LookupError):
    """This runtime knows no job of this id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(job_id)

    def __str__(self) -> str:
        return (
            f"no job {self.job_id!r} in this runtime; it may have been forgotten "
            "(finished jobs are kept up to keep_finished)"
        )


class ResourceNotFoundError(RoutiluxError, LookupError):
    """The runtime was not given this resource."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(name, self.known)

    def __str__(self) -> str:
        return (
            f"no resource {self.name!r}; this runtime has {names(self.known)}; "
            f"pass it as Runtime(resources={{{self.name!r}: ...}})"
        )


class DeadLetterNotFoundError(RoutiluxError, LookupError):
    """The job has no dead letter of this id."""

    def __init__(self, job_id: str, dead_letter_id: str, known: Iterable[str]) -> None:
        self.job_id = job_id
        self.dead_letter_id = dead_letter_id
        self.known = tuple(known)
        super().__init__(job_id, dead_letter_id, self.known)

    def __str__(self) -> str:
        return f"job {self.job_id} has no dead letter {self.dead_letter_id!r}; it has {names(self.known)}"


class ItemNotFoundError(RoutiluxError, LookupError):
    """No waiting item of the slot has this sequence number."""

    def __init__(self, slot: str, seq: int) -> None:
        self.slot = slot
        self.seq = seq
        super().__init__(slot, seq)

    def __str__(self) -> str:
        return f"slot {self.slot!r} holds no waiting item number {self.seq}; it was consumed, dropped or never came"


class SlotQueueFullError(RoutiluxError):
    """A slot has no room, and clearing what was consumed gives none."""

    def __init__(
        self, slot: str, routine_id: str, max_queue_length: int, unconsumed_count: int, total_count: int
    ) -> None:
        self.slot = slot
        self.routine_id = routine_id
        self.max_queue_length = max_queue_length
        self.unconsumed_count = unconsumed_count
        self.total_count = total_count
        super().__init__(slot, routine_id, max_queue_length, unconsumed_count, total_count)

    def __str__(self) -> str:
        owner = f" of routine {self.routine_id!r}" if self.routine_id else ""
        return (
            f"slot {self.slot!r}{owner} is full: {self.unconsumed_count} unconsumed of at most "
            f"{self.max_queue_length} (total {self.total_count}); consume, raise max_queue_length or choose on_full"
        )


class SlotClosedError(RoutiluxError):
    """Everything that fed this slot has ended; it takes nothing more."""

    def __init__(self, slot: str, routine_id: str) -> None:
        self.slot = slot
        self.routine_id = routine_id
        super().__init__(slot, routine_id)

    def __str__(self) -> str:
        return (
            f"slot {self.slot!r} of routine {self.routine_id!r} is closed: all that feeds it has ended; "
            "start the job with keep_open=True to post to it later"
        )


class PolicyError(RoutiluxError, TypeError):
    """An activation policy answered something that is no decision."""

    def __init__(self, routine_id: str, problem: str) -> None:
        self.routine_id = routine_id
        self.problem = problem
        super().__init__(routine_id, problem)

    def __str__(self) -> str:
        return (
            f"the activation policy of {self.routine_id!r} {self.problem}; it must return "
            "(should_activate, {slot: [data, ...]}, policy_message)"
        )


class LogicError(RoutiluxError, TypeError):
    """A logic did something that its kind must not do."""

    def __init__(self, routine_id: str, problem: str) -> None:
        self.routine_id = routine_id
        self.problem = problem
        super().__init__(routine_id, problem)

    def __str__(self) -> str:
        return f"the logic of {self.routine_id!r} {self.problem}"


class NoActivationError(RoutiluxError, RuntimeError):
    """The call needs to know its job, and no activation is running here."""

    def __init__(self, call: str, problem: str = "") -> None:
        self.call = call
        self.problem = problem
        super().__init__(call, problem)

    def __str__(self) -> str:
        reason = self.problem or "no activation is running on this thread"
        return f"{self.call}: {reason}; call it inside the logic, or pass job_state="


class ActivationEndedError(RoutiluxError, RuntimeError):
    """The activation that tries to take effect was abandoned or has ended."""

    def __init__(self, activation_id: str) -> None:
        self.activation_id = activation_id
        super().__init__(activation_id)

    def __str__(self) -> str:
        return f"activation {self.activation_id} is over (ended, timed out or cancelled): its effects are discarded"


class ActivationTimeoutError(RoutiluxError, TimeoutError):
    """One activation took longer than its routine allows."""

    def __init__(self, routine_id: str, timeout: float) -> None:
        self.routine_id = routine_id
        self.timeout = timeout
        super().__init__(routine_id, timeout)

    def __str__(self) -> str:
        return f"an activation of {self.routine_id!r} took longer than its timeout of {self.timeout} s"


class JobTimeoutError(RoutiluxError, TimeoutError):
    """A job took longer than it may."""

    def __init__(self, job_id: str, timeout: float) -> None:
        self.job_id = job_id
        self.timeout = timeout
        super().__init__(job_id, timeout)

    def __str__(self) -> str:
        return f"job {self.job_id} took longer than its timeout of {self.timeout} s"


class JobStateError(RoutiluxError, ValueError):
    """The job cannot do that, being what it is."""

    def __init__(self, job_id: str, problem: str) -> None:
        self.job_id = job_id
        self.problem = problem
        super().__init__(job_id, problem)

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.problem}"


class JobFinishedError(JobStateError):
    """The job has ended and takes nothing more."""


class StateVersionError(JobStateError):
    """The stored data is of another version or belongs to another flow."""


class SnapshotBusyError(RoutiluxError, RuntimeError):
    """Live activations did not reach a boundary in time."""

    def __init__(self, job_id: str, routine_ids: Iterable[str]) -> None:
        self.job_id = job_id
        self.routine_ids = tuple(routine_ids)
        super().__init__(job_id, self.routine_ids)

    def __str__(self) -> str:
        return (
            f"job {self.job_id}: live activations of {names(self.routine_ids)} did not return or yield in time; "
            "wait longer, make them atomic, or take interrupted=True"
        )


class LeftoverError(RoutiluxError, RuntimeError):
    """A job of a flow with on_leftover='fail' ended with items nobody consumed."""

    def __init__(self, job_id: str, summary: str) -> None:
        self.job_id = job_id
        self.summary = summary
        super().__init__(job_id, summary)

    def __str__(self) -> str:
        return f"job {self.job_id} ended with items nobody consumed: {self.summary}"


class WaitWouldDeadlockError(RoutiluxError, RuntimeError):
    """A logic wants to wait for a job that could then never end."""

    def __init__(self, job_id: str, problem: str) -> None:
        self.job_id = job_id
        self.problem = problem
        super().__init__(job_id, problem)

    def __str__(self) -> str:
        return (
            f"waiting for job {self.job_id} would never end: {self.problem}; "
            "use on_complete, an async logic, or a larger thread_pool_size"
        )


class RuntimeClosedError(RoutiluxError, RuntimeError):
    """The runtime takes no more work."""

    def __init__(self, problem: str = "it was shut down") -> None:
        self.problem = problem
        super().__init__(problem)

    def __str__(self) -> str:
        return f"this runtime cannot be used: {self.problem}; make a new Runtime"


class CodecError(RoutiluxError, ValueError):
    """A value cannot be stored, or stored data is not what the codec writes."""

    def __init__(self, path: str, found: str, advice: str = "") -> None:
        self.path = path
        self.found = found
        self.advice = advice
        super().__init__(path, found, advice)

    def __str__(self) -> str:
        return f"{self.path}: {self.found}" + (f"; {self.advice}" if self.advice else "")


class StoreError(RoutiluxError, RuntimeError):
    """Something about the store of durable jobs."""


class StoreAddressError(StoreError, ValueError):
    """No store can be made of this address."""

    def __init__(self, address: str, problem: str) -> None:
        self.address = address
        self.problem = problem
        super().__init__(address, problem)

    def __str__(self) -> str:
        return f"store {self.address!r}: {self.problem}"


class StoreOwnedError(StoreError):
    """Another process runs the jobs of this file."""

    def __init__(self, address: str, owner: str) -> None:
        self.address = address
        self.owner = owner
        super().__init__(address, owner)

    def __str__(self) -> str:
        return (
            f"store {self.address!r} is in use by {self.owner}; one process runs the jobs of a file: stop that one, "
            "open the store read-only, or use PostgreSQL to share jobs among processes"
        )


class StoreVersionError(StoreError):
    """The store was written by a newer Routilux, or is no store of Routilux."""

    def __init__(self, address: str, found: str, known: int) -> None:
        self.address = address
        self.found = found
        self.known = known
        super().__init__(address, found, known)

    def __str__(self) -> str:
        return (
            f"store {self.address!r} is of {self.found}; this Routilux reads formats up to {self.known}: "
            "use a newer Routilux, or another file"
        )


class StoreDamagedError(StoreError):
    """The store as a whole is damaged, or has lost commits that were acknowledged."""

    def __init__(self, address: str, problem: str) -> None:
        self.address = address
        self.problem = problem
        super().__init__(address, problem)

    def __str__(self) -> str:
        return (
            f"store {self.address!r}: {self.problem}; nothing was changed: restore a backup, "
            "or open it with accept_loss=True to go on with what is there"
        )


class StoreUnavailableError(StoreError):
    """The store cannot write at this moment; what was acknowledged is safe.

    ``handle_lost`` says that the handle must be opened anew, since what it said last may be untrue.
    """

    def __init__(self, address: str, problem: str, handle_lost: bool = False) -> None:
        self.address = address
        self.problem = problem
        self.handle_lost = handle_lost
        super().__init__(address, problem, handle_lost)

    def __str__(self) -> str:
        return (
            f"store {self.address!r} cannot write now: {self.problem}; nothing acknowledged is lost, it is tried again"
        )


class StoreClosedError(StoreError):
    """The store takes nothing: it is closed, read-only, or was opened by another process."""

    def __init__(self, address: str, problem: str) -> None:
        self.address = address
        self.problem = problem
        super().__init__(address, problem)

    def __str__(self) -> str:
        return f"store {self.address!r} {self.problem}; open it anew with open_store({self.address!r})"


class JobDamagedError(StoreError):
    """The stored data of one job is damaged; other jobs are not touched by that."""

    def __init__(self, job_id: str, problem: str, salvage: str | None = None) -> None:
        self.job_id = job_id
        self.problem = problem
        self.salvage = salvage
        super().__init__(job_id, problem, salvage)

    def __str__(self) -> str:
        kept = f"; what could be read is in {self.salvage}" if self.salvage else ""
        return (
            f"job {self.job_id}: its stored data is damaged: {self.problem}{kept}; restore a backup, or delete the job"
        )


class FencedError(StoreError):
    """Another executor has taken the job over; nothing this one does for it counts any more."""

    def __init__(self, job_id: str, epoch: int) -> None:
        self.job_id = job_id
        self.epoch = epoch
        super().__init__(job_id, epoch)

    def __str__(self) -> str:
        return f"job {self.job_id} is not held here in epoch {self.epoch}: stop its work, its results are discarded"


class SequenceError(StoreError):
    """A record that does not follow the last one of its job."""

    def __init__(self, job_id: str, seq: int, expected: int) -> None:
        self.job_id = job_id
        self.seq = seq
        self.expected = expected
        super().__init__(job_id, seq, expected)

    def __str__(self) -> str:
        return f"job {self.job_id}: record {self.seq} was refused, {self.expected} comes next; load the job anew"


class DuplicateKeyError(StoreError):
    """A record of this key is stored already; the second one was stored as an empty one."""

    def __init__(self, job_id: str, key: str, seq: int) -> None:
        self.job_id = job_id
        self.key = key
        self.seq = seq
        super().__init__(job_id, key, seq)

    def __str__(self) -> str:
        return f"job {self.job_id}: a record of key {self.key!r} is already there, as number {self.seq}"


class RecordRefusedError(StoreError):
    """The store cannot write this record, whatever is tried; its neighbours are not touched by that."""

    def __init__(self, job_id: str, problem: str) -> None:
        self.job_id = job_id
        self.problem = problem
        super().__init__(job_id, problem)

    def __str__(self) -> str:
        return f"job {self.job_id}: a record cannot be stored: {self.problem}"


class EngineError(RoutiluxError, RuntimeError):
    """A fault of Routilux itself; please report it with its traceback."""
