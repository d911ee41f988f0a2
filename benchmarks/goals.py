"""The figures to reach, and the forms of a number."""

from dataclasses import dataclass

from benchmarks.measuring import Figure


@dataclass(frozen=True, slots=True)
class Goal:
    """At most, or at least, so much; in bare calls where the figure has them and ``unit`` says so."""

    limit: float
    unit: str
    at_least: bool = False

    def is_met(self, figure: Figure) -> bool:
        """Whether the median reaches it."""
        value = figure.in_calls if self.unit == "calls" else figure.value
        assert value is not None
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.limit)} {self.unit}"


GOALS = {
    "W1": Goal(22, "calls"),
    "W1 dict": Goal(22, "calls"),
    "W1 one": Goal(70, "calls"),
    "W1 one dict": Goal(70, "calls"),
    "W2": Goal(16, "calls"),
    "W3": Goal(45, "calls"),
    "W4": Goal(1_200, "calls"),
    "W4 wait": Goal(10_000, "bytes"),
    "W4 threads": Goal(0, "threads"),
    "W5": Goal(1.05, "ideal"),
    "W7": Goal(200, "bytes"),
    "latency p50": Goal(60, "µs"),
    "latency p99": Goal(500, "µs"),
    "end p50": Goal(1_000, "µs"),
    "end p99": Goal(1_000, "µs"),
    "import": Goal(60, "ms"),
    "idle": Goal(0, "times"),
    "routines flat": Goal(1.3, "times"),
    "queued flat": Goal(1.3, "times"),
    "jobs flat": Goal(1.3, "times"),
    "store share": Goal(0.4, "times", at_least=True),
    "hash overlap": Goal(1.8, "times", at_least=True),
    "hash branches": Goal(1.8, "times", at_least=True),
    "python chain": Goal(0.9, "times", at_least=True),
    "python one": Goal(0.9, "times", at_least=True),
    "python fan": Goal(0.9, "times", at_least=True),
    "python busy": Goal(0.9, "times", at_least=True),
}


def number(value: float) -> str:
    """Write a number with about three digits."""
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
