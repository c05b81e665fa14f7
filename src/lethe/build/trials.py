"""The trials of a search: chosen by Optuna, made where the runner says, and kept in Optuna's SQLite file."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lethe.build.attempt import Attempt, Course, attempt
from lethe.build.objectives import Task
from lethe.build.space import Axis, Space
from lethe.core.canonical import Json
from lethe.core.random import Stream
from lethe.errors import ConfigError, LetheError
from lethe.learning.runner.calling import Runner

if TYPE_CHECKING:
    import optuna

COMPARED = 5
"""Trials that must have come to their end before one is given up for being worse."""

Cell = tuple[int, ...]
"""Of each option that varies, the place of its value."""


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

    standing: float | None = None
    """The value of an earlier search's settings, where they are better than these and were kept."""

    @property
    def better(self) -> bool:
        """Whether anything tried is better than the settings that the search began with."""
        return self.default is None or self.value > self.default


TrialProgress = Callable[[Trial], None]


def count_cells(axes: Mapping[str, Axis]) -> int:
    return math.prod(len(axis.values) for axis in axes.values())


def open_study(storage: Path, name: str) -> optuna.Study:
    """The record of a search's finished trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=f"sqlite:///{storage}", study_name=name, direction="maximize", load_if_exists=True
    )


@dataclass
class Search:
    """Trials of one model, in rounds, until there are as many as asked for.

    A trial is a function of its place and of the rounds before its own, so it matters neither which of a round ends
    first, nor where they are made, nor whether a search is killed between.
    """

    model: str
    start: Json
    axes: dict[str, Axis]
    task: Task
    seed: int
    device: str
    at_once: int
    """Trials of a round."""
    place: Runner
    study: optuna.Study
    progress: TrialProgress | None
    seconds: float | None = None
    """After which no round begins, nor one that would last as long as the last; the first is always made."""
    clock: Callable[[], float] = time.monotonic
    error: LetheError | None = field(default=None, init=False)

    def finished(self) -> list[Trial]:
        """In order."""
        return [Trial(place, self._values(t.params), self._value(t)) for place, t in sorted(self._kept().items())]

    def _kept(self) -> dict[int, optuna.trial.FrozenTrial]:
        return {int(trial.user_attrs["place"]): trial for trial in self.study.get_trials()}

    def _value(self, trial: optuna.trial.FrozenTrial) -> float | None:
        from optuna.trial import TrialState

        return trial.value if trial.state == TrialState.COMPLETE else None

    def _values(self, places: dict[str, int]) -> Json:
        return {name: self.axes[name].values[place] for name, place in places.items()}

    def until(self, trials: int) -> None:
        last = min(trials, count_cells(self.axes))
        whole, begun = self.seconds is None and count_cells(self.axes) <= trials, self.clock()
        lasted: float | None = None  # the last round that was made
        for first in range(0, last, self.at_once):
            now = self.clock()
            if self.seconds is not None and lasted is not None and now - begun + lasted > self.seconds:
                return
            if self._round(range(first, min(first + self.at_once, last)), whole=whole):
                lasted = self.clock() - now

    def _round(self, places: range, *, whole: bool) -> bool:
        """Make what isn't kept of a round; whether there was any."""
        kept = self._kept()
        if all(place in kept for place in places):
            return False
        before = [kept[place] for place in sorted(kept) if place < places.start]
        floors, cells = self._floors(before), list(map(self._cell, before))
        for place in places:
            cells.append(self._cell(kept[place]) if place in kept else self._choose(before, cells, whole=whole))
        asked = {place: cells[place] for place in places if place not in kept}
        if len(asked) == 1:
            # In the thread that Ctrl-C reaches.
            for place, cell in asked.items():
                self._keep(place, cell, self._make(cell, floors))
            return True
        with ThreadPoolExecutor(len(asked)) as pool:
            made = {pool.submit(self._make, cell, floors): (place, cell) for place, cell in asked.items()}
            for future in as_completed(made):
                self._keep(*made[future], future.result())
        return True

    def _make(self, cell: Cell, floors: Mapping[int, float]) -> Course:
        config = self.start | self._values(dict(zip(self.axes, cell, strict=True)))
        return self.place.call(attempt, self.task, Attempt(self.model, config, self.seed, self.device, floors))

    def _keep(self, place: int, cell: Cell, course: Course) -> None:
        from optuna.trial import TrialState, create_trial

        self.error = course.error or self.error
        params = dict(zip(self.axes, cell, strict=True))
        self.study.add_trial(
            create_trial(
                # A failed one counts as given up: it is not made again.
                state=TrialState.PRUNED if course.value is None else TrialState.COMPLETE,
                value=course.value,
                params=params,
                distributions=self._places(),
                intermediate_values=dict(course.reported),
                user_attrs={"place": place},
            )
        )
        if self.progress is not None:
            self.progress(Trial(place, self._values(params), course.value))

    def _floors(self, before: list[optuna.trial.FrozenTrial]) -> dict[int, float]:
        """The median of the trials that came to their end, after so many epochs; of too few there is none."""
        complete = [trial.intermediate_values for trial in before if self._value(trial) is not None]
        if len(complete) < COMPARED:
            return {}
        reported = {
            epochs: [values[epochs] for values in complete if epochs in values] for epochs in set().union(*complete)
        }
        return {epochs: float(np.nanmedian(values)) for epochs, values in sorted(reported.items())}

    def _cell(self, trial: optuna.trial.FrozenTrial) -> Cell:
        return tuple(trial.params[name] for name in self.axes)

    def _choose(self, before: list[optuna.trial.FrozenTrial], tried: list[Cell], *, whole: bool) -> Cell:
        """Settings that no other trial has. ``before``: the trials that they are chosen by; ``tried``: the settings of
        every place before."""
        import optuna

        done = len(tried)
        if whole or done == 0:
            return self._cells[done] if whole else self._start
        stream = Stream(self.seed)("tune", self.model)
        sampler = optuna.samplers.TPESampler(seed=stream.integer(done) % 2**32)
        known = optuna.create_study(direction="maximize", sampler=sampler)
        known.add_trials(before)
        asked = known.ask(self._places())
        if (cell := tuple(asked.params[name] for name in self.axes)) not in tried:
            return cell
        # There are more cells than trials, perhaps by far: one of them is met before long.
        drawn = (self._drawn(stream("untried", done), number) for number in itertools.count())
        return next(cell for cell in drawn if cell not in tried)

    def _drawn(self, stream: Stream, number: int) -> Cell:
        return tuple(stream.integer(number, name) % len(axis.values) for name, axis in self.axes.items())

    @property
    def _start(self) -> Cell:
        return tuple(axis.start for axis in self.axes.values())

    @cached_property
    def _cells(self) -> list[Cell]:
        """All of them, the start first. Places rather than values: a place is an integer for any kind of value."""
        cells = itertools.product(*(range(len(axis.values)) for axis in self.axes.values()))
        return [self._start, *(cell for cell in cells if cell != self._start)]

    def _places(self) -> dict[str, optuna.distributions.BaseDistribution]:
        import optuna

        def places(axis: Axis) -> optuna.distributions.BaseDistribution:
            if axis.ordered:
                return optuna.distributions.IntDistribution(0, len(axis.values) - 1)
            return optuna.distributions.CategoricalDistribution(list(range(len(axis.values))))

        return {name: places(axis) for name, axis in self.axes.items()}

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
