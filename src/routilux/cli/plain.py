"""Plain lines: progress and tables where there is no terminal, or no rich."""

import sys
from collections.abc import Sequence
from typing import Any

from routilux.cli.flow_file import Progress, Table

FIRST_LINE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
STEPS = 10  # lines for a job whose total is known


class PlainLines:
    """Progress as lines on stderr: one per tenth of the work, and at growing intervals."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._step = 0
        self._pause = FIRST_LINE_SECONDS
        self._next_seconds = FIRST_LINE_SECONDS
        self._last = ""

    def progress(self, progress: Progress | None, seconds: float) -> None:
        """Print a line if there is news worth one."""
        step = _step(progress)
        if step <= self._step and seconds < self._next_seconds:
            return
        if seconds >= self._next_seconds:
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self._next_seconds = seconds + self._pause
        self._step = max(step, self._step)
        line = count_text(progress)
        if line != self._last or progress is None:
            self._last = line
            self.note(f"{self._title}: {line or 'running'} ({seconds:.1f} s)")

    def note(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to put back."""


def _step(progress: Progress | None) -> int:
    if progress is None or not progress.total:
        return 0
    return progress.done * STEPS // progress.total


def count_text(progress: Progress | None) -> str:
    """Say how far a job is, in numbers."""
    if progress is None:
        return ""
    if not progress.total:
        return f"{progress.done:,}"
    return f"{progress.done:,} of {progress.total:,} ({100 * progress.done // progress.total} %)"


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables as aligned columns."""
    for table in tables:
        print(f"\n{table.title}")
        for line in lines_of(table):
            print(f"  {line}".rstrip())


def lines_of(table: Table) -> list[str]:
    """Align a table: numbers to the right, all else to the left."""
    texts = [[cell_text(cell) for cell in row] for row in table.rows]
    widths = [max(len(text) for text in column) for column in zip(table.columns, *texts, strict=True)]
    right = [is_number_column(table, index) for index in range(len(table.columns))]
    return [
        "  ".join(
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(line, widths, right, strict=True)
        )
        for line in [table.columns, *texts]
    ]


def is_number_column(table: Table, index: int) -> bool:
    """Tell whether a column holds numbers only."""
    return all(isinstance(row[index], int | float) or row[index] is None for row in table.rows)


def cell_text(value: Any) -> str:
    """Write one cell as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.2f}"
        case _:
            return str(value)
