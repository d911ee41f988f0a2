"""What further threads bring where logics release the GIL, and cost where they do not."""

import hashlib

from benchmarks import flows
from benchmarks.measuring import Figure, compare
from benchmarks.throughput import run, warm
from routilux import Flow, Routine, Runtime, all_slots_ready_policy

BLOCK = bytes(1 << 20)


def figures(quick: bool, repetitions: int) -> list[Figure]:
    """Throughput with more threads, as a multiple of one thread's."""
    blocks = 100 if quick else 300
    items = 20_000 if quick else 60_000
    pairs = max(3, repetitions)
    return [
        _against_one("hash overlap", "2 threads hashing 1 MB, max_concurrency=2", overlapping(blocks), 2, pairs),
        _against_one("hash branches", "2 threads hashing 1 MB, two routines", branches(blocks), 2, pairs),
        _against_one("python chain", "8 threads, W1", flows.chain(items), 8, pairs),
        _against_one("python one", "8 threads, W1 one", flows.chain(items // 2, all_slots_ready_policy()), 8, pairs),
        _against_one("python fan", "8 threads, W2", flows.fan(items // 10), 8, pairs),
        _against_one(
            "python busy", "8 threads, fan with 20 µs of Python in each logic", busy_fan(items // 40), 8, pairs
        ),
    ]


def _against_one(name: str, what: str, flow: Flow, threads: int, repetitions: int) -> Figure:
    with Runtime(1) as one, Runtime(threads) as many:
        warm(one, 1)
        warm(many, threads)
        return compare(name, f"throughput, {what}", lambda: run(one, flow), lambda: run(many, flow), repetitions)


def hash_blocks(blocks: list[bytes]) -> None:
    for block in blocks:
        hashlib.sha256(block).digest()


def overlapping(count: int) -> Flow:
    """One routine whose activations overlap."""
    hashing = Routine("hash", max_concurrency=2).set_logic(hash_blocks).set_activation_policy(all_slots_ready_policy())
    flow = Flow("overlapping").add_routine(blocks_of(count), "source").add_routine(hashing, "hash")
    return flow.connect("source", "output", "hash", "blocks")


def branches(count: int) -> Flow:
    """Two routines beside each other, each with every second block."""
    flow = Flow("branches").add_routine(blocks_of(count // 2), "source")
    for side in ("left", "right"):
        hashing = Routine(side).set_logic(hash_blocks).set_activation_policy(all_slots_ready_policy())
        flow.add_routine(hashing, side).connect("source", "output", side, "blocks")
    return flow


def blocks_of(count: int) -> Routine:
    """A source of blocks."""

    def source(*, routine: Routine) -> None:
        for _ in range(count):
            routine.emit("output", BLOCK)

    return Routine("source").set_logic(source)


def busy_fan(count: int) -> Flow:
    """1 → 4 → 1, one item per activation, each logic computing for about 20 µs."""

    def compute(values: list[int], *, routine: Routine) -> None:
        routine.emit("output", sum(number * number for number in range(400)))

    flow = Flow("busy").add_routine(flows.source_of(count), "source")
    flow.add_routine(Routine("sink").set_logic(flows.ignore), "sink")
    for number in range(4):
        middle = Routine(f"middle_{number}").set_logic(compute).set_activation_policy(all_slots_ready_policy())
        flow.add_routine(middle, middle.name).connect("source", "output", middle.name, "values")
        flow.connect(middle.name, "output", "sink", "input")
    return flow
