"""Every example runs as a user runs it, prints what the gallery shows, and does so again."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.integration.test_docs import ROOT

EXAMPLES = ROOT / "examples"
GALLERY = (EXAMPLES / "README.md").read_text(encoding="utf-8")
SHOWN = dict(
    re.findall(r"^\.venv/bin/python examples/(\S+)\n```\n+```text\n(.*?)^```$", GALLERY, re.DOTALL | re.MULTILINE)
)
FILES = sorted(
    set(EXAMPLES.rglob("*.py")) - {EXAMPLES / "flights" / "flow.py", EXAMPLES / "flights" / "flight_data.py"}
)
NAMES = [path.relative_to(EXAMPLES).as_posix() for path in FILES]


def printed(name: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_example_prints_what_the_gallery_shows_each_time(name: str) -> None:
    assert [printed(name), printed(name)] == [SHOWN[name], SHOWN[name]]


def test_gallery_shows_exactly_the_examples() -> None:
    assert sorted(SHOWN) == NAMES


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_example_fits_on_a_page_and_says_how_to_run_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert f"Run it: .venv/bin/python {path.relative_to(ROOT).as_posix()}\n" in text


def test_worst_hours_are_those_that_pandas_finds() -> None:
    flights = pd.read_csv(EXAMPLES / "flights" / "data" / "flights.csv.gz").dropna(subset="dep_delay")
    hours = flights.groupby(["origin", "time_hour"]).dep_delay.agg(["count", "mean"]).query("count >= 10").reset_index()
    worst = hours.loc[hours.groupby("origin")["mean"].idxmax()]
    shown = [line.split() for line in SHOWN["flights/worst_hours.py"].splitlines()[:3]]
    assert [(line[0], line[5], line[7]) for line in shown] == [
        (row.origin, str(row.count), f"{row.mean:.1f}") for row in worst.itertuples(index=False)
    ]
