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
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import ROOT, Say
from benchmarks.gpu_models import BESIDE, FULL_BATCH
from benchmarks.machine import machine
from benchmarks.page import grid, page
from lethe.core.workspace import NUMERIC
from lethe.errors import LetheError

QUICK = ("gmf", "neumf", "simplex", "ultragcn", "gru4rec")
SECONDS = 240
"""For one process."""
EXACT = 1e-5
"""Relative error of a kernel in float32."""
NO_GPU = "no GPU: nothing was run; --interpret runs the kernels on the CPU"


def interpret() -> dict[str, Any]:
    """Each kernel in Triton's interpreter. Raises LetheError for one that is wrong."""
    figures = _case("interpreter", "cpu", Path(), more={"TRITON_INTERPRET": "1"})
    if "failed" in figures:
        raise LetheError(f"gpu --interpret: {figures['failed']}")
    wrong = [name for name, error in figures.items() if not error < EXACT]
    if wrong:
        raise LetheError(f"gpu --interpret: {wrong[0]} differs from float64 by {figures[wrong[0]]:.2g}")
    return figures


def measure(data_dir: Path, say: Say) -> dict[str, Any]:
    """The report; what fails is said in its place."""
    figures = machine("cuda")
    with ThreadPoolExecutor(16) as pool:

        def start(what: str, *names: str, device: str = "cuda") -> Future[dict[str, Any]]:
            return pool.submit(_case, what, device, data_dir, names)

        # What is timed on the GPU has it to itself; the CPU's thread runs beside it, on a core of its own.
        cpu = start("models", "alone", device="cpu")
        say("models")
        figures["first"] = start("models", "alone").result()
        for what in ("aggregator", "forget", "rankings", "big"):
            say(what)
            figures[what] = {"once": start(what).result()}
        say("side by side: all of it again, baselines, what is replayed, other scores, the laws, the demo")
        again = {what: start(what) for what in ("aggregator", "forget", "big")}
        second, others = start("models", "alone"), [start("models", "beside") for _ in range(2)]
        rest = {what: start(what) for what in ("replayed", "scores")}
        beside = start("models", "beside", device="cpu")
        checks = {"laws": pool.submit(laws), "demo": pool.submit(demo)}
        for what, run in again.items():
            figures[what]["again"] = run.result()
        figures |= {what: run.result() for what, run in rest.items()}
        figures["first"] |= others[0].result()
        figures["second"] = second.result() | others[1].result()
        figures["cpu"] = cpu.result() | beside.result()
        figures |= {what: check.result() for what, check in checks.items()}
    return figures | summary(figures)


LAWS = ("tests/models/test_contract.py", "tests/test_laws.py", "tests/forgetting/test_laws.py")


