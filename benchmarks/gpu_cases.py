"""What a GPU is measured by: ``python -m benchmarks.gpu_cases WHAT DEVICE DATA_DIR`` prints JSON.

models       every model that computes where it lies, on MovieLens-1M: digest of the weights, milliseconds, first loss
rankings     full ranking of everybody by two towers      aggregator   all of two towers, over ten shards
scores       rankings by each model without two towers, of a tenth of the users, there and on the CPU
big          ten million rows of a million users and 100,000 items: a sweep of WMF
interpreter  the kernels in Triton's interpreter, against plain torch in float64

It needs torch, numpy, pandas, pyarrow, pydantic and safetensors, and nothing of Prefect, DVC or BentoML.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import save

from lethe.core.random import Stream
from lethe.evaluation import evaluate_users, means
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.scoring import Score, scoring
from lethe.learning.device import CPU, exactly, learns_on
from lethe.learning.ensemble import FactorEnsemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model
from lethe.models.solvers.pull import Ragged, bag, pull, scored, using
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix, Shape

EPOCHS = 4
"""The first one compiles the kernels and is not counted."""
BUDGET = 110
"""Seconds after which no further model is begun."""
FULL_BATCH = "wmf, eq. (3.9) in one batch"
SETTINGS: dict[str, dict[str, Any]] = {FULL_BATCH: {"solver": "gradient", "batch_size": 0}}
BIG_ROWS, BIG_USERS, BIG_ITEMS = 10_000_000, 1_000_000, 100_000

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


def cases() -> list[str]:
    """Models that compute on a device and read no side tables."""
    plain = [name for name, model in MODELS.items() if model.needs <= {"timestamps"}]
    return [name for name in [*plain, *SETTINGS] if _config(name).solver in MODELS[_model(name)].on_device]


def _model(case: str) -> str:
    return case.partition(",")[0]


def _config(case: str, epochs: int = EPOCHS) -> Any:
    known = MODELS[_model(case)].Config.model_fields
    short = {field: epochs for field in ("epochs", "sweeps") if field in known}
    few = {"pretrain_epochs": 1} if "pretrain_epochs" in known else {}
    return configure(_model(case), short | few | SETTINGS.get(case, {}))


def models(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    rows = movielens(data_dir)
    catalogue = Catalogue.of(rows)
    data = catalogue.encode(rows)
    figures: dict[str, Any] = {}
    begun = time.monotonic()
    for case in only or cases():
        if time.monotonic() - begun > BUDGET:
            figures[case] = {"failed": f"left out: {BUDGET} seconds were over"}
            continue
        print(case, file=sys.stderr, flush=True)
        try:
            figures[case] = _learn(case, catalogue, data, device)
        except Exception as error:  # The next model is measured all the same, and the report says what failed.
            figures[case] = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    return figures


def _learn(case: str, catalogue: Catalogue, data: InteractionMatrix, device: torch.device) -> dict[str, Any]:
    # The CPU's curve is needed for one epoch, its time for the second.
    model = MODELS[_model(case)](_config(case, EPOCHS if device.type == "cuda" else 2), catalogue.shape)
    now, ends = clock_of(device), list[float]()
    history = train(model, data, Stream(1), device, progress=lambda row: ends.append(now()))
    digest = hashlib.sha256(save({name: value.contiguous() for name, value in model.state_dict().items()})).hexdigest()
    if history:
        return {"digest": digest, "ms": round(float(np.median(np.diff(ends))) * 1e3, 3), "loss": history[0]["loss"]}
    # A closed form has no epochs: all of it, once the libraries are loaded, and how long its weights are.
    start = now()
    train(model, data, Stream(1), device)
    norm = sum(
        float(value.double().square().sum()) for value in model.state_dict().values() if value.is_floating_point()
    )
    return {"digest": digest, "ms": round((now() - start) * 1e3, 3), "loss": norm}


def _wmf(rows: Interactions, device: torch.device, sweeps: int) -> tuple[Catalogue, Model, list[float]]:
    catalogue, now, ends = Catalogue.of(rows), clock_of(device), list[float]()
    model = MODELS["wmf"](configure("wmf", {"sweeps": sweeps}), catalogue.shape)
    train(model, catalogue.encode(rows), Stream(1), device, progress=lambda row: ends.append(now()))
    return catalogue, model, ends


def rankings(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    rows, test = movielens(data_dir), movielens(data_dir, "test")
    catalogue, model, _ = _wmf(rows, device, 8)
    users, items = (part.numpy() for part in model.factors_or_fail())
    ms, recall = _ranked(scoring(FactorEnsemble(catalogue, users, items), device), catalogue, rows, test, device)
    return {"ms": ms, "recall@20": recall}


def scores(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    """Milliseconds there and on the CPU, and how far apart the two recalls are."""
    rows, test = (part.take(part.user_ids % 10 == 0) for part in (movielens(data_dir), movielens(data_dir, "test")))
    catalogue, figures, begun = Catalogue.of(rows), dict[str, Any](), time.monotonic()
    for name in only or [name for name in MODELS if MODELS[name].needs <= {"timestamps"}]:
        config = _config(name, 1)
        model = MODELS[name](config, catalogue.shape)
        if model.factors() is not None or time.monotonic() - begun > BUDGET / 2:
            continue
        print(name, file=sys.stderr, flush=True)
        try:
            train(model, catalogue.encode(rows), Stream(1), learns_on(MODELS[name], config, device.type))
            identity = AGGREGATORS["identity"]
            ensemble, _ = identity.fit([SubModel("0", model, catalogue)], rows, identity.Config(), Stream(2))
            made = [_ranked(scoring(ensemble, where), catalogue, rows, test, where) for where in (device, CPU)]
            (ms, there), (cpu_ms, here) = made
            figures[name] = {"ms": ms, "CPU ms": cpu_ms, "recall@20": there, "from the CPU": abs(there - here)}
        except Exception as error:  # As in ``models``.
            figures[name] = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    return figures


def _ranked(
    score: Score, catalogue: Catalogue, rows: Interactions, test: Interactions, device: torch.device
) -> tuple[float, float]:
    """The least milliseconds of three rankings, and recall@20."""
    now, seconds = clock_of(device), list[float]()
    for _ in range(3):
        start = now()
        with exactly(device, "evaluation"):
            values = means(evaluate_users(score, catalogue, rows, test, cutoffs=(20,)))
        seconds.append(now() - start)
    return round(min(seconds) * 1e3, 2), values["recall@20"]


def aggregator(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    rows, sub_models = movielens(data_dir), []
    for shard in range(10):
        own = rows.take(rows.user_ids % 10 == shard)
        catalogue, model, _ = _wmf(own, device, 3)
        sub_models.append(SubModel(str(shard), model, catalogue))
    now, seconds, bytes_of = clock_of(device), dict[str, float](), hashlib.sha256()
    for name in only or ("static", "stacked", "refit", "attention"):
        chosen, start = AGGREGATORS[name], now()
        ensemble, history = chosen.fit(sub_models, rows, chosen.Config(), Stream(2), device)
        seconds[name], factors = round(now() - start, 3), ensemble.factors()
        assert factors is not None
        for part in factors:
            bytes_of.update(np.ascontiguousarray(part).tobytes())
    return {"seconds": seconds, "digest": bytes_of.hexdigest(), "loss": history[-1]["loss"]}


def big(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    generator = np.random.default_rng(10)
    shares = np.cumsum(1 / np.arange(1, BIG_ITEMS + 1))
    items = np.searchsorted(shares, generator.random(BIG_ROWS * 13 // 10) * shares[-1])
    users = generator.integers(0, BIG_USERS, len(items))
    pairs = np.unique(users * BIG_ITEMS + items)
    pairs = np.sort(generator.permutation(pairs)[:BIG_ROWS])
    data = InteractionMatrix(Shape(BIG_USERS, BIG_ITEMS), *np.divmod(pairs, BIG_ITEMS))
    model = MODELS["wmf"](configure("wmf", {"sweeps": 4}), data.shape)
    now, ends = clock_of(device), list[float]()
    train(model, data, Stream(1), device, progress=lambda row: ends.append(now()))
    digest = hashlib.sha256(save(dict(model.state_dict()))).hexdigest()
    return {"rows": len(data), "seconds a sweep": round(float(np.median(np.diff(ends))), 3), "digest": digest}


def interpreter(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    """The greatest relative error of each kernel, of rows in one piece and in several, against float64."""
    generator = np.random.default_rng(0)
    lengths = np.array([0, 3, 1500, 8, 1])
    indptr = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
    columns = torch.from_numpy(generator.integers(0, 40, int(lengths.sum())))
    values, x, y = (torch.from_numpy(generator.normal(size=size)) for size in (len(columns), (5, 12), (40, 12)))
    rows, slope = Ragged.of(indptr, columns), torch.from_numpy(generator.normal(size=(5, 12)))

    def run(kind: torch.dtype) -> dict[str, torch.Tensor]:
        a, b, c = (part.to(kind) for part in (values, x, y))
        made = scored(rows, a, b, c, shift=0.7, energy=True, value=True)
        weights, table = a.clone().requires_grad_(), c.clone().requires_grad_()
        back = torch.autograd.grad(bag(indptr, columns, table, weights), (weights, table), slope.to(kind))
        assert made.energy is not None
        assert made.value is not None
        return {
            "pull": pull(rows, a, c),
            "pull of squares": pull(rows, a, c, squares=True),
            "scored": made.out,
            "scored, energy": made.energy,
            "scored, value": made.value,
            "back to values": back[0],
            "back to vectors": back[1],
        }

    with using("torch"):
        expected = run(torch.float64)
    with using("triton"):
        ours = run(torch.float32)
    return {name: float((ours[name] - part).norm() / part.norm()) for name, part in expected.items()}


CASES: dict[str, Callable[[torch.device, Path, list[str]], dict[str, Any]]] = {
    "models": models,
    "rankings": rankings,
    "scores": scores,
    "aggregator": aggregator,
    "big": big,
    "interpreter": interpreter,
}

if __name__ == "__main__":
    what, where, folder, *names = sys.argv[1:]
    print(json.dumps(CASES[what](torch.device(where), Path(folder), names)))
