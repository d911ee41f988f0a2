"""Sensors: temperature, humidity and wind are put together where their readings lie within half a second.

Each sensor has a rhythm and a jitter of its own, and readings reach us late. What counts is when they were taken
(`time_of`). After 20 seconds the hygrometer dies. Who waits for it gives up after 5 seconds (`max_wait_seconds`).
Run it: .venv/bin/python examples/sensors.py

The seconds pass at once, on a clock that is moved. With `Runtime()` in place of `SimRuntime()` they take their time.
"""

import asyncio
import random
from typing import Any, NamedTuple

from routilux import Flow, Routine, routine
from routilux.policies import sync_time_policy
from routilux.testing import SimRuntime

MINUTE = 60.0


class Reading(NamedTuple):
    taken_at: float  # seconds since the start
    value: float


def sensor(name: str, every: float, base: float, dies_at: float = MINUTE) -> Routine:
    """A sensor that sends a reading every so many seconds; each takes a while to reach us."""
    noise = random.Random(name)

    async def measure(*, routine: Routine) -> None:
        passed = 0.0
        while passed < MINUTE:
            jitter, delay, value = 0.3 * noise.random(), 0.4 * noise.random(), base + 3 * noise.random()
            await asyncio.sleep(jitter + delay)
            if passed < dies_at:  # a dead one sends nothing, but nobody knows that it never will
                routine.emit("reading", Reading(passed + jitter, value))
            await asyncio.sleep(every - jitter - delay)
            passed += every

    return Routine(name).set_logic(measure)


def taken_at(reading: Reading) -> float:
    return reading.taken_at


@routine(policy=sync_time_policy(0.5, time_of=taken_at, max_wait_seconds=5))
def weather(
    thermometer: list[Reading], hygrometer: list[Reading], anemometer: list[Reading], *, policy_message: dict[str, Any]
) -> None:
    degrees, percent, wind = thermometer[0], hygrometer[0], anemometer[0]
    spread = policy_message["spread_seconds"]
    print(
        f"{degrees.taken_at:5.2f} s   {degrees.value:4.1f} °C  {percent.value:4.1f} %  {wind.value:4.1f} km/h"
        f"   all within {spread:.2f} s"
    )


flow = Flow("weather station").add_routine(weather)
for each in (sensor("thermometer", 4, 12), sensor("hygrometer", 2, 70, dies_at=20), sensor("anemometer", 1, 25)):
    flow.add_routine(each).connect(each.name, "reading", "weather", each.name)

if __name__ == "__main__":
    with SimRuntime() as runtime:
        job = runtime.exec(flow)
        runtime.wait_for_job(job.job_id, timeout=30)
        print("Since then, nothing. Why?")
        print(*str(job.explain("weather")).split("; "), sep="\n  ")
        runtime.wait_for_job(job.job_id)
    print(f"{job.status}; what found no partner was dropped, and each drop has its reason:")
    for (_, slot), reasons in job.drops.items():
        print(f"  {slot}: " + ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())))
