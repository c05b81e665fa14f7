"""What commands of a trained project take that have little or nothing to do, each as its user runs it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.page import grid, missed, page

GOALS = {"--help": 0.5, "status": 1.0, "forget add": 1.0, "train": 8.0}
"""Seconds of the processor, at most."""


def measure(folder: Path) -> list[dict[str, Any]]:
    """Each command on a small project that was trained before."""
    from benchmarks.project import Project

    project = Project.begin(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["datasets"]["made"] |= {"split": {"by": "random", "valid": 0.1, "test": 0.1}, "items_are_users": False}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    project.must("train")
    environment = {**os.environ, "LETHE_KEY_DIR": str(project.keys), **project.environment}
    commands = (["--help"], ["status"], ["forget", "add", "--user", "3"], ["train"])
    return [_figures(command, folder, environment) for command in commands]


def _figures(arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "lethe.cli", *arguments]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    name = " ".join(arguments[:2]) if arguments[0] == "forget" else arguments[0]
    return {"command": name, "cpu_seconds": round(spent, 2), "seconds": round(seconds, 2), "goal": GOALS[name]}


def report(rows: Sequence[dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """For reports/tables/idle.json, and as a small table."""
    head = ("command", "seconds of the processor", "goal", "by the clock")
    text = page("idle", f"`{command}`", grid(head, map(_cells, rows), right=(1, 2, 3)))
    return {"table": "idle", "command": command, "rows": [*rows]}, text


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    took = f"{row['cpu_seconds']:.2f}{missed(row['cpu_seconds'] <= row['goal'])}"
    return row["command"], took, f"≤ {row['goal']:g}", f"{row['seconds']:.2f}"
