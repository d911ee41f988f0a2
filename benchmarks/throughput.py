"""W1 to W5: how long items and jobs take."""

import math
import threading
import time

from benchmarks import flows
from benchmarks.measuring import Figure, measure
from routilux import Flow, JobState, Routine, Runtime, all_slots_ready_policy

THREADS = 4
HOPS = 4


def warm(runtime: Runtime, threads: int) -> None:
    """Have a runtime start so many threads."""
    barrier = threading.Barrier(threads)

    def meet(values: list[int]) -> None:
        barrier.wait(30)

    flow = Flow("warm").add_routine(flows.source_of(1), "source")
    for number in range(threads):
        meeting = f"meeting_{number}"
        flow.add_routine(Routine(meeting).set_logic(meet), meeting).connect("source", "output", meeting, "values")
    run(runtime, flow)


def run(runtime: Runtime, flow: Flow) -> float:
    """Seconds from exec until wait_for_job returns, of a job that completes and leaves nothing."""
    begin = time.perf_counter()
    job = runtime.exec(flow)
    runtime.wait_for_job(job.job_id)
    seconds = time.perf_counter() - begin
    if job.status != "completed" or job.leftovers or job.drops:
        raise RuntimeError(f"{job!r}: {job.error or job.leftovers or job.drops}")
    return seconds


def items(quick: bool, repetitions: int) -> list[Figure]:
    """W1, W2, W3."""
    count = 20_000 if quick else 100_000
    with Runtime(THREADS) as runtime:
        warm(runtime, THREADS)

        def figure(name: str, what: str, flow: Flow, hops: int) -> Figure:
            return measure(name, what, lambda: run(runtime, flow), hops, repetitions)

        each = all_slots_ready_policy()
        return [
            figure("W1", "hop, default policy", flows.chain(count), count * HOPS),
            figure("W1 dict", "hop, a dict per item", flows.chain_of_dicts(count), count * HOPS),
            figure("W1 one", "hop, one item per activation", flows.chain(count // 2, each), count // 2 * HOPS),
            figure(
                "W1 one dict",
                "hop, one item per activation, a dict per item",
                flows.chain_of_dicts(count // 2, each),
                count // 2 * HOPS,
            ),
            figure("W2", "delivery, 1 → 10 → 1", flows.fan(count // 10), count // 10 * 2 * flows.MIDDLES),
            figure("W3", "item, join of two by tens", flows.join(count), count),
        ]


def jobs(quick: bool, repetitions: int) -> list[Figure]:
    """W4: many at once, and one after the other."""
    count = 500 if quick else 2_000
    flow = flows.three_steps()
    with Runtime(THREADS) as runtime:
        warm(runtime, THREADS)
        return [
            measure(
                "W4", "job of 3 steps, all at once", lambda: _all_at_once(runtime, flow, count), count, repetitions
            ),
            measure(
                "W4 alone", "job of 3 steps, one by one", lambda: _one_by_one(runtime, flow, count), count, repetitions
            ),
        ]


def _all_at_once(runtime: Runtime, flow: Flow, count: int) -> float:
    left = [None] * (count - 1)
    last = threading.Event()

    def completed(job: JobState) -> None:
        try:
            left.pop()
        except IndexError:
            last.set()

    begin = time.perf_counter()
    for _ in range(count):
        runtime.exec(flow).on_complete(completed)
    last.wait()
    return time.perf_counter() - begin


def _one_by_one(runtime: Runtime, flow: Flow, count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        done = threading.Lock()
        done.acquire()
        runtime.exec(flow).on_complete(lambda job, done=done: done.release())  # type: ignore[misc]
        done.acquire()
    return time.perf_counter() - begin


def sleeps(repetitions: int) -> list[Figure]:
    """W5: 200 sleeps of 10 ms, 32 at once."""
    count, seconds, width = 200, 0.010, 32
    flow = flows.sleepers(count, seconds, width)
    with Runtime(width) as runtime:
        warm(runtime, width)
        found = measure("W5", "200 sleeps of 10 ms, 32 at once", lambda: run(runtime, flow), 1, repetitions, "ms")
    ideal = math.ceil(count / width) * seconds * 1e3
    ratios = tuple(sample / ideal for sample in found.samples)
    return [Figure("W5", f"{found.what}: {found.value:.0f} ms of {ideal:.0f}", "ideal", ratios)]