def laws() -> str:
    """What pytest says of the laws of every model, partition and aggregator on the GPU."""
    if find_spec("xdist") is None:
        return "left out: pytest-xdist is not installed"
    workers = str(max((os.cpu_count() or 1) - 6, 1))
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider", "-W", "ignore", *LAWS]
    environment = _environment() | {"LETHE_TEST_DEVICE": "cuda"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * SECONDS, env=environment, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return f"failed: more than {2 * SECONDS} seconds"
    last = (done.stdout.strip().splitlines() or ["no word"])[-1]
    return f"held: {last}" if done.returncode == 0 else f"failed: {last}"


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
    left_out = [name for name, row in rows.items() if str(row.get("failed", "")).startswith("left out")]
    differing = [name for name, row in rows.items() if not row.get("same bytes") and name not in left_out]
    for what in ("aggregator", "forget", "big"):
        runs = figures[what]
        if runs["once"].get("digest") is None or runs["once"]["digest"] != runs["again"].get("digest"):
            differing.append(what)
    differing += [f"{name}, replayed" for name, same in figures.get("replayed", {}).items() if same is not True]
    return {"models": rows, "differing": differing, "left out": left_out}


def demo() -> str:
    """What `lethe verify` says at the end of the demo, or why it was not run."""
    missing = [name for name in ("prefect", "dvc", "bentoml", "great_expectations") if find_spec(name) is None]
    if missing:
        return f"left out: {missing[0]} is not installed"
    command = [str(Path(sys.executable).parent / "lethe"), "demo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * SECONDS, env=_environment(), cwd=ROOT)
    lines = [line for line in done.stdout.splitlines() if "verify" in line]
    return lines[-1].strip() if done.returncode == 0 and lines else f"failed: {done.stderr.strip()[-200:]}"


def goals(report: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """What was to be reached: (what, what was measured, the goal)."""
    rows = report["models"]

    def times(name: str) -> Any:
        return rows.get(name, {}).get("times", "not measured")

    def once(what: str, *keys: str) -> Any:
        value: Any = report[what]["once"]
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        return "not measured" if value == {} else value

    return [
        ("the demo", report["demo"], "verify: equal"),
        ("the laws of every model, partition and aggregator", report["laws"], "held"),
        ("other bytes in a second process", ", ".join(report["differing"]) or "none", "none"),
        ("replayed steps with the bytes of others", all(v is True for v in report["replayed"].values()), "True"),
        ("ms an epoch of eq. (3.9)", rows[FULL_BATCH]["ms"], "<= .4"),
        ("seconds of 8 sweeps of WMF, to recall@20 >= .25", once("rankings", "seconds of 8 sweeps"), "<= .05"),
        ("ms an epoch of LightGCN", rows["lightgcn"]["ms"], "<= 2"),
        *((f"times a CPU thread, {name}", times(name), ">= 20") for name in QUICK),
        ("ms an epoch of ConvNCF", rows["convncf"]["ms"], "<= 60,000"),
        ("seconds of the attention aggregator", once("aggregator", "seconds", "attention"), "<= 1"),
        ("ms of ranking ML-1M, once ids are dense", once("rankings", "of that, ranking"), "<= 5"),
        ("users a second, 100 of 100,000 items", once("big", "users a second"), ">= 400,000"),
        ("seconds a sweep, 10 M rows of 1 M users", once("big", "seconds a sweep"), "<= .1"),
        ("seconds to train LightGCN without a user", once("forget", "seconds"), "<= 1"),
    ]


def blocks(report: dict[str, Any]) -> tuple[str, ...]:
    """Of its page: the environment, the goals and the models."""
    card = report["environment"]
    versions = ", ".join(f"{name} {card[name]}" for name in ("driver", "cuda", "torch", "triton"))
    models = [(name, *_cells(row)) for name, row in report["models"].items()]
    return (
        f"{card['device']}, {versions}; the CPU's figures are one thread of the same machine ({card['cpu']}).",
        grid(("what", "measured", "goal"), goals(report)),
        grid(("model", "same bytes", "from the CPU", "ms", "CPU ms", "times"), models),
        "Milliseconds are of an epoch or a sweep on MovieLens-1M, or on made rows as many where the model reads side"
        " tables, or of a whole closed form. How far it is from the CPU is said of the first epoch's loss, as a share;"
        " models that draw pairs draw others on a GPU. Models of the last part were measured beside other work"
        f" ({', '.join(sorted(BESIDE))}).",
    )


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    if "failed" in row:
        return (row["failed"], "", "", "", "")
    return (
        *("yes" if row["same bytes"] else "no", _gap(row)),
        *(row["ms"], row["CPU ms"] or "not run", row["times"] or ""),
    )


def _gap(row: dict[str, Any]) -> str:
    return "not run" if row["from the CPU"] is None else f"{row['from the CPU']:.1e}"


def _case(
    what: str, device: str, data_dir: Path, names: Iterable[str] = (), more: dict[str, str] | None = None
) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gpu_cases", what, device, str(data_dir), *names]
    failed, out = None, ""
    try:
        environment = _environment() | (more or {})
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, cwd=ROOT)
        out = done.stdout
        if done.returncode:
            failed = (done.stderr.strip().splitlines() or ["no word"])[-1]
    except subprocess.TimeoutExpired as late:
        out = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        failed = f"more than {SECONDS} seconds"
    lines = out.splitlines()
    made: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return made if failed is None else made | {"failed": failed}


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, **NUMERIC, "PYTHONPATH": path}


if __name__ == "__main__":
    begun = time.monotonic()
    made = measure(Path(sys.argv[1]), lambda line: print(f"{time.monotonic() - begun:.0f} s: {line}", file=sys.stderr))
    print(json.dumps(made, indent=1))
    print(page("gpu", *blocks(made)), file=sys.stderr)
