"""routilux 1.1.0 of the public index: another package of the same name; routines run inline on one loop per worker.

It does not say when work is done, so the sink does. W4: one worker, a post per job.
"""

import logging
import threading
import time
from typing import Any

from benchmarks.peers.reporting import Work, after_chain, after_fan, check, report
from routilux.core import Flow, FlowRegistry, Routine, Runtime

ROOM = 10_000_000  # a full slot drops
logging.disable(logging.ERROR)


def all_new(slots: Any, worker_state: Any) -> Any:
    data = {name: slot.consume_all_new() for name, slot in slots.items()}
    return any(data.values()), data, None


def by_tens(slots: Any, worker_state: Any) -> Any:
    if any(slot.get_unconsumed_count() < 10 for slot in slots.values()):
        return False, {}, None
    return True, {name: [slot.consume_one_new() for _ in range(10)] for name, slot in slots.items()}, None


class Source(Routine):
    """Emits when it is triggered."""

    def __init__(self) -> None:
        super().__init__()
        self.add_slot("trigger")
        self.add_event("output", ["value"])
        self.set_activation_policy(all_new)

    def logic(self, triggers: list[dict[str, int]], *, worker_state: Any, **_: Any) -> None:
        for trigger in triggers:
            for number in range(trigger["count"]):
                self.emit("output", worker_state=worker_state, value=number)


class Step(Routine):
    """Adds one."""

    def __init__(self) -> None:
        super().__init__()
        self.add_slot("input", max_queue_length=ROOM)
        self.add_event("output", ["value"])
        self.set_activation_policy(all_new)

    def logic(self, items: list[dict[str, int]], *, worker_state: Any, **_: Any) -> None:
        for item in items:
            self.emit("output", worker_state=worker_state, value=item["value"] + 1)


class Sink(Routine):
    """Sums up until it has seen so many."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.add_slot("input", max_queue_length=ROOM)
        self.set_activation_policy(all_new)
        self.left, self.total = count, 0
        self.done = threading.Event()

    def logic(self, items: list[dict[str, int]], *, worker_state: Any, **_: Any) -> None:
        for item in items:
            self.total += item["value"]
        self.left -= len(items)
        if not self.left:
            self.done.set()


class Join(Routine):
    """Fires when both inputs hold ten."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.add_slot("left", max_queue_length=ROOM)
        self.add_slot("right", max_queue_length=ROOM)
        self.set_activation_policy(by_tens)
        self.left = count
        self.done = threading.Event()

    def logic(self, left: list[Any], right: list[Any], **_: Any) -> None:
        self.left -= len(left) + len(right)
        if not self.left:
            self.done.set()


def finish(flow: Flow, triggers: dict[str, int], done: threading.Event, jobs: int = 1) -> float:
    registry = FlowRegistry.get_instance()
    registry.register(flow)
    registry.register_by_name(flow.flow_id, flow)
    runtime = Runtime(thread_pool_size=4)
    worker = runtime.exec(flow.flow_id)
    begin = time.perf_counter()
    for _ in range(jobs):
        for routine_id, count in triggers.items():
            runtime.post(flow.flow_id, routine_id, "trigger", {"count": count}, worker_id=worker.worker_id)
    done.wait(300)
    seconds = time.perf_counter() - begin
    runtime.shutdown(wait=False)
    worker._executor.stop()
    return seconds


def chain(steps: int, sink: Sink) -> Flow:
    flow = Flow(f"chain_{id(sink)}")
    flow.add_routine(Source(), "source")
    before = "source"
    for number in range(steps):
        flow.add_routine(Step(), f"step_{number}")
        flow.connect(before, "output", f"step_{number}", "input")
        before = f"step_{number}"
    flow.add_routine(sink, "sink")
    flow.connect(before, "output", "sink", "input")
    return flow


def w1(count: int) -> float:
    sink = Sink(count)
    seconds = finish(chain(3, sink), {"source": count}, sink.done)
    check(sink.total, after_chain(count))
    return seconds


def w2(count: int) -> float:
    sink = Sink(count * 10)
    flow = Flow(f"fan_{id(sink)}")
    flow.add_routine(Source(), "source")
    flow.add_routine(sink, "sink")
    for number in range(10):
        flow.add_routine(Step(), f"middle_{number}")
        flow.connect("source", "output", f"middle_{number}", "input")
        flow.connect(f"middle_{number}", "output", "sink", "input")
    seconds = finish(flow, {"source": count}, sink.done)
    check(sink.total, after_fan(count))
    return seconds


def w3(count: int) -> float:
    join = Join(count)
    flow = Flow(f"join_{id(join)}")
    flow.add_routine(join, "join")
    for side in ("left", "right"):
        flow.add_routine(Source(), side)
        flow.connect(side, "output", "join", side)
    seconds = finish(flow, {"left": count // 2, "right": count // 2}, join.done)
    check(join.left, 0)
    return seconds


def w4(count: int) -> float:
    sink = Sink(count)
    seconds = finish(chain(1, sink), {"source": 1}, sink.done, jobs=count)
    check(sink.total, count)
    return seconds


if __name__ == "__main__":
    report("routilux", {"W1": Work(w1, 3_000), "W2": Work(w2, 500), "W3": Work(w3, 5_000), "W4": Work(w4, 500)})
