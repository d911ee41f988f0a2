"""The table that people read."""

from collections.abc import Iterable, Sequence

from benchmarks.goals import GOALS, number
from benchmarks.measuring import Figure

HEAD = ("", "what", "median", "calls", "spread", "to reach", "")
RIGHT = (2, 3, 4, 5)


def row(figure: Figure) -> tuple[str, ...]:
    """Put one figure into words."""
    goal = GOALS.get(figure.name)
    calls = figure.in_calls
    return (
        figure.name,
        figure.what,
        f"{number(figure.value)} {figure.unit}",
        "" if calls is None else number(calls),
        f"{figure.spread:.0%}" if len(figure.samples) > 1 else "",
        "" if goal is None else str(goal),
        "" if goal is None else "yes" if goal.is_met(figure) else "no",
    )


def lines_of(rows: Iterable[Sequence[str]], head: Sequence[str], right: Sequence[int]) -> list[str]:
    """Align columns."""
    table = [tuple(head), *rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def table_of(figures: Iterable[Figure]) -> str:
    """Make the whole table."""
    return "\n".join(lines_of([row(figure) for figure in figures], HEAD, RIGHT))
