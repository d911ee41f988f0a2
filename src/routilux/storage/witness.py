"""How far a store has come, sealed; and a small file beside it that remembers that after each commit.

SQLite drops the end of its log without a word when a bit of it flips: then the file is behind its witness.
"""

import contextlib
import hashlib
import logging
import os
from pathlib import Path
from typing import NamedTuple

SLOT = 128

logger = logging.getLogger(__name__)


class Progress(NamedTuple):
    """The number of the last commit, and what tells this set of jobs from any other."""

    epoch: int
    commit_number: int
    job_count: int
    digest: int

    @property
    def seal(self) -> bytes:
        """Hash all fields."""
        return hashlib.blake2b(repr(tuple(self)).encode(), digest_size=8).digest()


class Witness:
    """The file: two slots written in turns, so that one is whole at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def read(self) -> Progress | None:
        """Give the latest whole slot; None if there is none."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        found = [progress for begin in (0, SLOT) if (progress := parse(data[begin : begin + SLOT]))]
        if data and len(found) < min(2, len(data) // SLOT):
            logger.warning("%s is damaged in part; what is whole counts", self.path)
        return max(found, key=lambda progress: progress.commit_number, default=None)

    def write(self, progress: Progress) -> None:
        """Remember a commit. A disk that cannot take it is no harm: the store is then ahead of its witness."""
        line = f"{' '.join(map(str, progress))} {progress.seal.hex()}".ljust(SLOT - 1) + "\n"
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.pwrite(self._file, line.encode(), SLOT * (progress.commit_number % 2))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def parse(slot: bytes) -> Progress | None:
    """Read a slot; None if it is not what was written."""
    try:
        *numbers, seal = slot.decode("ascii").split()
        progress = Progress(*map(int, numbers))
        return progress if bytes.fromhex(seal) == progress.seal else None
    except (ValueError, TypeError):
        return None
