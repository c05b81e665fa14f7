"""Choosing a model's settings on validation data: seeded, pruned, and resumable after a kill.

What is searched is what the model's Config declares (``search``), or a grid that is given. A search tries the settings
of params.yaml first. Where there are no more cells than trials are allowed they are walked whole; otherwise Optuna's
TPE chooses, its randomness a function of the seed and of how many trials are done, so a search that was killed ends as
one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from lethe.build.attempt import Attempt, attempt
from lethe.build.checks import check_likes, check_weights
from lethe.build.judging import judged_by
from lethe.build.objectives import Task
from lethe.build.space import Grid, Space
from lethe.build.trials import Search, TrialProgress, Tuned, count_cells, open_study
from lethe.config.params import Params
from lethe.config.tuned import read_tuned, tuned_file
from lethe.core.canonical import Json, digest_json
from lethe.core.environment import code_digest, numeric_environment
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.data.beside import tables_beside
from lethe.errors import ConfigError, DataError
from lethe.learning.device import learns_on, pick_device
from lethe.learning.runner.by_params import runner
from lethe.learning.runner.calling import HERE, Runner
from lethe.models import MODELS, configure, rates
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.likes import likes
from lethe.tables.side_tables import content_digest

TRIALS = 40
"""Settings that are tried where neither their number nor a time is given."""


@dataclass(frozen=True)
class Budget:
    """What a search may spend, and where."""

    trials: int
    seed: int
    device: str = "cpu"
    at_once: int = 1
    """Trials that are chosen together, by what the ones before them came to, and made side by side where there is room:
    it decides what is tried, and where they are made doesn't."""
    seconds: float | None = None
    """After which no more are begun; the settings that the search begins with are always tried. What is tried, and in
    what order, is the same however long it lasts."""
    clock: Callable[[], float] = time.monotonic
    """What the seconds are of."""


def tune(
    workspace: Workspace,
    params: Params,
    model: str,
    dataset: str,
    *,
    command: str,
    trials: int | None = None,
    metric: str | None = None,
    base: Mapping[str, Any] | None = None,
    grid: Grid | None = None,
    at_once: int = 1,
    seconds: float | None = None,
    progress: TrialProgress | None = None,
) -> Tuned:
    """Tune ``model`` on a dataset's train and valid parts (one shard), and write params/<dataset>/<model>.yaml.

    ``trials`` defaults to ``TRIALS`` where no ``seconds`` are given, ``metric`` to ``training.metric``, ``grid`` to
    what the model's Config declares; what ``base`` holds stays. The file opens with ``command`` and the figures; one
    that holds better settings is left as it is.
    Raises ConfigError for an unknown model, dataset, metric or field.
    """
    if dataset not in params.datasets:
        raise ConfigError(f"dataset: unknown dataset {dataset!r}; known datasets: {', '.join(params.datasets)}")
    configure(model, {})
    check_likes(workspace, params, dataset, model)
    for part in ("train", "valid"):
        if not workspace.split(dataset, part).is_file():
            raise DataError(f"dataset: {dataset!r} has no {part} part yet; run lethe train (or lethe data repro) first")
    task = read_task(workspace, params, model, dataset, metric or judged_by(params, model))
    catalogue = Catalogue.of(task.rows)
    smaller = min(len(catalogue.users), len(catalogue.items))
    settings = params.models.get(model, {})
    fixed = configure(model, {**settings, **(base or {})}, "set").plain()
    held = {name: fixed[name] for name in base or {}}
    space = Space(
        model, {**settings, **held}, grid, smaller, params.datasets[dataset].has_weights, held=frozenset(held)
    )
    if trials is None:
        trials = TRIALS if seconds is None else count_cells(space.axes())
    if MODELS[model].weight_option is None:
        check_weights(params, dataset, model, configure(model, fixed), "tune")
    budget = Budget(trials, params.seed, pick_device(params.training.device).type, at_once, seconds)
    storage = workspace.state / "tuning" / f"{dataset}-{model}.sqlite"
    # What --set says is wanted, whatever was there. It is read first: a file that is broken is said at once.
    standing = None if base else _standing(workspace, dataset, space)
    with runner(workspace, params) as place:
        tuned = search(space, task, budget, storage, progress, place)
        stands = None if standing is None else _value_of(standing, tuned, task, budget, place)
    if stands is not None and stands > tuned.value:
        return replace(tuned, standing=stands)
    write_tuned(tuned_file(workspace, dataset, model), tuned, command)
    return tuned


