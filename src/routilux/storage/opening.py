"""The store of an address: ``jobs.db``, ``sqlite:///srv/jobs.db``, ``postgresql://...``, ``memory:``.

Design: §7.3, §9.
"""

from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from routilux import rings
from routilux.errors import StoreAddressError
from routilux.runtime.ports import Store
from routilux.storage.journal_store import JournalStore
from routilux.storage.memory import open_memory

POSTGRES = ("postgresql://", "postgres://")
SQLITE = "sqlite:///"


def open_store(address: str | Path, **options: Any) -> Store:
    """Open the store of an address; the options are those of its kind: ``sync``, ``read_only``, ``accept_loss``, ...

    >>> store = open_store("memory:")
    >>> store.create_job("job-1", "orders", "running", b"how it begins")
    1
    >>> store.load("job-1").snapshot
    b'how it begins'
    >>> store.close()

    Raises:
        StoreAddressError: no store can be made of this address, or the package that it needs is missing.
        StoreError: what the kind of store raises.
    """
    text = str(address)
    if text == "memory:":
        return open_memory(**options)
    if text.startswith(POSTGRES):
        return cast(JournalStore, load("postgres", text, "psycopg", "postgres").open_postgres(text, **options))
    if "://" in text and not text.startswith(SQLITE):
        raise StoreAddressError(text, "no such kind; it may be a file, sqlite:///FILE, postgresql://..., or memory:")
    path = Path(unquote(text.removeprefix(SQLITE[:-1]))) if text.startswith(SQLITE) else Path(text)
    return cast(JournalStore, load("sqlite", text, "sqlite3", "").open_sqlite(path, **options))


def load(kind: str, address: str, package: str, extra: str) -> Any:
    """Load the module of a kind of store.

    Raises:
        StoreAddressError: the package that it needs is not installed.
    """
    try:
        return rings.load(f"routilux.storage.{kind}")
    except ImportError as error:
        advice = f"install it with: pip install 'routilux[{extra}]'" if extra else "this Python was built without it"
        raise StoreAddressError(address, f"needs {package}, which cannot be imported ({error}); {advice}") from error
