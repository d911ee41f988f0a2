"""The flights example for tests: its flow file, and folders with parts of its data."""

import argparse
import functools
import gzip
from pathlib import Path
from typing import Any

from routilux.cli.flow_file import FlowFile, load_flow_file

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flights"


@functools.cache
def flights_file() -> FlowFile:
    return load_flow_file(EXAMPLE / "flow.py")


def params_for(folder: Path) -> Any:
    return flights_file().params(argparse.Namespace(data=str(folder)))


def cut(folder: Path, flights: int) -> Path:
    folder.mkdir()
    (folder / "airlines.csv").write_bytes((EXAMPLE / "data" / "airlines.csv").read_bytes())
    rows = gzip.decompress((EXAMPLE / "data" / "flights.csv.gz").read_bytes()).splitlines(keepends=True)
    (folder / "flights.csv.gz").write_bytes(gzip.compress(b"".join(rows[: flights + 1])))
    (folder / "weather.csv.gz").write_bytes((EXAMPLE / "data" / "weather.csv.gz").read_bytes())
    return folder
