"""How a job ended, as data and as text."""

import dataclasses
import json
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, TypedDict
from uuid import UUID

from routilux.job import JobState


class Counts(TypedDict):
    """How many items went where. ``items`` has all that ever entered a slot, as "routine.slot"."""

    items: dict[str, int]
    dropped: int
    dead_letters: int
    leftovers: int
    unrouted: int


class Summary(TypedDict):
    """What `--json` prints."""

    flow: str
    job_id: str
    status: str
    result: Any
    duration_seconds: float
    counts: Counts
    leftovers: list[dict[str, Any]]
    drops: list[dict[str, Any]]
    error: dict[str, Any] | None


def summarize(job_state: JobState, routine_ids: Iterable[str], seconds: float) -> Summary:
    """Gather what there is to say about an ended job."""
    result, problem = _plain_result(job_state.result)
    error = job_state.error
    return Summary(
        flow=job_state.flow_id,
        job_id=job_state.job_id,
        status=str(job_state.status),
        result=result,
        duration_seconds=round(seconds, 3),
        counts=_counts(job_state, routine_ids),
        leftovers=[
            {"routine": left.routine_id, "slot": left.slot, "count": left.count, "explanation": left.explanation}
            for left in job_state.leftovers
        ],
        drops=[
            {"routine": routine_id, "slot": slot, "reason": reason, "count": count}
            for (routine_id, slot), reasons in job_state.drops.items()
            for reason, count in reasons.items()
        ],
        error={"type": error.type, "message": error.message, "routine": error.routine_id} if error else problem,
    )


def _counts(job_state: JobState, routine_ids: Iterable[str]) -> Counts:
    return Counts(
        items={
            f"{routine_id}.{name}": slot.get_queue_state()["enqueued_count"]
            for routine_id in routine_ids
            for name, slot in job_state.slots(routine_id).items()
        },
        dropped=sum(count for reasons in job_state.drops.values() for count in reasons.values()),
        dead_letters=len(job_state.dead_letters),
        leftovers=job_state.leftovers.item_count,
        unrouted=sum(job_state.unrouted.values()),
    )


def _plain_result(result: Any) -> tuple[Any, dict[str, Any] | None]:
    try:
        return json.loads(json_text(result)), None
    except (TypeError, ValueError, RecursionError) as error:
        return None, {"type": "ResultError", "message": f"the result is no JSON: {error}", "routine": None}


def json_text(value: Any, indent: int | None = None) -> str:
    """Write a value as strict JSON.

    Dates as ISO text, timedeltas as seconds, Decimal, UUID and paths as text, sets as lists, dataclasses as objects.
    """
    return json.dumps(value, indent=indent, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    match value:
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal() | UUID() | PurePath():
            return str(value)
        case set() | frozenset():
            return list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def closing_line(summary: Summary) -> str:
    """Say in one line how the job ended."""
    line = f"{summary['flow']}: {summary['status']} after {summary['duration_seconds']:.2f} s"
    counts = summary["counts"]
    losses = [
        f"{count:,} {what}"
        for what, count in [
            ("dropped", counts["dropped"]),
            ("dead letters", counts["dead_letters"]),
            ("left over", counts["leftovers"]),
        ]
        if count
    ]
    if losses:
        line += f" ({', '.join(losses)})"
    error = summary["error"]
    if error:
        where = f" in {error['routine']!r}" if error["routine"] else ""
        line += f"\n{error['type']}{where}: {error['message']}"
    return line
