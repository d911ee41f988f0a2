"""Small builders: a simulation, sources, sinks, and flows from arrows."""

from typing import Any

import pytest

from routilux import Flow, Routine
from routilux.testing import SimRuntime


@pytest.fixture
def sim() -> Any:
    """A runtime on one thread with a clock that stands still."""
    runtime = SimRuntime(seed=1)
    yield runtime
    runtime.shutdown(wait=False)


@pytest.fixture
def source() -> Any:
    """Make a routine that emits these values on "out"."""

    def make(*values: Any, name: str = "source", **options: Any) -> Routine:
        def emit_all(routine: Any) -> None:
            for value in values:
                routine.emit("out", value)

        return Routine(name, **options).set_logic(emit_all)

    return make


@pytest.fixture
def sink() -> Any:
    """Make a routine that notes each call's lists under "seen" in the shared data."""

    def make(*slots: str, name: str = "sink", policy: Any = None, key: str = "seen", **limits: Any) -> Routine:
        made = Routine(name).set_logic(lambda *lists, job_state: job_state.append_shared_data(key, list(lists)))
        for slot in slots or ("items",):
            made.add_slot(slot, **limits)
        return made.set_activation_policy(policy) if policy else made

    return make


@pytest.fixture
def wire() -> Any:
    """Make a flow of routines by id, and of arrows such as ``a.out > b.items``."""

    def make(routines: dict[str, Routine], *arrows: str, **options: Any) -> Flow:
        flow = Flow(options.pop("flow_id", "flow"), **options)
        for routine_id, made in routines.items():
            flow.add_routine(made, routine_id)
        for arrow in arrows:
            left, right = (side.strip().split(".") for side in arrow.split(">"))
            flow.connect(left[0], left[1], right[0], right[1])
        return flow

    return make


@pytest.fixture
def run(sim: Any) -> Any:
    """Run a flow to its end, moving the clock from timer to timer, and give the job."""

    def make(flow: Flow, **options: Any) -> Any:
        job = sim.exec(flow, **options)
        assert sim.wait_for_job(job.job_id, 1e6), job.status
        return job

    return make
