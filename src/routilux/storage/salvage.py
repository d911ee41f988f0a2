"""What can still be read of a damaged job, put beside: one JSON document a line, bytes in base64."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from routilux.storage.tables import JobRows


def write_salvage(folder: Path, found: JobRows, problem: str) -> Path:
    """Write what was read; give the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{quote(found.head.job_id, safe='')}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines(found, problem))
    return path


def lines(found: JobRows, problem: str) -> Iterator[dict[str, Any]]:
    """Give head, snapshot and records as plain data."""
    yield {"problem": problem, **plain(found.head._asdict())}
    if found.snapshot:
        yield {"snapshot": plain(found.snapshot._asdict())}
    for row in found.rows:
        yield {"whole": isinstance(row.frame, bytes) and row.is_whole, "record": plain(row._asdict())}


def plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn bytes into text."""
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in fields.items()
    }
