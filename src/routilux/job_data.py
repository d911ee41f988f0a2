"""The data of a job: namespaces, shared data, log, history, result.

Design: §6.4, §6.5.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from routilux.clock import Clock, to_datetime
from routilux.current import current
from routilux.effects import Apply, Effects
from routilux.errors import ActivationEndedError
from routilux.history import ExecutionRecord, Ring
from routilux.record import RoutineRecord

HISTORY_KEPT = 1000
LOG_KEPT = 10_000


class _Scope(Enum):
    """A namespace that belongs to no routine."""

    SHARED = "shared data"
    RESULT = "result"
    LOG = "log"
    HISTORY = "history"


class JobData:
    """What user code reads and writes; safe from any thread.

    Values are given by reference, namespaces as shallow copies: treat values as immutable and replace them.
    Inside an atomic activation writes take effect when it commits; it sees its own at once.
    """

    __slots__ = (
        "_answer",
        "_clock",
        "_history",
        "_lock",
        "_log",
        "_own_lists",
        "_records",
        "_shared",
        "job_id",
    )

    def __init__(self, job_id: str, clock: Clock) -> None:
        self.job_id = job_id
        self._clock = clock
        self._lock = threading.RLock()  # guards the namespaces, the result and the dictionaries of records
        self._records: dict[str, RoutineRecord] = {}
        self._shared: dict[str, Any] = {}
        self._log = Ring(LOG_KEPT)
        self._history = Ring(HISTORY_KEPT)
        self._answer: dict[str, Any] = {}
        self._own_lists: dict[tuple[Any, str], list[Any]] = {}

    def _record(self, routine_id: str) -> RoutineRecord:
        record = self._records.get(routine_id)
        if record is None:
            with self._lock:
                record = self._records.setdefault(routine_id, RoutineRecord(routine_id))
        return record

    # --- routine states -------------------------------------------------------------------------------------

    @property
    def routine_states(self) -> dict[str, dict[str, Any]]:
        """Every routine's namespace, as copies; routines that stored nothing are left out."""
        with self._lock:
            return {
                routine_id: dict(view)
                for routine_id, record in self._records.items()
                if (view := self._view(routine_id, record.state or {}))
            }

    def get_routine_state(self, routine_id: str, key: str | None = None, default: Any = None) -> Any:
        """Give a routine's namespace as a shallow copy, or one value of it; ``default`` where there is none."""
        record = self._records.get(routine_id)
        with self._lock:
            view = self._view(routine_id, (record.state if record else None) or {})
            if key is not None:
                return view.get(key, default)
            return dict(view) if view or default is None else default

    def update_routine_state(self, routine_id: str, updates: Mapping[str, Any]) -> None:
        """Merge values into a routine's namespace, like `dict.update`."""
        copied = dict(updates)
        self._change(routine_id, lambda state, _: state.update(copied))

    def update_routine_state_of(self, routine_id: str, updates: Mapping[str, Any]) -> None:
        """Merge values on behalf of the engine, whatever activation is around."""
        with self._lock:
            self._namespace(routine_id).update(updates)

    def mutate_routine_state(
        self, routine_id: str, key: str, function: Callable[[Any], Any], default: Any = None
    ) -> Any:
        """Replace one value by ``function(value)`` in one atomic step, and give the new one.

        In an atomic activation the function is applied again at commit: it must be pure.
        """
        return self._mutate(routine_id, key, function, default)

    def append_routine_state(self, routine_id: str, key: str, value: Any) -> None:
        """Append to a list in a routine's namespace, in one atomic step."""
        self._append(routine_id, key, value)

    # --- shared data ----------------------------------------------------------------------------------------

    @property
    def shared_data(self) -> dict[str, Any]:
        """What all routines share, as a shallow copy."""
        with self._lock:
            return dict(self._view(_Scope.SHARED, self._shared))

    def get_shared_data(self, key: str | None = None, default: Any = None) -> Any:
        """Give one shared value, or all of them as a shallow copy."""
        with self._lock:
            view = self._view(_Scope.SHARED, self._shared)
            return dict(view) if key is None else view.get(key, default)

    def update_shared_data(self, key: str | Mapping[str, Any], value: Any = None) -> None:
        """Set one shared value, or merge several."""
        copied = {key: value} if isinstance(key, str) else dict(key)
        self._change(_Scope.SHARED, lambda state, _: state.update(copied))

    def mutate_shared_data(self, key: str, function: Callable[[Any], Any], default: Any = None) -> Any:
        """Replace one shared value by ``function(value)`` in one atomic step, and give the new one.

        In an atomic activation the function is applied again at commit: it must be pure.
        """
        return self._mutate(_Scope.SHARED, key, function, default)

    def append_shared_data(self, key: str, value: Any) -> None:
        """Append to a shared list, in one atomic step."""
        self._append(_Scope.SHARED, key, value)

    # --- log, history, result -------------------------------------------------------------------------------

    @property
    def shared_log(self) -> list[Any]:
        """What `append_shared_log` took, oldest first; the last so many entries."""
        return [entry for _, entry in self._log]

    def append_shared_log(self, entry: Any) -> None:
        """Add an entry to the log that all routines share."""
        effects = self._effects()
        if effects is None:
            self._log.append(entry)
        else:
            effects.changes.append((_Scope.LOG, lambda log, _: log.append(entry)))

    @property
    def execution_history(self) -> list[ExecutionRecord]:
        """What happened, oldest first: activations with what they took, failures, drops, your own records."""
        return [
            ExecutionRecord(
                seq, to_datetime(self._clock.epoch_ns(at)), routine_id, event, expand(self.job_id, routine_id, data)
            )
            for seq, at, routine_id, event, data in self._history
        ]

    def history_door(self) -> tuple[Callable[[tuple[Any, ...]], None], Iterator[int]]:
        """Give the engine what it needs to add an entry without a call in between: append, and the numbers."""
        return self._history.door()

    def trim(self) -> None:
        """Forget the oldest lines of the history where the engine added too many."""
        self._history.trim()

    @property
    def forgotten_counts(self) -> dict[str, int]:
        """How many entries the bounded rings no longer hold."""
        return {"execution_history": self._history.forgotten, "shared_log": self._log.forgotten}

    def record_execution(self, routine_id: str, event_name: str, data: Any = None) -> None:
        """Add your own line to the history."""
        effects = self._effects()
        entry = (self._clock.ticks(), routine_id, event_name, {} if data is None else data)
        if effects is None:
            self._history.append(*entry)
        else:
            effects.changes.append((_Scope.HISTORY, lambda history, _: history.append(*entry)))

    def set_result(self, value: Any) -> None:
        """Set the job's answer; the last call wins."""
        self._change(_Scope.RESULT, lambda state, _: state.update(result=value))

    @property
    def result(self) -> Any:
        """The job's answer; None until it is set."""
        with self._lock:
            return self._view(_Scope.RESULT, self._answer).get("result")

    def clear_data(self) -> None:
        """Empty namespaces, shared data, log and history; queues and the result stay."""
        with self._lock:
            for record in self._records.values():
                record.state = None
            self._shared.clear()
            self._own_lists.clear()
        self._log.clear()
        self._history.clear()

    # --- how writes take effect -----------------------------------------------------------------------------

    def _effects(self) -> Effects | None:
        """Give the buffer of the atomic activation around us, or None where writes take effect at once."""
        frame = current.get()
        if frame is None or frame.job_state is not self:
            return None
        if frame.is_over:
            raise ActivationEndedError(frame.activation_id)
        effects: Effects | None = frame.effects
        return effects

    def _view(self, scope: Any, committed: dict[str, Any]) -> dict[str, Any]:
        frame = current.get()
        if frame is None or frame.job_state is not self or frame.effects is None:
            return committed
        view: dict[str, Any] = frame.effects.view(scope, committed)
        return view

    def _change(self, scope: Any, apply: Apply) -> None:
        effects = self._effects()
        with self._lock:
            if effects is None:
                apply(self._namespace(scope), self._own_lists)
            else:
                effects.change(scope, self._namespace(scope), apply)

    def _mutate(self, scope: Any, key: str, function: Callable[[Any], Any], default: Any) -> Any:
        answer: list[Any] = []

        def apply(state: dict[str, Any], _: Any) -> None:
            state[key] = value = function(state.get(key, default))
            answer[:] = [value]

        effects = self._effects()
        if effects is not None:
            effects.may_fail = True
        self._change(scope, apply)
        return answer[0]

    def _append(self, scope: Any, key: str, value: Any) -> None:
        def apply(state: dict[str, Any], own_lists: dict[Any, list[Any]]) -> None:
            found: list[Any] | None = state.get(key)
            if found is None or own_lists.get((scope, key)) is not found:
                found = list(found or ())  # what a user gave, or another namespace shows, is not changed in place
                state[key] = own_lists[scope, key] = found
            found.append(value)

        self._change(scope, apply)

    def _namespace(self, scope: Any) -> dict[str, Any]:
        if scope is _Scope.SHARED:
            return self._shared
        if scope is _Scope.RESULT:
            return self._answer
        record = self._record(scope)
        if record.state is None:
            record.state = {}
        return record.state

    def commit_changes(self, effects: Effects) -> None:
        """Apply what an atomic activation changed, together."""
        with self._lock:
            staged: dict[Any, dict[str, Any]] = {}
            if effects.may_fail:  # on copies first: if a function raises, nothing has happened
                own_lists: dict[Any, list[Any]] = {}
                for scope, apply in effects.changes:
                    if scope not in (_Scope.LOG, _Scope.HISTORY):
                        apply(staged.setdefault(scope, dict(self._namespace(scope))), own_lists)
            for scope, apply in effects.changes:
                if scope is _Scope.LOG:
                    apply(self._log, {})
                elif scope is _Scope.HISTORY:
                    apply(self._history, {})
                elif not staged:
                    apply(self._namespace(scope), self._own_lists)
            for scope, state in staged.items():
                self._namespace(scope).update(state)


def activation_id_of(job_id: str, routine_id: str, number: int) -> str:
    """Name an activation: the same over retries and recovery, and never given twice."""
    return f"{job_id}/{routine_id}/{number}"


def expand(job_id: str, routine_id: str, data: Any) -> dict[str, Any]:
    """Turn the compact entry of the history into what people read."""
    if not isinstance(data, tuple):
        return data if isinstance(data, dict) else {"data": data}
    number, attempt, started_at, ended_at, taken = data
    return {
        "activation_id": activation_id_of(job_id, routine_id, number),
        "attempt": attempt,
        "duration_seconds": (ended_at - started_at) / 1e9,
        "items": {slot: [seq for seqs in found for seq in seqs] for slot, found in taken},
    }
