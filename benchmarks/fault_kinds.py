"""What may happen to a forget run: others at work, an interrupt in the middle of a file, full and read-only disks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.killed import ASIDE, Point
from lethe.core.interrupted import INTERRUPTED
from lethe.core.workspace import Workspace
from lethe.forgetting.intake import retry
from lethe.forgetting.standing import ledger

Fault = Callable[[Workspace], dict[str, Any]]
STOPPED = (-signal.SIGKILL, INTERRUPTED)
"""Exit codes of a run that was killed, and of one that was interrupted."""
TIMEOUT = 900
"""Seconds a run may take on a busy machine before it counts as hung."""


def two_runs(workspace: Workspace) -> dict[str, Any]:
    """Two forget runs started at once."""
    return {"exits": together(workspace, "flows.forgetting", "flows.forgetting")}


def beside_training(workspace: Workspace) -> dict[str, Any]:
    """A forget run started beside the nightly training."""
    return {"exits": together(workspace, "flows.training", "flows.forgetting")}


def remote_away(workspace: Workspace) -> dict[str, Any]:
    """A DVC remote that nobody answers for."""
    config = workspace.root / ".dvc" / "config.local"
    section = "['remote \"cloud\"']\nurl = s3://away/store\nendpointurl = http://127.0.0.1:9\n"
    config.write_text(section + "access_key_id = x\nsecret_access_key = x\nregion = us-east-1\n")
    try:
        return _failed(workspace)
    finally:
        config.unlink()


def set_aside(point: Point) -> Fault:
    """A run that finds rows left, killed while it sets its request aside; then the operator has it retried."""

    def fault(workspace: Workspace) -> dict[str, Any]:
        code, _ = run(workspace, "benchmarks.killed", point.name)
        failed = [request.id for request in ledger(workspace).in_state("failed")]
        for id in failed:
            retry(workspace, id)
        return {"killed": code in STOPPED, "retried": len(failed)}

    fault.__doc__ = f"Killed: {point.name}."
    return fault


def dvc_cut(size: int) -> Fault:
    """A run that was killed while DVC wrote its two files in place: this many bytes of them are there."""

    def fault(workspace: Workspace) -> dict[str, Any]:
        code, _ = run(workspace, "benchmarks.killed", "inside dvc repro")
        rwlock = workspace.root / ".dvc" / "tmp" / "rwlock"
        told = {"write": {str(workspace.root / "data"): {"pid": os.getpid(), "cmd": "dvc repro"}}}
        rwlock.write_bytes(json.dumps(told).encode()[:size])
        stages = workspace.root / "dvc.lock"
        stages.write_bytes(stages.read_bytes()[:size])
        return {"killed": code in STOPPED}

    fault.__doc__ = f"Killed while DVC wrote its files: {size} bytes of them are there."
    return fault


def on_a_full_disk(name: str) -> Fault:
    """A run while a folder of the workspace is on a disk without room."""
    return _mounted(name, _full, f"A full disk at {name}.")


def on_a_read_only_disk(name: str) -> Fault:
    """A run while nothing can be written to a folder of the workspace."""
    return _mounted(name, _read_only, f"A read-only disk at {name}.")


def every_fault() -> list[Fault]:
    full = [on_a_full_disk(name) for name in ("suppression", "artifacts")]
    read_only = [on_a_read_only_disk(name) for name in (".lethe/bentoml/models", "certificates")]
    left = [*map(set_aside, ASIDE), dvc_cut(0), dvc_cut(40)]
    return [two_runs, beside_training, remote_away, *left, *full, *read_only]


def _mounted(name: str, disk: Callable[[Path], AbstractContextManager[None]], told: str) -> Fault:
    def fault(workspace: Workspace) -> dict[str, Any]:
        folder = workspace.root / name
        folder.mkdir(parents=True, exist_ok=True)
        with disk(folder):
            return _failed(workspace)

    fault.__doc__ = told
    return fault


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """A tmpfs over the folder, with its content and not a byte of room."""
    kept = folder.with_name(f"{folder.name}-kept")
    size = sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*")) + (1 << 20)
    shutil.copytree(folder, kept, symlinks=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
        try:
            shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
            ballast = folder / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass
            yield
            ballast.unlink()
            shutil.rmtree(kept)
            shutil.copytree(folder, kept, symlinks=True)
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        # What the run wrote before it failed is part of the state that the next one finds.
        shutil.rmtree(folder)
        shutil.copytree(kept, folder, symlinks=True)
    finally:
        shutil.rmtree(kept, ignore_errors=True)


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,ro,bind", str(folder))
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    """Raises PermissionError, in a word, where nobody may mount."""
    if os.getuid() != 0:
        raise PermissionError("only root can mount a disk for this")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise PermissionError(f"mount is not allowed here: {done.stderr.strip()}")


# --- processes -----------------------------------------------------------------------------------------------------


def _failed(workspace: Workspace) -> dict[str, Any]:
    """A run that can't succeed, and the one line it says."""
    code, line = run(workspace, "flows.forgetting")
    return {"failed": code != 0, "error": line.replace(str(workspace.root), "WORKSPACE")}


def run(workspace: Workspace, module: str, *arguments: str) -> tuple[int, str]:
    """Exit code and last line of a module run in a process group of its own."""
    process = start(workspace, module, *arguments)
    output, _ = process.communicate(timeout=TIMEOUT)
    lines = output.strip().splitlines() or [""]
    return process.returncode, lines[-1]


def start(workspace: Workspace, module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=workspace.root,
        env=workspace.environment() | {"PYTHONPATH": _search_path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _search_path() -> str:
    here = str(Path(__file__).parent.parent)
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))


def together(workspace: Workspace, *modules: str) -> list[int]:
    processes = [start(workspace, module) for module in modules]
    for process in processes:
        process.communicate(timeout=TIMEOUT)
    return [process.returncode for process in processes]
