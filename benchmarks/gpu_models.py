"""Which models a GPU is measured by, on which rows, and what learning one comes to; see benchmarks/gpu_cases.py."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import save

from lethe.config.source import SyntheticSource
from lethe.core.random import Stream
from lethe.data.sources.synthetic import generate, side_tables
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix
from lethe.tables.side_tables import SideTables

EPOCHS, LONG_EPOCHS = 8, 2
"""The first ones compile and record, and are not counted: the median of the last three, or of one that is long."""
LONG = {"gmf", "neumf", "gru4rec", "ra-lst", "convncf"}
BESIDE = {
    *("sasrec", "fm", "nfm", "deepfm", "cfm", "rating-mlp", "mult-vae", "directau", "ra-lst-exact"),
    *("hstu", "xsimgcl", "enmf-quadratic", "sbpr", "samn", "cmf", "mc-bpr", "nmtr", "cke", "cfkg", "ripplenet", "kgat"),
}
"""Baselines whose time no goal names: they are measured while other work uses the GPU too."""
FULL_BATCH = "wmf, eq. (3.9) in one batch"
SETTINGS: dict[str, dict[str, Any]] = {FULL_BATCH: {"solver": "gradient", "batch_size": 0}}
USERS, ITEMS, EACH = 6_040, 3_260, 119
"""Of the made rows."""
Clock = Callable[[], float]


def clock_of(device: torch.device) -> Clock:
    """Seconds, after all that the device was given is done."""

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    return now


def movielens(data_dir: Path, part: str = "train") -> Interactions:
    """MovieLens-1M's rows, rated and in an order that are made up for the models that read such."""
    table = pq.read_table(data_dir / "ml-1m-receraser" / f"{part}.parquet", columns=["user", "item"])
    users, items = table["user"].to_numpy(), table["item"].to_numpy()
    mixed = users.astype(np.int64) * 7919 + items * 104_729
    return Interactions.of(users, items, 1 + mixed % 5, mixed % 1_000_003)


def made(users: int = USERS, items: int = ITEMS, each: int = EACH) -> tuple[Interactions, SideTables]:
    """Rows and side tables of every kind, as many as MovieLens-1M has."""
    source = SyntheticSource(kind="synthetic", users=users, items=items, interactions_per_user=each, side=True)
    return generate(source)[0], side_tables(source)


def cases() -> list[str]:
    """Models that compute on a device; the quick ones first, so that a short budget leaves few out."""
    there = [name for name in dict.fromkeys([*MODELS, FULL_BATCH]) if _solver(name) in MODELS[_model(name)].on_device]
    return sorted(there, key=lambda case: (case == "convncf", case in LONG, not reads_no_tables(case)))


def named(names: list[str], device: torch.device) -> list[str]:
    """Cases by name; ``alone`` and ``beside`` are all that are measured so, but for what takes a CPU minutes."""
    chosen = []
    for name in names:
        groups = {"alone": [case for case in cases() if case not in BESIDE], "beside": sorted(BESIDE)}
        chosen += groups.get(name, [name])
    return [case for case in chosen if (device.type, case) != ("cpu", "convncf")]


def _solver(case: str) -> str:
    return str(config_of(case).solver)


def reads_no_tables(case: str) -> bool:
    """Whether it reads no side tables."""
    return MODELS[_model(case)].needs <= {"timestamps"}


def _model(case: str) -> str:
    return case.partition(",")[0]


def config_of(case: str, epochs: int = EPOCHS) -> Any:
    known = MODELS[_model(case)].Config.model_fields
    short = {field: epochs for field in ("epochs", "sweeps") if field in known}
    few = {"pretrain_epochs": 1} if "pretrain_epochs" in known else {}
    return configure(_model(case), short | few | SETTINGS.get(case, {}))


def encoded(case: str, rows: Interactions, tables: SideTables) -> tuple[Catalogue, InteractionMatrix]:
    """What the model reads of the tables, dense."""
    reads = MODELS[_model(case)].reads()
    chosen = SideTables(
        {kind: table for kind, table in tables.tables.items() if kind in reads},
        tables.behaviours if "behaviours" in reads else {},
    )
    catalogue = Catalogue.of(rows, chosen)
    return catalogue, catalogue.encode(rows, chosen)


def learned(case: str, catalogue: Catalogue, data: InteractionMatrix, device: torch.device) -> dict[str, Any]:
    # The CPU's curve is needed for one epoch, its time for the second.
    epochs = 2 if device.type == "cpu" else LONG_EPOCHS if case in LONG | BESIDE else EPOCHS
    model = MODELS[_model(case)](config_of(case, epochs), catalogue.shape)
    now, ends = clock_of(device), list[float]()
    start = now()
    history = train(model, data, Stream(1), device, progress=lambda row: ends.append(now()))
    whole, digest = now() - start, hashlib.sha256(save(_weights(model))).hexdigest()
    if len(ends) > 1:
        spans = np.diff(ends)[-3:]
        return {"digest": digest, "ms": round(float(np.median(spans)) * 1e3, 3), "loss": history[0]["loss"]}
    # Solved at once: all of it, on a GPU when its libraries are loaded; without a loss, how long its weights are.
    if device.type == "cuda":
        start = now()
        train(model, data, Stream(1), device)
        whole = now() - start
    norm = sum(float(value.double().square().sum()) for value in _weights(model).values() if value.is_floating_point())
    return {"digest": digest, "ms": round(whole * 1e3, 3), "loss": history[0]["loss"] if history else norm}


def _weights(model: Model) -> dict[str, torch.Tensor]:
    return {name: value.contiguous() for name, value in model.state_dict().items()}
