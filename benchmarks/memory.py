"""W7 and waiting jobs: what waits costs memory, and no thread."""

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks import flows
from benchmarks.measuring import Figure
from routilux import Flow, JobState, Routine, Runtime, batch_size_policy

SHARED = ("the same object for every item, so that only the engine's part is counted",)


def waiting_items(quick: bool) -> Figure:
    """W7: bytes per item that waits in a slot, beside its data."""
    count = 100_000 if quick else 1_000_000

    def source(*, routine: Routine) -> None:
        for _ in range(count):
            routine.emit("output", SHARED)

    sink = Routine("sink").add_slot("input", max_queue_length=None).set_logic(flows.ignore)
    sink.set_activation_policy(batch_size_policy(count + 1))
    flow = Flow("W7", on_leftover="ok").add_routine(Routine("source").set_logic(source), "source")
    flow.add_routine(sink, "sink").connect("source", "output", "sink", "input")
    with Runtime(1) as runtime:

        def fill() -> Any:
            job = runtime.exec(flow)
            runtime.wait_for_job(job.job_id)
            assert job.leftovers.item_count == count
            return job

        return Figure("W7", f"item of {count:,} waiting, beside its data", "bytes", (_bytes(fill) / count,))


def waiting_jobs(quick: bool) -> list[Figure]:
    """Jobs that ran once and wait for a post."""
    count = 1_000 if quick else 10_000
    with Runtime(4) as runtime:
        open_jobs(runtime, 10)  # what the first jobs set up once is not the price of one
        threads = threading.active_count()
        size = _bytes(lambda: open_jobs(runtime, count)) / count
        more = threading.active_count() - threads
    return [
        Figure("W4 wait", f"job of {count:,} waiting for a post, after 3 activations", "bytes", (size,)),
        Figure("W4 threads", f"threads more, with {count:,} waiting jobs", "threads", (float(more),)),
    ]


def open_jobs(runtime: Runtime, count: int) -> list[JobState]:
    """Start jobs that stay open, and wait until each had its three activations."""
    left = [None] * (count - 1)
    last = threading.Event()

    def arrived(values: list[int]) -> None:
        try:
            left.pop()
        except IndexError:
            last.set()

    flow = flows.three_steps(arrived)
    jobs = [runtime.exec(flow, keep_open=True) for _ in range(count)]
    last.wait()
    time.sleep(0.1)  # the last turn ends
    return jobs


def _bytes(make: Callable[[], Any]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = make()
        gc.collect()
        size = tracemalloc.get_traced_memory()[0] - before
        del kept
        return size
    finally:
        tracemalloc.stop()
