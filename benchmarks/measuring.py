"""Measuring: repetitions after a warm-up, each beside a bare Python call of the same moment.

Only the standard library, and nothing of routilux: peers use this file in environments of their own.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

CALLS = 40_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: samples in its unit, and for times the same as multiples of a bare call beside each."""

    name: str
    what: str
    unit: str
    samples: tuple[float, ...]
    calls: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        """The median."""
        return median(self.samples)

    @property
    def in_calls(self) -> float | None:
        """The median in bare calls, for times."""
        return median(self.calls) if self.calls else None

    @property
    def spread(self) -> float:
        """From the lowest to the highest sample, as a share of the median."""
        return (max(self.samples) - min(self.samples)) / self.value if self.value else 0.0


def bare_call() -> float:
    """Seconds of one Python function calling another, the median of three looks."""
    return median(_nested_calls() for _ in range(3))


def _nested_calls() -> float:
    begin = time.perf_counter()
    for number in range(CALLS // 5):
        _first(number)
    return (time.perf_counter() - begin) / CALLS


def _first(x: int) -> int:
    return _second(x)


def _second(x: int) -> int:
    return _third(x)


def _third(x: int) -> int:
    return _fourth(x)


def _fourth(x: int) -> int:
    return _fifth(x)


def _fifth(x: int) -> int:
    return x


def measure(name: str, what: str, once: Callable[[], float], count: int, repetitions: int, unit: str = "µs") -> Figure:
    """Call ``once`` after a warm-up; it gives seconds for ``count`` of what is measured."""
    once()
    samples, calls = [], []
    for _ in range(repetitions):
        gc.collect()
        before = bare_call()
        seconds = once() / count
        samples.append(seconds * (1e3 if unit == "ms" else 1e6))
        calls.append(seconds / ((before + bare_call()) / 2))
    return Figure(name, what, unit, tuple(samples), tuple(calls))


def compare(name: str, what: str, base: Callable[[], float], other: Callable[[], float], repetitions: int) -> Figure:
    """Give how many times faster ``other`` is than ``base``, in pairs taken in turns."""
    base()
    other()
    ratios = []
    for number in range(repetitions):
        gc.collect()
        if number % 2:
            slow, fast = base(), other()
        else:
            fast, slow = other(), base()
        ratios.append(slow / fast)
    return Figure(name, what, "times", tuple(ratios))


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def percentile(samples: list[float], share: float) -> float:
    """Give the sample below which this share of them lies."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
