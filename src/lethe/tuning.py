"""Choosing a model's settings on validation data: seeded, pruned, and resumable after a kill.

A search tries the defaults first. Where the grid has no more cells than trials are allowed it is walked whole;
otherwise Optuna's TPE chooses, its randomness a function of the seed and of how many trials are done, so a search that
was killed ends as one that was not.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from filelock import FileLock, Timeout

from lethe.config import Params, digest_json
from lethe.data.catalogue import Catalogue
from lethe.data.interactions import Interactions
from lethe.data.tables import NO_TABLES, SideTables, content_digest
from lethe.environment import code_digest, numeric_environment
from lethe.errors import ConfigError, LetheError
from lethe.evaluation import ERRORS, evaluate_ratings, evaluate_situations, evaluate_users
from lethe.judging import judged_by
from lethe.models import MODELS, configure, rates
from lethe.models.base import Given, GradientConfig, Model
from lethe.models.rating import RatingModel
from lethe.random import Stream
from lethe.training import Row, Validate, pick_device, train
from lethe.workspace import Workspace

if TYPE_CHECKING:
    import optuna

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

CHECKPOINTS = 4
"""A trial that learns by gradients is compared with earlier ones after each quarter of its epochs."""


@dataclass(frozen=True)
class Trial:
    """One set of values: its validation value, or None where it was pruned or its training failed."""

    number: int
    values: dict[str, Any]
    value: float | None


@dataclass(frozen=True)
class Tuned:
    """The outcome of a search; ``values`` are all that differ from the model's own defaults on purpose."""

    model: str
    values: dict[str, Any]
    metric: str
    value: float
    default: float | None
    """The value of the settings the search began with; None if they failed."""
    trials: int
    given_up: int
    """Pruned or failed."""
    seed: int


TrialProgress = Callable[[Trial], None]


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
    tables = SideTables.read(workspace.side(dataset))
    if tables and params.datasets[dataset].side.clean:
        tables = tables.without_pairs([parts["valid"], Interactions.read(workspace.split(dataset, "test"))])
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
        tables=tables,
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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


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
    if objective is None:
        objective = _errors(metric, rows, valid) if rates(model) else _ranking(metric, rows, valid, tables, scoring)
        metric = f"-{metric}" if rates(model) else metric
    identity = {
        "data": [content_digest(rows, tables), valid.digest()],
        "start": start,
        "space": space,
        "metric": metric,
        "scoring": scoring,
        "seed": seed,
        "whole": _cells(space) <= trials,
        "code": code_digest("lethe.training", "lethe.evaluation.ranking", MODELS[model].__module__),
        "environment": numeric_environment((device or torch.device("cpu")).type),
    }
    storage.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(storage.with_suffix(".lock"), timeout=0):
            study = _study(storage, f"{model}-{digest_json(identity)[:16]}")
            run = _Search(model, start, space, rows, tables, objective, seed, device, study, progress)
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
    return {name: list(dict.fromkeys([start[name], *values])) for name, values in sorted(chosen.items())}


def _cells(space: dict[str, list[Any]]) -> int:
    return math.prod(map(len, space.values()))


def _ranking(metric: str, rows: Interactions, valid: Interactions, tables: SideTables, scoring: str) -> Validate:
    name, _, cutoff = metric.partition("@")
    if not cutoff.isdigit():
        raise ConfigError(f"metric: {metric!r} must read NAME@K, for example recall@10")
    catalogue = Catalogue.of(rows, tables)

    def measure(model: Model) -> float:
        def score(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
            device, dense = _device(model), catalogue.encode_contexts(contexts)
            given = Given(None if dense is None else torch.from_numpy(dense).to(device))
            with torch.autocast(device.type, torch.bfloat16, enabled=scoring == "bfloat16"):
                scores = model.score_given(torch.from_numpy(users).to(device), given)
            return scores.float().cpu().numpy()

        options: dict[str, Any] = {"cutoffs": (int(cutoff),), "metrics": (name,)}
        if valid.contexts:
            values = evaluate_situations(score, catalogue, rows, valid, **options)
        else:
            values = evaluate_users(lambda users: score(users, {}), catalogue, rows, valid, **options)
        return float(values[metric].mean())

    return measure


def _errors(metric: str, rows: Interactions, valid: Interactions) -> Validate:
    if metric not in ERRORS:
        raise ConfigError(f"metric: {metric!r} does not judge ratings; known are {', '.join(ERRORS)}")
    catalogue = Catalogue.of(rows)

    def measure(model: Model) -> float:
        assert isinstance(model, RatingModel)
        predict = lambda users, items: model.predict(torch.from_numpy(users), torch.from_numpy(items)).cpu().numpy()  # noqa: E731
        return -evaluate_ratings(predict, catalogue, valid)[metric]

    return measure


def _device(model: Model) -> torch.device:
    return next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))


