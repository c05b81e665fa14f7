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

from benchmarks.partition_scale import peak_mib
from lethe.config.params import Params
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.stages import STAGES

DATASET, SHARDING = "log", "user-hash"
DIM, SWEEPS = 32, 2


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
    """WMF by the exact solver, of all rows in one sub-model."""
    from lethe.learning.training import train as learn
    from lethe.models import MODELS, configure
    from lethe.tables.catalogue import Catalogue
    from lethe.tables.interactions import Interactions

    rows = Interactions.read(workspace.interactions(DATASET))
    catalogue = Catalogue.of(rows)
    data = catalogue.encode(rows)
    del rows
    model = MODELS["wmf"](configure("wmf", {"embedding_dim": DIM, "sweeps": SWEEPS}), catalogue.shape)
    history = learn(model, data, Stream(params.seed))
    return {"users": data.num_users, "items": data.num_items, "losses": [round(row["loss"], 1) for row in history]}


STEPS: dict[str, Callable[[Workspace, Params], dict[str, Any]]] = {
    **{name: stage(name) for name in STAGES},
    "gates": gates,
    "train": train,
}


def main(folder: Path, name: str) -> dict[str, Any]:
    workspace = Workspace(folder)
    params = Params.read(workspace.params)
    cpu, clock = time.process_time(), time.perf_counter()
    said = STEPS[name](workspace, params)
    seconds = {"seconds": round(time.process_time() - cpu, 2), "clock": round(time.perf_counter() - clock, 2)}
    rows = pq.read_metadata(workspace.interactions(DATASET)).num_rows if name != "source" else None
    return {"step": name, "rows": rows, **seconds, "peak_mib": peak_mib(), **said}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
