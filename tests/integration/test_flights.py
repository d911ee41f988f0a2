"""The flights example against an independent computation with pandas, and with what can go wrong with its data."""

import argparse
import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from routilux import JobState, Runtime
from routilux.testing import SimRuntime
from tests.integration.flights import EXAMPLE, cut, flights_file, params_for

FULL_YEAR = os.environ.get("ROUTILUX_FULL_YEAR")


def mean(delays: Any) -> float | None:
    """Exact: delays are whole minutes."""
    return float(round(Fraction(int(delays.sum()), len(delays)), 2)) if len(delays) else None


def expected_report(folder: Path) -> dict[str, Any]:
    airlines = folder if (folder / "airlines.csv").exists() else folder.parent
    names = pd.read_csv(airlines / "airlines.csv").set_index("carrier")["name"]
    flights = pd.read_csv(folder / "flights.csv.gz", usecols=["origin", "time_hour", "carrier", "dep_delay"])
    weather = pd.read_csv(folder / "weather.csv.gz", usecols=["origin", "time_hour", "precip"])
    gone = flights.dropna(subset="dep_delay").merge(weather, "left", ["origin", "time_hour"], indicator="found")
    carriers = gone.groupby("carrier").dep_delay
    worst = carriers.mean().sort_values(ascending=False).index[:5]
    return {
        "flights": len(flights),
        "departures": len(gone),
        "cancelled": int(flights.dep_delay.isna().sum()),
        "matched": int((gone.found == "both").sum()),
        "unmatched": int((gone.found == "left_only").sum()),
        "by_origin": {
            origin: {
                "departures": len(here),
                "cancelled": int((flights.dep_delay.isna() & (flights.origin == origin)).sum()),
                "mean_delay_minutes": mean(here.dep_delay),
                "wet_flights": int((here.precip > 0).sum()),
                "mean_delay_wet_minutes": mean(here[here.precip > 0].dep_delay),
                "mean_delay_dry_minutes": mean(here[here.precip == 0].dep_delay),
            }
            for origin, here in gone.groupby("origin")
        },
        "worst_carriers": [
            {
                "carrier": carrier,
                "name": names[carrier],
                "flights": len(carriers.get_group(carrier)),
                "mean_delay_minutes": mean(carriers.get_group(carrier)),
            }
            for carrier in worst
        ],
    }


def check_ended_well(job: JobState) -> None:
    assert job.status == "completed", job.error
    assert not job.leftovers
    assert job.drops == {}


@pytest.fixture(scope="module")
def january() -> dict[str, Any]:
    return expected_report(EXAMPLE / "data")


@pytest.mark.parametrize("threads", [1, 2, 10])
def test_report_of_january_is_what_pandas_computes(january: dict[str, Any], threads: int) -> None:
    with Runtime(thread_pool_size=threads) as runtime:
        job = runtime.exec(flights_file().flow, params=params_for(EXAMPLE / "data"))
        assert runtime.wait_for_job(job.job_id, timeout=60)
    check_ended_well(job)
    assert job.result == january
    assert list(job.result) == list(january)
    assert flights_file().progress(job) == (27_004, 27_004)


def test_data_is_january_of_2013(january: dict[str, Any]) -> None:
    assert (january["flights"], january["cancelled"], january["unmatched"]) == (27_004, 521, 52)


def test_arguments_default_to_the_data_beside_the_flow() -> None:
    parser = argparse.ArgumentParser()
    flights_file().add_arguments(parser)
    assert flights_file().params(parser.parse_args([])) == {"data": str(EXAMPLE / "data")}