def _study(storage: Path, name: str) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{storage}",
        study_name=name,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.WAITING)):
        # Left by a process that was killed: it counts for nothing.
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


class _Pruned(Exception):
    """Raised inside training to give a trial up."""


@dataclass
class _Search:
    model: str
    start: dict[str, Any]
    space: dict[str, list[Any]]
    rows: Interactions
    tables: SideTables
    objective: Validate
    seed: int
    device: torch.device | None
    study: optuna.Study
    progress: TrialProgress | None
    error: LetheError | None = field(default=None, init=False)

    def finished(self) -> list[Trial]:
        """Trials that count, in order."""
        from optuna.trial import TrialState

        # A trial whose training failed is told as pruned: FAIL is for those that were killed.
        kept = self.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        return [
            Trial(place, self._values(t.params), t.value if t.state == TrialState.COMPLETE else None)
            for place, t in enumerate(kept)
        ]

    def _values(self, places: dict[str, int]) -> dict[str, Any]:
        return {name: self.space[name][place] for name, place in places.items()}

    def until(self, trials: int) -> None:
        cells = _cells(self.space)
        while (done := len(self.finished())) < min(trials, cells):
            trial = self._ask(done, whole=cells <= trials)
            values = self._values(trial.params)
            known = next((t for t in self.finished() if t.values == values), None)
            value = known.value if known is not None else self._run(values, trial)
            self._tell(trial, value)
            if self.progress is not None:
                self.progress(Trial(done, values, value))

    def _ask(self, done: int, *, whole: bool) -> optuna.Trial:
        import optuna

        # Places rather than values: a place is an integer for any kind of value.
        places = {name: list(range(len(values))) for name, values in self.space.items()}
        if whole or done == 0:
            cell = next(itertools.islice(itertools.product(*places.values()), done, None))
            self.study.enqueue_trial(dict(zip(places, cell, strict=True)))
        seed = Stream(self.seed)("tune", self.model).integer(done) % 2**32
        self.study.sampler = optuna.samplers.TPESampler(seed=seed)
        return self.study.ask({name: optuna.distributions.CategoricalDistribution(p) for name, p in places.items()})

    def _tell(self, trial: optuna.Trial, value: float | None) -> None:
        from optuna.trial import TrialState

        if value is None:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, value)

    def _run(self, values: dict[str, Any], trial: optuna.Trial) -> float | None:
        """Train and measure; None where the trial was given up."""
        config = configure(self.model, self.start | values)
        catalogue = Catalogue.of(self.rows, self.tables)
        model = MODELS[self.model](config, catalogue.shape)
        epochs = getattr(config, "epochs", 0) if config.solver == "gradient" else 0
        marks = {epochs * part // CHECKPOINTS for part in range(1, CHECKPOINTS)} - {0}

        def watch(row: Row) -> None:
            done = int(row["epoch"]) + 1
            if done in marks:
                trial.report(self._measure(model), done)
                if trial.should_prune():
                    raise _Pruned

        try:
            stream = Stream(self.seed)("tune", self.model, "train")
            train(model, catalogue.encode(self.rows, self.tables), stream, self.device, progress=watch)
            return self._measure(model)
        except _Pruned:
            return None
        except LetheError as error:
            self.error = error
            return None

    def _measure(self, model: Model) -> float:
        model.eval()
        with torch.no_grad():
            model.finish()
            return self.objective(model)

    def outcome(self, base: dict[str, Any], metric: str, trials: int) -> Tuned:
        # An earlier, longer search may have left more.
        tried = self.finished()[:trials]
        values = [trial.value for trial in tried]
        scored = [(trial.value, trial) for trial in tried if trial.value is not None]
        if not scored:
            raise self.error or ConfigError(f"tuning of {self.model}: no trial came to an end")
        value, best = max(scored, key=lambda pair: pair[0])
        chosen = base | best.values
        return Tuned(
            self.model, chosen, metric, value, values[0], len(tried), sum(v is None for v in values), self.seed
        )
