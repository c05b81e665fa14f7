"""The trials of a search: asked of Optuna, trained, measured, and kept in its SQLite file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lethe.build.space import Axis, Space
from lethe.core.canonical import Json
from lethe.core.random import Stream
from lethe.errors import ConfigError, LetheError
from lethe.learning.device import learns_on
from lethe.learning.training import Row, Validate, train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables

if TYPE_CHECKING:
    import optuna

CHECKPOINTS = 4
"""A trial that learns by gradients is compared with earlier ones after each quarter of its epochs."""


@dataclass(frozen=True)
class Trial:
    """One set of values: its validation value, or None where it was pruned or its training failed."""

    number: int
    values: Json
    value: float | None


@dataclass(frozen=True)
class Tuned:
    """The outcome of a search; ``values`` are all that differ from the model's own defaults on purpose."""

    model: str
    values: Json
    metric: str
    value: float
    default: float | None
    """The value of the settings the search began with; None if they failed."""
    trials: int
    given_up: int
    """Pruned or failed."""
    seed: int
    edges: tuple[str, ...] = ()
    """Options whose best value is the lowest or the highest that was tried."""


TrialProgress = Callable[[Trial], None]


def count_cells(axes: Mapping[str, Axis]) -> int:
    return math.prod(len(axis.values) for axis in axes.values())


def open_study(storage: Path, name: str) -> optuna.Study:
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
class Search:
    """Trials of one model, one after the other, until there are as many as asked for."""

    model: str
    start: Json
    axes: dict[str, Axis]
    rows: Interactions
    tables: SideTables
    objective: Validate
    seed: int
    device: str
    study: optuna.Study
    progress: TrialProgress | None
    error: LetheError | None = field(default=None, init=False)

    def finished(self) -> list[Trial]:
        """Trials that count, in order."""
        from optuna.trial import TrialState

        return [
            Trial(place, self._values(t.params), t.value if t.state == TrialState.COMPLETE else None)
            for place, t in enumerate(self._kept())
        ]

    def _kept(self) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        # A trial whose training failed is told as pruned: FAIL is for those that were killed, or asked for twice.
        return self.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))

    def _values(self, places: dict[str, int]) -> Json:
        return {name: self.axes[name].values[place] for name, place in places.items()}

    def until(self, trials: int) -> None:
        cells = count_cells(self.axes)
        while (done := len(self.finished())) < min(trials, cells):
            trial = self._ask(done, whole=cells <= trials)
            values = self._values(trial.params)
            value = self._run(values, trial)
            self._tell(trial, value)
            if self.progress is not None:
                self.progress(Trial(done, values, value))

    def _ask(self, done: int, *, whole: bool) -> optuna.Trial:
        """A trial of settings that no other has had."""
        import optuna
        from optuna.trial import TrialState

        if whole or done == 0:
            return self._trial_of(self._start if done == 0 else self._cells[done])
        stream = Stream(self.seed)("tune", self.model)
        self.study.sampler = optuna.samplers.TPESampler(seed=stream.integer(done) % 2**32)
        trial = self.study.ask(self._places())
        tried = {tuple(t.params[name] for name in self.axes) for t in self._kept()}
        if tuple(trial.params[name] for name in self.axes) not in tried:
            return trial
        self.study.tell(trial, state=TrialState.FAIL)
        # There are more cells than trials, perhaps by far: one of them is met before long.
        drawn = (self._drawn(stream("untried", done), attempt) for attempt in itertools.count())
        return self._trial_of(next(cell for cell in drawn if cell not in tried))

    def _drawn(self, stream: Stream, attempt: int) -> tuple[int, ...]:
        return tuple(stream.integer(attempt, name) % len(axis.values) for name, axis in self.axes.items())

    @property
    def _start(self) -> tuple[int, ...]:
        return tuple(axis.start for axis in self.axes.values())

    @cached_property
    def _cells(self) -> list[tuple[int, ...]]:
        """All of them, the start first. Places rather than values: a place is an integer for any kind of value."""
        cells = itertools.product(*(range(len(axis.values)) for axis in self.axes.values()))
        return [self._start, *(cell for cell in cells if cell != self._start)]

    def _trial_of(self, cell: tuple[int, ...]) -> optuna.Trial:
        self.study.enqueue_trial(dict(zip(self.axes, cell, strict=True)))
        return self.study.ask(self._places())

    def _places(self) -> dict[str, optuna.distributions.BaseDistribution]:
        import optuna

        def places(axis: Axis) -> optuna.distributions.BaseDistribution:
            if axis.ordered:
                return optuna.distributions.IntDistribution(0, len(axis.values) - 1)
            return optuna.distributions.CategoricalDistribution(list(range(len(axis.values))))

        return {name: places(axis) for name, axis in self.axes.items()}

    def _tell(self, trial: optuna.Trial, value: float | None) -> None:
        from optuna.trial import TrialState

        if value is None:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, value)

    def _run(self, values: Json, trial: optuna.Trial) -> float | None:
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
            where = learns_on(MODELS[self.model], config, self.device, len(self.rows))
            train(model, catalogue.encode(self.rows, self.tables), stream, where, progress=watch)
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

    def outcome(self, space: Space, metric: str, trials: int) -> Tuned:
        # An earlier, longer search may have left more.
        tried = self.finished()[:trials]
        values = [trial.value for trial in tried]
        scored = [(trial.value, trial) for trial in tried if trial.value is not None]
        if not scored:
            raise self.error or ConfigError(f"tuning of {self.model}: no trial came to an end")
        value, best = max(scored, key=lambda pair: pair[0])
        given_up = sum(v is None for v in values)
        figures = metric, value, values[0], len(tried), given_up, self.seed
        return Tuned(self.model, dict(space.base) | best.values, *figures, space.edges(best.values))
