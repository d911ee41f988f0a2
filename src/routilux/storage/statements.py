"""SQL lives in .sql files: each statement under a line ``-- name: its_name``."""

from importlib import resources


def read_sql(name: str) -> str:
    """Read a file of the folder ``sql``."""
    return resources.files("routilux.storage").joinpath("sql", name).read_text(encoding="utf-8")


def load_statements(name: str) -> dict[str, str]:
    """Give the statements of a file by name."""
    parts = read_sql(name).split("-- name:")[1:]
    return {head.strip(): body.strip() for head, _, body in (part.partition("\n") for part in parts)}
