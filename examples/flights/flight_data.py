"""Reading the flight data: rows of checked values, or an error that names file, line and column."""

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO


class FlightDataError(ValueError):
    """A file is missing, or something in it is not what it should be."""

    def __init__(self, file: str, line: int | None, column: str | None, problem: str) -> None:
        self.file, self.line, self.column, self.problem = file, line, column, problem
        super().__init__(file, line, column, problem)

    def __str__(self) -> str:
        line = f", line {self.line}" if self.line else ""
        column = f", column {self.column}" if self.column else ""
        return f"{self.file}{line}{column}: {self.problem}"


def word(text: str) -> str:
    if not text or text == "NA":
        raise ValueError(f"{text!r} is no name")
    return text


@lru_cache(maxsize=10_000)
def number_or_na(text: str) -> float | None:
    if text == "NA":
        return None
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", text, re.IGNORECASE):
        raise ValueError(f"{text!r} is neither a number nor NA")
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text!r} is too large")
    return number


@lru_cache(maxsize=10_000)
def hour(text: str) -> str:
    """Give the time in UTC, in one way of writing; text without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time such as 2013-01-01T10:00:00Z") from None


TABLES: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "flights": {"origin": word, "time_hour": hour, "carrier": word, "dep_delay": number_or_na},
    "weather": {"origin": word, "time_hour": hour, "precip": number_or_na},
    "airlines": {"carrier": word, "name": word},
}


def file_of(folder: Path, table: str) -> Path:
    folders = [folder, folder.parent] if table == "airlines" else [folder]
    for candidate in (where / f"{table}{end}" for where in folders for end in (".csv.gz", ".csv")):
        if candidate.is_file():
            return candidate
    if not folder.is_dir():
        raise FlightDataError(str(folder), None, None, "there is no such folder; name one with --data")
    raise FlightDataError(str(folder / f"{table}.csv.gz"), None, None, "this file is missing, and so is a plain .csv")


def open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def rows_of(folder: Path, table: str) -> Iterator[tuple[int, list[Any]]]:
    """Yield the line number and the wanted fields of each row."""
    path, line, parsers = file_of(folder, table), 0, TABLES[table]
    try:
        with open_text(path) as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            for column in parsers:
                if column not in header:
                    raise FlightDataError(str(path), 1, column, "this column is missing")
            pick = itemgetter(*map(header.index, parsers))
            for row in reader:
                line = reader.line_num
                if len(row) != len(header):
                    problem = f"the row has {len(row)} fields, the header {len(header)}"
                    raise FlightDataError(str(path), line, header[min(len(row), len(header) - 1)], problem)
                yield line, parsed(path, line, parsers, pick(row))
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise FlightDataError(str(path), line + 1, None, f"the file is damaged: {error}") from error


def parsed(path: Path, line: int, parsers: Mapping[str, Callable[[str], Any]], texts: Iterable[str]) -> list[Any]:
    values: list[Any] = []
    try:
        for parse, text in zip(parsers.values(), texts, strict=True):
            values.append(parse(text))
    except ValueError as error:
        raise FlightDataError(str(path), line, list(parsers)[len(values)], str(error)) from error
    return values


def weather_rows(folder: Path) -> Iterator[tuple[str, str, float | None]]:
    seen = set()
    for line, (origin, time_hour, precipitation) in rows_of(folder, "weather"):
        if (origin, time_hour) in seen:
            problem = f"there is weather for {origin} at this hour already"
            raise FlightDataError(str(file_of(folder, "weather")), line, "time_hour", problem)
        seen.add((origin, time_hour))
        yield origin, time_hour, precipitation


def count_rows(folder: Path, table: str) -> int | None:
    """Count lines for the progress bar; None if the file cannot be read, which its reader will say better."""
    try:
        with open_text(file_of(folder, table)) as file:
            return max(0, sum(1 for _ in file) - 1)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None
