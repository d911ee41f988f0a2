"""The terminal with rich: a bar while the job runs, tables at its end. Needs the extra `cli`."""

import sys
from collections.abc import Sequence

from rich import box
from rich import progress as bars
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from routilux.cli.flow_file import Progress, Table
from routilux.cli.plain import cell_text, count_text, is_number_column


class RichBar:
    """Progress as a bar on stderr; lines printed meanwhile appear above it."""

    def __init__(self, title: str) -> None:
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[count]}", markup=False),
            bars.TimeElapsedColumn(),
            console=Console(stderr=True),
            redirect_stdout=sys.stdout.isatty(),  # into a file or a pipe it must not be diverted
        )
        self._task = self._bar.add_task(title, total=None, count="")
        self._bar.start()

    def progress(self, progress: Progress | None, seconds: float) -> None:
        """Move the bar."""
        if progress is not None:
            self._bar.update(self._task, completed=progress.done, total=progress.total, count=count_text(progress))

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()


def print_tables(tables: Sequence[Table]) -> None:
    """Draw tables on stdout."""
    console = Console()
    for table in tables:
        drawn = RichTable(title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD)
        for index, column in enumerate(table.columns):
            drawn.add_column(Text(column), justify="right" if is_number_column(table, index) else "left")
        for row in table.rows:
            drawn.add_row(*(Text(cell_text(cell)) for cell in row))
        console.print(drawn)
