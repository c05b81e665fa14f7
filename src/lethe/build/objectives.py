"""What a tuning maximises: a trained model's value on validation rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from lethe.errors import ConfigError
from lethe.evaluation.contextual import evaluate_situations
from lethe.evaluation.metrics import METRICS
from lethe.evaluation.ranking import evaluate_users
from lethe.evaluation.rating import ERRORS, evaluate_ratings
from lethe.learning.training import Validate
from lethe.models import rates
from lethe.models.parts.base import Given, Model
from lethe.models.parts.rating import RatingModel
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import NO_TABLES, SideTables


@dataclass(frozen=True)
class Task:
    """What a search learns from, and how it judges what is learnt."""

    rows: Interactions
    valid: Interactions
    metric: str
    """Of ``valid``: one such as ``recall@10``, for a model of ratings ``rmse`` or another error."""
    tables: SideTables = NO_TABLES
    """What is known beside the rows."""
    objective: Validate | None = None
    """A trained model -> its value, higher is better. ``metric`` is then only its name."""
    scoring: str = "float32"
    read: Callable[[], Task] | None = None
    """Reads it again: that is what is sent to another process, rather than rows."""

    def __reduce__(self) -> tuple[Any, ...]:
        if self.read is not None:
            return self.read, ()
        return Task, tuple(getattr(self, one.name) for one in fields(self))

    def judge(self, model: str) -> tuple[str, Validate]:
        """The name of the value that is made as high as can be (less an error), and its function."""
        if self.objective is not None:
            return self.metric, self.objective
        if rates(model):
            return f"-{self.metric}", rating_objective(self.metric, self.rows, self.valid)
        tables = self.tables.of_rows(self.rows) if self.tables else self.tables
        return self.metric, ranking_objective(self.metric, self.rows, self.valid, tables, self.scoring)


def ranking_objective(
    metric: str, rows: Interactions, valid: Interactions, tables: SideTables, scoring: str
) -> Validate:
    """``metric`` such as ``recall@10`` of the rankings of ``valid``, learnt from ``rows``. Raises ConfigError."""
    name, _, cutoff = metric.partition("@")
    # Here, before anything is learnt: each trial would be trained, and then found to have no value.
    if name not in METRICS or not re.fullmatch("[1-9][0-9]*", cutoff):
        raise ConfigError(f"metric: {metric!r} must read NAME@K, for example recall@10; names are {', '.join(METRICS)}")
    catalogue = Catalogue.of(rows, tables)

    def measure(model: Model) -> float:
        def score(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray | torch.Tensor:
            device, dense = _device(model), catalogue.encode_contexts(contexts)
            given = Given(None if dense is None else torch.from_numpy(dense).to(device))
            with torch.autocast(device.type, torch.bfloat16, enabled=scoring == "bfloat16"):
                scores = model.score_given(torch.from_numpy(users).to(device), given)
            # On a device they are ranked there.
            return scores.float().numpy() if device.type == "cpu" else scores.float()

        cutoffs, metrics = (int(cutoff),), (name,)
        if valid.contexts:
            values = evaluate_situations(score, catalogue, rows, valid, cutoffs=cutoffs, metrics=metrics)
        else:
            values = evaluate_users(
                lambda users: score(users, {}), catalogue, rows, valid, cutoffs=cutoffs, metrics=metrics
            )
        return float(values[metric].mean())

    return measure


def rating_objective(metric: str, rows: Interactions, valid: Interactions) -> Validate:
    """Less ``metric`` (one of ``ERRORS``) of the ratings of ``valid``. Raises ConfigError."""
    if metric not in ERRORS:
        raise ConfigError(f"metric: {metric!r} does not judge ratings; known are {', '.join(ERRORS)}")
    catalogue = Catalogue.of(rows)

    def measure(model: Model) -> float:
        assert isinstance(model, RatingModel)

        def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
            return np.asarray(model.predict(torch.from_numpy(users), torch.from_numpy(items)).cpu())

        return -evaluate_ratings(predict, catalogue, valid)[metric]

    return measure


def _device(model: Model) -> torch.device:
    return next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))
