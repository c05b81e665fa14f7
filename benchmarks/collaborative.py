"""Rows of the ranking tables: a model of ``MODELS``, trained and ranked in full on a ready-made split."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.budget import Spent
from benchmarks.table import Result, Row
from lethe.config.dataset import NewestSplit
from lethe.config.section import read_yaml
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.data.split import split
from lethe.errors import DataError
from lethe.evaluation.contextual import evaluate_situations
from lethe.evaluation.ranking import evaluate_users
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Given, Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import NO_TABLES, SideTables

PARAMS = Path(__file__).parent.parent / "params"
TIMED = "ml-1m-seq"
"""The settings for MovieLens-1M in order of time."""


@dataclass(frozen=True)
class Split:
    """A ready-made split of implicit feedback; ``dataset`` names the tuned values below params/."""

    dataset: str
    train: Interactions
    test: Interactions
    tables: SideTables = NO_TABLES
    """What is known beside the rows."""
    valid: Interactions | None = None
    """Rows to tune on that nothing is trained on: no candidates on test."""

    @cached_property
    def digest(self) -> str:
        parts = [part.digest() for part in (self.train, self.test, self.valid) if part is not None]
        return ":".join([*parts, self.tables.digest()] if self.tables else parts)

    @cached_property
    def side(self) -> SideTables:
        return self.tables.of_rows(self.train) if self.tables else self.tables

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue.of(self.train, self.side)

    @property
    def seen(self) -> Interactions:
        """What is no candidate on test."""
        return self.train if self.valid is None else Interactions.concatenate(self.train, self.valid)


def read_part(data_dir: Path, dataset: str, part: str) -> Interactions:
    """The (user, item) pairs of a part. Raises DataError if it isn't there."""
    path = data_dir / dataset / f"{part}.parquet"
    if not path.is_file():
        raise DataError(f"--data-dir: {path} is not there; name the folder that holds {dataset}/{part}.parquet")
    table = pq.read_table(path, columns=["user", "item"])
    return Interactions.of(table["user"].to_numpy(), table["item"].to_numpy())


def read_split(data_dir: Path, dataset: str) -> Split:
    return Split(dataset, read_part(data_dir, dataset, "train"), read_part(data_dir, dataset, "test"))


def last_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """Train without the last row of each user in file order, and those rows: validation for leave-one-out."""
    read_part(data_dir, dataset, "train")
    table = pq.read_table(data_dir / dataset / "train.parquet", columns=["user", "item"])
    users, items = table["user"].to_numpy(), table["item"].to_numpy()
    _, from_end = np.unique(users[::-1], return_index=True)
    last = np.zeros(len(users), dtype=bool)
    last[len(users) - 1 - from_end] = True
    return Interactions.of(users[~last], items[~last]), Interactions.of(users[last], items[last])


def rest_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """Train, and the rows in neither train nor test."""
    return read_part(data_dir, dataset, "train"), read_part(data_dir, dataset, "rest")


def newest_parts(data_dir: Path) -> dict[str, Interactions]:
    """MovieLens-1M in time: {"train", "valid", "test"}, 80, 10 and 10 % of each user. Raises DataError."""
    path = data_dir / "ml-1m" / "interactions.parquet"
    if not path.is_file():
        raise DataError(f"--data-dir: {path} is not there; name the folder that holds ml-1m/interactions.parquet")
    table = pq.read_table(path, columns=["user", "item", "pos"])
    users, items, times = (table[name].to_numpy() for name in table.column_names)
    everything = Interactions.of(users, items, timestamps=times)
    return split(everything, NewestSplit(by="newest", valid=0.1, test=0.1), Stream(0)("benchmark", TIMED))


def newest_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """The train and validation parts of ``newest_parts``."""
    parts = newest_parts(data_dir)
    return parts["train"], parts["valid"]


class Tuning(NamedTuple):
    """How settings for a data set are chosen: (train, valid) parts, the metric, the table they are for, and what is
    known beside the rows."""

    parts: Callable[[Path, str], tuple[Interactions, Interactions]]
    metric: str
    table: str
    tables: Callable[[Path], SideTables] = lambda data_dir: NO_TABLES


TUNING = {
    "ml-1m-loo": Tuning(last_rows, "hr@100", "enmf-ml1m"),
    "ml-1m-receraser": Tuning(rest_rows, "recall@20", "receraser-retrain-ml1m"),
    TIMED: Tuning(newest_rows, "ndcg@10", "ralst-ml1m"),
}


