"""`routilux run`: carries one job of a flow file to its end, and shows it."""

import argparse
import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from routilux.cli.flow_file import FlowFile, FlowFileError
from routilux.cli.outcome import Summary, closing_line, json_text, summarize
from routilux.cli.screen import Screen, ScreenHandler, open_screen, print_tables
from routilux.job import JobState
from routilux.runtime.runtime import Runtime

LOOK_SECONDS = 0.1


def run_flow_file(file: FlowFile, args: argparse.Namespace, stdout: TextIO) -> int:
    """Run one job; give the exit code.

    Raises:
        FlowFileError: one of the functions of the file failed before the job began.
        RoutiluxError: the flow, its params or its inputs are refused.
    """
    params, inputs = file.params(args), file.inputs(args)
    screen = open_screen(file.flow.flow_id)
    began = time.perf_counter()
    with contextlib.closing(screen), _logging_to(screen), Runtime(thread_pool_size=args.threads) as runtime:
        with _Interrupt() as interrupt:  # before the job begins: Ctrl-C may come at once
            job_state = runtime.exec(file.flow, params=params, inputs=inputs)
            _Watch(runtime, job_state, file, screen, began).until_end(interrupt)
        seconds = time.perf_counter() - began
    summary = summarize(job_state, file.flow.routines, seconds)
    code = _exit_code(summary, interrupt.came)
    if args.json:
        print(json.dumps(summary), file=stdout, flush=True)
    elif code == 0:
        _show(file, job_state)
    print(closing_line(summary), file=sys.stderr)
    if args.output is not None and code == 0:
        code = _write(args.output, json_text(job_state.result, indent=2) + "\n")
    if args.debug and job_state.error is not None:
        print(job_state.error.traceback, file=sys.stderr)
    return code


def _exit_code(summary: Summary, was_interrupted: bool) -> int:
    if summary["status"] == "completed":
        return 1 if summary["error"] else 0
    return 130 if was_interrupted else 1


def _write(path: Path, text: str) -> int:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"routilux: the result could not be written: {error}", file=sys.stderr)
        return 1
    return 0


def _show(file: FlowFile, job_state: JobState) -> None:
    try:
        if file.can_show:
            print_tables(file.tables(job_state.result))
        elif job_state.result is not None:
            print(json_text(job_state.result, indent=2))
    except FlowFileError as error:  # the job is done: its result counts
        print(error, file=sys.stderr)


def output_path(text: str) -> Path:
    """Check, before the job, that a file can be written there; for argparse."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


class _Interrupt:
    """Notes the first Ctrl-C; the second ends the process."""

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def __enter__(self) -> "_Interrupt":
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)


class _Watch:
    """Looks at a running job from the main thread, shows how far it is, and cancels it on Ctrl-C."""

    def __init__(self, runtime: Runtime, job_state: JobState, file: FlowFile, screen: Screen, began: float) -> None:
        self._runtime = runtime
        self._job_state = job_state
        self._file = file
        self._screen = screen
        self._began = began
        self._asks = True

    def until_end(self, interrupt: _Interrupt) -> None:
        """Return when the job has ended, by itself or by Ctrl-C."""
        job_id = self._job_state.job_id
        while not interrupt.came and not self._runtime.wait_for_job(job_id, timeout=LOOK_SECONDS):
            self._look()
        if interrupt.came:
            self._cancel(job_id)
        else:
            self._look()

    def _cancel(self, job_id: str) -> None:
        self._screen.close()  # a process that is killed would leave the cursor hidden
        self._screen.note("cancelling; Ctrl-C again leaves at once")
        self._runtime.cancel_job(job_id)
        self._runtime.wait_for_job(job_id)

    def _look(self) -> None:
        try:
            found = self._file.progress(self._job_state) if self._asks else None
        except FlowFileError as error:
            self._asks = False
            found = None
            self._screen.note(str(error))
        self._screen.progress(found, time.perf_counter() - self._began)


@contextlib.contextmanager
def _logging_to(screen: Screen) -> Iterator[None]:
    handler = ScreenHandler(screen)
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("routilux")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
