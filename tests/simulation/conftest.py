"""How many seeds: ``--sim-seeds N`` where the command line names this folder, ``ROUTILUX_SIM_SEEDS=N`` everywhere."""

import os

import pytest

DEFAULT_SEEDS = 2000
CHUNK = 50


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sim-seeds", type=int, default=None, help="how many random flows the simulation plays")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--sim-seeds", None)
        count = int(wanted or os.environ.get("ROUTILUX_SIM_SEEDS") or DEFAULT_SEEDS)
        chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
        metafunc.parametrize("seeds", chunks, ids=[f"{chunk.start}-{chunk.stop - 1}" for chunk in chunks])
