"""The suite finds faults that are planted on purpose; README.md keeps which seed found which."""

from collections.abc import Callable

import pytest

from tests.simulation.driving import check_seed
from tests.simulation.faults import FAULTS

SEEDS = 200


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_planted_fault_is_found(fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    for seed in range(SEEDS):
        try:
            check_seed(seed)
        except Exception as found:
            print(f"{fault.__name__}: seed {seed}: {type(found).__name__}: {str(found)[:100]}")
            return
    pytest.fail(f"{fault.__name__} was not found by the first {SEEDS} seeds")
