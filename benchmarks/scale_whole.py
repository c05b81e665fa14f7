"""A log of the shape of ML-20M through the whole way by the product's own commands: trained, somebody forgotten, the
certificate checked by the independent program. Each command is measured with all the processes that it starts.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks import Say
from benchmarks.project import Project, Wrong
from benchmarks.runs import kept
from benchmarks.scale_log import write_log

ROWS, USERS, ITEMS = 20_000_000, 138_493, 26_744
DATASET, DIM, SWEEPS = "log", 64, 5
USER = "77"
PR_SET_CHILD_SUBREAPER = 36
"""Of Linux's prctl."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train",),
    "forget add": ("forget", "add", "--user", USER),
    "forget run": ("forget", "run"),
}


def measure(rows: int, folder: Path, say: Say) -> list[dict[str, Any]]:
    """Figures of each command; ``rows`` below those of ML-20M make a smaller log of the same density a user."""
    project, figures = _project(rows, folder), list[dict[str, Any]]()
    _adopt_orphans()
    for name, arguments in COMMANDS.items():
        path = folder / "figures" / f"{name.replace(' ', '-')}.json"
        made = kept(path, partial(_run, project, arguments))
        figures.append({"step": name, "rows": rows, **made})
        say(f"scale  {name}  {figures[-1]['seconds']:.1f} s  {figures[-1]['peak_mib']:,} MiB")
    if (left := project.holders(USER)) or not project.check_certificates():
        raise Wrong(f"scale: the forgotten user stands in {len(left)} tables, or there is no certificate")
    return figures


def _project(rows: int, folder: Path) -> Project:
    project = Project(folder / "project", folder / "keys")
    if not project.root.is_dir():
        part = folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        Project.begin(part)
        write_log(part / "log.parquet", rows, max(rows * USERS // ROWS, 80), min(ITEMS, max(rows // 100, 200)))
        (part / "params.yaml").write_text(yaml.safe_dump(_params(), sort_keys=False))
        part.replace(project.root)
    return project


def _params() -> dict[str, Any]:
    columns = {"user": "user", "item": "item", "rating": "rating", "timestamp": "time"}
    source = {"kind": "table", "path": "log.parquet", "columns": columns}
    return {
        "seed": 1,
        "pipeline": {"datasets": [DATASET], "shardings": ["whole"]},
        "datasets": {DATASET: {"source": source, "duplicates": "latest"}},
        "shardings": {"whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"}},
        "families": {"one": {"dataset": DATASET, "candidates": [{"model": "wmf", "sharding": "whole"}]}},
        "models": {"wmf": {"embedding_dim": DIM, "sweeps": SWEEPS}},
    }


def _run(project: Project, arguments: tuple[str, ...]) -> dict[str, Any]:
    """Seconds and the largest process of a command and all that it started and waited for. Raises Wrong."""
    started = time.perf_counter()
    said = project.root.parent / "said.txt"
    with said.open("wb") as out:
        command = subprocess.Popen(
            [sys.executable, "-m", "lethe.cli", *arguments],
            cwd=project.root,
            env={**os.environ, "LETHE_KEY_DIR": str(project.keys)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        used = _waited_for(command)
    if command.returncode:
        raise Wrong(f"lethe {' '.join(arguments[:2])}: {said.read_text().strip().splitlines()[-1]}")
    clock = time.perf_counter() - started
    return {
        "seconds": round(sum(one.ru_utime + one.ru_stime for one in used), 2),
        "clock": round(clock, 2),
        "peak_mib": max(one.ru_maxrss for one in used) // 1024,
    }


def _waited_for(command: subprocess.Popen[bytes]) -> list[resource.struct_rusage]:
    """What a command used, and each process of its own that outlived it: the warm one, of which its data stages are
    children, ends behind it."""
    used = list[resource.struct_rusage]()
    while True:
        try:
            process, status, spent = os.wait4(-1, 0)
        except ChildProcessError:
            return used
        used.append(spent)
        if process == command.pid:
            command.returncode = os.waitstatus_to_exitcode(status)


def _adopt_orphans() -> None:
    """Whoever loses its parent below this process becomes its child."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
