"""What answers for a job when its run is over: the cells are gone, what the job knows is enough.

A run and its cells refer to each other; letting go of them at the end spares the garbage collector the search.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routilux.clock import Clock
from routilux.errors import JobFinishedError, ResourceNotFoundError, RoutineNotFoundError
from routilux.explanation import Explanation
from routilux.job import JobState
from routilux.record import RoutineRecord
from routilux.runtime import explaining
from routilux.runtime.mode import Mode
from routilux.runtime.plan import FlowPlan, RoutinePlan
from routilux.snapshot import picture_of


@dataclass(slots=True)
class EndedCell:
    """A cell as `explaining` sees it, made of what is left."""

    plan: RoutinePlan
    record: RoutineRecord
    job: JobState
    run: Any
    flights: tuple[Any, ...] = ()
    hold: Any = None
    in_line: bool = False
    policy_pauses: bool = False
    ready: tuple[None, ...] = ()

    @property
    def routine_id(self) -> str:
        """The routine."""
        return self.plan.routine_id


@dataclass(slots=True)
class EndedRun:
    """A run as `explaining` sees it, made of what is left."""

    job: JobState
    clock: Clock
    cells: list[EndedCell] = field(default_factory=list)
    mode: Mode = Mode.OVER
    door_open: bool = False
    starved: tuple[Any, ...] = ()


class Afterlife:
    """The host of a job that has ended. Holds nothing of the job."""

    __slots__ = ("_clock", "_flow", "_plan", "_resources", "is_cancelled")

    is_live = False

    def __init__(
        self, flow: Any, plan: FlowPlan, clock: Clock, resources: Mapping[str, Any], is_cancelled: bool
    ) -> None:
        self._flow = flow
        self._plan = plan
        self._clock = clock
        self._resources = resources
        self.is_cancelled = is_cancelled

    def explain(self, job: JobState, routine_id: str) -> Explanation:
        """Say why a routine ran, or did not."""
        index = self._plan.index.get(routine_id)
        if index is None:
            raise RoutineNotFoundError(routine_id, self._plan.index)
        view = EndedRun(job, self._clock)
        view.cells = [EndedCell(plan, job._record(plan.routine_id), job, view) for plan in self._plan.routines]
        return explaining.explain(view, view.cells[index])

    def flow(self) -> Any:
        """Give the Flow."""
        return self._flow

    def resource(self, name: str) -> Any:
        """Give a live object of the runtime."""
        try:
            return self._resources[name]
        except KeyError:
            raise ResourceNotFoundError(name, self._resources) from None

    def emit_from_outside(self, job: JobState, routine: Any, event: str, item: Any) -> None:
        """Refuse."""
        raise JobFinishedError(job.job_id, f"takes no more items: it is {job.status}")

    def picture(self, job: JobState, timeout: float | None, interrupted: bool) -> dict[str, Any]:
        """Give a picture of the job as it ended."""
        return picture_of(job, ())

    async def finished(self, job: JobState) -> None:
        """Return at once: it has ended."""
