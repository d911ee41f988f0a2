"""The command line, as a user meets it: in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[str], Path]

FLOW = """
from routilux import Flow, Routine, all_slots_ready_policy

flow = Flow("doubling")

def read(job_state, routine):
    for number in range(job_state.params["count"]):
        routine.emit("number", number)

def double(numbers, job_state, routine):
    job_state.mutate_shared_data("total", lambda total: total + sum(2 * number for number in numbers), 0)
    job_state.set_result({"total": job_state.get_shared_data("total")})

flow.add_routine(Routine("read").set_logic(read), "read")
flow.add_routine(Routine("double").set_logic(double), "double")
flow.connect("read", "number", "double", "numbers")

def add_arguments(parser):
    parser.add_argument("--count", type=int, default=3)

def params(args):
    return {"count": args.count}
"""

FAILING = """
from routilux import Flow, Routine

def fail(job_state, routine):
    raise RuntimeError("out of paper")

flow = Flow("failing")
flow.add_routine(Routine("printer").set_logic(fail), "printer")
"""

ENDLESS = """
import sys, time
from routilux import Flow, Routine

def work(job_state, routine):
    print("working", file=sys.stderr, flush=True)
    while not job_state.is_cancelled:
        time.sleep(0.01)

flow = Flow("endless")
flow.add_routine(Routine("work").set_logic(work), "work")
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_flow(text: str) -> Path:
        path = tmp_path / "flow.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write_flow


def routilux(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "routilux", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def test_run_ends_with_zero_and_shows_the_result(write: Write) -> None:
    done = routilux("run", write(FLOW))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"total": 6}
    assert "doubling: completed" in done.stderr


def test_arguments_of_the_flow_file_reach_the_job(write: Write) -> None:
    assert json.loads(routilux("run", write(FLOW), "--count", "5").stdout) == {"total": 20}


def test_help_lists_the_arguments_of_the_flow_file(write: Write) -> None:
    done = routilux("run", write(FLOW), "--help")
    assert done.returncode == 0
    assert "--count" in done.stdout
    assert "--threads" in done.stdout


def test_options_may_stand_before_the_file(write: Write) -> None:
    done = routilux("run", "--json", "--threads", "2", write(FLOW), "--count", "1")
    assert json.loads(done.stdout)["result"] == {"total": 0}


def test_inputs_of_the_flow_file_feed_slots(write: Write) -> None:
    text = FLOW.replace("range(job_state.params", "range(0 * job_state.params")
    text += 'def inputs(args):\n    return {"double": {"numbers": [10, 20]}}\n'
    assert json.loads(routilux("run", write(text)).stdout) == {"total": 60}


def test_json_prints_one_object_and_nothing_else(write: Write) -> None:
    text = FLOW.replace("def read(job_state, routine):", 'def read(job_state, routine):\n    print("chatter")')
    done = routilux("run", write("print('import chatter')\n" + text), "--json")
    summary = json.loads(done.stdout)
    assert (summary["status"], summary["result"], summary["error"]) == ("completed", {"total": 6}, None)
    assert summary["counts"]["items"] == {"double.numbers": 3}
    assert summary["counts"]["dropped"] == summary["counts"]["leftovers"] == 0
    assert summary["duration_seconds"] >= 0
    assert "chatter" in done.stderr


def test_output_writes_the_result(write: Write, tmp_path: Path) -> None:
    done = routilux("run", write(FLOW), "--output", "report.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {"total": 6}


def test_output_in_a_missing_folder_is_refused_before_the_job(write: Write, tmp_path: Path) -> None:
    done = routilux("run", write(FLOW), "--output", tmp_path / "no" / "report.json")
    assert done.returncode == 2
    assert "there is no folder" in done.stderr
    assert "completed" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_output_that_cannot_be_written_ends_with_one(write: Write) -> None:
    done = routilux("run", write(FLOW), "--output", "/dev/full")
    assert done.returncode == 1
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_show_closes_with_tables(write: Write) -> None:
    text = FLOW + 'def show(result):\n    yield "Totals", ["name", "total"], [["all", 1234567], ["mean", 0.5]]\n'
    done = routilux("run", write(text))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["", "Totals", "  name      total", "  all   1,234,567", "  mean       0.50"]


def test_progress_is_shown_as_plain_lines(write: Write) -> None:
    text = FLOW + "def progress(job_state):\n    return 3, 3\n"
    assert "doubling: 3 of 3 (100 %)" in routilux("run", write(text)).stderr


def test_broken_progress_is_said_once_and_the_job_goes_on(write: Write) -> None:
    done = routilux("run", write(FLOW + "def progress(job_state):\n    return 1 / 0\n"))
    assert done.returncode == 0
    assert done.stderr.count("progress() failed: ZeroDivisionError") == 1


def test_failed_job_ends_with_one(write: Write) -> None:
    done = routilux("run", write(FAILING))
    assert done.returncode == 1
    assert "failing: failed" in done.stderr
    assert "RuntimeError in 'printer': out of paper" in done.stderr
    assert done.stdout == ""


def test_failed_job_writes_no_output_and_says_the_error_as_json(write: Write, tmp_path: Path) -> None:
    done = routilux("run", write(FAILING), "--json", "--output", tmp_path / "report.json")
    assert done.returncode == 1
    assert not (tmp_path / "report.json").exists()
    summary = json.loads(done.stdout)
    assert summary["status"] == "failed"
    assert summary["error"] == {"type": "RuntimeError", "message": "out of paper", "routine": "printer"}


def test_result_that_is_no_json_fails(write: Write, tmp_path: Path) -> None:
    text = FLOW.replace('{"total": job', '{"total": object(), "x": job')
    done = routilux("run", write(text), "--json", "--output", tmp_path / "report.json")
    assert done.returncode == 1
    assert "the result is no JSON" in json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import no_such_module\n",
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_module' (line 1)",
        ),
        ("x = 1\n1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero (line 2)"),
        ("def f(:\n", "cannot be imported: SyntaxError"),
        ("import sys\nsys.exit(5)\n", "cannot be imported: SystemExit: 5 (line 2)"),
        ("x = 1\n", "holds no `flow`"),
        ("flow = 1\n", "`flow` is a int, not a Flow"),
        (FLOW + "def params(args):\n    open('/no/such/file')\n", "params() failed: FileNotFoundError"),
        (FLOW + "def params(args):\n    return 3\n", "params() gave a int, not a mapping"),
        (
            FLOW + "def add_arguments(parser):\n    parser.add_argument('--json')\n",
            "add_arguments() failed: ArgumentError",
        ),
        (FLOW + "def inputs(args):\n    return {'nobody': {'numbers': [1]}}\n", "nobody"),
        (FLOW + "flow.add_routine(Routine('bare'), 'bare')\n", "bare"),
    ],
)
def test_flow_file_that_cannot_run_ends_with_two_and_no_traceback(write: Write, text: str, said: str) -> None:
    done = routilux("run", write(text))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_debug_shows_the_traceback(write: Write) -> None:
    assert "Traceback" in routilux("run", write("1 / 0\n"), "--debug").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["run"],
        ["run", "no-such-file.py"],
        ["run", "FLOW", "--threads", "0"],
        ["run", "FLOW", "--nope"],
    ],
)
def test_wrong_usage_ends_with_two(write: Write, arguments: list[str]) -> None:
    path = str(write(FLOW))
    done = routilux(*[path if argument == "FLOW" else argument for argument in arguments])
    assert done.returncode == 2
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_flow_file_may_import_what_lies_beside_it(write: Write, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("COUNT = 4\n", encoding="utf-8")
    text = FLOW.replace("default=3", "default=beside.COUNT")
    assert json.loads(routilux("run", write("import beside\n" + text)).stdout) == {"total": 12}


def test_ctrl_c_cancels_the_job_and_ends_with_130(write: Write) -> None:
    command = [sys.executable, "-m", "routilux", "run", str(write(ENDLESS)), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(stdout)["status"] == "cancelled"
    assert "Traceback" not in stderr


def test_reader_of_stdout_that_leaves_causes_no_traceback(write: Write) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "routilux", "run", str(write(FLOW))]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_version_names_version_and_python() -> None:
    done = routilux("version")
    assert done.returncode == 0
    assert done.stdout.startswith("routilux 0.")


def test_completion_prints_a_script() -> None:
    done = routilux("completion", "bash")
    assert done.returncode == 0
    assert "complete" in done.stdout
