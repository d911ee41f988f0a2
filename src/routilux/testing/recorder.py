"""An observer that keeps what it hears."""

from typing import Any

from routilux.history import ExecutionStatus
from routilux.job import JobState
from routilux.runtime.ports import Observer


class Recorder(Observer):
    """Keeps every call of a hook as ``(hook, routine_id or status, facts)``, in order. For tests."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, tuple[Any, ...]]] = []

    def on_job_status(self, job_state: JobState, old: ExecutionStatus, new: ExecutionStatus) -> None:
        """Keep it."""
        self.heard.append(("job_status", str(new), (old,)))

    def on_decision(self, job_state: JobState, routine_id: str, decision: Any) -> None:
        """Keep it."""
        self.heard.append(("decision", routine_id, (decision,)))

    def on_activation_started(self, job_state: JobState, routine_id: str, *facts: Any) -> None:
        """Keep it."""
        self.heard.append(("activation_started", routine_id, facts))

    def on_activation_ended(self, job_state: JobState, routine_id: str, *facts: Any) -> None:
        """Keep it."""
        self.heard.append(("activation_ended", routine_id, facts))

    def on_activation_failed(self, job_state: JobState, routine_id: str, *facts: Any) -> None:
        """Keep it."""
        self.heard.append(("activation_failed", routine_id, facts))

    def on_items_dropped(self, job_state: JobState, routine_id: str, *facts: Any) -> None:
        """Keep it."""
        self.heard.append(("items_dropped", routine_id, facts))

    def of(self, hook: str) -> list[tuple[str, tuple[Any, ...]]]:
        """Give what one hook heard."""
        return [(name, facts) for heard, name, facts in self.heard if heard == hook]
