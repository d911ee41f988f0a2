import pytest

from tests.simulation.driving import check_seed


def test_random_flows_keep_every_invariant_and_go_the_same_way_twice(seeds: range) -> None:
    for seed in seeds:
        try:
            check_seed(seed)
        except Exception as error:
            pytest.fail(f"seed {seed}: {error}\nagain: python -m tests.simulation {seed}", pytrace=False)
