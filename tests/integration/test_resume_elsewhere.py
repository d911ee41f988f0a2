"""A job paused and stored by one process goes on in another one. BEHAVIOURS 38."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FLOW = """
import json, sys, threading
from routilux import Flow, JobState, Routine, Runtime, all_slots_ready_policy

def number(routine, job_state):
    for n in range(job_state.get_routine_state("source", "next", 0), 40):
        routine.emit("out", n)
        job_state.update_routine_state("source", {"next": n + 1})
        if n == 20 and job_state.run == 1:
            runtime.pause_job(job_state.job_id)
            reached.set()
        yield

def square(numbers, routine):
    for n in numbers:
        routine.emit("out", (n, n * n))

def collect(pairs, job_state):
    for pair in pairs:
        job_state.append_shared_data("seen", pair)

reached = threading.Event()
flow = Flow("squares")
flow.add_routine(Routine("source").set_logic(number))
flow.add_routine(Routine("square").add_slot("numbers", 5).set_logic(square))
flow.add_routine(Routine("collect").add_slot("pairs", 5).set_logic(collect))
flow.routine("square").set_activation_policy(all_slots_ready_policy())
flow.connect("source", "out", "square", "numbers").connect("square", "out", "collect", "pairs")
"""
FIRST = """
runtime = Runtime(3)
job = runtime.exec(flow)
assert reached.wait(20) and runtime.pause_job(job.job_id, timeout=20)
json.dump(job.serialize(), open(sys.argv[1], "w"))
print(job.status, job.get_routine_state("source", "next"))
"""
SECOND = """
with Runtime(3) as runtime:
    job = runtime.exec(flow, JobState.deserialize(json.load(open(sys.argv[1]))))
    assert runtime.wait_for_job(job.job_id, 20)
points = job.slots("collect")["pairs"].consumed_points()
in_order = all(p.emitted_at <= p.enqueued_at <= p.consumed_at for p in points)
json.dump({"status": job.status, "run": job.run, "seen": job.get_shared_data("seen"), "in_order": in_order}, sys.stdout)
"""


def python(program: str, picture: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FLOW + program, str(picture)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_38_a_job_paused_in_one_process_does_the_rest_once_in_another(tmp_path: Path) -> None:
    picture = tmp_path / "job.json"
    status, emitted = python(FIRST, picture).split()
    assert (status, emitted) == ("paused", "21")
    end: dict[str, Any] = json.loads(python(SECOND, picture))
    assert end == {"status": "completed", "run": 2, "seen": [[n, n * n] for n in range(40)], "in_order": True}
