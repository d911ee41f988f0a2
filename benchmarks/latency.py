"""How long a post, the end of a job, an import and idling take."""

import resource
import subprocess
import sys
import threading
import time

from benchmarks import flows
from benchmarks.measuring import Figure, bare_call, percentile
from benchmarks.memory import open_jobs
from benchmarks.throughput import THREADS, warm
from routilux import Flow, Routine, Runtime

IMPORT = """
import sys, time
before = set(sys.modules)
begin = time.perf_counter()
import routilux
seconds = time.perf_counter() - begin
found = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names) - {"routilux"}
print(seconds, ",".join(sorted(name for name in found if not name.startswith("_"))))
"""


def of_posts(quick: bool, repetitions: int) -> list[Figure]:
    """Post → logic of the third stage; the poster blocks on a lock until that logic runs."""
    count = 500 if quick else 2_000
    arrivals: list[int] = []
    arrived = threading.Lock()
    arrived.acquire()

    def third(values: list[int]) -> None:
        arrivals.append(time.perf_counter_ns())
        arrived.release()

    flow = Flow("latency").add_routine(Routine("first").add_slot("input").set_logic(flows.add_one), "first")
    flow.add_routine(Routine("second").set_logic(flows.add_one), "second")
    flow.add_routine(Routine("third").set_logic(third), "third")
    flow.connect("first", "output", "second", "input").connect("second", "output", "third", "input")
    with Runtime(THREADS) as runtime:
        warm(runtime, THREADS)
        job_id = runtime.exec(flow, keep_open=True).job_id

        def posts(pause: float) -> list[float]:
            found = []
            for _ in range(count):
                begin = time.perf_counter_ns()
                runtime.post(job_id, "first", "input", 1)
                arrived.acquire()
                found.append((arrivals[-1] - begin) / 1e9)
                if pause:
                    time.sleep(pause)
            return found

        posts(0)
        at_once = [posts(0) for _ in range(repetitions)]
        rested = [posts(0.001) for _ in range(repetitions)]
    return [
        _figure("latency p50", "post → third stage, p50", at_once, 0.5),
        _figure("latency p99", "post → third stage, p99", at_once, 0.99),
        _figure("rested p50", "the same after 1 ms of rest, p50", rested, 0.5),
        _figure("rested p99", "the same after 1 ms of rest, p99", rested, 0.99),
    ]


def of_the_end(quick: bool) -> list[Figure]:
    """How long after the last activation wait_for_job returns, to a thread that has been waiting."""
    ends: list[int] = []

    def last(values: list[int]) -> None:
        time.sleep(0.002)
        ends.append(time.perf_counter_ns())

    flow = flows.three_steps(last)
    found = []
    with Runtime(THREADS) as runtime:
        warm(runtime, THREADS)
        for _ in range(50 if quick else 300):
            runtime.wait_for_job(runtime.exec(flow).job_id)
            found.append((time.perf_counter_ns() - ends[-1]) / 1e9)
    return [
        _figure("end p50", "last activation → wait_for_job returns, p50", [found], 0.5),
        _figure("end p99", "last activation → wait_for_job returns, p99", [found], 0.99),
    ]


def _figure(name: str, what: str, runs: list[list[float]], share: float) -> Figure:
    bare = bare_call()
    seconds = [percentile(run, share) for run in runs]
    return Figure(name, what, "µs", tuple(s * 1e6 for s in seconds), tuple(s / bare for s in seconds))


def of_the_import(repetitions: int) -> list[Figure]:
    """How long `import routilux` takes in a new process, files cached, and what it brings from elsewhere."""
    answers = [
        subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(repetitions + 1)
    ][1:]
    foreign = answers[0][1] if len(answers[0]) > 1 else "none"
    samples = tuple(float(answer[0]) * 1e3 for answer in answers)
    return [Figure("import", f"import routilux; third-party imports: {foreign}", "ms", samples)]


def of_idling(quick: bool) -> Figure:
    """Wake-ups of a runtime with many open jobs and nothing to do, in a second."""
    count = 1_000 if quick else 10_000
    samples = []
    with Runtime(THREADS) as runtime:
        warm(runtime, THREADS)
        jobs = open_jobs(runtime, count)
        time.sleep(0.2)
        for _ in range(1 if quick else 3):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
            time.sleep(1.0)
            samples.append(
                float(max(0, resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before - 1))
            )  # 1: our sleep
        del jobs
    return Figure("idle", f"wake-ups in 1 s with {count:,} open jobs, {THREADS} threads", "times", tuple(samples))
