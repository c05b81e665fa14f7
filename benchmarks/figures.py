"""The figures of the sources, made again: learning curves, sweeps, ablations and groups of users.

``figures.yaml`` declares them; settings are those of params/<data>/<model>.yaml but for what a line or a sweep says.
A figure is trained point by point and seed by seed, and a point that lies in benchmarks/work is not made again;
``figure_report`` says what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from benchmarks import Say
from benchmarks.collaborative import tuned
from benchmarks.convergence import LOSSES, learning_by
from benchmarks.figure_data import Bench, Measured, bench
from benchmarks.sharded import Kind, sharded_row
from benchmarks.table import Result, Row, resumed
from benchmarks.watching import Course, watch
from lethe.config.section import Name, Section, read_yaml
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Config, Model

FILE = Path(__file__).parent / "figures.yaml"
FOLDER = "figures"
"""Below reports/tables, benchmarks/results and benchmarks/work."""
EACH, ALL, EPOCHS, USERS = "seconds an epoch", "seconds", "epochs", "users"
COUNTED = frozenset({EACH, ALL, EPOCHS, USERS, "one shard", "aggregator", "sub-models"})
"""Metrics of a training, that nothing is ranked for."""
SHARDING = ("partition", "aggregator", "num_shards")
Value = int | float | str


class Line(Section):
    """What is drawn in one colour."""

    model: Name
    settings: str = ""
    """A file of params/<data> in place of the model's own."""
    set: dict[str, Any] = Field({})
    """Values over those of the file, nested ones by dots."""
    loss: str = next(iter(LOSSES))
    partition: str = ""
    """Of a model in shards, which are built as in the product, sub-models with the values tuned whole."""
    aggregator: str = ""
    num_shards: int = 10


class Figure(Section):
    """One figure of a source. With ``every`` it is of learning curves, with ``over`` of a sweep, with ``groups`` of
    users by how many training rows they have, with none of them of its lines alone."""

    what: str
    source: str
    data: str
    metrics: tuple[str, ...] = Field(min_length=1)
    lines: dict[str, Line] = Field(min_length=1)
    every: int = Field(0, ge=0)
    """Epochs between two measurements."""
    over: str = ""
    """What is swept: a field of the lines' models, nested ones by dots, or partition, aggregator, num_shards."""
    values: tuple[Value, ...] = ()
    rest: str = ""
    """With ``total``: the field that takes what the others of its mapping leave of it; points where it would be
    nothing are left out."""
    total: int = 0
    groups: tuple[int, ...] = ()
    """The least number of training rows of each group."""
    axis: str = ""
    """What to call ``over``, if not by its name."""
    log: bool = False
    """Whether its values go up by factors."""
    seeds: int = Field(1, ge=1)
    note: str = ""

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if bool(self.every) + bool(self.over) + bool(self.groups) > 1:
            raise ValueError("must be over epochs ('every'), a sweep ('over') or 'groups': one of them, or none")
        if bool(self.over) != bool(self.values) or bool(self.rest) != bool(self.total):
            raise ValueError("'over' goes with 'values', 'rest' with 'total'")
        for line in self.lines.values():
            if line.model not in MODELS or line.loss not in LOSSES:
                raise ValueError(f"model {line.model!r} or loss {line.loss!r} is not there")
        return self

    @property
    def ranked(self) -> tuple[str, ...]:
        """Its metrics that the data are measured for."""
        return tuple(metric for metric in self.metrics if metric not in COUNTED)

    @property
    def x(self) -> str:
        """The name of the horizontal axis; empty where there is none."""
        return "epoch" if self.every else "training rows" if self.groups else self.axis or self.over

    def group_names(self) -> list[str]:
        ends = zip(self.groups, self.groups[1:], strict=False)
        return [
            *(f"{low} to {high - 1}" if high > low + 1 else f"{low}" for low, high in ends),
            *(f"{low} and more" for low in self.groups[-1:]),
        ]


def read_figures() -> dict[str, Figure]:
    """{name: figure} of ``FILE``; raises ConfigError with item and rule."""
    return {name: Figure.parse(values, f"{FILE.name}.{name}") for name, values in read_yaml(FILE).items()}


@dataclass(frozen=True)
class Point:
    """What one training, or one sharded build, gives of a figure: a line at one value of what is swept."""

    line: str
    x: Value | None
    row: Row


def points(figure: Figure, data_dir: Path) -> list[Point]:
    """All that has to be trained. Raises ConfigError, DataError."""
    data, made = bench(figure.data, data_dir), []
    for label, line in figure.lines.items():
        for x in figure.values or (None,):
            if (row := _row(figure, label, line, x, data)) is not None:
                made.append(Point(label, x, row))
    return made


