"""One step of ``benchmarks scale``, in a process of its own: ``python -m benchmarks.scale_steps FOLDER STEP``.

Prints seconds of the processor and by the clock, and the peak memory of the process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.runs import peak_mib
from lethe.config.params import Params
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.stages import STAGES

DATASET, SHARDING = "log", "user-hash"
DIM, SWEEPS = 32, 2
LOG = "log.parquet"


def stage(name: str) -> Callable[[Workspace, Params], dict[str, Any]]:
    """A data stage, of both what is compared and what is served."""

    def run(workspace: Workspace, params: Params) -> dict[str, Any]:
        STAGES[name](workspace, params, DATASET, *([SHARDING] if name in ("assign", "shards") else []))
        return {}

    return run


def gates(workspace: Workspace, params: Params) -> dict[str, Any]:
    from lethe.data.gates.__main__ import judge

    reports = judge(workspace, params, DATASET)
    return {"checks": sum(len(report.checks) for report in reports)}


def train(workspace: Workspace, params: Params) -> dict[str, Any]:
    """WMF by the exact solver, of all rows in one sub-model, written as the product writes it."""
    from lethe.learning.device import CPU
    from lethe.learning.sub_model import Lesson, write_sub_model
    from lethe.models import MODELS, configure
    from lethe.tables.interactions import Interactions
    from lethe.tables.side_tables import NO_TABLES

    folder = workspace.root / "sub-model"
    folder.mkdir(exist_ok=True)
    config = configure("wmf", {"embedding_dim": DIM, "sweeps": SWEEPS})
    rows = Interactions.read(workspace.interactions(DATASET))
    stream, saved = Stream(params.seed), folder / "checkpoint"
    write_sub_model(folder, Lesson(MODELS["wmf"], config, rows, NO_TABLES, stream, CPU, saved), lambda row: None)
    losses = [round(row["loss"], 1) for row in json.loads((folder / "history.json").read_text())]
    return {"users": _rows(folder / "users.parquet"), "items": _rows(folder / "items.parquet"), "losses": losses}


def forget(workspace: Workspace, params: Params) -> dict[str, Any]:
    """One user: their rows counted, the touched shard planned, their rows put on the suppression list."""
    from datetime import UTC, datetime

    from lethe.build.recipe import Recipe
    from lethe.forgetting.held import Tables
    from lethe.forgetting.ledger.requests import ForgetRequest
    from lethe.forgetting.removal import take_out
    from lethe.forgetting.touched import shards_of
    from lethe.tables.blocks import length, rows_of, side_by_side
    from lethe.tables.reader import Reader

    some = next(block for block, _ in side_by_side(workspace.interactions(DATASET)) if length(block))
    user = str(rows_of(some).user_ids[0])
    request = ForgetRequest.new(DATASET, user, (), now=datetime.now(UTC), datasets=[DATASET])
    (held,) = Tables.read(workspace, DATASET).held([request])
    names = {"dataset": DATASET, "model": "wmf", "sharding": SHARDING, "layout": params.shardings[SHARDING].plain()}
    recipe = Recipe.parse({**names, "aggregator": {}, "seed": 1, "config": {}, "rows": "all"}, "recipe")
    touched = [shard for shard in shards_of(workspace, recipe, [request], Reader()).values() if shard.touched]
    take_out(workspace, params, DATASET, [request])
    return {"held": held.rows, "touched": len(touched), "gone": sum(shard.gone for shard in touched)}


def without(workspace: Workspace, params: Params) -> dict[str, Any]:
    """The rows ingested once more, less those of the forgotten."""
    before = _rows(workspace.interactions(DATASET))
    STAGES["ingest"](workspace, params, DATASET)
    return {"gone": before - _rows(workspace.interactions(DATASET))}


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


STEPS: dict[str, Callable[[Workspace, Params], dict[str, Any]]] = {
    **{name: stage(name) for name in STAGES},
    "gates": gates,
    "train": train,
    "forget": forget,
    "ingest without": without,
}


def main(folder: Path, name: str) -> dict[str, Any]:
    workspace = Workspace(folder)
    params = Params.read(workspace.params)
    cpu, clock = time.process_time(), time.perf_counter()
    said = STEPS[name](workspace, params)
    seconds = {"seconds": round(time.process_time() - cpu, 2), "clock": round(time.perf_counter() - clock, 2)}
    return {"step": name, "rows": _rows(workspace.root / LOG), **seconds, "peak_mib": peak_mib(), **said}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