def test_tables_show_the_report(january: dict[str, Any]) -> None:
    counts, airports, carriers = flights_file().tables(january)
    assert counts.rows == [[27_004, 26_483, 521, 26_431, 52]]
    assert [row[0] for row in airports.rows] == ["EWR", "JFK", "LGA"]
    assert len(carriers.rows) == 5


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder with 3,000 flights and the weather of those days: small enough for many runs."""
    return cut(tmp_path / "few", flights=3_000)


@pytest.mark.parametrize("held", ["flights", "weather", "airlines", "match", "carriers"])
def test_report_is_right_while_one_step_is_held_back(few: Path, held: str) -> None:
    runtime = SimRuntime(seed=1)
    job = runtime.exec(flights_file().flow, params=params_for(few))
    runtime.hold_routine(job.job_id, held)
    runtime.run_until_idle()
    assert job.status == "running"
    runtime.release_routine(job.job_id, held)
    runtime.run_until_idle()
    check_ended_well(job)
    assert job.result == expected_report(few)


def test_weather_is_taken_in_while_the_flights_are_held_back(few: Path) -> None:
    runtime = SimRuntime(seed=1)
    job = runtime.exec(flights_file().flow, params=params_for(few))
    runtime.hold_routine(job.job_id, "flights")
    runtime.run_until_idle()
    weather = job.slots("match")["weather"]
    assert (weather.is_closed, weather.get_unconsumed_count()) == (True, 0)
    assert "keys known of weather 2226" in str(job.explain("match").decisions[-1])


def test_flights_wait_for_their_weather(tmp_path: Path) -> None:
    runtime = SimRuntime(seed=1)
    folder = cut(tmp_path / "more", flights=20_000)
    job = runtime.exec(flights_file().flow, params=params_for(folder))
    runtime.hold_routine(job.job_id, "weather")
    runtime.run_until_idle()
    assert job.slots("match")["flights"].get_unconsumed_count() == 500
    assert job.slots("tally")["joined"].get_queue_state()["enqueued_count"] == 0
    runtime.release_routine(job.job_id, "weather")
    runtime.run_until_idle()
    check_ended_well(job)
    assert job.result == expected_report(folder)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_gives_the_same_report(few: Path, seed: int) -> None:
    runtime = SimRuntime(seed=seed)
    job = runtime.exec(flights_file().flow, params=params_for(few))
    runtime.run_until_idle()
    check_ended_well(job)
    assert job.result == expected_report(few)


@pytest.mark.parametrize("seed", range(5))
def test_stored_in_the_middle_and_resumed_counts_nothing_twice(tmp_path: Path, seed: int) -> None:
    folder = cut(tmp_path / "more", flights=10_000)
    runtime = SimRuntime(seed=seed)
    job = runtime.exec(flights_file().flow, params=params_for(folder))
    while not job.slots("tally")["joined"].get_queue_state()["enqueued_count"]:
        assert runtime.step()
    runtime.pause_job(job.job_id)
    runtime.run_until_idle()
    assert job.status == "paused"
    later = SimRuntime(seed=seed)
    resumed = later.exec(flights_file().flow, JobState.deserialize(json.loads(json.dumps(job.serialize()))))
    later.run_until_idle()
    check_ended_well(resumed)
    assert resumed.result == expected_report(folder)


def test_no_flights_at_all_give_an_empty_report(tmp_path: Path) -> None:
    runtime = SimRuntime()
    job = runtime.exec(flights_file().flow, params=params_for(cut(tmp_path / "none", flights=0)))
    runtime.run_until_idle()
    check_ended_well(job)
    assert (job.result["flights"], job.result["by_origin"], job.result["worst_carriers"]) == (0, {}, [])


def fullest(job: JobState) -> Iterator[tuple[str, int, int | None]]:
    for routine_id in ("triage", "match", "tally", "carriers", "report"):
        for slot in job.slots(routine_id).values():
            state = slot.get_queue_state()
            yield f"{routine_id}.{state['name']}", state["unconsumed_count"], state["max_length"]


@pytest.mark.skipif(FULL_YEAR is None, reason="ROUTILUX_FULL_YEAR names no folder with the full year")
def test_full_year_is_what_pandas_computes_in_bounded_slots() -> None:
    folder = Path(str(FULL_YEAR))
    with Runtime(thread_pool_size=4) as runtime:
        job = runtime.exec(flights_file().flow, params=params_for(folder))
        while not runtime.wait_for_job(job.job_id, timeout=0.01):
            for name, count, limit in fullest(job):
                assert limit is not None, name
                assert count <= limit, name
    check_ended_well(job)
    assert job.result == expected_report(folder)
