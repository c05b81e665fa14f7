"""What workers of a Dask cluster give: seconds by the clock to train all shards, by one process and by several.

Each cluster is a local one, of the product's own runner. Its processes have loaded and compiled everything before the
clock starts: all shards are trained once before, by fewer sweeps.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml

from benchmarks import Say
from benchmarks.page import grid, met, page
from benchmarks.partition_scale import made_rows
from benchmarks.sharded import params_of
from lethe.build.candidates import Job, train_shard
from lethe.build.recipe import Recipe
from lethe.config.params import Params
from lethe.config.sharding import Sharding
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.data.stages import assign, shards_stage
from lethe.learning.runner.by_params import runner
from lethe.learning.runner.calling import Runner
from lethe.models import configure

NUM_SHARDS, SWEEPS, GOAL = 8, 40, 1.7
SHARDING, DATASET = "user-hash", "made"
LAYOUT = {"partition": "user-hash", "num_shards": NUM_SHARDS, "aggregator": "mean"}
PROTOCOL = (
    f"Made interactions as in partition-scale, laid into {NUM_SHARDS} shards by the user hash; WMF by the exact solver,"
    " 128 dimensions, 40 sweeps, one numeric thread a process. Seconds by the clock from first call to last answer,"
    " of a local Dask cluster that has loaded and compiled everything; medians, clusters of each size in turn. Cores:"
    " processor seconds of all sub-models over seconds by the clock. Bytes of all artifacts are compared."
)


def workspace_of(rows: int, folder: Path) -> Workspace:
    """A workspace with made rows laid into shards."""
    workspace = Workspace(folder)
    params = params_of(DATASET, SHARDING, Sharding.parse(LAYOUT, "sharding"), 7)
    if not workspace.params.is_file():
        made = made_rows(rows)
        nothing = made.take(np.zeros(len(made), dtype=bool))
        for part, held in {"train": made, "valid": nothing, "test": nothing}.items():
            held.write(workspace.split(DATASET, part))
        assign(workspace, params, DATASET, SHARDING)
        shards_stage(workspace, params, DATASET, SHARDING)
        workspace.params.write_text(yaml.safe_dump(params.plain(), sort_keys=False))
    return workspace


def job(sweeps: int) -> Job:
    config = configure("wmf", {"embedding_dim": 128, "sweeps": sweeps}).plain()
    names = {"dataset": DATASET, "model": "wmf", "sharding": SHARDING, "layout": LAYOUT, "aggregator": {}, "seed": 7}
    return Job("one", Recipe.parse({**names, "config": config}, "recipe"), "cpu")


def run(workspace: Workspace, workers: int) -> dict[str, Any]:
    """Figures of one cluster of so many workers."""
    settings = Params.read(workspace.params).training.model_copy(update={"runner": "dask", "workers": workers})
    params = Params.read(workspace.params).model_copy(update={"training": settings})
    with runner(workspace, params) as place:
        _train(workspace, place, sweeps=1)
        shutil.rmtree(workspace.artifacts)
        start = time.perf_counter()
        digests = _train(workspace, place, sweeps=SWEEPS)
        seconds = time.perf_counter() - start
    records = [one.record() for one in ArtifactStore(workspace.artifacts).all()]
    shutil.rmtree(workspace.artifacts)
    worked = sum(record.cpu_seconds for record in records if record is not None)
    return {"workers": workers, "seconds": seconds, "cores": worked / seconds, "digests": digests}


def _train(workspace: Workspace, place: Runner, *, sweeps: int) -> list[str]:
    made = job(sweeps)
    names = made.builder(workspace).shard_names()
    with ThreadPoolExecutor(len(names)) as waiting:
        keys = list(waiting.map(lambda name: place.call(train_shard, workspace, made, name), names))
    store = ArtifactStore(workspace.artifacts)
    return [store.get("sub-model", key).digest for key in keys]


def measure(rows: int, folder: Path, sizes: Sequence[int], repeats: int, say: Say) -> list[dict[str, Any]]:
    """A row a size."""
    workspace, runs = workspace_of(rows, folder), list[dict[str, Any]]()
    for _ in range(repeats):
        for size in sizes:
            runs.append(run(workspace, size))
            say(f"workers  {size}  {runs[-1]['seconds']:.2f} s  {runs[-1]['cores']:.2f} cores")
    same = all(one["digests"] == runs[0]["digests"] for one in runs)
    return [_row(size, [one for one in runs if one["workers"] == size], same) for size in sizes]


def _row(size: int, runs: list[dict[str, Any]], same: bool) -> dict[str, Any]:
    seconds = [one["seconds"] for one in runs]
    spread = [round(min(seconds), 2), round(max(seconds), 2)]
    cores = round(median(one["cores"] for one in runs), 2)
    return {"workers": size, "seconds": round(median(seconds), 2), "spread": spread, "cores": cores, "same_bytes": same}


def report(rows: int, figures: list[dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    gains = {row["workers"]: figures[0]["seconds"] / row["seconds"] for row in figures}
    cells = [(row["workers"], _spread(row), f"{gains[row['workers']]:.2f}", f"{row['cores']:.2f}") for row in figures]
    seconds = grid(("workers", "seconds (least to most)", "× of one", "cores"), cells)
    same = "the same for all" if all(row["same_bytes"] for row in figures) else "DIFFERENT"
    said = f"Two workers are {gains[2]:.2f} × one (goal ≥ {GOAL}: {met(gains[2] >= GOAL)}).\nBytes: {same}."
    made = {"table": "workers", "protocol": PROTOCOL, "command": command, "asked": rows, "rows": figures}
    return made, page("workers", PROTOCOL, f"Command: `{command}`: {rows:,} rows.", seconds, said)


def _spread(row: dict[str, Any]) -> str:
    return f"{row['seconds']:.2f} ({row['spread'][0]:.2f} to {row['spread'][1]:.2f})"
