"""One job with one routine that is fed by hand: what it saw, stored and resumed, and how much work it was."""

import json
import sys
from typing import Any

from routilux import Flow, JobState, Routine
from routilux.testing import ManualClock, SimRuntime


def flow_of(policy: Any, *slots: str, handler: Any = None, length: int | None = None, width: int = 1) -> Any:
    def note(*lists: Any, job_state: Any, policy_message: Any) -> None:
        job_state.append_shared_data("seen", [list(items) for items in lists])
        if job_state.get_shared_data("failing", "nothing") in policy_message.values() and (
            job_state.attempt == 1 or job_state.get_shared_data("always")
        ):
            raise ValueError("bad luck")

    target = (
        Routine("t", atomic=False, max_concurrency=width, ordered=False).set_activation_policy(policy).set_logic(note)
    )
    if handler is not None:
        target.set_error_handler(handler)
    for name in slots:
        target.add_slot(name, max_queue_length=length)
    return Flow("joins", on_leftover="ok").add_routine(target, "t")


class Scene:
    """One job that is fed by hand."""

    def __init__(self, policy: Any, *slots: str, inputs: Any = None, **options: Any) -> None:
        self.flow = flow_of(policy, *slots, **options)
        self.clock = ManualClock()
        self.sim = SimRuntime(clock=self.clock)
        self.job = self.sim.exec(self.flow, inputs={"t": inputs} if inputs else None, keep_open=True)
        self.sim.run_until_idle()

    def send(self, **items: Any) -> None:
        for name, found in items.items():
            for item in found:
                self.sim.post(self.job.job_id, "t", name, item)
                self.sim.run_until_idle()

    @property
    def seen(self) -> Any:
        return self.job.get_shared_data("seen", [])

    def resume(self, clock: Any = None) -> None:
        """Store the job, and go on with it under another clock, by default at the same time."""
        stored = json.loads(json.dumps(self.job.serialize()))
        self.sim.shutdown(wait=False)
        past = self.clock.ticks() / 1e9
        self.clock = clock or ManualClock()
        if clock is None:
            self.clock.advance(past)
        self.sim = SimRuntime(clock=self.clock)
        self.job = JobState.deserialize(stored, clock=self.clock)
        self.sim.exec(self.flow, self.job, keep_open=True)
        self.sim.run_until_idle()

    def end(self) -> Any:
        self.sim.close_job(self.job.job_id)
        self.sim.run_until_idle()
        self.sim.shutdown(wait=False)
        return self.job


def steps_of(
    policy: Any,
    backlog: list[str],
    pairs: list[tuple[str, str]],
    activations: int | None = None,
    backlog_of_y: tuple[str, ...] | list[str] = (),
) -> int:
    """Count the lines of ours that run while pairs come behind a backlog; each makes one activation."""
    scene = Scene(policy, "x", "y")
    for name, items in (("x", backlog), ("y", backlog_of_y)):
        for item in items:
            scene.sim.post(scene.job.job_id, "t", name, item)
    scene.sim.run_until_idle()
    steps = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal steps
        steps += event == "line"
        return trace if "routilux" in frame.f_code.co_filename else None

    others = sys.gettrace()
    sys.settrace(trace)
    for x, y in pairs:
        scene.send(x=[x] if x else [], y=[y] if y else [])
    sys.settrace(others)
    scene.sim.shutdown(wait=False)
    assert len(scene.seen) == (len(pairs) if activations is None else activations)
    return steps
