"""Routilux: an embeddable, event-driven workflow engine."""

import logging

from routilux.codec import register_type
from routilux.definition import Connection, OnFull, OnLeftover
from routilux.errors import (
    ActivationEndedError,
    ActivationTimeoutError,
    BadTypeError,
    BadValueError,
    CodecError,
    DeadLetterNotFoundError,
    DefinitionError,
    DuplicateNameError,
    EngineError,
    FlowNotFoundError,
    FrozenFlowError,
    InvalidFlowError,
    ItemNotFoundError,
    JobFinishedError,
    JobNotFoundError,
    JobStateError,
    JobTimeoutError,
    LeftoverError,
    LogicError,
    NoActivationError,
    PolicyError,
    ResourceNotFoundError,
    RoutiluxError,
    RoutineNotFoundError,
    RuntimeClosedError,
    SlotClosedError,
    SlotNotFoundError,
    SlotQueueFullError,
    SnapshotBusyError,
    StateVersionError,
    UnknownEventError,
    WaitWouldDeadlockError,
)
from routilux.explanation import Condition, DecisionRecord, Explanation, JobExplanation
from routilux.findings import Finding, Severity
from routilux.flow import Flow
from routilux.history import (
    DeadLetter,
    ErrorRecord,
    ExecutionRecord,
    ExecutionStatus,
    Leftover,
    Leftovers,
)
from routilux.job import JobState
from routilux.policies import (
    Decision,
    Policy,
    all_slots_ready_policy,
    batch_size_policy,
    custom_policy,
    immediate_policy,
    time_interval_policy,
)
from routilux.recovery import ErrorHandler, ErrorStrategy
from routilux.registry import FlowRegistry, flow_registry
from routilux.routine import Routine, routine
from routilux.runtime.limits import Rate
from routilux.runtime.ports import Observer
from routilux.runtime.runtime import Runtime, Shutdown
from routilux.slot import Slot, SlotDataPoint

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "ActivationEndedError",
    "ActivationTimeoutError",
    "BadTypeError",
    "BadValueError",
    "CodecError",
    "Condition",
    "Connection",
    "DeadLetter",
    "DeadLetterNotFoundError",
    "Decision",
    "DecisionRecord",
    "DefinitionError",
    "DuplicateNameError",
    "EngineError",
    "ErrorHandler",
    "ErrorRecord",
    "ErrorStrategy",
    "ExecutionRecord",
    "ExecutionStatus",
    "Explanation",
    "Finding",
    "Flow",
    "FlowNotFoundError",
    "FlowRegistry",
    "FrozenFlowError",
    "InvalidFlowError",
    "ItemNotFoundError",
    "JobExplanation",
    "JobFinishedError",
    "JobNotFoundError",
    "JobState",
    "JobStateError",
    "JobTimeoutError",
    "Leftover",
    "LeftoverError",
    "Leftovers",
    "LogicError",
    "NoActivationError",
    "Observer",
    "OnFull",
    "OnLeftover",
    "Policy",
    "PolicyError",
    "Rate",
    "ResourceNotFoundError",
    "RoutiluxError",
    "Routine",
    "RoutineNotFoundError",
    "Runtime",
    "RuntimeClosedError",
    "Severity",
    "Shutdown",
    "Slot",
    "SlotClosedError",
    "SlotDataPoint",
    "SlotNotFoundError",
    "SlotQueueFullError",
    "SnapshotBusyError",
    "StateVersionError",
    "UnknownEventError",
    "WaitWouldDeadlockError",
    "__version__",
    "all_slots_ready_policy",
    "batch_size_policy",
    "custom_policy",
    "flow_registry",
    "immediate_policy",
    "register_type",
    "routine",
    "time_interval_policy",
]
