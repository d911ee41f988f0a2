"""Alerts: a pager that is not flooded, and a watchdog that notices when the machine falls silent.

    machine --alert--> pager     at most 2 pages a minute, what is more is dropped and counted
            --pulse--> watchdog  activates when no pulse came for 30 seconds

Run it: .venv/bin/python examples/alerts.py

Minutes pass at once, on a clock that is moved. With `Runtime()` in place of `SimRuntime()` they take their time.
"""

import asyncio
from typing import Any

from routilux import Flow, JobState, Routine, routine
from routilux.policies import absence_policy, throttle_policy
from routilux.testing import SimRuntime

LOG = """\
00:00 ok
00:20 ok
00:35 disk 91 % full
00:36 disk 92 % full
00:38 disk 94 % full
00:40 disk 97 % full
00:55 ok
01:15 ok
01:20 fan stopped
01:40 ok
03:20 restarted
03:40 ok
"""


def seconds_of(time: str) -> int:
    minutes, seconds = time.split(":")
    return 60 * int(minutes) + int(seconds)


@routine
async def machine(*, routine: Routine) -> None:
    passed = 0
    for line in LOG.splitlines():
        time, text = line.split(maxsplit=1)
        await asyncio.sleep(seconds_of(time) - passed)
        passed = seconds_of(time)
        routine.emit("pulse", time)
        if text != "ok":
            routine.emit("alert", text)


@routine(policy=throttle_policy(2, per_seconds=60, excess="drop"))
def pager(alerts: list[str], *, job_state: JobState) -> None:
    print(f"{job_state.now():%M:%S}  page: {alerts[0]}")


@routine(policy=absence_policy(30).labelled("no pulse"))
def watchdog(pulses: list[str], *, job_state: JobState, policy_message: dict[str, Any]) -> None:
    print(f"{job_state.now():%M:%S}  page: no pulse for {policy_message['silent_seconds']:.0f} s, is it dead?")


flow = Flow("alerts").add_routine(machine).add_routine(pager).add_routine(watchdog)
flow.connect("machine", "alert", "pager", "alerts").connect("machine", "pulse", "watchdog", "pulses")

if __name__ == "__main__":
    print(f"pager: {pager.activation_policy}\nwatchdog: {watchdog.activation_policy}\n")
    with SimRuntime() as runtime:
        job = runtime.exec(flow)
        runtime.wait_for_job(job.job_id, timeout=140)
        print("\nWhat the watchdog has decided so far:")
        print(*job.explain("watchdog").decisions, sep="\n")
        print()
        runtime.wait_for_job(job.job_id)
    print(f"{job.status}; alerts that nobody was paged for: {job.drops['pager', 'alerts']}")
