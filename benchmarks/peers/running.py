"""Running the peers: an environment for each, made once under a cache folder, outside of the project."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figure

ROOT = Path(__file__).resolve().parents[2]
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
PATIENCE = 600  # seconds for one peer


@dataclass(frozen=True, slots=True)
class Peer:
    """A library: what to install, nothing for Python itself, and the script that measures it."""

    requirement: str
    script: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What a peer's script gave."""

    name: str
    figures: dict[str, Figure]


PEERS = (
    Peer("", "plain_python"),
    Peer("reactivex==6.1.0", "with_reactivex"),
    Peer("streamz==0.6.6", "with_streamz"),
    Peer("pykka==4.5.0", "with_pykka"),
    Peer("routilux==1.1.0", "with_routilux_1"),
    Peer("langgraph==1.2.22", "with_langgraph"),
    Peer("llama-index-workflows==2.26.1", "with_llama_workflows"),
)


def cache_folder() -> Path:
    """Where environments are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "routilux-benchmarks"


def measure_peers(cache: Path, factor: float, repetitions: int) -> Iterator[Measured]:
    """Measure one after the other; one that cannot be installed or fails is told and left out."""
    for peer in PEERS:
        print(f"measuring {peer.requirement or 'plain Python'} ...", file=sys.stderr, flush=True)
        try:
            yield _measure(peer, _python_of(peer, cache), factor, repetitions)
        except (OSError, subprocess.SubprocessError, ValueError) as problem:
            print(f"  left out: {problem}", file=sys.stderr, flush=True)


def _measure(peer: Peer, python: str, factor: float, repetitions: int) -> Measured:
    command = [python, "-m", f"benchmarks.peers.{peer.script}", str(factor), str(repetitions)]
    # An environment without our PYTHONPATH: `routilux` must be the installed one.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        timeout=PATIENCE,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    found: dict[str, Any] = json.loads(done.stdout.decode().strip().splitlines()[-1])
    figures = {}
    for facts in found["figures"]:
        samples, calls = tuple(facts.pop("samples")), tuple(facts.pop("calls"))
        figures[facts["name"]] = Figure(**facts, samples=samples, calls=calls)
    return Measured(f"{found['package']} {found['version']}".strip(), figures)


def _python_of(peer: Peer, cache: Path) -> str:
    """Give the Python of a peer's environment, made if it is not there."""
    if not peer.requirement:
        return sys.executable
    folder = cache / f"{peer.requirement.replace('==', '-')}-python{VERSION}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _install(peer.requirement, folder, python)
        ready.touch()
    return str(python)


def _install(requirement: str, folder: Path, python: Path) -> None:
    uv = shutil.which("uv")
    if uv is not None:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), requirement], check=True)
        return
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-qq", requirement]
    subprocess.run(pip, check=True)
