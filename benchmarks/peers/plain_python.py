"""The limit: no engine at all. W1 and W2 are nested calls, W3 two lists, W4 a job for a pool of threads."""

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from benchmarks.peers.reporting import Work, after_chain, after_fan, check, report


class Sum:
    """A sink."""

    def __init__(self) -> None:
        self.total = 0

    def take(self, value: int) -> None:
        self.total += value


def step(following: Any) -> Any:
    def add_one(value: int) -> None:
        following(value + 1)

    return add_one


def w1(count: int) -> float:
    sink = Sum()
    first = step(step(step(sink.take)))
    begin = time.perf_counter()
    for number in range(count):
        first(number)
    seconds = time.perf_counter() - begin
    check(sink.total, after_chain(count))
    return seconds


def w2(count: int) -> float:
    sink = Sum()
    middles = [step(sink.take) for _ in range(10)]
    begin = time.perf_counter()
    for number in range(count):
        for middle in middles:
            middle(number)
    seconds = time.perf_counter() - begin
    check(sink.total, after_fan(count))
    return seconds


def w3(count: int) -> float:
    left: list[int] = []
    right: list[int] = []
    found = 0

    def joined(ours: list[int], theirs: list[int]) -> None:
        nonlocal found
        found += len(ours) + len(theirs)

    def take(side: list[int], number: int) -> None:
        nonlocal left, right
        side.append(number)
        if len(left) >= 10 and len(right) >= 10:
            ours, left = left[:10], left[10:]
            theirs, right = right[:10], right[10:]
            joined(ours, theirs)

    begin = time.perf_counter()
    for number in range(count // 2):
        take(left, number)
        take(right, number)
    seconds = time.perf_counter() - begin
    check(found, count)
    return seconds


def w4(count: int) -> float:
    sink = Sum()
    first = step(step(sink.take))
    with ThreadPoolExecutor(4) as pool:
        begin = time.perf_counter()
        wait([pool.submit(first, 0) for _ in range(count)])
        seconds = time.perf_counter() - begin
    check(sink.total, 2 * count)
    return seconds


if __name__ == "__main__":
    report(
        "plain python",
        {"W1": Work(w1, 100_000), "W2": Work(w2, 10_000), "W3": Work(w3, 100_000), "W4": Work(w4, 2_000)},
    )
