"""What the words promise: every example runs, the drawings match the code."""

import doctest
import importlib
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
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
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


def examples() -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(ROOT)}[{number}]", text)
        for page in PAGES
        for number, text in enumerate(blocks(page, "python"))
    ]


def run(place: str, text: str) -> None:
    namespace = {"__name__": "example"}
    exec(compile(text, place, "exec"), namespace)


@pytest.mark.parametrize(("place", "text"), examples(), ids=[place for place, _ in examples()])
def test_example_of_the_pages_runs(place: str, text: str) -> None:
    run(place, text)


def test_readme_shows_what_its_flow_prints(capsys: pytest.CaptureFixture[str]) -> None:
    run("README.md", blocks(ROOT / "README.md", "python")[0])
    printed = capsys.readouterr().out
    assert TIME.sub("", printed) == TIME.sub("", blocks(ROOT / "README.md", "text")[0])


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
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_decisions_fit_on_a_page() -> None:
    for note in (ROOT / "docs" / "decisions").glob("*.md"):
        assert len(note.read_text(encoding="utf-8").splitlines()) <= 40, note.name
