"""The format of a SQLite file: made, found current, brought forward after a copy, or refused."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from routilux.errors import StoreVersionError
from routilux.storage.statements import read_sql

FORMAT = 1
APPLICATION = 0x524F5554  # "ROUT"


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    newest: int = FORMAT,
    script_of: Callable[[int], str] = lambda number: read_sql(f"sqlite_{number}.sql"),
) -> None:
    """Bring a file to the newest format. An older file is copied beside first.

    Raises:
        StoreVersionError: it is of a newer format, or of another program.
    """
    found = format_of(connection, path, newest)
    if 0 < found < newest:
        copy(connection, path.with_name(f"{path.name}.format-{found}"))
    for number in range(found + 1, newest + 1):
        upgrade(connection, script_of(number), number)


def format_of(connection: sqlite3.Connection, path: Path, newest: int = FORMAT) -> int:
    """Give the format of a file, 0 for an empty one.

    Raises:
        StoreVersionError: it is of a newer format, or of another program.
    """
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise StoreVersionError(str(path), "another program", newest)
    if found > newest:
        raise StoreVersionError(str(path), f"format {found}", newest)
    return found


def copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the whole store into another file, also while it is written."""
    target.unlink(missing_ok=True)
    other = sqlite3.connect(target)
    try:
        connection.backup(other)
    finally:
        other.close()


def upgrade(connection: sqlite3.Connection, script: str, number: int) -> None:
    """Carry out one step, all of it or nothing."""
    head = f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {number};"
    try:
        connection.executescript(f"{head}\n{script}\nCOMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise
