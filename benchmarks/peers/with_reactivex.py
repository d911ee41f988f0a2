"""reactivex: observables and operators on the call stack; no queue, no thread, no job."""

import time

import reactivex as rx
from reactivex import operators as ops
from reactivex.subject import Subject

from benchmarks.peers.reporting import Work, after_chain, after_fan, check, report


def add_one(value: int) -> int:
    return value + 1


def w1(count: int) -> float:
    total = 0

    def sink(value: int) -> None:
        nonlocal total
        total += value

    source: Subject[int] = Subject()
    source.pipe(ops.map(add_one), ops.map(add_one), ops.map(add_one)).subscribe(sink)
    begin = time.perf_counter()
    for number in range(count):
        source.on_next(number)
    source.on_completed()
    seconds = time.perf_counter() - begin
    check(total, after_chain(count))
    return seconds


def w2(count: int) -> float:
    total = 0

    def sink(value: int) -> None:
        nonlocal total
        total += value

    source: Subject[int] = Subject()
    rx.merge(*[source.pipe(ops.map(add_one)) for _ in range(10)]).subscribe(sink)
    begin = time.perf_counter()
    for number in range(count):
        source.on_next(number)
    source.on_completed()
    seconds = time.perf_counter() - begin
    check(total, after_fan(count))
    return seconds


def w3(count: int) -> float:
    found = 0

    def joined(both: tuple[list[int], list[int]]) -> None:
        nonlocal found
        found += len(both[0]) + len(both[1])

    left: Subject[int] = Subject()
    right: Subject[int] = Subject()
    rx.zip(left.pipe(ops.buffer_with_count(10)), right.pipe(ops.buffer_with_count(10))).subscribe(joined)
    begin = time.perf_counter()
    for number in range(count // 2):
        left.on_next(number)
        right.on_next(number)
    seconds = time.perf_counter() - begin
    check(found, count)
    return seconds


def w4(count: int) -> float:
    done = 0

    def completed() -> None:
        nonlocal done
        done += 1

    begin = time.perf_counter()
    for number in range(count):
        rx.of(number).pipe(ops.map(add_one), ops.map(add_one)).subscribe(on_completed=completed)
    seconds = time.perf_counter() - begin
    check(done, count)
    return seconds


if __name__ == "__main__":
    report(
        "reactivex", {"W1": Work(w1, 100_000), "W2": Work(w2, 10_000), "W3": Work(w3, 50_000), "W4": Work(w4, 2_000)}
    )
