"""What a GPU is measured by: ``python -m benchmarks.gpu_cases WHAT DEVICE DATA_DIR`` prints JSON.

models       every model that computes where it lies, on MovieLens-1M, or made rows as many where it reads side tables:
             digest of the weights, milliseconds, first loss
replayed     whether steps that are recorded and replayed give the bytes of steps that are not
forget       LightGCN on all but one user's rows, trained whole, twice
rankings     full ranking of everybody by two towers      aggregator   all of two towers, over ten shards
scores       rankings by each model without two towers, of a tenth of the users, there and on the CPU
big          ten million rows of a million users and 100,000 items: a sweep of WMF, lists of a hundred
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
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import save

from benchmarks.gpu_models import (
    FULL_BATCH,
    clock_of,
    config_of,
    encoded,
    learned,
    made,
    movielens,
    named,
    reads_no_tables,
)
from lethe.core.random import Stream
from lethe.evaluation import ranking
from lethe.evaluation.ranking import evaluate_users, means
from lethe.evaluation.ranking_device import at_once, best_there
from lethe.learning import replay
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.scoring import Score, scoring
from lethe.learning.device import CPU, exactly, learns_on
from lethe.learning.ensemble import FactorEnsemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model
from lethe.models.solvers.pull import Ragged, bag, pull, scored, using
from lethe.models.solvers.slim_device import slim_there
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix, Shape

BUDGET = 110
"""Seconds after which no further model is begun."""
BIG_ROWS, BIG_USERS, BIG_ITEMS = 10_000_000, 1_000_000, 100_000


def models(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    rows, (generated, tables) = movielens(data_dir), made()
    begun = time.monotonic()
    plain = Catalogue.of(rows)
    data = plain.encode(rows)
    for case in named(only or ["alone", "beside"], device):
        if time.monotonic() - begun > BUDGET:
            figures[case] = {"failed": f"left out: {BUDGET} seconds were over"}
            continue
        print(case, file=sys.stderr, flush=True)
        try:
            figures[case] = learned(
                case, *(plain, data) if reads_no_tables(case) else encoded(case, generated, tables), device
            )
        except Exception as error:  # The next model is measured all the same, and the report says what failed.
            figures[case] = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        # So far: who waits no longer has what there is.
        print(json.dumps(figures), flush=True)
    return figures


def _wmf(rows: Interactions, device: torch.device, sweeps: int) -> tuple[Catalogue, Model, list[float]]:
    catalogue, now, ends = Catalogue.of(rows), clock_of(device), list[float]()
    model = MODELS["wmf"](configure("wmf", {"sweeps": sweeps}), catalogue.shape)
    train(model, catalogue.encode(rows), Stream(1), device, progress=lambda row: ends.append(now()))
    return catalogue, model, ends


def replayed(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    """Whether each model that can be replayed has the same bytes where nothing is recorded."""
    rows = movielens(data_dir)
    rows = rows.take(rows.user_ids % 8 == 0)
    catalogue = Catalogue.of(rows)
    data, figures = catalogue.encode(rows), dict[str, Any]()
    for case in only or (FULL_BATCH, "enmf-u", "lightgcn", "gmf", "neumf", "convncf", "gru4rec"):
        digests = []
        for most in (replay.KEPT, 0):
            with patch.object(replay, "KEPT", most):
                digests.append(learned(case, catalogue, data, device)["digest"])
        figures[case] = digests[0] == digests[1]
    return figures


def forget(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    """Seconds of the second training, all of LightGCN's epochs, and whether both gave the same bytes."""
    rows, now = movielens(data_dir), clock_of(device)
    rest = rows.take(rows.user_ids != rows.user_ids[0])
    catalogue, digests, seconds = Catalogue.of(rest), list[str](), list[float]()
    data = catalogue.encode(rest)
    for _ in range(2):
        model, start = MODELS["lightgcn"](configure("lightgcn", {}), catalogue.shape), now()
        train(model, data, Stream(1), device)
        seconds.append(now() - start)
        digests.append(hashlib.sha256(save(dict(model.state_dict()))).hexdigest())
    return {"seconds": round(seconds[1], 3), "same bytes": digests[0] == digests[1], "digest": digests[0]}


