"""``lethe tune``: better settings of a model, searched on the validation part."""

from __future__ import annotations

import re
import shlex
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.cli.common import Json, each_once, is_quiet, show, workspace
from lethe.errors import ConfigError

if TYPE_CHECKING:
    from lethe.build.trials import Trial, Tuned

_SECONDS = {"s": 1, "m": 60, "h": 3_600}


def tune(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    trials: Annotated[
        int | None, typer.Option(help="Settings to try (default: 40, or as many as --budget lets).")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time after which no more are tried: 90s, 20m, 2h; each time it is resumed.")
    ] = None,
    fixed: Annotated[
        list[str] | None, typer.Option("--set", help="An option and its value, which stays: sweeps=20; repeatable.")
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(help="An option and a list of values, as YAML: only such are searched; repeatable."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Validation metric; default: training.metric.")] = None,
    at_once: Annotated[int, typer.Option(help="Trials that are chosen together, and made side by side.")] = 1,
    as_json: Json = False,
) -> None:
    """Search a model's settings on the validation part; the best are written to params/DATASET/MODEL.yaml.

    The settings of params.yaml are tried first, so that what is written is never worse there. What is searched is the
    model's own (lethe show MODEL), or what --grid names. A search that was stopped is resumed by the same command.

    Example: lethe tune wmf shop --budget 20m --set sweeps=20 --grid 'reg=[0.1, 1, 10]'
    """
    here = workspace()

    from lethe.build.tuning import tune as run
    from lethe.config.params import Params
    from lethe.config.tuned import tuned_file

    options: list[tuple[str, str | int | None]] = [("--trials", trials), ("--budget", budget), ("--metric", metric)]
    options += [("--set", text) for text in fixed or ()] + [("--grid", text) for text in grid or ()]
    options += [("--at-once", at_once)] if at_once != 1 else []
    given = [word for name, value in options if value is not None for word in (name, str(value))]
    tuned = run(
        here,
        Params.read(here.params),
        model,
        dataset,
        command=shlex.join(["lethe", "tune", model, dataset, *given]),
        trials=trials,
        metric=metric,
        base=_assignments("set", fixed),
        grid=_lists(grid),
        at_once=at_once,
        seconds=None if budget is None else _seconds(budget),
        progress=None if is_quiet() else _Progress(),
    )
    report = {"model": model, "dataset": dataset, "metric": tuned.metric, "value": tuned.value, "values": tuned.values}
    report |= {"default": tuned.default, "better": tuned.better, "trials": tuned.trials, "edges": list(tuned.edges)}
    report["standing"] = tuned.standing
    file = tuned_file(here, dataset, model).relative_to(here.root)
    kept = f"{file} holds better ones of an earlier search, {tuned.standing or 0.0:.4f}; it is left as it is"
    written = f"written to {file}; next: lethe train"
    show(report, as_json, [*_lines(tuned), written if tuned.standing is None else kept])


def _lines(tuned: Tuned) -> list[str]:
    count = f"{tuned.trials} trial{'s' if tuned.trials > 1 else ''}"
    sign, metric = (-1, tuned.metric[1:]) if tuned.metric.startswith("-") else (1, tuned.metric)
    figure = f"{metric} {sign * tuned.value:.4f}"
    if tuned.default is None:
        lines = [f"{figure} with {tuned.values}, the best of {count}; the settings of params.yaml came to no value"]
    elif tuned.better:
        before = f"the settings of params.yaml: {sign * tuned.default:.4f}"
        lines = [f"{figure} with {tuned.values}, the best of {count}; {before}"]
    elif tuned.trials == 1:
        lines = [f"{figure} by the settings of params.yaml; nothing else was tried"]
    else:
        lines = [f"none of {count} beat the settings of params.yaml, {figure}; they stay"]
    return lines + ([f"at an edge of what was tried: {', '.join(tuned.edges)}"] if tuned.edges else [])


class _Progress:
    """A line for each trial, with the best so far, on standard error."""

    def __init__(self) -> None:
        self.best: float | None = None
        self.place = 0
        self.begun = time.monotonic()

    def __call__(self, trial: Trial) -> None:
        if trial.value is not None and (self.best is None or trial.value > self.best):
            self.best, self.place = trial.value, trial.number
        # Of an error, which is made small, the value is less than 0.
        value = "given up" if trial.value is None else f"{abs(trial.value):.4f}"
        best = "" if self.best is None else f", best so far {abs(self.best):.4f} (trial {self.place})"
        typer.echo(f"  trial {trial.number}: {value}{best}, {time.monotonic() - self.begun:.0f} s", err=True)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if match is None:
        raise ConfigError(f"budget: {text!r} must be a number and its unit: 90s, 20m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


def _assignments(option: str, texts: list[str] | None) -> dict[str, Any]:
    """{name: value} of ``name=value``, the value as params.yaml would have it."""
    return each_once(option, (_assignment(option, text) for text in texts or ()))


def _assignment(option: str, text: str) -> tuple[str, Any]:
    import yaml

    from lethe.core.yaml_text import values_of

    name, equals, value = text.partition("=")
    # ValueError: of a date that there isn't.
    with suppress(yaml.YAMLError, ValueError):
        if equals:
            return name.strip(), values_of(value)
    raise ConfigError(f"{option}: {text!r} must be an option and its value, such as embedding_dim=64")


def _lists(texts: list[str] | None) -> dict[str, list[Any]] | None:
    grid = _assignments("grid", texts)
    for name, values in grid.items():
        if not isinstance(values, list):
            raise ConfigError(f"grid.{name}: {values!r} must be a list of values, such as {name}=[16, 64]")
    return grid or None
