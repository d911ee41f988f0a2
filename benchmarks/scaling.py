"""Whether the cost of an activation stays flat as flows, queues and the number of jobs grow."""

import threading
import time
from collections.abc import Callable

from benchmarks import flows
from benchmarks.measuring import Figure, measure
from routilux import Flow, Routine, Runtime, all_slots_ready_policy

IN_FLIGHT = 10


def figures(quick: bool, repetitions: int) -> list[Figure]:
    """Each size as µs per activation, then the largest as a multiple of the smallest."""
    most = 2 if quick else 3
    found = []
    for name, sizes, once in (
        ("routines", [10, 100, 1_000, 10_000][: most + 1], among_routines),
        ("queued", [1_000, 10_000, 100_000, 1_000_000][: most + 1], behind_items),
        ("jobs", [1, 10, 100, 1_000, 10_000][: most + 2], among_jobs),
    ):
        each = [once(size, quick, repetitions) for size in sizes]
        best = min(figure.value for figure in each)
        worst = max(figure.value for figure in each)
        found += each
        found.append(
            Figure(
                f"{name} flat",
                f"the worst of {sizes[0]:,} … {sizes[-1]:,} {name} to the best",
                "times",
                (worst / best,),
            )
        )
    return found


def ring(size: int, done: Callable[[], None]) -> Flow:
    """A ring of routines; an item is the number of hops it still has to go."""

    def hop(items: list[int], *, routine: Routine) -> None:
        if items[0]:
            routine.emit("next", items[0] - 1)
        else:
            done()

    each = all_slots_ready_policy()
    flow = Flow(f"ring_{size}")
    for number in range(size):
        routine = Routine(f"hop_{number}").add_slot("items", max_queue_length=None)
        flow.add_routine(routine.set_activation_policy(each).set_logic(hop), f"hop_{number}")
    for number in range(size):
        flow.connect(f"hop_{number}", "next", f"hop_{(number + 1) % size}", "items")
    return flow


class Countdown:
    """Lets one thread wait until others have called so often."""

    def __init__(self) -> None:
        self._left: list[None] = []
        self._done = threading.Event()

    def start(self, count: int) -> None:
        """Begin to count."""
        self._left[:] = [None] * (count - 1)
        self._done.clear()

    def __call__(self) -> None:
        try:
            self._left.pop()
        except IndexError:
            self._done.set()

    def wait(self) -> None:
        """Wait for the last call."""
        self._done.wait()


def among_routines(size: int, quick: bool, repetitions: int) -> Figure:
    """Ten items go round in a ring of so many routines; as many hops whatever its size."""
    hops = 10_000 if size > 1_000 or not quick else 2_000
    countdown = Countdown()
    with Runtime(1) as runtime:
        job = runtime.exec(ring(size, countdown), keep_open=True)

        def once() -> float:
            countdown.start(IN_FLIGHT)
            return released(runtime, lambda: _post(runtime, [job.job_id] * IN_FLIGHT, hops), countdown)

        return measure(
            f"routines {size:,}", f"activation in a flow of {size:,} routines", once, IN_FLIGHT * hops, repetitions
        )


def among_jobs(size: int, quick: bool, repetitions: int) -> Figure:
    """So many jobs of a ring of two, one item in each; as many hops together whatever their number."""
    hops = (20_000 if quick else 100_000) // size
    countdown = Countdown()
    flow = ring(2, countdown)
    with Runtime(1) as runtime:
        jobs = [runtime.exec(flow, keep_open=True).job_id for _ in range(size)]

        def once() -> float:
            countdown.start(size)
            return released(runtime, lambda: _post(runtime, jobs, hops - 1), countdown)

        return measure(f"jobs {size:,}", f"activation in one of {size:,} jobs", once, size * hops, repetitions)


def _post(runtime: Runtime, job_ids: list[str], hops: int) -> None:
    for job_id in job_ids:
        runtime.post(job_id, "hop_0", "items", hops)


def released(runtime: Runtime, post: Callable[[], object], countdown: Countdown) -> float:
    """Post while the only worker is kept busy, then let it go; seconds from there to the last hop."""
    busy, go = threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        go.wait()

    runtime.exec(Flow("block").add_routine(Routine("block").set_logic(block), "block"))
    busy.wait()
    post()
    begin = time.perf_counter()
    go.set()
    countdown.wait()
    return time.perf_counter() - begin


def behind_items(size: int, quick: bool, repetitions: int) -> Figure:
    """One item per activation out of a slot that holds so many when the first is taken."""
    begun: list[float] = []

    def take(items: list[int]) -> None:
        if items[0] in (0, size - 1):
            begun.append(time.perf_counter())

    sink = Routine("sink").add_slot("input", max_queue_length=None).set_logic(take)
    sink.set_activation_policy(all_slots_ready_policy())
    flow = Flow("queued").add_routine(flows.source_of(size), "source").add_routine(sink, "sink")
    flow.connect("source", "output", "sink", "input")
    rounds = max(1, 20_000 // size)
    with Runtime(1) as runtime:

        def once() -> float:
            begun.clear()
            for _ in range(rounds):
                runtime.wait_for_job(runtime.exec(flow).job_id)
            return sum(begun[1::2]) - sum(begun[::2])

        return measure(f"queued {size:,}", f"activation with {size:,} items queued", once, size * rounds, repetitions)
