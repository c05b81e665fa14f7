"""Commands of what is published about accuracy: tables, figures, their settings, and the pages made of them."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from dataclasses import replace
from typing import Annotated, Any

import typer
import yaml

from benchmarks.commands.common import (
    DATA,
    REPORTS,
    RESULTS,
    ROOT,
    WORK,
    AsJson,
    Commit,
    DataDir,
    commit_report,
    publish,
    say,
    this_command,
    timed,
)
from lethe.core.files import write_whole
from lethe.errors import ConfigError, LetheError

app = typer.Typer()


@app.command()
def tables(
    table: Annotated[str, typer.Option(help="Name of the table.")],
    seeds: Annotated[int, typer.Option(help="Runs of each row, seeds 1 to N.")] = 5,
    data_dir: DataDir = DATA,
    row: Annotated[list[str] | None, typer.Option(help="Only this row; repeatable.")] = None,
    check: Annotated[bool, typer.Option(help="Run again, re-using nothing, and compare with the committed.")] = False,
    commit: Commit = False,
) -> None:
    """Run a published table again: reports/tables/NAME.{json,md}. A stopped run goes on where it was.

    With --row and --commit the other rows of the committed report stay as they are.
    """
    from benchmarks.merge import merged
    from benchmarks.report import compare, draw, markdown, summarise
    from benchmarks.table import Table, run_table

    whole = Table.load(table, data_dir)
    chosen = whole.only(row or [])
    results = run_table(chosen, seeds, None if check else WORK / table, typer.echo)
    report = timed(summarise(chosen, results, this_command()))
    before = RESULTS / f"{table}.json"
    if row and commit and before.is_file():
        kept = json.loads(before.read_text(encoding="utf-8"))
        report = merged(report, kept, [each.model for each in whole.rows])
    if chosen.plot is not None:
        draw(report, chosen.plot, REPORTS)
    publish(report, markdown(report, chosen.published))
    if check:
        committed = RESULTS / f"{table}.json"
        if not committed.is_file():
            raise LetheError(f"--check: no committed {committed.relative_to(ROOT)}; make it with --commit")
        faults = compare(report, json.loads(committed.read_text(encoding="utf-8")))
        if faults:
            raise LetheError(f"--check: {len(faults)} figures outside the seeds' spread: {'; '.join(faults)}")
        typer.echo("Within the seeds' spread of the committed table.")
    if commit:
        commit_report(table)


@app.command()
def figures(
    only: Annotated[list[str] | None, typer.Option(help="Name of a figure; repeatable.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Runs of each point, seeds 1 to N. Default: the figure's own.")
    ] = None,
    data_dir: DataDir = DATA,
    commit: Annotated[
        bool, typer.Option(help="Copy each report to benchmarks/results/figures, to be committed.")
    ] = False,
) -> None:
    """Make the figures of benchmarks/figures.yaml: reports/tables/figures/NAME.{json,md,svg}. Resumed by point."""
    from benchmarks import figure_report, figures
    from benchmarks.figure_data import bench
    from benchmarks.report import draw

    for name, figure in figures.only(figures.read_figures(), only or []).items():
        done = figures.run(name, figure, data_dir, seeds, WORK / figures.FOLDER, typer.echo)
        command = this_command() if only else f"{this_command()} --only {name}"
        protocol = bench(figure.data, data_dir).protocol
        report = timed(figure_report.summarise(name, figure, protocol, done, command))
        draw(report, figure_report.plot, REPORTS / figures.FOLDER, len(figure.metrics))
        publish(report, figure_report.markdown(report), commit=commit, folder=figures.FOLDER)


@app.command()
def statistics(
    data_dir: DataDir = DATA,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Users, items, interactions and side data of every data set: reports/tables/statistics.{json,md}."""
    from benchmarks.statistics_of_data import measure, report

    contents, text = report(measure(data_dir), this_command())
    publish(contents, text, as_json, commit)


@app.command()
def render() -> None:
    """Write each committed table's page again from its figures: benchmarks/results/NAME.md. Nothing is run."""
    from benchmarks.report import markdown, write_report
    from benchmarks.table import TABLES, published

    for name in TABLES:
        path = RESULTS / f"{name}.json"
        if path.is_file():
            report = json.loads(path.read_text(encoding="utf-8"))
            write_report(report, markdown(report, published(name)), RESULTS)


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
    from benchmarks.budget import Standing, seconds_note
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
    notes = [*took, f"Table: {recipe.table}."]
    path = ROOT / "params" / dataset / f"{name or model}.yaml"
    standing = None if anew else Standing.of(path)
    if standing is not None and standing.metric == found.metric and standing.value > found.value:
        notes += standing.notes(found.value)
        found = replace(found, values=standing.values, value=standing.value, edges=())
    write_tuned(path, found, this_command(), notes=notes)
    typer.echo(f"{metric or recipe.metric} {found.value:.5f}: {found.values}")


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


@app.command()
def fold_in(
    family: Annotated[list[str] | None, typer.Option(help="Only this family; repeatable.")] = None,
    data_dir: DataDir = DATA,
    seed: Annotated[int, typer.Option(help="Of the trainings; which users are held out goes by it.")] = 1,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """People folded in against people trained on, on MovieLens-1M: reports/tables/fold-in.{json,md}. Rows resume."""
    from benchmarks import fold_in as folding

    rows = folding.run(family or [], data_dir, seed, WORK / "fold-in", say)
    contents, text = folding.report(rows, this_command())
    publish(timed(contents), text, as_json, commit)


@app.command()
def coverage(
    data_dir: DataDir = DATA,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """What of the sources is measured, built or missing, checked by code: reports/tables/coverage.{json,md}.

    Where the research data are at hand, also whether the tables still make the rows that are named.
    """
    from benchmarks.claims import Figures
    from benchmarks.coverage import Coverage
    from benchmarks.coverage import report as listed

    items = Coverage.read()
    contents, text = listed(items, Figures(RESULTS), this_command())
    if not data_dir.is_dir():
        typer.echo(f"{data_dir}: not there; whether the tables still make these rows was not looked at", err=True)
    elif faults := items.unmade(data_dir):
        raise ConfigError(f"coverage.yaml: {len(faults)} faults: {'; '.join(faults)}")
    publish(contents, text, as_json, commit)


@app.command()
def claims() -> None:
    """Write docs/what-we-found.md: which claims of the sources hold in the committed results."""
    from benchmarks.claims import Figures
    from benchmarks.coverage import Coverage
    from benchmarks.what_we_found import page

    write_whole(ROOT / "docs" / "what-we-found.md", page(Coverage.read(), Figures(RESULTS)))


@app.command()
def readme() -> None:
    """Write the committed results into README.md, between its markers, and into docs/results.md."""
    from benchmarks.readme import renewed, results_page

    path = ROOT / "README.md"
    path.write_text(renewed(path.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")
    (ROOT / "docs" / "results.md").write_text(results_page(RESULTS), encoding="utf-8")


def _assignments(option: str, texts: list[str] | None) -> dict[str, Any]:
    values = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{option}: {text!r} must read field=value")
        values[name] = yaml.safe_load(value)
    return values
