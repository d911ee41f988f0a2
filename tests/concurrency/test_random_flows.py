"""Random flows with tiny slots on real threads: they end, and each item is accounted for."""

import time

import pytest

from routilux import Runtime
from tests.concurrency.random_flows import RandomFlow, run_and_check

pytestmark = pytest.mark.timeout(120)
SEEDS = 60


def no_pause() -> None:
    """Go on at once."""


def short_pause() -> None:
    """Give up the processor inside of a logic."""
    time.sleep(0.0002)


@pytest.mark.parametrize("pause", [no_pause, short_pause])
@pytest.mark.parametrize("cycles", [False, True], ids=["chains and joins", "cycles"])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_random_flows_with_tiny_slots_account_for_each_item(threads: int, cycles: bool, pause: object) -> None:
    with Runtime(thread_pool_size=threads) as runtime:
        for seed in range(SEEDS):
            assert callable(pause)
            run_and_check(runtime, RandomFlow(seed, cycles, pause))


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_many_random_flows_at_once_account_for_each_item(threads: int) -> None:
    flows = [RandomFlow(seed, seed % 2 == 0) for seed in range(100, 160)]
    with Runtime(thread_pool_size=threads) as runtime:
        jobs = [runtime.exec(random_flow.flow) for random_flow in flows]
        assert runtime.wait_until_all_jobs_finished(timeout=60)
    for random_flow, job in zip(flows, jobs, strict=True):
        random_flow.check(job)
