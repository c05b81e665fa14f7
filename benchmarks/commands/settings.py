"""Commands that choose settings, and say what choosing them gained."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from benchmarks.commands.common import (
    DATA,
    ROOT,
    WORK,
    AsJson,
    Commit,
    DataDir,
    publish,
    say,
    this_command,
    timed,
)
from lethe.errors import ConfigError

if TYPE_CHECKING:
    from lethe.build.trials import Tuned

app = typer.Typer()


@app.command()
def tune(
    dataset: Annotated[str, typer.Option(help="A data set of the ranking tables.")],
    model: Annotated[str, typer.Option(help="Name in MODELS.")],
    data_dir: DataDir = DATA,
    trials: Annotated[int, typer.Option(help="Settings to try.")] = 40,
    seconds: Annotated[float | None, typer.Option(help="Of the processor; then no further setting is tried.")] = None,
    seed: Annotated[int, typer.Option()] = 2026,
    metric: Annotated[str, typer.Option(help="Validation metric.")] = "",
    name: Annotated[str, typer.Option(help="Of the file, if not the model's: for one row of a table.")] = "",
    grid: Annotated[list[str] | None, typer.Option(help="field=[values] in YAML; repeatable.")] = None,
    base: Annotated[list[str] | None, typer.Option("--set", help="field=value that stays; repeatable.")] = None,
    anew: Annotated[bool, typer.Option(help="Write what is found, also where the file's settings are better.")] = False,
) -> None:
    """Tune a model on a set's validation part, and write params/DATASET/MODEL.yaml.

    Settings of an earlier search that came to more on validation stay, and the file says so.
    """
    from benchmarks import collaborative, side_data
    from benchmarks.budget import seconds_note
    from lethe.build.objectives import Task
    from lethe.build.space import Space
    from lethe.build.trials import Trial
    from lethe.build.tuning import Budget, search, write_tuned

    known = collaborative.TUNING | side_data.TUNING
    if dataset not in known:
        raise ConfigError(f"--dataset: unknown data set {dataset!r}; known: {', '.join(known)}")
    recipe = known[dataset]
    rows, valid = recipe.parts(data_dir, dataset)

    made: list[Trial] = []

    def say(trial: Trial) -> None:
        made.append(trial)
        value = "given up" if trial.value is None else f"{trial.value:.5f}"
        typer.echo(f"{model}  trial {trial.number}  {value}  {trial.values}")

    start, held = time.process_time(), _assignments("--set", base)
    found = search(
        Space(model, held, _assignments("--grid", grid) or None, held=frozenset(held)),
        Task(rows, valid, metric or recipe.metric, recipe.tables(data_dir)),
        Budget(trials, seed, seconds=seconds, clock=time.process_time),
        WORK / "tuning" / f"{dataset}-{name or model}.sqlite",
        say,
    )
    # A resumed search doesn't know what its first trials took.
    took = [seconds_note(time.process_time() - start)] if len(made) == found.trials else []
    path = ROOT / "params" / dataset / f"{name or model}.yaml"
    found, said = (found, []) if anew else _better(found, path)
    write_tuned(path, found, this_command(), notes=[*took, f"Table: {recipe.table}.", *said])
    typer.echo(f"{found.metric} {found.value:.5f}: {found.values}")


def _better(found: Tuned, path: Path) -> tuple[Tuned, list[str]]:
    """What was found, or the settings of an earlier search that came to more; and what their file says of that."""
    from benchmarks.budget import Standing

    standing = Standing.of(path)
    if standing is None or standing.metric != found.metric or standing.value <= found.value:
        return found, []
    return replace(found, values=standing.values, value=standing.value, edges=()), standing.notes(found.value)


@app.command()
def tune_all(
    budget: Annotated[float, typer.Option(help="Seconds of the processor for each search.")] = 15.0,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; repeatable.")] = None,
    again: Annotated[bool, typer.Option(help="Search again where it is done already.")] = False,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Every model tuned on two datasets against its defaults: reports/tables/tune-all.{json,md}. Resumed by model."""
    from benchmarks import tune_all as tuning
    from lethe.models import MODELS, configure

    for name in model or []:
        configure(name, {}, "--model")
    work = WORK / "tune-all"
    if again:
        shutil.rmtree(work, ignore_errors=True)
    rows = tuning.measure(work, model or list(MODELS), budget, say)
    contents, text = tuning.report(rows, budget, this_command())
    publish(timed(contents), text, as_json, commit)
    if contents["validation"].get("worse"):
        raise SystemExit(1)


@app.command()
def tune_shards(
    method: Annotated[list[str], typer.Option(help="Methods of receraser-ml1m; repeatable.")],
    model: Annotated[str, typer.Option(help="BPR, WMF or LightGCN.")] = "WMF",
    data_dir: DataDir = DATA,
) -> None:
    """Tune rows of receraser-ml1m on the validation part, and write params/DATASET/shards-AGGREGATOR[-MODEL].yaml."""
    from benchmarks import receraser_ml1m as table
    from benchmarks.collaborative import TUNING, read_split
    from benchmarks.sharded import TUNING_SEED, tune, write_settings

    split = read_split(data_dir, table.DATASET)
    _, valid = TUNING[table.DATASET].parts(data_dir, table.DATASET)
    if model not in table.MODELS:
        raise ConfigError(f"--model: unknown model {model!r}; known models: {', '.join(table.MODELS)}")
    for label in method:
        if label not in table.METHODS:
            raise ConfigError(f"--method: unknown method {label!r}; known methods: {'; '.join(table.METHODS)}")
        kind = table.kind(model, label)
        chosen, value, first, tried = tune(split, valid, kind, table.grid(kind), typer.echo)
        command = shlex.join(["python", "-m", "benchmarks", "tune-shards", "--model", model, "--method", label])
        figures = f"Validation recall@20 {value:.5f}, {first:.5f} at the start; {tried} settings, seed {TUNING_SEED}."
        write_settings(split, kind, chosen, [command, figures, "Table: receraser-ml1m."])
        typer.echo(f"{label}  {figures}  {chosen}")


def _assignments(option: str, texts: list[str] | None) -> dict[str, Any]:
    values = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{option}: {text!r} must read field=value")
        values[name] = yaml.safe_load(value)
    return values