def _standing(workspace: Workspace, dataset: str, space: Space) -> Json | None:
    """The settings that an earlier search left; None where there was none."""
    values = read_tuned(workspace, dataset, space.model)
    where = f"params/{dataset}/{space.model}.yaml"
    return MODELS[space.model].Config.parse({**space.base, **values}, where).plain() if values else None


def _value_of(config: Json, tuned: Tuned, task: Task, budget: Budget, place: Runner) -> float | None:
    """What settings are worth; they are measured only where they are others than those that were found."""
    if config == configure(tuned.model, tuned.values).plain():
        return tuned.value
    return place.call(attempt, task, Attempt(tuned.model, config, budget.seed, budget.device, {})).value


def read_task(workspace: Workspace, params: Params, model: str, dataset: str, metric: str) -> Task:
    """A dataset's train and valid parts, as far as the model learns of them and is judged by them."""
    positive = None if rates(model) else params.datasets[dataset].threshold
    rows = likes(Interactions.read(workspace.split(dataset, "train")), positive)
    return Task(
        rows,
        likes(Interactions.read(workspace.split(dataset, "valid")), positive),
        metric,
        tables_beside(workspace, params, dataset, "train", rows),
        scoring=params.training.scoring,
        read=partial(read_task, workspace, params, model, dataset, metric),
    )


def write_tuned(path: Path, tuned: Tuned, command: str, *, notes: Sequence[str] = ()) -> None:
    """The values as YAML, after comments with the command and the figures. Written whole or not at all."""
    before = "" if tuned.default is None else f", {tuned.default:.5f} at the start"
    lines = [
        command,
        f"Validation {tuned.metric} {tuned.value:.5f}{before};"
        f" {tuned.trials} trials, {tuned.given_up} of them given up, seed {tuned.seed}.",
        *([] if tuned.better else ["None was better than the settings of the start, which these are."]),
        *([f"At an edge of what was tried: {', '.join(tuned.edges)}."] if tuned.edges else []),
        *notes,
    ]
    text = "".join(f"# {line}\n" for line in lines) + yaml.safe_dump(tuned.values, sort_keys=True)
    write_whole(path, text)


def search(
    space: Space,
    task: Task,
    budget: Budget,
    storage: Path,
    progress: TrialProgress | None = None,
    place: Runner = HERE,
) -> Tuned:
    """The best settings of a space for a task, of as many as the budget allows.

    Finished trials are kept in the SQLite file ``storage`` and never run again, unless data, code, grid or anything
    else that decides them changed. Raises ConfigError for an unknown model, field or metric, for fewer trials than 1,
    or if another search uses the file, and the last trial's LetheError if every trial failed.
    """
    model, start, axes = space.model, space.start(), space.axes()
    for name, count in {"trials": budget.trials, "at-once": budget.at_once}.items():
        if count < 1:
            raise ConfigError(f"{name}: {count} must be at least 1")
    if budget.seconds is not None and budget.seconds <= 0:
        raise ConfigError(f"budget: {budget.seconds:g} seconds must be more than 0")
    tables = task.tables.of_rows(task.rows) if task.tables else task.tables
    metric, objective = task.judge(model)
    where = learns_on(MODELS[model], configure(model, start), budget.device, len(task.rows))
    identity = {
        "data": [content_digest(task.rows, tables), task.valid.digest()],
        "start": start,
        "space": {name: list(axis.values) for name, axis in axes.items()},
        "metric": metric,
        "scoring": task.scoring,
        "seed": budget.seed,
        "whole": budget.seconds is None and count_cells(axes) <= budget.trials,
        "at_once": budget.at_once,
        "code": code_digest(Search, objective, MODELS[model]),
        "environment": numeric_environment(where.type),
    }
    storage.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(storage.with_suffix(".lock"), timeout=0):
            study = open_study(storage, f"{model}-{digest_json(identity)[:16]}")
            spent = budget.seed, budget.device, budget.at_once, place
            run = Search(model, start, axes, task, *spent, study, progress, budget.seconds, budget.clock)
            run.until(budget.trials)
    except Timeout:
        raise ConfigError(f"tuning of {model}: another search holds {storage.name}; wait for it") from None
    return run.outcome(space, metric, budget.trials)
