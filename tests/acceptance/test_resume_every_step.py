"""A job that is stored at any step and resumed from the picture does the rest, and nothing twice."""

import pytest

from tests.acceptance.resuming import SCENARIOS, Sims, one_step, stored

MAX_STEPS = 2000


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_ends_as_expected_when_it_is_not_stored(name: str, sims: Sims) -> None:
    scenario = SCENARIOS[name]
    sim = sims.fresh(seed=3)
    job = sim.exec(scenario.build(), **scenario.exec_options)
    assert sim.wait_for_job(job.job_id, timeout=10_000)
    scenario.expected(job)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", SCENARIOS)
def test_job_stored_at_any_step_does_the_rest_once(name: str, seed: int, sims: Sims) -> None:
    scenario = SCENARIOS[name]
    pictures = 0
    for steps in range(MAX_STEPS):
        picture, ended = sims.picture_after(scenario, steps, seed)
        if ended:
            break
        if picture is None:
            continue
        pictures += 1
        sim, job = sims.revived(picture, seed)
        sim.exec(scenario.build(), job)
        assert sim.wait_for_job(job.job_id, timeout=10_000), f"resumed after step {steps}: {job}"
        try:
            scenario.expected(job)
        except AssertionError as error:
            raise AssertionError(f"resumed after step {steps}: {error}") from error
        sims.end()
    assert pictures


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SCENARIOS)
def test_job_that_moves_after_every_few_steps_does_everything_once(name: str, seed: int, sims: Sims) -> None:
    scenario = SCENARIOS[name]
    sim = sims.fresh(seed)
    job = sim.exec(scenario.build(), **scenario.exec_options)
    for move in range(300):
        for _ in range(1 + move // 10):  # ever more, so that what is slow gets through
            one_step(sim)
        if job.status.is_final:
            break
        picture = stored(job)
        if picture is not None:
            sims.end()
            sim, job = sims.revived(picture, seed + move)
            sim.exec(scenario.build(), job)
    assert job.status.is_final
    scenario.expected(job)


@pytest.mark.parametrize("name", SCENARIOS)
def test_job_paused_at_any_step_goes_on_here_and_elsewhere(name: str, sims: Sims) -> None:
    scenario = SCENARIOS[name]
    for steps in range(MAX_STEPS):
        sim = sims.fresh(seed=5)
        job = sim.exec(scenario.build(), **scenario.exec_options)
        for _ in range(steps):
            one_step(sim)
        if job.status.is_final:
            break
        sim.pause_job(job.job_id)
        for _ in range(MAX_STEPS):
            if job.status != "running":
                break
            one_step(sim)
        assert job.status == "paused", f"after step {steps}"
        picture = stored(job)
        assert picture is not None
        other, moved = sims.revived(picture, steps)
        other.exec(scenario.build(), moved)
        assert other.wait_for_job(moved.job_id, timeout=10_000)
        try:
            scenario.expected(moved)
        except AssertionError as error:
            raise AssertionError(f"paused after step {steps}, resumed elsewhere: {error}") from error
        sim.resume_job(job.job_id)
        assert sim.wait_for_job(job.job_id, timeout=10_000)
        try:
            scenario.expected(job)
        except AssertionError as error:
            raise AssertionError(f"paused after step {steps}, resumed here: {error}") from error
        sims.end()
