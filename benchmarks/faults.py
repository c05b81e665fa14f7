"""The storm: a forget run is killed at every point, meets others at work, full and read-only disks, and a remote that
is away; each time the next ordinary run must end where an undisturbed one does, while the service answers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.killed import POINTS, Point
from benchmarks.own_product import DATASET, Watch, person
from lethe.core.workspace import Workspace
from lethe.forgetting import certificate
from lethe.forgetting.intake import submit
from lethe.forgetting.run import Run
from lethe.forgetting.standing import ledger
from lethe.proof.verification import verify

Say = Callable[[str], None]
Fault = Callable[[Workspace], dict[str, Any]]
TIMEOUT = 900
"""Seconds a run may take on a busy machine before it counts as hung."""


def storm(workspace: Workspace, points: Sequence[Point] = POINTS, say: Say = lambda _: None) -> dict[str, Any]:
    """Kill a run at each point in turn, on a workspace that is served; the next run goes on from there and is killed at
    the next point. A point is recovered when a later run gets past it and its request ends as an undisturbed one."""
    waiting, rows, watches, ends = list(points), list[dict[str, Any]](), list[Watch](), list[dict[str, Any]]()
    while waiting:
        number = len(watches)
        request = submit(workspace, DATASET, person(number), []).id
        mine = []
        with Watch(workspace, person(number), person(59 - number)) as watch:
            while waiting and (Run.read(workspace) is not None or _state(workspace, request) != "completed"):
                point, begun = waiting.pop(0), time.monotonic()
                code = _run(workspace, "benchmarks.killed", point.name)[0]
                mine.append({"point": point.name, "killed": code == -9, "seconds": round(time.monotonic() - begun, 1)})
                say(f"{point.name}: {'killed' if code == -9 else f'not reached, exit code {code}'}")
            code, line = _run(workspace, "flows.forgetting")
        ends.append(_end(workspace, request, person(number)) | {"exit": code, "line": line})
        say(f"{request}: {ends[-1]}")
        rows += [row | {"recovered": row["killed"] and ends[-1]["as undisturbed"]} for row in mine]
        watches.append(watch)
    return {"points": rows, "requests": ends, "service": _asked(watches)}


def others(workspace: Workspace, first: int, faults: Sequence[Fault] = (), say: Say = lambda _: None) -> dict[str, Any]:
    """Other faults (default: all), one after the other, each with a person of its own from ``first`` on."""
    rows, watches = list[dict[str, Any]](), list[Watch]()
    for number, fault in enumerate(faults or every_fault(), start=first):
        request = submit(workspace, DATASET, person(number), []).id
        name = fault.__doc__ or ""
        with Watch(workspace, person(number), person(59 - number)) as watch:
            try:
                row = fault(workspace)
            except PermissionError as why:
                row = {"skipped": str(why)}
            if "skipped" not in row:
                row["state"] = _state(workspace, request)
            code, line = _run(workspace, "flows.forgetting")
        row = {
            "fault": name.rstrip("."),
            **row,
            **_end(workspace, request, person(number)),
            "exit": code,
            "last line": line,
        }
        say(json.dumps(row))
        rows.append(row)
        watches.append(watch)
    return {"faults": rows, "service": _asked(watches)}


# --- faults ------------------------------------------------------------------------------------------------------


def two_runs(workspace: Workspace) -> dict[str, Any]:
    """Two forget runs started at once."""
    return {"exits": _together(workspace, "flows.forgetting", "flows.forgetting")}


def beside_training(workspace: Workspace) -> dict[str, Any]:
    """A forget run started beside the nightly training."""
    return {"exits": _together(workspace, "flows.training", "flows.forgetting")}


def remote_away(workspace: Workspace) -> dict[str, Any]:
    """A DVC remote that nobody answers for."""
    config = workspace.root / ".dvc" / "config.local"
    section = "['remote \"cloud\"']\nurl = s3://away/store\nendpointurl = http://127.0.0.1:9\n"
    config.write_text(section + "access_key_id = x\nsecret_access_key = x\nregion = us-east-1\n")
    try:
        return _failed(workspace)
    finally:
        config.unlink()


def on_a_full_disk(name: str) -> Fault:
    """A run while a folder of the workspace is on a disk without room."""
    return _mounted(name, _full, f"A full disk at {name}.")


def on_a_read_only_disk(name: str) -> Fault:
    """A run while nothing can be written to a folder of the workspace."""
    return _mounted(name, _read_only, f"A read-only disk at {name}.")


def every_fault() -> list[Fault]:
    full = [on_a_full_disk(name) for name in ("suppression", "artifacts")]
    read_only = [on_a_read_only_disk(name) for name in (".lethe/bentoml/models", "certificates")]
    return [two_runs, beside_training, remote_away, *full, *read_only]


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


# --- below -------------------------------------------------------------------------------------------------------


def _run(workspace: Workspace, module: str, *arguments: str) -> tuple[int, str]:
    """Exit code and last line of a module run in a process group of its own."""
    process = _start(workspace, module, *arguments)
    output, _ = process.communicate(timeout=TIMEOUT)
    lines = output.strip().splitlines() or [""]
    return process.returncode, lines[-1]


def _start(workspace: Workspace, module: str, *arguments: str) -> subprocess.Popen[str]:
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


def _together(workspace: Workspace, *modules: str) -> list[int]:
    processes = [_start(workspace, module) for module in modules]
    for process in processes:
        process.communicate(timeout=TIMEOUT)
    return [process.returncode for process in processes]


def _failed(workspace: Workspace) -> dict[str, Any]:
    """A run that can't succeed, and the one line it says."""
    code, line = _run(workspace, "flows.forgetting")
    return {"failed": code != 0, "error": line.replace(str(workspace.root), "WORKSPACE")}


