"""pykka: an actor, thread and queue per stage. W4 sends jobs through three running actors: no job has its own."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pykka

from benchmarks.peers.reporting import Work, after_chain, after_fan, check, report


class Step(pykka.ThreadingActor):
    """Adds one and passes on."""

    def __init__(self, following: list[pykka.ActorRef[Any]]) -> None:
        super().__init__()
        self.following = following

    def on_receive(self, message: int) -> None:
        for ref in self.following:
            ref.tell(message + 1)


class Sink(pykka.ThreadingActor):
    """Sums up until it has seen so many."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count
        self.total = 0
        self.done = threading.Event()

    def on_receive(self, message: int) -> None:
        self.total += message
        self.left -= 1
        if not self.left:
            self.done.set()


class Join(pykka.ThreadingActor):
    """Fires when both sides hold ten."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.sides: tuple[list[int], list[int]] = ([], [])
        self.left = count
        self.done = threading.Event()

    def on_receive(self, message: tuple[int, int]) -> None:
        side, number = message
        self.sides[side].append(number)
        if len(self.sides[0]) >= 10 and len(self.sides[1]) >= 10:
            batches = self.sides[0][:10], self.sides[1][:10]
            del self.sides[0][:10], self.sides[1][:10]
            self.left -= len(batches[0]) + len(batches[1])
            if not self.left:
                self.done.set()


def timed(send: Callable[[], None], done: threading.Event) -> float:
    begin = time.perf_counter()
    send()
    done.wait()
    return time.perf_counter() - begin


def w1(count: int) -> float:
    sink = Sink.start(count)
    actor = sink._actor_weakref()
    first = Step.start([Step.start([Step.start([sink])])])

    def send() -> None:
        for number in range(count):
            first.tell(number)

    seconds = timed(send, actor.done)
    check(actor.total, after_chain(count))
    pykka.ActorRegistry.stop_all()
    return seconds


def w2(count: int) -> float:
    sink = Sink.start(count * 10)
    actor = sink._actor_weakref()
    middles = [Step.start([sink]) for _ in range(10)]

    def send() -> None:
        for number in range(count):
            for middle in middles:
                middle.tell(number)

    seconds = timed(send, actor.done)
    check(actor.total, after_fan(count))
    pykka.ActorRegistry.stop_all()
    return seconds


def w3(count: int) -> float:
    join = Join.start(count)
    done = join._actor_weakref().done

    def send() -> None:
        for number in range(count // 2):
            join.tell((0, number))
            join.tell((1, number))

    seconds = timed(send, done)
    pykka.ActorRegistry.stop_all()
    return seconds


def w4(count: int) -> float:
    sink = Sink.start(count)
    actor = sink._actor_weakref()
    first = Step.start([Step.start([sink])])

    def send() -> None:
        for _ in range(count):
            first.tell(0)

    seconds = timed(send, actor.done)
    check(actor.total, 2 * count)
    pykka.ActorRegistry.stop_all()
    return seconds


if __name__ == "__main__":
    report("pykka", {"W1": Work(w1, 30_000), "W2": Work(w2, 3_000), "W3": Work(w3, 60_000), "W4": Work(w4, 10_000)})