def run(
    name: str, figure: Figure, data_dir: Path, seeds: int | None, work: Path | None, say: Say = print
) -> list[tuple[Point, list[Result]]]:
    """The results of every point under seeds 1, 2, ...; those that lie in ``work`` are not made again."""
    if seeds is not None and seeds < 1:
        raise ConfigError(f"--seeds: {seeds} must be at least 1")
    done = []
    for point in points(figure, data_dir):
        results = []
        for seed in range(1, (seeds or figure.seeds) + 1):
            results.append(resumed(point.row, seed, work))
            values = "  ".join(f"{metric} {value(results[-1], metric):.4f}" for metric in figure.metrics)
            say(f"{name}  {point.row.model}  seed {seed}  {values}  {results[-1].seconds:.1f} s")
        done.append((point, results))
    return done


def value(result: Result, metric: str, x: str = "") -> float:
    """A metric of a result, with ``x`` after that epoch or of that group; nan where it has none."""
    known = {**result.metrics, **result.times, ALL: result.seconds}
    return known.get(f"{metric}{_AT}{x}" if x else metric, float("nan"))


_AT = " | "


def unfolded(results: list[Result]) -> list[str]:
    """The epochs or groups that results speak of, in order."""
    return list(dict.fromkeys(name.partition(_AT)[2] for name in results[0].metrics if _AT in name))


def _row(figure: Figure, label: str, line: Line, x: Value | None, data: Bench) -> Row | None:
    named = label if x is None else f"{label}, {x if isinstance(x, str) else f'{figure.x} {x:g}'}"
    if x is not None and figure.over in SHARDING:
        line = line.model_copy(update={figure.over: x})
    if line.partition:
        assert data.split is not None
        settings = f"shards-{line.aggregator}"
        kind = Kind(line.model, line.partition, line.aggregator, line.num_shards, settings, whole=True)
        return sharded_row(named, data.split, kind)
    config = configured(figure, line, x)
    return None if config is None else _trained(figure, named, line.model, line.loss, config, data)


def configured(figure: Figure, line: Line, x: Value | None) -> Config | None:
    """The settings of a line at a value of what is swept; None where there is no such point. Raises ConfigError."""
    values = tuned(figure.data, line.settings or line.model)
    for field, chosen in line.set.items():
        values = _with(values, field, chosen)
    if x is not None:
        values = _with(values, figure.over, x)
    if figure.rest:
        section, _, last = figure.rest.rpartition(".")
        left = figure.total - sum(part for name, part in values[section].items() if name != last)
        if left <= 0:
            return None
        values = _with(values, figure.rest, left)
    return configure(line.model, values, f"params.{figure.data}")


def _with(values: Mapping[str, Any], path: str, chosen: Any) -> dict[str, Any]:
    first, dot, rest = path.partition(".")
    return {**values, first: _with(values.get(first, {}), rest, chosen) if dot else chosen}


def _trained(figure: Figure, named: str, model: str, loss: str, config: Config, data: Bench) -> Row:
    decides = {
        "data": data.digest,
        "model": model,
        "config": config.plain(),
        "loss": loss,
        "metrics": list(figure.ranked),
        "every": figure.every,
        "groups": list(figure.groups),
        "code": code_digest(train, *data.code, MODELS[model]),
    }

    def run(seed: int) -> Result:
        built = MODELS[model](config, data.catalogue.shape)

        def measure(unfinished: Model) -> Measured:
            return data.measure(unfinished, figure.ranked) if figure.ranked else Measured({}, {})

        with learning_by(LOSSES[loss], seed):
            course = watch(built, data.data, Stream(seed)("benchmark", model), measure, figure.every)
        last = measure(built)
        metrics = last.means | {EPOCHS: float(len(course.ends))} | dict(_curve(course))
        metrics |= dict(_groups(figure, last, data)) if figure.groups else {}
        return Result(metrics, course.seconds, {EACH: course.seconds_an_epoch})

    return Row(named, run, decides)


def _curve(course: Course[Measured]) -> Iterator[tuple[str, float]]:
    for look in course.looks:
        yield from ((f"{metric}{_AT}{look.epochs}", mean) for metric, mean in look.value.means.items())


def _groups(figure: Figure, last: Measured, data: Bench) -> Iterator[tuple[str, float]]:
    for name, low, high in zip(figure.group_names(), figure.groups, (*figure.groups[1:], None), strict=True):
        held = (data.activity >= low) & (data.activity < (high or np.inf))
        yield f"{USERS}{_AT}{name}", float(held.sum())
        if held.any():
            yield from ((f"{metric}{_AT}{name}", float(users[held].mean())) for metric, users in last.users.items())


def only(figures: dict[str, Figure], names: list[str]) -> dict[str, Figure]:
    """Those of ``names``, all if there are none; raises ConfigError."""
    for name in names:
        if name not in figures:
            raise ConfigError(f"--only: unknown figure {name!r}; known figures: {', '.join(figures)}")
    return {name: figure for name, figure in figures.items() if not names or name in names}
