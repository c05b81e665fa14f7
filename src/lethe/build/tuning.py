"""Choosing a model's settings on validation data: seeded, pruned, and resumable after a kill.

A search tries the defaults first. Where the grid has no more cells than trials are allowed it is walked whole;
otherwise Optuna's TPE chooses, its randomness a function of the seed and of how many trials are done, so a search that
was killed ends as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout

from lethe.build.judging import judged_by
from lethe.build.objectives import ranking_objective, rating_objective
from lethe.build.trials import Search, TrialProgress, Tuned, count_cells, open_study
from lethe.config.params import Params
from lethe.core.canonical import digest_json
from lethe.core.environment import code_digest, numeric_environment
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.data.stages import training_tables
from lethe.errors import ConfigError
from lethe.learning.training import Validate, pick_device
from lethe.models import MODELS, configure, rates
from lethe.models.parts.base import GradientConfig
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import NO_TABLES, SideTables, content_digest

Grid = Mapping[str, Sequence[Any]]

GRID: Grid = {
    "learning_rate": (0.005, 0.01, 0.02, 0.05),
    "dropout": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "embedding_dim": (8, 16, 32, 64),
    "negative_weight": (0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0),
    "reg": (0.0, 0.0001, 0.001, 0.01, 0.1),
    "num_layers": (1, 2, 3),
}
"""Values of the fields a model's Config has; the first four are the grid of Chen's thesis, in our names."""


def tune(
    workspace: Workspace,
    params: Params,
    model: str,
    dataset: str,
    *,
    command: str,
    trials: int = 40,
    metric: str | None = None,
    grid: Grid | None = None,
    progress: TrialProgress | None = None,
) -> Tuned:
    """Tune ``model`` on a dataset's train and valid parts (one shard), and write params/<dataset>/<model>.yaml.

    ``metric`` defaults to ``training.metric``, ``grid`` to the fields of ``GRID`` that the model has. The file opens
    with ``command`` and the figures. Raises ConfigError for an unknown model, dataset, metric or field.
    """
    if dataset not in params.datasets:
        raise ConfigError(f"dataset: unknown dataset {dataset!r}; known datasets: {', '.join(params.datasets)}")
    configure(model, {})
    parts = {part: Interactions.read(workspace.split(dataset, part)) for part in ("train", "valid")}
    found = search(
        model,
        parts["train"],
        parts["valid"],
        metric=metric or judged_by(params, model),
        trials=trials,
        seed=params.seed,
        storage=workspace.state / "tuning" / f"{dataset}-{model}.sqlite",
        base=params.models.get(model, {}),
        grid=grid,
        device=pick_device(params.training.device),
        scoring=params.training.scoring,
        tables=training_tables(workspace, params, dataset),
        progress=progress,
    )
    write_tuned(workspace.root / "params" / dataset / f"{model}.yaml", found, command)
    return found


def write_tuned(path: Path, tuned: Tuned, command: str, *, notes: Sequence[str] = ()) -> None:
    """The values as YAML, after comments with the command and the figures. Written whole or not at all."""
    before = "" if tuned.default is None else f", {tuned.default:.5f} at the start"
    lines = [
        command,
        f"Validation {tuned.metric} {tuned.value:.5f}{before};"
        f" {tuned.trials} trials, {tuned.given_up} of them given up, seed {tuned.seed}.",
        *notes,
    ]
    text = "".join(f"# {line}\n" for line in lines) + yaml.safe_dump(tuned.values, sort_keys=True)
    write_whole(path, text)


def search(
    model: str,
    rows: Interactions,
    valid: Interactions,
    *,
    metric: str,
    trials: int,
    seed: int,
    storage: Path,
    base: Mapping[str, Any] | None = None,
    grid: Grid | None = None,
    device: torch.device | None = None,
    objective: Validate | None = None,
    scoring: str = "float32",
    progress: TrialProgress | None = None,
    tables: SideTables = NO_TABLES,
) -> Tuned:
    """The best of ``trials`` settings for ``model``, learnt from ``rows`` and measured on ``valid``.

    ``metric`` is one such as ``recall@10``, or for a model of ratings ``rmse`` or ``mae`` (the outcome's is then -rmse,
    so that higher is better); with ``objective`` (a trained model -> value, higher is better) it is only that
    function's name. ``tables`` is what is known beside the rows; ``base`` holds settings that stay. Finished trials are
    kept in the SQLite file ``storage`` and never run again, unless data, code, grid or anything else that decides them
    changed. Raises ConfigError for an unknown model, field or metric, for ``trials`` < 1, or if another search uses the
    file, and the last trial's LetheError if every trial failed.
    """
    tables = tables.of_rows(rows) if tables else tables
    start = configure(model, dict(base or {})).plain()
    space = _space(model, start, grid)
    if trials < 1:
        raise ConfigError(f"trials: {trials} must be at least 1")
    if objective is None and rates(model):
        objective, metric = rating_objective(metric, rows, valid), f"-{metric}"
    elif objective is None:
        objective = ranking_objective(metric, rows, valid, tables, scoring)
    identity = {
        "data": [content_digest(rows, tables), valid.digest()],
        "start": start,
        "space": space,
        "metric": metric,
        "scoring": scoring,
        "seed": seed,
        "whole": count_cells(space) <= trials,
        "code": code_digest(Search, objective, MODELS[model]),
        "environment": numeric_environment((device or torch.device("cpu")).type),
    }
    storage.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(storage.with_suffix(".lock"), timeout=0):
            study = open_study(storage, f"{model}-{digest_json(identity)[:16]}")
            run = Search(model, start, space, rows, tables, objective, seed, device, study, progress)
            run.until(trials)
    except Timeout:
        raise ConfigError(f"tuning of {model}: another search holds {storage.name}; wait for it") from None
    return run.outcome(dict(base or {}), metric, trials)


def _space(model: str, start: dict[str, Any], grid: Grid | None) -> dict[str, list[Any]]:
    """Field -> values to try, the starting one first."""
    config = MODELS[model].Config
    unused: set[str] = set()
    if issubclass(config, GradientConfig) and start["solver"] != "gradient":
        unused = set(GradientConfig.model_fields)
    chosen = {name: values for name, values in GRID.items() if name in start and name not in unused}
    if grid is not None:
        chosen = dict(grid)
        for name, values in chosen.items():
            if not values:
                raise ConfigError(f"grid.{name}: no values, must be one or more")
            for value in values:
                configure(model, start | {name: value}, "grid")
    return {name: _distinct([start[name], *values]) for name, values in sorted(chosen.items())}


def _distinct(values: Iterable[Any]) -> list[Any]:
    """In order of first appearance; values may be lists or mappings, which can't be hashed."""
    found: dict[str, Any] = {}
    for value in values:
        found.setdefault(digest_json(value), value)
    return list(found.values())
