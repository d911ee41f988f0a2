"""Which finished jobs go: a pure function over the oldest of them."""

from collections.abc import Sequence

from routilux.journal import Retention
from routilux.storage.chain import Head

SECOND = 1_000_000_000


def expired(oldest: Sequence[Head], totals: tuple[int, int], now: int, retention: Retention) -> list[str]:
    """Choose among the oldest finished jobs; ``totals`` are the number and the bytes of all of them."""
    count, size = totals
    found = []
    for head in oldest:
        if not is_over(head, count, size, now, retention):
            break
        found.append(head.job_id)
        count -= 1
        size -= head.journal_bytes + head.snapshot_bytes
    return found


def is_over(head: Head, count: int, size: int, now: int, retention: Retention) -> bool:
    """Tell whether the oldest job is kept too long, beside so many of such a size."""
    age = retention.max_age_seconds
    return (
        (age is not None and now - head.updated_at > age * SECOND)
        or (retention.max_jobs is not None and count > retention.max_jobs)
        or (retention.max_bytes is not None and size > retention.max_bytes)
    )
