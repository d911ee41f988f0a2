"""The connection to PostgreSQL: made when needed, made again when lost; the format of the schema.

Design: §7.3. A statement on a connection that broke may have happened: the store reads back before it decides.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import errors

from routilux.errors import StoreAddressError, StoreDamagedError, StoreUnavailableError, StoreVersionError
from routilux.storage.statements import load_statements, read_sql

FORMAT = 1
SQL = load_statements("postgres.sql")
SYNC = {"full": "on", "normal": "off"}
TABLES = ("executor", "job", "journal", "snapshot", "post_key")


class PostgresLink:
    """One connection behind a lock. After an error of the connection the next call makes a new one."""

    def __init__(self, address: str, shown: str, *, sync: str, read_only: bool) -> None:
        self.shown = shown
        self.read_only = read_only
        self._address = address
        self._sync = sync
        self._lock = threading.RLock()  # guards _opened
        self._opened: psycopg.Connection[Any] | None = None
        try:
            with self._translated():
                self._check_format(self._connection())
        except BaseException:
            self.drop()
            raise

    def _connection(self) -> psycopg.Connection[Any]:
        if self._opened is None or self._opened.closed:
            opened = psycopg.connect(self._address, autocommit=True, connect_timeout=5, application_name="routilux")
            opened.execute(f"SET synchronous_commit = {SYNC[self._sync]}".encode())
            opened.execute("SET jit = off")  # compiling a statement takes longer than a hundred of its commits
            opened.execute("SET plan_cache_mode = force_generic_plan")
            if self.read_only:
                opened.execute("SET default_transaction_read_only = on")
            self._opened = opened
        return self._opened

    def _check_format(self, connection: psycopg.Connection[Any]) -> None:
        if self.read_only:
            if not connection.execute(SQL["has_format"].encode()).fetchone() == (True,):
                raise StoreAddressError(self.shown, "the database holds no store yet")
            self._format_of(connection)
            return
        with self.transaction():
            connection.execute(SQL["begin_format"].encode())  # two executors that start at once: the second waits
            if connection.execute(SQL["has_format"].encode()).fetchone() == (False,):
                connection.execute(SQL["make_format"].encode())
            self._migrate(connection, self._format_of(connection))

    def _format_of(self, connection: psycopg.Connection[Any]) -> int:
        row = connection.execute(SQL["read_format"].encode()).fetchone()
        found = int(row[0]) if row else 0
        if found > FORMAT:
            raise StoreVersionError(self.shown, f"format {found}", FORMAT)
        return found

    def _migrate(self, connection: psycopg.Connection[Any], found: int) -> None:
        if 0 < found < FORMAT:
            connection.execute(f"CREATE SCHEMA routilux_format_{found}".encode())
            for table in TABLES:
                connection.execute(f"CREATE TABLE routilux_format_{found}.{table} AS TABLE routilux.{table}".encode())
        for number in range(found + 1, FORMAT + 1):
            connection.execute(read_sql(f"postgres_{number}.sql").encode())
            connection.execute(SQL["set_format"].encode(), (number,))

    @contextlib.contextmanager
    def transaction(self, how: bytes = b"BEGIN") -> Iterator[None]:
        """Carry out several statements together; the lock is held meanwhile."""
        with self._lock, self._translated():
            try:
                self._connection().execute(how)
                yield
                self._connection().execute(b"COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        opened = self._opened
        if opened is None or opened.closed:
            return
        try:
            opened.execute(b"ROLLBACK")
        except psycopg.Error:
            opened.close()

    def moment(self) -> contextlib.AbstractContextManager[None]:
        """Read several things as of one moment."""
        return self.transaction(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def rows(self, name: str, parameters: Any = ()) -> list[Any]:
        """Carry out a statement by name; give all its rows, none for one that gives no rows."""
        with self._lock, self._translated():
            cursor = self._connection().execute(SQL[name].encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (errors.DataCorrupted, errors.IndexCorrupted) as error:
            raise StoreDamagedError(self.shown, str(error)) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            is_lost = self._opened is None or self._opened.closed
            raise StoreUnavailableError(self.shown, str(error).strip(), is_lost) from error

    def drop(self) -> None:
        """Close the connection; the next call makes a new one."""
        with self._lock, contextlib.suppress(psycopg.Error):
            if self._opened is not None:
                self._opened.close()
