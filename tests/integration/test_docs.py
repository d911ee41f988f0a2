"""What the words promise: every example runs, the drawings match the code."""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import routilux
from tests.integration.flights import flights_file

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "routilux"
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MODULES = [
    "routilux",
    *(
        found.name
        for found in pkgutil.walk_packages(routilux.__path__, "routilux.")
        if found.name != "routilux.__main__"
    ),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TIME = re.compile(r"\d\d:\d\d:\d\d")


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def run(page: Path) -> list[tuple[str, str]]:
    """Run the python of a page from top to bottom; pair what a block printed with the text block after it, if any."""
    namespace: dict[str, Any] = {"__name__": "example"}
    shown: list[tuple[str, str]] = []
    pending: str | None = None
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(text, f"{page.name}: {text.splitlines()[0]}", "exec"), namespace)
            pending = printed.getvalue()
        elif language == "text" and pending is not None:
            shown.append((pending, text))
            pending = None
    return shown


PYTHON_PAGES = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=[str(page.relative_to(ROOT)) for page in PYTHON_PAGES])
def test_code_of_a_page_runs_and_prints_what_the_page_shows(page: Path) -> None:
    for printed, text in run(page):
        if page.name == "README.md":  # real time
            printed, text = TIME.sub("", printed), TIME.sub("", text)
        assert printed == text


def test_what_pages_show_is_compared() -> None:
    compared = {page.name: len(run(page)) for page in PYTHON_PAGES}
    assert compared["README.md"] == 1
    assert compared["explain.md"] >= 3
    assert compared["write-your-own-policy.md"] >= 3


def test_no_page_shows_code_that_nobody_runs() -> None:
    known = {"python", "text", "sh", "floors", "", "pycon"}
    assert {language for page in PAGES for language, _ in FENCE.findall(page.read_text(encoding="utf-8"))} <= known


def test_readme_and_examples_have_no_findings() -> None:
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(blocks(ROOT / "README.md", "python")[0], namespace)
    flows = [namespace["flow"], flights_file().flow]
    assert [str(finding) for flow in flows for finding in flow.validate()] == []


def test_readme_sets_up_with_exactly_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert blocks(ROOT / "README.md", "sh")[0].splitlines() == ["./run demo", "./run test"]
    assert set(re.findall(r"\./run \w+", text)) == {"./run demo", "./run test"}


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "./run test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


def test_public_entry_points_carry_an_example() -> None:
    for entry in (routilux.Flow, routilux.Routine, routilux.Runtime, routilux.JobState, routilux.Slot, routilux.Policy):
        assert ">>>" in (entry.__doc__ or ""), entry


def test_floors_of_the_architecture_are_those_of_the_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    drawn = blocks(ROOT / "ARCHITECTURE.md", "floors")[0].splitlines()
    assert drawn == contract[0]["layers"]


def named_files() -> set[str]:
    """The files in the table of the architecture, as paths below src/routilux."""
    found = set()
    for line in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        cell = line.split("|")[1].replace("*", "").replace("`", "") if line.startswith("|") else ""
        if ".py" in cell:
            names = [name.strip() for name in cell.split(",")]
            folder = names[0].rpartition("/")[0]
            found |= {name if "/" in name or not folder else f"{folder}/{name}" for name in names}
    return found


def test_architecture_names_every_file() -> None:
    assert named_files() == {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")}


def test_links_of_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        words = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target, anchor in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", words):
            found = page.parent / target if target else page
            assert found.exists(), f"{page.name} -> {target}"
            assert not anchor or anchor[1:] in anchors(found), f"{page.name} -> {target}{anchor}"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_decisions_fit_on_a_page() -> None:
    for note in (ROOT / "docs" / "decisions").glob("*.md"):
        assert len(note.read_text(encoding="utf-8").splitlines()) <= 40, note.name
