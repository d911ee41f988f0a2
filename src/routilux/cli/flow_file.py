"""A flow file: a Python file that holds a flow, and how the command line may start and show it.

It must hold ``flow``, a Flow. It may hold any of these functions:

    add_arguments(parser)        adds its own arguments to an argparse parser
    params(args)                 gives the params of the job, a mapping
    inputs(args)                 gives the inputs of the job: {routine_id: {slot: [data, ...]}}
    progress(job_state)          gives (done, total), total None if unknown; asked some ten times a second
    show(result)                 gives the closing tables, each as (title, columns, rows)
"""

import argparse
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from routilux.errors import RoutiluxError
from routilux.flow import Flow
from routilux.job import JobState


class FlowFileError(RoutiluxError):
    """A flow file cannot be used; the command line ends with exit code 2."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(path, problem)

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class Progress(NamedTuple):
    """How far a job is; total is None where nobody knows."""

    done: int
    total: int | None


class Table(NamedTuple):
    """One table to close with."""

    title: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True, slots=True)
class FlowFile:
    """A loaded flow file. What its functions raise comes as FlowFileError, with the line."""

    path: Path
    module: ModuleType
    flow: Flow

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Let it add its arguments."""
        self._call("add_arguments", parser)

    def params(self, args: argparse.Namespace) -> Mapping[str, Any] | None:
        """Ask it for the params of the job."""
        return self._mapping("params", args)

    def inputs(self, args: argparse.Namespace) -> Mapping[str, Any] | None:
        """Ask it for the inputs of the job."""
        return self._mapping("inputs", args)

    def progress(self, job_state: JobState) -> Progress | None:
        """Ask it how far the job is."""
        found = self._call("progress", job_state)
        if found is None:
            return None
        try:
            done, total = found
            return Progress(int(done), None if total is None else int(total))
        except (TypeError, ValueError) as error:
            raise FlowFileError(str(self.path), f"progress() gave {found!r}, not (done, total)") from error

    def tables(self, result: Any) -> list[Table]:
        """Ask it for the closing tables."""
        found = self._call("show", result)
        try:
            tables = [Table(str(title), list(columns), list(map(list, rows))) for title, columns, rows in found or ()]
        except (TypeError, ValueError) as error:
            raise FlowFileError(str(self.path), "show() must give tables (title, columns, rows)") from error
        for table in tables:
            if any(len(row) != len(table.columns) for row in table.rows):
                raise FlowFileError(str(self.path), f"show(): a row of {table.title!r} does not fit its columns")
        return tables

    @property
    def can_show(self) -> bool:
        """Whether it has tables to close with."""
        return hasattr(self.module, "show")

    def _mapping(self, name: str, args: argparse.Namespace) -> Mapping[str, Any] | None:
        found = self._call(name, args)
        if found is None or isinstance(found, Mapping):
            return found
        raise FlowFileError(str(self.path), f"{name}() gave a {type(found).__name__}, not a mapping")

    def _call(self, name: str, *args: Any) -> Any:
        function = getattr(self.module, name, None)
        if function is None:
            return None
        try:
            return function(*args)
        except Exception as error:
            raise FlowFileError(str(self.path), f"{name}() failed: {describe(error, self.path)}") from error


def load_flow_file(path: Path) -> FlowFile:
    """Import a flow file, as `python FILE` would: what lies beside it can be imported.

    Raises:
        FlowFileError: there is no such file, it does not import, or it holds no flow.
    """
    if not path.is_file():
        raise FlowFileError(str(path), "there is no such file; the file of the flow comes right after `run`")
    module = _import(path)
    flow = getattr(module, "flow", None)
    if flow is None:
        raise FlowFileError(str(path), "holds no `flow`; assign your Flow to a variable of that name")
    if not isinstance(flow, Flow):
        raise FlowFileError(str(path), f"`flow` is a {type(flow).__name__}, not a Flow")
    return FlowFile(path, module, flow)


def _import(path: Path) -> ModuleType:
    name = path.stem if path.stem not in sys.modules else f"flow_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FlowFileError(str(path), "is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module  # dataclasses look their module up while they are made
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # code of the user
        del sys.modules[name]
        raise FlowFileError(str(path), f"cannot be imported: {describe(error, path)}") from error
    return module


def describe(error: BaseException, path: Path) -> str:
    """Say an error in one line, with the line of the file where it came up."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError):
        return text  # names its line
    places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _is_same(frame.filename, path)]
    return f"{text} (line {places[-1]})" if places else text


def _is_same(filename: str, path: Path) -> bool:
    return Path(filename).resolve() == path.resolve()
