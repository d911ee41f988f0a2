"""A job that is stored at any step and resumed from the picture does the rest, and nothing twice."""

import pytest

from routilux.testing import SimRuntime
from tests.acceptance.resuming import SCENARIOS, one_step, picture_after, revived, stored

MAX_STEPS = 2000


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_ends_as_expected_when_it_is_not_stored(name: str) -> None:
    scenario = SCENARIOS[name]
    sim = SimRuntime(seed=3)
    job = sim.exec(scenario.build(), **scenario.exec_options)
    assert sim.wait_for_job(job.job_id, timeout=10_000)
    scenario.expected(job)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", SCENARIOS)
def test_job_stored_at_any_step_does_the_rest_once(name: str, seed: int) -> None:
    scenario = SCENARIOS[name]
    pictures = 0
    for steps in range(MAX_STEPS):
        picture, ended = picture_after(scenario, steps, seed)
        if ended:
            break
        if picture is None:
            continue
        pictures += 1
        sim, job = revived(picture, seed)
        sim.exec(scenario.build(), job)
        assert sim.wait_for_job(job.job_id, timeout=10_000), f"resumed after step {steps}: {job}"
        try:
            scenario.expected(job)
        except AssertionError as error:
            raise AssertionError(f"resumed after step {steps}: {error}") from error
    assert pictures > 2


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SCENARIOS)
def test_job_moved_to_a_new_runtime_after_each_few_steps_does_everything_once(name: str, seed: int) -> None:
    scenario = SCENARIOS[name]
    sim = SimRuntime(seed=seed)
    job = sim.exec(scenario.build(), **scenario.exec_options)
    for move in range(300):
        for _ in range(1 + move // 10):  # ever more, so that what is slow gets through
            one_step(sim)
        if job.status.is_final:
            break
        picture = stored(job)
        if picture is not None:
            sim, job = revived(picture, seed + move)
            sim.exec(scenario.build(), job)
    assert job.status.is_final
    scenario.expected(job)


@pytest.mark.parametrize("name", SCENARIOS)
def test_job_paused_at_any_step_and_resumed_elsewhere_does_everything_once(name: str) -> None:
    scenario = SCENARIOS[name]
    for steps in range(MAX_STEPS):
        sim = SimRuntime(seed=5)
        job = sim.exec(scenario.build(), **scenario.exec_options)
        for _ in range(steps):
            one_step(sim)
        if job.status.is_final:
            break
        sim.pause_job(job.job_id)
        while job.status == "running":
            one_step(sim)
        assert job.status == "paused"
        picture = stored(job)
        assert picture is not None
        other, moved = revived(picture, steps)
        other.exec(scenario.build(), moved)
        assert other.wait_for_job(moved.job_id, timeout=10_000)
        scenario.expected(moved)
        sim.resume_job(job.job_id)
        assert sim.wait_for_job(job.job_id, timeout=10_000)
        scenario.expected(job)
