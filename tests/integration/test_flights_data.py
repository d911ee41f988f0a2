"""The flights example with missing, broken and oddly placed files: errors that name file, line and column."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from routilux.testing import SimRuntime
from tests.integration.flights import cut, flights_file, params_for


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return cut(tmp_path / "few", flights=3_000)


Change = Callable[[list[str]], list[str]]


def replaced(line: int, old: str, new: str) -> Change:
    def change(lines: list[str]) -> list[str]:
        assert old in lines[line - 1]
        return [*lines[: line - 1], lines[line - 1].replace(old, new, 1), *lines[line:]]

    return change


BROKEN: list[tuple[str, Change, str]] = [
    ("flights", replaced(1, "dep_delay", "delay"), r"flights\.csv\.gz, line 1, column dep_delay: .* missing"),
    ("flights", replaced(3, ",4,", ",4 min,"), r"flights\.csv\.gz, line 3, column dep_delay: '4 min' is neither"),
    ("flights", replaced(3, ",4,", ",nan,"), r"line 3, column dep_delay: 'nan'"),
    ("flights", replaced(3, ",4,", ",1e999,"), r"line 3, column dep_delay: '1e999'"),
    ("flights", replaced(3, ",LGA,", ",,"), r"line 3, column origin"),
    ("flights", replaced(3, "2013-01-01T10", "yesterday"), r"line 3, column time_hour: 'yesterday"),
    ("flights", replaced(3, "2013-01-01T10:00:00Z", "0001-01-01T00:00:00+10:00"), r"line 3, column time_hour"),
    ("flights", lambda lines: [*lines[:2], lines[2][:40]], r"line 3, column origin: the row has 12 fields"),
    ("flights", replaced(3, ",LGA,", ",LGA,LGA,"), r"line 3, column time_hour: the row has 20 fields"),
    ("flights", replaced(3, ",LGA,", ',"LGA,'), r"flights\.csv\.gz, line 3: the file is damaged"),
    ("flights", lambda lines: [], r"line 1, column origin: .* missing"),
    ("weather", replaced(1, "precip", "rain"), r"weather\.csv\.gz, line 1, column precip"),
    ("weather", replaced(4, ",0,", ",wet,"), r"weather\.csv\.gz, line 4, column precip: 'wet'"),
    ("weather", lambda lines: [*lines[:3], lines[2]], r"line 4, column time_hour: there is weather for EWR"),
    ("airlines", replaced(1, "name", "title"), r"airlines\.csv, line 1, column name"),
    ("airlines", replaced(3, "American Airlines Inc.", ""), r"airlines\.csv, line 3, column name"),
]


def rewrite(folder: Path, table: str, change: Change) -> None:
    path = folder / ("airlines.csv" if table == "airlines" else f"{table}.csv.gz")
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    changed = "".join(change(text.splitlines(keepends=True))).encode()
    path.write_bytes(gzip.compress(changed) if path.suffix == ".gz" else changed)


def failed(folder: Path) -> str:
    runtime = SimRuntime()
    job = runtime.exec(flights_file().flow, params={"data": str(folder)})
    runtime.run_until_idle()
    assert (job.status, job.result) == ("failed", None)
    assert job.error is not None
    assert job.error.type.endswith("FlightDataError")
    return job.error.message


@pytest.mark.parametrize(("table", "change", "message"), BROKEN, ids=range(len(BROKEN)))
def test_broken_data_fails_the_job_with_file_line_and_column(
    few: Path, table: str, change: Change, message: str
) -> None:
    rewrite(few, table, change)
    assert re.search(message, failed(few))


def damaged(kind: str, data: bytes) -> bytes:
    return {"cut": data[:5_000], "flipped": data[:5_000] + b"\xff" * 9 + data[5_009:], "text": b"no gzip"}[kind]


@pytest.mark.parametrize("kind", ["cut", "flipped", "text"])
@pytest.mark.parametrize("table", ["flights", "weather"])
def test_damaged_files_are_named_with_the_line(few: Path, table: str, kind: str) -> None:
    path = few / f"{table}.csv.gz"
    path.write_bytes(damaged(kind, path.read_bytes()))
    text = failed(few)
    assert text.startswith(f"{path}, line ")


@pytest.mark.parametrize("table", ["flights", "weather", "airlines"])
def test_missing_files_are_told_before_a_job_exists(few: Path, table: str) -> None:
    next(few.glob(f"{table}.*")).unlink()
    with pytest.raises(Exception, match=rf"{table}\.csv\.gz: this file is missing"):
        params_for(few)
    assert "missing" in failed(few)


def test_missing_folder_and_missing_column_are_told_before_a_job_exists(few: Path) -> None:
    with pytest.raises(Exception, match="there is no such folder"):
        params_for(few / "nowhere")
    rewrite(few, "weather", replaced(1, "precip", "rain"))
    with pytest.raises(Exception, match="column precip"):
        params_for(few)


def test_plain_files_and_airlines_one_folder_above_are_found(few: Path) -> None:
    (few / "airlines.csv").rename(few.parent / "airlines.csv")
    for table in ("flights", "weather"):
        packed = few / f"{table}.csv.gz"
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    runtime = SimRuntime()
    job = runtime.exec(flights_file().flow, params=params_for(few))
    runtime.run_until_idle()
    assert (job.status, job.result["flights"]) == ("completed", 3_000)