def rankings(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    rows, test = movielens(data_dir), movielens(data_dir, "test")
    catalogue, model, _ = _wmf(rows, device, 8)
    users, items = (part.numpy() for part in model.factors_or_fail())
    score = scoring(FactorEnsemble(catalogue, users, items), device)
    ms, recall = _ranked(score, catalogue, rows, test, device)
    # The rest of it is the CPU's: raw ids become dense ones.
    with patch.object(ranking, "_mark_hits", lambda *_: None):
        beside, _ = _ranked(score, catalogue, rows, test, device)
    now = clock_of(device)
    start = now()
    _, _, ends = _wmf(rows, device, 8)
    return {
        "ms": ms,
        "of that, ranking": round(ms - beside, 2),
        "recall@20": recall,
        "seconds of 8 sweeps": round(ends[-1] - start, 3),
        "ms a sweep": round(float(np.median(np.diff(ends))) * 1e3, 2),
    }


def scores(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    """Milliseconds there and on the CPU, and how far apart the two recalls are."""
    rows, test = (part.take(part.user_ids % 10 == 0) for part in (movielens(data_dir), movielens(data_dir, "test")))
    catalogue, figures, begun = Catalogue.of(rows), dict[str, Any](), time.monotonic()
    for name in only or [name for name in MODELS if MODELS[name].needs <= {"timestamps"}]:
        config = config_of(name, 1)
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
        chosen = AGGREGATORS[name]
        # What the first one compiles is kept on the disk.
        chosen.fit(sub_models, rows, chosen.Config(), Stream(2), device)
        start = now()
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
    sweep = round(float(np.median(np.diff(ends))), 3)
    return {"rows": len(data), "seconds a sweep": sweep, "users a second": _listed(model, device), "digest": digest}


def _listed(model: Model, device: torch.device, blocks: int = 40) -> int:
    """Lists of the hundred best of all items, ties by index, made in a second."""
    users, items = (part.to(device) for part in model.factors_or_fail())
    size, now = at_once(len(items)), clock_of(device)
    best_there(users[:size] @ items.T, 100)
    start = now()
    for place in range(blocks):
        best_there(users[place * size : (place + 1) * size] @ items.T, 100)
    return int(blocks * size / (now() - start))


def interpreter(device: torch.device, data_dir: Path, only: list[str]) -> dict[str, Any]:
    """The greatest relative error of each kernel, of rows in one piece and in several, against float64."""
    generator = np.random.default_rng(0)
    lengths = np.array([0, 3, 1500, 8, 1])
    indptr = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
    columns = torch.from_numpy(generator.integers(0, 40, int(lengths.sum())))
    values, x, y = (torch.from_numpy(generator.normal(size=size)) for size in (len(columns), (5, 12), (40, 12)))
    counts = torch.from_numpy(generator.integers(0, 2, (60, 70))).double()
    rows, slope = Ragged.of(indptr, columns), torch.from_numpy(generator.normal(size=(5, 12)))

    def run(kind: torch.dtype) -> dict[str, torch.Tensor]:
        a, b, c = (part.to(kind) for part in (values, x, y))
        made = scored(rows, a, b, c, shift=0.7, energy=True, value=True)
        descended, _ = slim_there((counts.T @ counts).to(kind), l1=0.5, l2=1.0, sweeps=1, tolerance=1e9)
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
            "descended": descended,
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
    "replayed": replayed,
    "forget": forget,
    "rankings": rankings,
    "scores": scores,
    "aggregator": aggregator,
    "big": big,
    "interpreter": interpreter,
}

if __name__ == "__main__":
    what, where, folder, *names = sys.argv[1:]
    print(json.dumps(CASES[what](torch.device(where), Path(folder), names)))
