"""One trial of a search: a model is trained with its settings and measured, or given up where it falls behind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lethe.build.objectives import Task
from lethe.core.canonical import Json
from lethe.core.random import Stream
from lethe.errors import LetheError
from lethe.learning.device import learns_on
from lethe.learning.training import Row, Validate, train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model
from lethe.tables.catalogue import Catalogue

CHECKPOINTS = 4
"""A trial that learns by gradients is compared with earlier ones after each quarter of its epochs."""


@dataclass(frozen=True)
class Attempt:
    """A trial as whoever makes it needs it."""

    model: str
    config: Json
    seed: int
    device: str
    floors: Mapping[int, float]
    """{epochs: value below which it is given up there}."""


@dataclass(frozen=True)
class Course:
    """How an attempt went; its value is None where it was given up, by reason of ``error`` if it failed."""

    value: float | None
    reported: Mapping[int, float]
    error: LetheError | None = None


class _GivenUp(Exception):
    """Raised inside training."""


def attempt(task: Task, trial: Attempt) -> Course:
    """Train and measure. Called in a worker of a cluster it reads the task there."""
    tables = task.tables.of_rows(task.rows) if task.tables else task.tables
    config, catalogue = configure(trial.model, trial.config), Catalogue.of(task.rows, tables)
    model, objective = MODELS[trial.model](config, catalogue.shape), task.judge(trial.model)[1]
    epochs = getattr(config, "epochs", 0) if config.solver == "gradient" else 0
    marks = {epochs * part // CHECKPOINTS for part in range(1, CHECKPOINTS)} - {0}
    reported: dict[int, float] = {}

    def watch(row: Row) -> None:
        if (done := int(row["epoch"]) + 1) in marks:
            reported[done] = _measure(model, objective)
            if _falls_behind(reported, trial.floors.get(done)):
                raise _GivenUp

    try:
        stream = Stream(trial.seed)("tune", trial.model, "train")
        where = learns_on(MODELS[trial.model], config, trial.device, len(task.rows))
        train(model, catalogue.encode(task.rows, tables), stream, where, progress=watch)
        value = _measure(model, objective)
        return Course(None if math.isnan(value) else value, reported)
    except _GivenUp:
        return Course(None, reported)
    except LetheError as error:
        return Course(None, reported, error)


def _measure(model: Model, objective: Validate) -> float:
    model.eval()
    with torch.no_grad():
        model.finish()
        return objective(model)


def _falls_behind(reported: Mapping[int, float], floor: float | None) -> bool:
    best = max((value for value in reported.values() if not math.isnan(value)), default=-math.inf)
    return floor is not None and best < floor
