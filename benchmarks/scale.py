"""From a log of a million to a hundred million made interactions: every data stage, the gates, a model, a deletion.

Each step runs in a process of its own (``benchmarks.scale_steps``). What was measured is kept beside the data, so that
a measurement that was stopped is resumed at its next step.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.scale_log import write_log
from benchmarks.scale_steps import DATASET, DIM, SHARDING, STEPS, SWEEPS
from lethe.core.environment import numeric_environment

SIZES = (1_000_000, 10_000_000, 100_000_000)
ROWS_A_USER, ROWS_AN_ITEM, NUM_SHARDS = 10, 100, 10
LIMIT_MIB, LIMIT_EXPONENT = 4096, 1.1
DATA = ("source", "ingest", "split", "assign", "shards")
"""What lies between a source and its shards."""
Figures = dict[str, Any]


def params_of(folder: Path) -> None:
    """One dataset, one sharding."""
    columns = {"user": "user", "item": "item", "rating": "rating", "timestamp": "time"}
    source = {"kind": "table", "path": "log.parquet", "columns": columns}
    params = {
        "seed": 1,
        "pipeline": {"datasets": [DATASET], "shardings": [SHARDING]},
        "datasets": {DATASET: {"source": source, "duplicates": "latest"}},
        "shardings": {SHARDING: {"partition": SHARDING, "num_shards": NUM_SHARDS, "aggregator": "mean"}},
        "families": {"one": {"dataset": DATASET, "candidates": [{"model": "wmf", "sharding": SHARDING}]}},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def measure(size: int, folder: Path, say: Callable[[str], None]) -> list[Figures]:
    """Figures of each step of a size."""
    made, figures = folder / "log.parquet", list[Figures]()
    if not made.is_file():
        part = folder / "part.parquet"
        write_log(part, size, size // ROWS_A_USER, size // ROWS_AN_ITEM)
        part.replace(made)
        params_of(folder)
    for step in STEPS:
        kept = folder / "figures" / f"{step}.json"
        if not kept.is_file():
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(json.dumps(_run(folder, step)))
        figures.append({"size": size, **json.loads(kept.read_text())})
        say(_line(figures[-1]))
    return figures


def _run(folder: Path, step: str) -> Figures:
    command = [sys.executable, "-m", "benchmarks.scale_steps", str(folder), step]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def begin_anew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _line(figure: Figures) -> str:
    return (
        f"| {figure['size']:,} | {figure['step']} | {figure['seconds']:.1f} | {figure['clock']:.1f} |"
        f" {figure['peak_mib']:,} |"
    )
