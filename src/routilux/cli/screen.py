"""Where the command line shows what happens: with rich on a terminal, with plain lines elsewhere."""

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Protocol, TextIO

from routilux.cli import plain
from routilux.cli.flow_file import Progress, Table
from routilux.errors import RoutiluxError


class Screen(Protocol):
    """What shows a running job."""

    def progress(self, progress: Progress | None, seconds: float) -> None: ...
    def note(self, text: str) -> None: ...
    def close(self) -> None: ...


class MissingExtraError(RoutiluxError):
    """A command needs a package that is not installed."""

    def __init__(self, extra: str, package: str) -> None:
        self.extra = extra
        self.package = package
        super().__init__(extra, package)

    def __str__(self) -> str:
        return f"this needs {self.package}, which is not installed; install routilux with its extra: routilux[{self.extra}]"


def load_optional(module: str, package: str) -> ModuleType | None:
    """Import a module of ours that needs a package; None if that is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        return None


def open_screen(title: str) -> Screen:
    """Give the screen that fits what stderr is."""
    module = _rich_for(sys.stderr)
    screen: Screen = module.RichBar(title) if module else plain.PlainLines(title)
    return screen


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables as fits what stdout is."""
    (_rich_for(sys.stdout) or plain).print_tables(tables)


def _rich_for(stream: TextIO) -> ModuleType | None:
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return None
    return load_optional("routilux.cli.rich_terminal", "rich")


class ScreenHandler(logging.Handler):
    """Shows log lines on a screen, so that they do not tear its bar."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line."""
        self._screen.note(self.format(record))
