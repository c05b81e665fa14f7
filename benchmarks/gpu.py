"""Everything a GPU must show, in one call of under ten minutes: the same bytes in two processes, agreement with the
CPU, and how long it takes against one CPU thread of that machine. ``benchmarks.gpu_cases`` measures, a process a case.

    python -m benchmarks gpu --json --commit
    python -m benchmarks.gpu DATA_DIR               # without typer, Prefect, DVC and BentoML
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lethe.core.environment import numeric_environment
from lethe.core.workspace import NUMERIC
from lethe.errors import LetheError

ROOT = Path(__file__).parent.parent
SECONDS = 240
"""For one process."""
EXACT = 1e-5
"""Relative error of a kernel in float32."""
NO_GPU = "no GPU: nothing was run; --interpret runs the kernels on the CPU"

Say = Callable[[str], None]


def interpret() -> dict[str, Any]:
    """Each kernel in Triton's interpreter. Raises LetheError for one that is wrong."""
    figures = _case("interpreter", "cpu", Path(), {"TRITON_INTERPRET": "1"})
    if "failed" in figures:
        raise LetheError(f"gpu --interpret: {figures['failed']}")
    wrong = [name for name, error in figures.items() if not error < EXACT]
    if wrong:
        raise LetheError(f"gpu --interpret: {wrong[0]} differs from float64 by {figures[wrong[0]]:.2g}")
    return figures


def measure(data_dir: Path, say: Say) -> dict[str, Any]:
    """The report; what fails is said in its place."""
    figures: dict[str, Any] = {"environment": numeric_environment("cuda")}
    for name, device in (("first", "cuda"), ("second", "cuda"), ("cpu", "cpu")):
        say(f"models, {name}")
        figures[name] = _case("models", device, data_dir)
    for what, runs in (("aggregator", 2), ("rankings", 1), ("scores", 1), ("big", 2)):
        say(what)
        figures[what] = {name: _case(what, "cuda", data_dir) for name in ("once", "again")[:runs]}
    say("demo")
    figures["demo"] = demo()
    return figures | summary(figures)


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """What the table shows: a line a model, and what must be the same and was not."""
    first, second, cpu = (figures[name] for name in ("first", "second", "cpu"))
    rows = {}
    for name, made in first.items():
        if not isinstance(made, dict) or "failed" in made:
            rows[name] = {"failed": made["failed"] if isinstance(made, dict) else made}
            continue
        beside = cpu.get(name, {})
        gap = abs(made["loss"] - beside["loss"]) / max(abs(beside["loss"]), 1.0) if "loss" in beside else None
        rows[name] = {
            "same bytes": made["digest"] == second.get(name, {}).get("digest"),
            "from the CPU": gap,
            "ms": made["ms"],
            "CPU ms": beside.get("ms"),
            "times": round(beside["ms"] / made["ms"], 1) if beside.get("ms") else None,
        }
    differing = [name for name, row in rows.items() if not row.get("same bytes")]
    for what in ("aggregator", "big"):
        runs = figures[what]
        if runs["once"].get("digest") is None or runs["once"]["digest"] != runs["again"].get("digest"):
            differing.append(what)
    return {"models": rows, "differing": differing}


def demo() -> str:
    """What `lethe verify` says at the end of the demo, or why it was not run."""
    missing = [name for name in ("prefect", "dvc", "bentoml", "great_expectations") if find_spec(name) is None]
    if missing:
        return f"left out: {missing[0]} is not installed"
    command = [str(Path(sys.executable).parent / "lethe"), "demo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * SECONDS, env=_environment(), cwd=ROOT)
    lines = [line for line in done.stdout.splitlines() if "verify" in line]
    return lines[-1].strip() if done.returncode == 0 and lines else f"failed: {done.stderr.strip()[-200:]}"


def table_of(report: dict[str, Any]) -> str:
    """The models as a Markdown table."""
    head = "| model | same bytes | from the CPU | ms | CPU ms | times |\n| --- | --- | --- | --- | --- | --- |\n"
    lines = [
        f"| {name} | {row['failed']} | | | | |"
        if "failed" in row
        else f"| {name} | {'yes' if row['same bytes'] else 'no'} | {row['from the CPU'] or 0:.1e} | {row['ms']} |"
        f" {row['CPU ms']} | {row['times']} |"
        for name, row in report["models"].items()
    ]
    return head + "\n".join(lines) + "\n"


def _case(what: str, device: str, data_dir: Path, more: dict[str, str] | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gpu_cases", what, device, str(data_dir)]
    try:
        environment = _environment() | (more or {})
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {SECONDS} seconds"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no word"])[-1]}
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, **NUMERIC, "PYTHONPATH": path}


if __name__ == "__main__":
    begun = time.monotonic()
    made = measure(Path(sys.argv[1]), lambda line: print(f"{time.monotonic() - begun:.0f} s: {line}", file=sys.stderr))
    print(json.dumps(made, indent=1))
    print(table_of(made), file=sys.stderr)
