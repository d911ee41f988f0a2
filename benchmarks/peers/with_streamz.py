"""streamz: streams on the call stack; no queue, no thread, no job."""

import time

from streamz import Stream

from benchmarks.peers.reporting import Work, after_chain, after_fan, check, report


def add_one(value: int) -> int:
    return value + 1


class Sum:
    """A sink."""

    def __init__(self) -> None:
        self.total = 0

    def take(self, value: int) -> None:
        self.total += value


def w1(count: int) -> float:
    sink = Sum()
    source = Stream()
    source.map(add_one).map(add_one).map(add_one).sink(sink.take)
    begin = time.perf_counter()
    for number in range(count):
        source.emit(number)
    seconds = time.perf_counter() - begin
    check(sink.total, after_chain(count))
    return seconds


def w2(count: int) -> float:
    sink = Sum()
    source = Stream()
    middles = [source.map(add_one) for _ in range(10)]
    middles[0].union(*middles[1:]).sink(sink.take)
    begin = time.perf_counter()
    for number in range(count):
        source.emit(number)
    seconds = time.perf_counter() - begin
    check(sink.total, after_fan(count))
    return seconds


def w3(count: int) -> float:
    found = Sum()
    left, right = Stream(), Stream()
    left.partition(10).zip(right.partition(10)).sink(lambda both: found.take(len(both[0]) + len(both[1])))
    begin = time.perf_counter()
    for number in range(count // 2):
        left.emit(number)
        right.emit(number)
    seconds = time.perf_counter() - begin
    check(found.total, count)
    return seconds


def w4(count: int) -> float:
    sink = Sum()
    begin = time.perf_counter()
    for number in range(count):
        source = Stream()
        source.map(add_one).map(add_one).sink(sink.take)
        source.emit(number)
    seconds = time.perf_counter() - begin
    check(sink.total, count * (count - 1) // 2 + 2 * count)
    return seconds


if __name__ == "__main__":
    report("streamz", {"W1": Work(w1, 30_000), "W2": Work(w2, 3_000), "W3": Work(w3, 5_000), "W4": Work(w4, 2_000)})
