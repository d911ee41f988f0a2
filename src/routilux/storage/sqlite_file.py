"""The handle on a SQLite file: owned, verified, with a memory of how far it came.

Design: §7.3. One connection writes and checkpoints, in one process.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from routilux.errors import StoreAddressError, StoreDamagedError, StoreUnavailableError
from routilux.storage.chain import Head
from routilux.storage.migrating import format_of, migrate
from routilux.storage.ownership import Ownership
from routilux.storage.sqlite_rows import head_of
from routilux.storage.statements import load_statements
from routilux.storage.witness import Progress, Witness

DIGEST = 2**62
SQL = load_statements("sqlite.sql")
SYNC = {"full": "FULL", "normal": "NORMAL"}
MAY_PASS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM}
HANDLE_LOST = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL}
VALUE_REFUSED = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE}


class SqliteFile:
    """The file. ``progress`` changes only in a transaction, and only under the token of writing."""

    def __init__(self, path: Path, *, sync: str, read_only: bool, accept_loss: bool) -> None:
        self.address = str(path)
        self.read_only = read_only
        self.owner = "a reader"
        self.progress = Progress(0, 0, 0, 0)
        self.lock = threading.RLock()  # guards the connection
        self._path = path
        self._sync = sync
        self._witness = Witness(path.with_name(path.name + ".witness"))
        self._ownership: Ownership | None = None
        self._opened: sqlite3.Connection | None = None
        if not read_only:
            self._ownership = Ownership(path)
            self._ownership.take()
            self.owner = self._ownership.owner
        try:
            with self.translated():
                self._opened = self._connect()
                self._begin(accept_loss)
        except BaseException:
            self.close()
            raise

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection.

        Raises:
            StoreUnavailableError: it could not be opened again after an I/O error.
        """
        if self._opened is None:
            raise StoreUnavailableError(self.address, "it could not be opened again", True)
        return self._opened

    def _connect(self) -> sqlite3.Connection:
        mode = "ro" if self.read_only else "rwc"
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = lambda data: data.decode(errors="replace")  # a flipped bit must not stop reading
        connection.execute("PRAGMA cell_size_check = ON")
        found = format_of(connection, self._path)  # before anything is changed in a file that may not be ours
        if self.read_only and not found:
            raise StoreAddressError(self.address, "the file holds no store yet")
        if not self.read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _begin(self, accept_loss: bool) -> None:
        if self.read_only:
            return
        migrate(self.connection, self._path)
        found = self._verify(accept_loss)
        found = found._replace(epoch=found.epoch + 1, commit_number=found.commit_number + 1)
        with self.transaction():
            self.connection.execute(SQL["forget_progress"])
            self.connection.execute(SQL["first_progress"], (*found, found.seal))
        self.progress = found
        self._witness.write(found)
        self.connection.execute(f"PRAGMA synchronous = {SYNC[self._sync]}")

    def _verify(self, accept_loss: bool) -> Progress:
        """Compare what is there with what the store and its witness remember."""
        heads = [head_of(row) for row in self.rows("all_heads")]
        is_new = not heads and not self.rows("read_progress")
        seen, stored = self._witness.read(), self._stored_progress()
        latest = max(seen.commit_number if seen else 0, stored.commit_number if stored else 0)
        epoch = max(seen.epoch if seen else 0, stored.epoch if stored else 0)
        found = Progress(epoch, latest, len(heads), digest_of(heads))
        problem = self._problem(is_new, heads, found, stored, seen)
        if problem and not accept_loss:
            raise StoreDamagedError(self.address, problem)
        return found

    def _problem(
        self, is_new: bool, heads: list[Head], found: Progress, stored: Progress | None, seen: Progress | None
    ) -> str | None:
        if is_new:
            return f"the file is empty, and its witness knows {seen.commit_number} commits" if seen else None
        if seen and stored and seen.commit_number > stored.commit_number and self._sync == "full":
            return f"the last {seen.commit_number - stored.commit_number} commits are lost"
        expected = stored or seen
        if expected is None:
            return "it does not tell how far it came"
        if found.job_count != expected.job_count:
            return f"{found.job_count} jobs are there, and there were {expected.job_count}"
        if found.digest != expected.digest and all(head.is_whole for head in heads):
            return "its jobs are not those that were written last"
        return None

    def _stored_progress(self) -> Progress | None:
        row = self.connection.execute(SQL["read_progress"]).fetchone()
        progress = Progress(*row[:4]) if row else None
        return progress if progress and progress.seal == row[4] else None

    def reopen(self) -> None:
        """Open the file anew; writing all of the log into it makes durable what a failed fsync left open."""
        with self.lock, self.translated():
            if self._opened:
                self._opened.close()
                self._opened = None
            self._opened = self._connect()
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.connection.execute(f"PRAGMA synchronous = {SYNC[self._sync]}")
            stored = self._stored_progress()
        if stored is None or stored.commit_number < self.progress.commit_number:
            raise StoreDamagedError(self.address, "commits are gone after an I/O error")
        if stored.epoch == self.progress.epoch:
            self.progress = stored

    def close(self) -> None:
        """Close the connection, then let others have the file."""
        with self.lock:
            if self._opened:
                self._opened.close()
            self._witness.close()
            if self._ownership:
                self._ownership.drop()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", None)
            primary = None if code is None else code & 0xFF
            if primary in MAY_PASS or primary in HANDLE_LOST:
                name = getattr(error, "sqlite_errorname", "")
                raise StoreUnavailableError(self.address, f"{error} ({name})", primary in HANDLE_LOST) from error
            if primary in VALUE_REFUSED or primary is None:
                raise
            raise StoreDamagedError(self.address, f"{error} ({getattr(error, 'sqlite_errorname', '')})") from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the first error counts
                    connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the connection while something changes; then tell the witness."""
        with self.lock, self.translated():
            before = self.progress
            try:
                yield
            except BaseException:
                self.progress = before
                with contextlib.suppress(sqlite3.Error, StoreUnavailableError):  # an interrupt may come after a commit
                    self.progress = self._stored_progress() or before
                raise
        self._witness.write(self.progress)

    def count(self, added: int, digest: int) -> bool:
        """Note one more commit, within its transaction; False where another process has taken the file."""
        epoch, number, count, before = self.progress
        progress = Progress(epoch, number + 1, count + added, (before + digest) % DIGEST)
        parameters = (*progress, progress.seal, epoch)
        if self.connection.execute(SQL["set_progress"], parameters).rowcount != 1:
            return False
        self.progress = progress
        return True

    def is_ours(self) -> bool:
        """Tell whether no other process has taken the file."""
        row = self.connection.execute(SQL["read_progress"]).fetchone()
        return row is not None and row[0] == self.progress.epoch

    def rows(self, name: str, parameters: Any = ()) -> list[Any]:
        """Carry out a statement by name; give all its rows."""
        with self.lock, self.translated():
            return self.connection.execute(SQL[name], parameters).fetchall()

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Read several things as of one moment."""
        with self.lock, self.translated():
            try:
                self.connection.execute("BEGIN")
                yield
            finally:
                with contextlib.suppress(sqlite3.Error):  # the first error counts
                    self.connection.execute("ROLLBACK")


def value(head: Head | None) -> int:
    """Give what a head adds to the digest of all jobs."""
    return head.value if head else 0


def digest_of(heads: Iterable[Head]) -> int:
    """Sum the values; a head whose seal is of another type, which is damage, adds nothing."""
    return sum(head.value for head in heads if isinstance(head.seal, bytes)) % DIGEST