RANKING = (evaluate_users, evaluate_situations)
"""What ``ranked`` runs."""


def tuned(dataset: str, model: str) -> dict[str, Any]:
    """The values of params/<dataset>/<model>.yaml; none if there is no such file."""
    path = PARAMS / dataset / f"{model}.yaml"
    return dict(read_yaml(path) or {}) if path.is_file() else {}


def spent(dataset: str, model: str) -> Spent | None:
    """What choosing the values of ``tuned`` took; None of a model that has nothing to choose."""
    searched = model not in MODELS or MODELS[model].Config.searched()
    return Spent.of(PARAMS / dataset / f"{model}.yaml") if searched else None


def model_row(
    label: str,
    model: str,
    split: Split,
    *,
    cutoffs: Sequence[int],
    metrics: Sequence[str],
    settings: str | None = "",
    values: Mapping[str, Any] | None = None,
    masked: bool = True,
    baseline: bool = True,
    max_seeds: int | None = None,
    note: str = "",
) -> Row:
    """A row that trains ``model`` with its tuned values, or with those of the file ``settings``, or (None) with its
    defaults; ``values`` go over either.

    ``masked``: items a user has in train are no candidates.
    """
    file = None if settings is None else settings or model
    chosen = (tuned(split.dataset, file) if file else {}) | dict(values or {})
    config = configure(model, chosen, f"params.{split.dataset}")
    decides = {
        "data": split.digest,
        "model": model,
        "config": config.plain(),
        "masked": masked,
        "cutoffs": list(cutoffs),
        "metrics": list(metrics),
        "code": code_digest(train, *RANKING, MODELS[model]),
    }

    def run(seed: int) -> Result:
        built = MODELS[model](config, split.catalogue.shape)
        rows = split.catalogue.encode(split.train, split.side)
        start = time.process_time()
        train(built, rows, Stream(seed)("benchmark", model))
        seconds = time.process_time() - start

        def scores(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
            return score(built, users, split.catalogue.encode_contexts(contexts))

        users = ranked(split, scores, cutoffs=cutoffs, metrics=metrics, masked=masked)
        return Result({name: float(column.mean()) for name, column in users.items()}, seconds, users=users)

    return Row(label, run, decides, baseline, max_seeds, note, spent=spent(split.dataset, file) if file else None)


SLOW: dict[str, Any] = {"max_seeds": 2, "note": "2 seeds: slow"}
"""Options of rows whose models take minutes."""


def searched_rows(split: Split, models: Mapping[str, str], **options: Any) -> list[Row]:
    """Rows of {label: model} whose settings have been searched: a baseline's defaults alone say nothing of it."""
    return [model_row(label, model, split, **options) for label, model in models.items() if tuned(split.dataset, model)]


def default_rows(split: Split, models: Mapping[str, str], **options: Any) -> list[Row]:
    """Rows of {label: model} with the models' defaults, where a search found others: what somebody gets who sets
    nothing. They are held against no other row."""
    options = options | {"settings": None, "baseline": False, "max_seeds": 1, "note": "1 seed; nothing was set"}
    return [
        model_row(f"{label}, defaults", model, split, **options)
        for label, model in models.items()
        if configure(model, tuned(split.dataset, model), label) != configure(model, {}, label)
    ]


def ranked(
    split: Split,
    scores: Callable[[np.ndarray, dict[str, np.ndarray]], np.ndarray],
    *,
    cutoffs: Sequence[int],
    metrics: Sequence[str],
    masked: bool = True,
) -> dict[str, np.ndarray]:
    """Metrics of each user of the test part; where it has contexts, of each user in each combination of them.

    ``scores``: dense users [B] and {context field: values [B]} -> [B, num_items].
    """
    seen = split.seen if masked else split.train.take(np.zeros(len(split.train), dtype=bool))
    options: dict[str, Any] = {"cutoffs": cutoffs, "metrics": metrics}
    if split.test.contexts:
        users = evaluate_situations(scores, split.catalogue, seen, split.test, **options)
    else:
        users = evaluate_users(lambda chosen: scores(chosen, {}), split.catalogue, seen, split.test, **options)
    users.pop("cold_users")
    return users


def score(model: Model, users: np.ndarray, contexts: np.ndarray | None = None) -> np.ndarray:
    """Scores [B, num_items] of dense users [B], in dense contexts [B, fields] where they are given."""
    given = Given(None if contexts is None else torch.from_numpy(contexts))
    with torch.no_grad():
        return model.score_given(torch.from_numpy(users), given).numpy()
