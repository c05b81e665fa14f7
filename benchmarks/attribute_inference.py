"""What a recommender gives away of who its users are: an attribute that it never saw, inferred from its results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata

from benchmarks.collaborative import Split, read_split, tuned
from benchmarks.receraser_ml1m import DATASET
from benchmarks.sharded import columns
from benchmarks.side_data import read_table
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest
from lethe.core.random import Stream, keyed_hash
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model

PROTOCOL = (
    "MovieLens-1M, train rows of the RecEraser paper's split; the attribute is whether a user is a woman (28 %), which"
    " no model reads. An attacker who knows it of four fifths of the users infers it of the others, by ridge regression"
    " on what is seen of them: the rows themselves, the vector that WMF learnt, or the list of 20 that is recommended."
    " Fifths are drawn by key, each inferred in turn. auc is how often a woman is scored above a man; accuracy is at"
    " the known share of women. Baseline is to know nothing. Settings of WMF are those of receraser-retrain-ml1m."
)
PUBLISHED = columns("auc", "accuracy")
FOLDS, LISTED = 5, 20
RIDGES = {"rows": 300.0, "vector": 1.0, "list": 30.0}
"""L2 of each, in rows of unit size."""

See = Callable[[Model, np.ndarray], np.ndarray]
"""(model, 0/1 rows [U, N]) -> what is seen of each user [U, f]."""


def rows(data_dir: Path) -> list[Row]:
    split = read_split(data_dir, DATASET)
    users = read_table(data_dir, "ml-1m", "users").set_index("user")["gender"]
    # The split counts users from 0, MovieLens from 1.
    women = (users.loc[split.catalogue.users.values + 1] == "F").to_numpy()
    return [
        _row("Nothing", split, women, lambda model, seen: np.zeros((len(seen), 1)), 1.0, baseline=True),
        _row("The rows themselves", split, women, lambda model, seen: seen, RIDGES["rows"]),
        _row("WMF's vectors", split, women, lambda model, seen: model.factors_or_fail()[0].numpy(), RIDGES["vector"]),
        _row("WMF's lists", split, women, lists, RIDGES["list"]),
    ]


def _row(label: str, split: Split, women: np.ndarray, see: See, ridge: float, *, baseline: bool = False) -> Row:
    config = configure("wmf", tuned(split.dataset, "wmf"))

    def run(seed: int) -> Result:
        data = split.catalogue.encode(split.train)
        model = MODELS["wmf"](config, split.catalogue.shape)
        train(model, data, Stream(seed)("benchmark", "wmf"))
        with torch.no_grad():
            seen = see(model, data.csr().toarray().astype(np.float64))
        folds = keyed_hash(split.catalogue.users.values, seed, "attribute") % np.uint64(FOLDS)
        scores = inferred(seen, women, folds.astype(np.int64), ridge)
        threshold = np.quantile(scores, 1 - women.mean())
        return Result({"auc": auc(scores, women), "accuracy": float(((scores > threshold) == women).mean())}, 0.0)

    settings = {"data": split.digest, "config": config.plain(), "ridge": ridge, "see": label}
    code = code_digest(train, MODELS["wmf"], inferred)
    return Row(label, run, settings | {"code": code}, baseline)


def lists(model: Model, seen: np.ndarray) -> np.ndarray:
    """0/1 [U, N]: the best items that each user has not."""
    scores = np.where(seen > 0, -np.inf, model.score(torch.arange(len(seen))).numpy())
    best = np.argsort(-scores, axis=1, kind="stable")[:, :LISTED]
    listed = np.zeros_like(seen)
    np.put_along_axis(listed, best, 1.0, axis=1)
    return listed


def inferred(seen: np.ndarray, truth: np.ndarray, folds: np.ndarray, ridge: float) -> np.ndarray:
    """A score of each user [U] from what is seen of them [U, f], by the others of whom the truth [U] is known."""
    scale = np.linalg.norm(seen, axis=1, keepdims=True)
    unit = (seen / np.where(scale > 0, scale, 1)).astype(np.float32)
    scores = np.zeros(len(seen))
    for fold in range(FOLDS):
        known = folds != fold
        centre, share = unit[known].mean(axis=0), truth[known].mean()
        features = unit[known] - centre
        gram = features.T @ features
        weights = np.linalg.solve(
            gram + ridge * np.eye(len(gram), dtype=np.float32), features.T @ (truth[known] - share).astype(np.float32)
        )
        scores[~known] = share + (unit[~known] - centre) @ weights
    return scores


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """How often one that is true scores above one that isn't; equal scores count half."""
    ranks, positives = rankdata(scores)[truth], int(truth.sum())
    return float((ranks.sum() - positives * (positives + 1) / 2) / (positives * (len(truth) - positives)))
