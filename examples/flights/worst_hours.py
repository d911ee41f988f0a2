"""The worst hour of January at each airport: windows of an hour, by the time of the flights themselves.

    departures --flight--> hours --hour--> worst

The rows are sorted by day, not by hour, and come as fast as the file can be read. So windows go by `time_of`, and wait
for rows that are up to a day out of order. Run it: .venv/bin/python examples/flights/worst_hours.py
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from flight_data import rows_of

from routilux import Flow, JobState, Routine, Runtime, routine
from routilux.policies import window_policy

HOUR = 3600
ENOUGH = 10  # flights that make an hour worth comparing
OUT_OF_ORDER = 24 * HOUR


class Departure(NamedTuple):
    origin: str
    time_hour: str
    delay: float  # in minutes


def time_of(flight: Departure) -> datetime:
    return datetime.fromisoformat(flight.time_hour)


@routine
def departures(*, job_state: JobState, routine: Routine) -> Iterator[None]:
    for number, (_, (origin, time_hour, _, delay)) in enumerate(rows_of(Path(job_state.params["data"]), "flights")):
        if delay is not None:  # it was not cancelled
            routine.emit("flight", Departure(origin, time_hour, delay))
        if number % 100 == 99:
            yield  # with a full slot before us, we go on here once there is room


@routine(policy=window_policy(HOUR, time_of=time_of, lateness_seconds=OUT_OF_ORDER))
def hours(flights: list[Departure], *, routine: Routine, policy_message: dict[str, Any]) -> None:
    """All flights of one hour."""
    for origin in sorted({flight.origin for flight in flights}):
        delays = [flight.delay for flight in flights if flight.origin == origin]
        routine.emit("hour", (origin, policy_message["start"], len(delays), sum(delays) / len(delays)))


hours.add_slot("flights", max_queue_length=5000)  # room for more than a day of open windows


@routine
def worst(hours: list[tuple[str, datetime, int, float]], *, job_state: JobState) -> None:
    found = dict(job_state.result or {})
    for origin, start, count, delay in hours:
        if count >= ENOUGH and (origin not in found or delay > found[origin][2]):
            found[origin] = (start, count, delay)
    job_state.set_result(found)


flow = Flow("worst hours", on_leftover="fail").add_routine(departures).add_routine(hours).add_routine(worst)
flow.connect("departures", "flight", "hours", "flights").connect("hours", "hour", "worst", "hours")

if __name__ == "__main__":
    with Runtime() as runtime:
        job = runtime.exec(flow, params={"data": str(Path(__file__).parent / "data")})
        runtime.wait_for_job(job.job_id)
    for origin, (start, count, delay) in sorted(job.result.items()):
        print(f"{origin}  {start:%d %B %H:%M} UTC  {count} departures, {delay:5.1f} minutes late on average")
    print(f"{job.status}; dropped as too late for its window: {job.drops or 'nothing'}")
