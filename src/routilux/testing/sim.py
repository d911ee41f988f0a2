"""SimRuntime: a Runtime on one thread, with a manual clock, that picks what runs next at random from a seed."""

from collections.abc import Callable
from typing import Any

from routilux.runtime.runtime import Runtime
from routilux.testing.manual_clock import ManualClock
from routilux.testing.sim_loop import SimLoop
from routilux.testing.step_dispatcher import StepDispatcher


class SimRuntime(Runtime):
    """Everything a Runtime does, step by step: `exec`, `post` and the rest only note what is ready.

    `step` and `run_until_idle` never move the clock; `advance` moves it and fires due timers in order, each at its
    own time. Async logics run on a loop of the same thread and clock. Use it from one thread.
    """

    def __init__(self, seed: int = 0, *, clock: ManualClock | None = None, **options: Any) -> None:
        self.seed = seed
        self.manual_clock = clock or ManualClock()
        self.stepper = StepDispatcher(seed, self.manual_clock)
        super().__init__(
            1, clock=self.manual_clock, dispatcher=self.stepper, executor=self._make_loop, seed=seed, **options
        )

    def _make_loop(self) -> SimLoop:
        loop = SimLoop(self.manual_clock, self.stepper)
        self.stepper.run_loop = loop.step
        return loop

    def step(self) -> bool:
        """Do one thing: run one ready cell or one round of the loop, or fire one timer that is due now."""
        return self.stepper.step() or self.stepper.fire_due()

    def run_until_idle(self, max_steps: int = 1_000_000) -> int:
        """Step until nothing is ready at the clock's time; gives the number of steps.

        Raises:
            RuntimeError: it is not idle after ``max_steps``.
        """
        for count in range(max_steps):
            if not self.step():
                return count
        raise RuntimeError(f"not idle after {max_steps} steps (seed {self.seed})")

    def advance(self, seconds: float) -> None:
        """Move the clock; on the way everything that is ready runs, and timers fire each at its own time."""
        end = self.manual_clock.ticks() + round(seconds * 1e9)
        self.run_until_idle()
        while (due := self.stepper.next_due()) is not None and due <= end:
            self.manual_clock.advance_to(due)
            self.run_until_idle()
        self.manual_clock.advance_to(end)
        self.run_until_idle()

    def wait_for_job(self, job_id: str, timeout: float | None = None) -> bool:
        """Step, moving the clock from timer to timer, until the job has ended or ``timeout`` seconds have passed."""
        job = self._job_of(job_id)
        return self._advance_until(lambda: job.status.is_final, timeout)

    def wait_until_all_jobs_finished(self, timeout: float | None = None) -> bool:
        """Step, moving the clock from timer to timer, until no job is unfinished."""
        return self._advance_until(lambda: not self._roster.runs(), timeout)

    def _advance_until(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        end = None if timeout is None else self.manual_clock.ticks() + round(timeout * 1e9)
        while True:
            self.run_until_idle()
            if predicate():
                return True
            due = self.stepper.next_due()
            if due is None or (end is not None and due > end):
                if end is not None:
                    self.manual_clock.advance_to(end)
                return predicate()
            self.manual_clock.advance_to(due)

    def _drain(self, timeout: float | None) -> bool:
        """Step until every job has ended or is paused."""
        return self._advance_until(self._is_drained, timeout)