def _state(workspace: Workspace, request: str) -> str:
    return ledger(workspace).get(request).state


def _end(workspace: Workspace, request: str, user: str) -> dict[str, Any]:
    """What must hold of a request after the last run, whatever happened on the way."""
    book = ledger(workspace)
    done, ended = book.get(request), [e for e in book.events(request) if e.state == "completed"]
    path = workspace.certificates / f"{request}.json"
    signed = path.is_file() and certificate.read(path).request.id == request
    source = workspace.root / "ratings.csv"
    files = (p for p in sorted(workspace.root.rglob("*")) if p.is_file() and p != source)
    traces = sum(user.encode() in path.read_bytes() for path in files)
    book.check_chain()
    equal = verify(workspace).equal
    whole = done.state == "completed" and len(ended) == 1 and signed and not traces and equal
    return {
        "completed": len(ended),
        "certificate": signed,
        "traces": traces,
        "verify": "equal" if equal else "different",
        "as undisturbed": bool(whole and Run.read(workspace) is None),
    }


def _asked(watches: Sequence[Watch]) -> dict[str, Any]:
    return {
        "answers": sum(watch.answers for watch in watches),
        "failed": sum(watch.failed for watch in watches),
        "from forgotten data": sum(watch.from_forgotten for watch in watches),
        "faults": sorted({fault for watch in watches for fault in watch.faults}),
    }


def summary(killed: dict[str, Any], other: dict[str, Any], command: str) -> dict[str, Any]:
    """The report."""
    points, requests = killed["points"], [*killed["requests"], *other["faults"]]
    return {
        "command": command,
        "kill points tried": len(points),
        "killed": sum(row["killed"] for row in points),
        "recovered": sum(row["recovered"] for row in points),
        "other faults tried": sum("skipped" not in row for row in other["faults"]),
        "other faults recovered": sum("skipped" not in row and row["as undisturbed"] for row in other["faults"]),
        "requests": len(requests),
        "requests lost": sum(row["completed"] == 0 for row in requests),
        "requests done twice": sum(row["completed"] > 1 for row in requests),
        "service answers": killed["service"]["answers"] + other["service"]["answers"],
        "service answers failed": killed["service"]["failed"] + other["service"]["failed"],
        "service answers from forgotten data": killed["service"]["from forgotten data"]
        + other["service"]["from forgotten data"],
        "points": points,
        "faults": other["faults"],
        "service faults": [*killed["service"]["faults"], *other["service"]["faults"]],
    }
