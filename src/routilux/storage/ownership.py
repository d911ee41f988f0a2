"""One process per file: a lock that the kernel gives back when its holder dies, and a note that names the holder.

The lock is one of `fcntl.lockf`: a child of the holder does not inherit it, so it dies with its process. It would also
go when this process closed the lock file a second time; the note, which knows this process, keeps us from that.
"""

import contextlib
import fcntl
import json
import os
import re
import socket
import uuid
from pathlib import Path
from typing import Any

from routilux.errors import StoreAddressError, StoreOwnedError

THIS_PROCESS = uuid.uuid4().hex
NETWORK = re.compile(r"nfs\d?|cifs|smb\w*|ncpfs|afs|ceph|lustre|gfs2|ocfs2|fuse\.(sshfs|glusterfs|s3fs|rclone|gcsfuse)")


class Ownership:
    """The right to run the jobs of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path.with_name(path.name + ".owner")
        self.owner = f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
        self._lock: int | None = None

    def take(self) -> None:
        """Take it.

        Raises:
            StoreOwnedError: another process, or another store of this process, has it.
        """
        if self._read_note().get("process") == THIS_PROCESS:
            raise StoreOwnedError(str(self._path), f"another store of this process, {os.getpid()}")
        lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise StoreOwnedError(str(self._path), self._read_note().get("owner", "another process")) from error
        self._lock = lock
        self._note.write_text(json.dumps({"owner": self.owner, "process": THIS_PROCESS}), encoding="utf-8")

    def _read_note(self) -> dict[str, Any]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def drop(self) -> None:
        """Give it back."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # a full disk: the lock counts, the note only names
                self._note.write_text("{}", encoding="utf-8")
            os.close(self._lock)
            self._lock = None


def refuse_network(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Refuse a file on a network file system, where locks and shared memory cannot be trusted.

    Raises:
        StoreAddressError: it is on one, as far as the system tells.
    """
    kind = file_system_of(path.resolve(), mounts)
    if NETWORK.fullmatch(kind):
        raise StoreAddressError(
            str(path), f"it is on a network file system ({kind}), which loses data; use a local disk, or PostgreSQL"
        )


def file_system_of(path: Path, mounts: Path) -> str:
    """Give the kind of file system that holds a path; "" where the system does not tell."""
    found = (Path("/"), "")
    with contextlib.suppress(OSError):
        for line in mounts.read_text(encoding="utf-8").splitlines():
            fields = line.split()
            folder = Path(fields[4].replace(r"\040", " "))
            if path.is_relative_to(folder) and len(folder.parts) >= len(found[0].parts):
                found = (folder, fields[fields.index("-") + 1])
    return found[1]
