"""The command `routilux`: what it understands, and its exit codes.

0 done · 1 the job failed · 2 wrong usage, or a flow file that cannot run · 130 Ctrl-C
"""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from routilux.cli.flow_file import FlowFile, load_flow_file
from routilux.cli.run_command import output_path, run_flow_file
from routilux.cli.screen import MissingExtraError, load_optional
from routilux.errors import RoutiluxError

THREADS = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line; give the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _carry_out(arguments)
        sys.stdout.flush()
        return code
    except RoutiluxError as error:
        print(f"routilux: {error}", file=sys.stderr)
        if "--debug" in arguments:
            traceback.print_exc()
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read stdout has left; nothing more to say, also not while Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _carry_out(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:
        return _run(arguments)
    args = build_parser().parse_args(arguments)
    if args.command == "version":
        print(_version())
    elif args.command == "completion":
        module = load_optional("routilux.cli.completion", "shtab")
        if module is None:
            raise MissingExtraError("cli", "shtab")
        print(module.completion_script(build_parser(), args.shell))
    return 0


def _run(arguments: list[str]) -> int:
    # The file comes first: it adds arguments, and only then can all of them be understood.
    known, others = _run_options(prog="routilux run").parse_known_args(arguments[1:])
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr if known.json else stdout):  # stdout is for the one JSON object
        path = next((text for text in others if not text.startswith("-")), None)
        file = load_flow_file(Path(path)) if path is not None else None
        args = build_parser(file).parse_args(arguments)
        return run_flow_file(file or load_flow_file(Path(args.file)), args, stdout)


def build_parser(file: FlowFile | None = None) -> argparse.ArgumentParser:
    """Build the parser, with the arguments of a flow file if there is one."""
    parser = argparse.ArgumentParser(prog="routilux", description="Run event-driven workflows.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        help="run the flow of a Python file",
        description="Run the flow of a Python file. The file may add arguments: routilux run FILE --help shows them.",
        epilog="exit codes: 0 done, 1 the job failed, 2 wrong usage or a file that cannot run, 130 Ctrl-C",
        parents=[_run_options()],
        allow_abbrev=False,
    )
    run.add_argument(
        "file", metavar="FILE", help="a Python file that holds a variable `flow`; before its own arguments"
    )
    if file is not None:
        file.add_arguments(run)
    commands.add_parser("version", help="say which version this is")
    completion = commands.add_parser("completion", help="print the completion script of a shell")
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    return parser


def _run_options(prog: str | None = None) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog=prog, add_help=False, allow_abbrev=False)
    options.add_argument("--output", type=output_path, metavar="FILE", help="write the result of the job as JSON")
    options.add_argument("--json", action="store_true", help="print one JSON object, and nothing else, to stdout")
    options.add_argument(
        "--threads", type=_thread_count, default=THREADS, metavar="N", help="worker threads (%(default)s)"
    )
    options.add_argument("--debug", action="store_true", help="show tracebacks")
    return options


def _thread_count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of threads; give 1 or more")
    return count


def _version() -> str:
    version = importlib.metadata.version("routilux")
    return f"routilux {version} ({platform.python_implementation()} {platform.python_version()})"
