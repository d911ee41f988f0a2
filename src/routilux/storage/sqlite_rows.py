"""How a head lies in the rows of a SQLite file."""

import struct
from typing import Any, NamedTuple

from routilux.storage.chain import Head

STATE = struct.Struct(">qqqq8sI")


class Place(NamedTuple):
    """Where a job lies: its number, and the row of its last record."""

    number: int
    last_row: int


def head_of(row: Any) -> Head:
    """Make a head of a row; one that cannot be read is not whole."""
    *cold, seal, seq, state = row
    try:
        updated_at, journal_bytes, key_sum, _, tail, mark = STATE.unpack(state)
    except (struct.error, TypeError):
        updated_at, journal_bytes, key_sum, tail, mark = 0, 0, 0, bytes(8), -1
    return Head._make((*cold, seal, updated_at, seq, journal_bytes, key_sum, tail, mark))


def state_of(head: Head, last_row: int) -> bytes:
    """Pack what changes with each record."""
    return STATE.pack(head.updated_at, head.journal_bytes, head.key_sum, last_row, head.tail, head.mark)


def last_row_of(state: Any) -> int:
    """Give the row of the last record."""
    return int(STATE.unpack(state)[3])


def job_columns(head: Head) -> tuple[Any, ...]:
    """Give the columns of a job that change seldom."""
    return (*head[2:10], head.updated_at, head.journal_bytes + head.snapshot_bytes)
