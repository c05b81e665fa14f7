"""``python -m benchmarks tables | tune | peers | growth``; from the project's folder."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from lethe.core.files import write_whole
from lethe.core.workspace import NUMERIC
from lethe.errors import ConfigError, LetheError

ROOT = Path(__file__).parent.parent
WORK = ROOT / "benchmarks" / "work"
RESULTS = ROOT / "benchmarks" / "results"
REPORTS = ROOT / "reports" / "tables"
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Published tables run again; peers side by side.")

DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="LETHE_DATA_DIR", help="Folder with the research data, one folder a set.")
]
DATA = Path("../shared/data")


@app.command()
def tables(
    table: Annotated[str, typer.Option(help="Name of the table.")],
    seeds: Annotated[int, typer.Option(help="Runs of each row, seeds 1 to N.")] = 5,
    data_dir: DataDir = DATA,
    row: Annotated[list[str] | None, typer.Option(help="Only this row; repeatable.")] = None,
    check: Annotated[bool, typer.Option(help="Run again, re-using nothing, and compare with the committed.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Run a published table again: reports/tables/NAME.{json,md}. A stopped run goes on where it was.

    With --row and --commit the other rows of the committed report stay as they are.
    """
    from benchmarks.merge import merged
    from benchmarks.report import compare, draw, markdown, summarise, write_report
    from benchmarks.table import Table, run_table

    whole = Table.load(table, data_dir)
    chosen = whole.only(row or [])
    results = run_table(chosen, seeds, None if check else WORK / table, typer.echo)
    report = summarise(chosen, results, _command())
    before = RESULTS / f"{table}.json"
    if row and commit and before.is_file():
        kept = json.loads(before.read_text(encoding="utf-8"))
        report = merged(report, kept, [each.model for each in whole.rows])
    text = markdown(report, chosen.published)
    write_report(report, text, REPORTS)
    if chosen.plot is not None:
        draw(report, chosen.plot, REPORTS)
    typer.echo(text)
    if check:
        committed = RESULTS / f"{table}.json"
        if not committed.is_file():
            raise LetheError(f"--check: no committed {committed.relative_to(ROOT)}; make it with --commit")
        faults = compare(report, json.loads(committed.read_text(encoding="utf-8")))
        if faults:
            raise LetheError(f"--check: {len(faults)} figures outside the seeds' spread: {'; '.join(faults)}")
        typer.echo("Within the seeds' spread of the committed table.")
    if commit:
        _commit(table)


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
    from benchmarks.report import draw, write_report

    for name, figure in figures.only(figures.read_figures(), only or []).items():
        done = figures.run(name, figure, data_dir, seeds, WORK / figures.FOLDER, typer.echo)
        command = _command() if only else f"{_command()} --only {name}"
        report = figure_report.summarise(name, figure, bench(figure.data, data_dir).protocol, done, command)
        text = figure_report.markdown(report)
        write_report(report, text, REPORTS / figures.FOLDER)
        draw(report, figure_report.plot, REPORTS / figures.FOLDER, len(figure.metrics))
        typer.echo(text)
        if commit:
            _commit(f"{figures.FOLDER}/{name}")


@app.command()
def statistics(
    data_dir: DataDir = DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Users, items, interactions and side data of every data set: reports/tables/statistics.{json,md}."""
    from benchmarks.statistics_of_data import measure, report

    contents, text = report(measure(data_dir), _command())
    _publish("statistics", contents, text, as_json, commit)


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
    seconds: Annotated[float | None, typer.Option(help="After which no further setting is tried.")] = None,
    seed: Annotated[int, typer.Option()] = 2026,
    metric: Annotated[str, typer.Option(help="Validation metric.")] = "",
    name: Annotated[str, typer.Option(help="Of the file, if not the model's: for one row of a table.")] = "",
    grid: Annotated[list[str] | None, typer.Option(help="field=[values] in YAML; repeatable.")] = None,
    base: Annotated[list[str] | None, typer.Option("--set", help="field=value that stays; repeatable.")] = None,
) -> None:
    """Tune a model on a set's validation part, and write params/DATASET/MODEL.yaml."""
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

    start = time.process_time()
    found = search(
        Space(model, _assignments("--set", base), _assignments("--grid", grid) or None),
        Task(rows, valid, metric or recipe.metric, recipe.tables(data_dir)),
        Budget(trials, seed, seconds=seconds),
        WORK / "tuning" / f"{dataset}-{name or model}.sqlite",
        say,
    )
    # A resumed search doesn't know what its first trials took.
    took = [seconds_note(time.process_time() - start)] if len(made) == found.trials else []
    notes = [*took, f"Table: {recipe.table}."]
    write_tuned(ROOT / "params" / dataset / f"{name or model}.yaml", found, _command(), notes=notes)
    typer.echo(f"{metric or recipe.metric} {found.value:.5f}: {found.values}")


@app.command()
def tune_all(
    budget: Annotated[float, typer.Option(help="Seconds of each search.")] = 15.0,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; repeatable.")] = None,
    again: Annotated[bool, typer.Option(help="Search again where it is done already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Every model tuned on two datasets against its defaults: reports/tables/tune-all.{json,md}. Resumed by model."""
    from benchmarks import tune_all as tuning
    from lethe.models import MODELS, configure

    for name in model or []:
        configure(name, {}, "--model")
    work = WORK / "tune-all"
    if again:
        shutil.rmtree(work, ignore_errors=True)
    rows = tuning.measure(work, model or list(MODELS), budget, lambda line: typer.echo(line, err=True))
    contents, text = tuning.report(rows, budget, _command())
    _publish("tune-all", contents, text, as_json, commit)
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
def peers(
    only: Annotated[
        list[str] | None, typer.Option(help="evaluation, epoch, forgetting, implicit, lenskit, recbole.")
    ] = None,
    data_dir: DataDir = DATA,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Run other programs and ours in turn on ml-1m-receraser and print the ratios: reports/tables/peers.{json,md}.

    With --only, the other rows of the committed report stay as they are.
    """
    from benchmarks.collaborative import read_split
    from benchmarks.peers import PARTS, compare_all
    from benchmarks.report import write_report

    for name in only or []:
        if name not in PARTS:
            raise ConfigError(f"--only: unknown part {name!r}; known parts: {', '.join(PARTS)}")
    split = read_split(data_dir, "ml-1m-receraser")
    committed = RESULTS / "peers.json"
    before = json.loads(committed.read_text(encoding="utf-8")) if only and committed.is_file() else None
    report, text = compare_all(split, WORK, only or list(PARTS), _command(), typer.echo, before)
    write_report(report, text, REPORTS)
    if commit:
        _commit("peers")


@app.command()
def faults(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Kill a forget run at every point, and every other fault: reports/tables/faults.{json,md}."""
    from benchmarks import faults as storms
    from benchmarks.own_product import make_workspace, prefect_server, serving

    def say(line: str) -> None:
        typer.echo(line, err=True)

    with tempfile.TemporaryDirectory(prefix="lethe-faults-") as folder, prefect_server():
        workspace = make_workspace(Path(folder) / "workspace")
        with serving(workspace):
            killed = storms.storm(workspace, say=say)
            added = storms.adds(workspace, len(killed["requests"]))
            other = storms.others(workspace, len(killed["requests"]) + len(added), say=say)
    _report("faults", storms.summary(killed, other, added, _command()), as_json, commit)


@app.command()
def erasure(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Canaries in every store, before and after forgetting: reports/tables/erasure.{json,md}."""
    from benchmarks.erasure import canaries

    with tempfile.TemporaryDirectory(prefix="lethe-erasure-") as folder:
        report = canaries(Path(folder), lambda line: typer.echo(line, err=True))
    _report("erasure", {"command": _command(), **report}, as_json, commit)


@app.command()
def queue(
    requests: Annotated[int, typer.Option(help="Requests of the batch.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """A long queue of requests as one batch, and requests one at a time: reports/tables/queue.{json,md}."""
    from benchmarks.erasure import queue as run

    with tempfile.TemporaryDirectory(prefix="lethe-queue-") as folder:
        report = run(Path(folder), requests, lambda line: typer.echo(line, err=True))
    _report("queue", {"command": _command(), **report}, as_json, commit)


@app.command()
def promise(
    case: Annotated[list[str] | None, typer.Option(help="Only this case; repeatable.")] = None,
    world: Annotated[list[int] | None, typer.Option(help="Only this generated world; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Real-world inputs and generated ones, each done by the real commands: reports/tables/promise.{json,md}.

    A case, or a world of two generated datasets, that was right is not done again until the code changes.
    """
    from benchmarks.promise import run_cases
    from benchmarks.promise_cases import CASES
    from benchmarks.promise_generated import WORLDS, run_worlds, totals
    from benchmarks.promise_worlds import worlds

    def say(line: str) -> None:
        typer.echo(line, err=True)

    for name in case or []:
        if name not in CASES:
            raise ConfigError(f"--case: unknown case {name!r}; known cases: {'; '.join(CASES)}")
    cases = case or ([] if world else list(CASES))
    drawn = [one for one in worlds(WORLDS) if (one.number in world if world else not case)]
    with tempfile.TemporaryDirectory(prefix="lethe-promise-") as folder:
        results = run_cases(cases, Path(folder), WORK / "promise", say)
        generated = run_worlds(drawn, Path(folder), WORK / "promise", say)
    wrong = sum(bool(result["wrong"]) for result in results)
    report = {"command": _command(), "cases": len(results), "right": len(results) - wrong, "wrong": wrong}
    report |= {f"generated: {name}": count for name, count in totals(generated).items()}
    _report("promise", report | {"results": results, "worlds": generated}, as_json, commit)
    if wrong or any(result["wrong"] for result in generated):
        raise SystemExit(1)


@app.command()
def newcomer(
    cases: Annotated[Path | None, typer.Option(help="Folder of files of many shapes, each an afternoon too.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this file of the folder; repeatable.")] = None,
    init_only: Annotated[
        bool, typer.Option("--init-only", help="Of the folder's files only the first command.")
    ] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="Instead: a clone and empty caches, make demo until its first line.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """From the built wheel and an empty folder to a certificate: reports/tables/newcomer.{json,md}; with --cold
    newcomer-cold.{json,md}."""
    from benchmarks.newcomer import run

    if cold:
        from benchmarks.cold import start

        with tempfile.TemporaryDirectory(prefix="lethe-cold-", ignore_cleanup_errors=True) as folder:
            figures = start(Path(folder))
        _report("newcomer-cold", {"command": _command(), **figures}, as_json, commit)
        if not figures["met"]:
            raise SystemExit(1)
        return
    files = sorted(path for path in cases.resolve().iterdir() if path.is_file()) if cases else []
    files = [path for path in files if not only or path.name in only]
    with tempfile.TemporaryDirectory(prefix="lethe-newcomer-") as folder:
        report = run(Path(folder), files, lambda line: typer.echo(line, err=True), whole=not init_only)
    _report("newcomer", {"command": _command(), **report}, as_json, commit)
    if report["right"] < report["files"]:
        raise SystemExit(1)


@app.command()
def mutants(
    only: Annotated[list[str] | None, typer.Option(help="Name of a mutant; repeatable.")] = None,
    workers: Annotated[int, typer.Option(help="Mutants tried side by side.", min=1)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Make each fault of tests/mutants.yaml; its tests must fail: reports/tables/mutants.{json,md}."""
    from benchmarks.mutants import read_mutants, run_mutants

    chosen = [mutant for mutant in read_mutants() if not only or mutant.name in only]
    with tempfile.TemporaryDirectory(prefix="lethe-mutants-") as folder:
        outcomes = run_mutants(chosen, Path(folder), lambda line: typer.echo(line, err=True), workers)
    counts = {kind: sum(outcome == kind for outcome in outcomes.values()) for kind in ("killed", "survived", "stale")}
    report = {"command": _command(), "mutants": len(outcomes), **counts, "outcomes": outcomes}
    _report("mutants", report, as_json, commit)
    if counts["survived"] or counts["stale"]:
        raise SystemExit(1)


def _report(name: str, report: dict[str, Any], as_json: bool, commit: bool) -> None:
    """A report of plain figures, its long lists left out of the text."""
    lines = [f"# {name}", "", f"`{report['command']}`", "", "| | |", "| --- | --- |"]
    lines += [
        f"| {key} | {value} |"
        for key, value in report.items()
        if not isinstance(value, list | dict) and key != "command"
    ]
    _publish(name, report | {"table": name}, "\n".join(lines) + "\n", as_json, commit)


def _publish(name: str, contents: dict[str, Any], text: str, as_json: bool, commit: bool) -> None:
    """Write a report, print it, and with ``commit`` put it among the results."""
    from benchmarks.report import write_report

    write_report(contents, text, REPORTS)
    typer.echo(json.dumps(contents, indent=1, ensure_ascii=False) if as_json else text)
    if commit:
        _commit(name)


@app.command()
def gpu(
    data_dir: DataDir = DATA,
    interpret: Annotated[bool, typer.Option(help="Only the kernels, in Triton's interpreter, without a GPU.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """What a GPU gives again, how near it is to the CPU and how fast: reports/tables/gpu.{json,md}."""
    from benchmarks import gpu as card
    from benchmarks.report import write_report
    from lethe.learning.device import fault

    if interpret:
        typer.echo(json.dumps(card.interpret(), indent=1))
        return
    if (reason := fault()) is not None:
        typer.echo(f"{card.NO_GPU} ({reason})")
        return
    report = {"table": "gpu", "command": _command(), **card.measure(data_dir, lambda line: typer.echo(line, err=True))}
    text = f"# gpu\n\n`{report['command']}`\n\n{card.table_of(report)}"
    write_report(report, text, REPORTS)
    typer.echo(json.dumps(report, indent=1) if as_json else text)
    if commit:
        _commit("gpu")


@app.command("partition-scale")
def partition_scale(
    rows: Annotated[int, typer.Option(help="Interactions to make.")] = 10_000_000,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Seconds and peak memory of every partition on made interactions: reports/tables/partition-scale.{json,md}."""
    from benchmarks.partition_scale import measure, report
    from benchmarks.report import write_report

    figures = measure(rows, WORK / f"partition-scale-{rows}", typer.echo)
    made, text = report(rows, figures, _command())
    write_report(made, text, REPORTS)
    typer.echo(text)
    if commit:
        _commit("partition-scale")


@app.command()
def scale(
    size: Annotated[list[int] | None, typer.Option(help="Rows; repeatable. Default: 1, 10 and 100 million.")] = None,
    whole: Annotated[int, typer.Option(help="Rows of the log that goes the whole way; 0: none does.")] = 20_000_000,
    anew: Annotated[bool, typer.Option(help="Measure again what was measured.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Data stages, gates, a model and a deletion up to 100 million rows: reports/tables/scale.{json,md}. What was
    measured is kept, so that a run that was stopped is resumed."""
    from benchmarks import scale_whole
    from benchmarks.report import write_report
    from benchmarks.scale import SIZES, measure, report

    folder = WORK / "scale"
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    figures = [row for rows in sorted(size or SIZES) for row in measure(rows, folder / str(rows), typer.echo)]
    way = scale_whole.measure(whole, folder / f"whole-{whole}", typer.echo) if whole else []
    made, text = report(figures, way, _command())
    write_report(made, text, REPORTS)
    typer.echo(text)
    if commit:
        _commit("scale")


@app.command()
def workers(
    rows: Annotated[int, typer.Option(help="Interactions to make.")] = 1_000_000,
    size: Annotated[list[int] | None, typer.Option(help="Workers of a cluster; repeatable. Default: 1 and 2.")] = None,
    repeats: Annotated[int, typer.Option(help="Clusters of each size, in turn.")] = 3,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Seconds to train all shards by one worker of a Dask cluster and by several: reports/tables/workers.{json,md}."""
    from benchmarks.report import write_report
    from benchmarks.workers import measure, report

    figures = measure(rows, WORK / f"workers-{rows}", sorted({1, 2, *(size or [])}), repeats, typer.echo)
    made, text = report(rows, figures, _command())
    write_report(made, text, REPORTS)
    typer.echo(text)
    if commit:
        _commit("workers")


@app.command()
def fold_in(
    family: Annotated[list[str] | None, typer.Option(help="Only this family; repeatable.")] = None,
    data_dir: DataDir = DATA,
    seed: Annotated[int, typer.Option(help="Of the trainings; which users are held out goes by it.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """People folded in against people trained on, on MovieLens-1M: reports/tables/fold-in.{json,md}. Rows resume."""
    from benchmarks import fold_in as folding

    rows = folding.run(family or [], data_dir, seed, WORK / "fold-in", lambda line: typer.echo(line, err=True))
    contents, text = folding.report(rows, _command())
    _publish("fold-in", contents, text, as_json, commit)


@app.command()
def serving(
    size: Annotated[list[str] | None, typer.Option(help="demo or large; repeatable. Default: both.")] = None,
    seconds: Annotated[float, typer.Option(help="Of each kind of request at each number of connections.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """What a request costs beside a constant route, memory, start, batches: reports/tables/serving.{json,md}."""
    from benchmarks import serving as service

    for name in size or []:
        if name not in service.SIZES:
            raise ConfigError(f"--size: unknown size {name!r}; known sizes: {', '.join(service.SIZES)}")
    with tempfile.TemporaryDirectory(prefix="lethe-serving-") as folder:
        chosen = size or list(service.SIZES)

        def say(line: str) -> None:
            typer.echo(line, err=True)

        figures = [service.measure(Path(folder), name, seconds, say) for name in chosen]
    contents, text = service.report(figures, _command())
    _publish("serving", contents, text, as_json, commit)


@app.command()
def redeploys(
    times: Annotated[int, typer.Option(help="Redeployments.", min=1)] = 20,
    again: Annotated[bool, typer.Option(help="Do those again that were done already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Redeploy while customers ask: what fails, who serves what: reports/tables/redeploys.{json,md}. Resumed."""
    from benchmarks import redeploys as renewals

    work = WORK / "redeploys"
    if again:
        shutil.rmtree(work, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="lethe-redeploys-") as folder:
        os.environ["LETHE_KEY_DIR"] = str(Path(folder) / "keys")
        rows = renewals.measure(Path(folder), times, work, lambda line: typer.echo(line, err=True))
    contents, text = renewals.report(rows, _command())
    _publish("redeploys", contents, text, as_json, commit)
    if contents["failed"] or contents["all_workers_on_the_new_version"] < times:
        raise SystemExit(1)


@app.command()
def answers(
    project: Annotated[
        Path, typer.Option(help="Where a service runs: what make demo and lethe deploy leave.")
    ] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Ask a service for all users of its data: none of what they have, all known: reports/tables/answers.{json,md}."""
    from benchmarks.answers import measure, report

    contents, text = report(measure(project.resolve(), lambda line: typer.echo(line, err=True)), _command())
    _publish("answers", contents, text, as_json, commit)
    if contents["seen"] or contents["unknown"]:
        raise SystemExit(1)


@app.command()
def up(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Start all that deploy/Procfile names on this machine, and stop it: reports/tables/up.{json,md}."""
    from benchmarks.up import measure
    from benchmarks.up import report as told

    with tempfile.TemporaryDirectory(prefix="lethe-up-") as folder:
        os.environ["LETHE_KEY_DIR"] = str(Path(folder) / "keys")
        came = measure(Path(folder))
    _publish("up", *told(came, _command()), as_json, commit)
    if came["left"]:
        raise SystemExit(1)


@app.command()
def night(
    small: Annotated[bool, typer.Option(help="The size of the tests, without an audit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """A night with everything around a project for real; what is lost is a failure: reports/tables/night.{json,md}."""
    from benchmarks.night import measure, report

    with tempfile.TemporaryDirectory(prefix="lethe-night-") as folder:
        os.environ["LETHE_KEY_DIR"] = str(Path(folder) / "keys")
        steps = measure(Path(folder), not small, lambda line: typer.echo(line, err=True))
    _publish("night", *report(steps, _command()), as_json, commit)


@app.command()
def house(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Whether the code keeps the plan of the house: reports/tables/house.{json,md}."""
    from benchmarks.house import measure
    from benchmarks.house import report as told

    contents, text = told(measure(), _command())
    _publish("house", contents, text, as_json, commit)


@app.command()
def forget_time(
    size: Annotated[list[int] | None, typer.Option(help="Rows; repeatable. Default: 0.1, 1 and 10 million.")] = None,
    ids: Annotated[list[str] | None, typer.Option(help="integers, text or demo; repeatable. Default: all.")] = None,
    again: Annotated[bool, typer.Option(help="Measure rows again that are there already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Where the time of one request goes as tables grow: reports/tables/forget-time.{json,md}. Resumed by row."""
    from benchmarks import forget_time as times

    work = WORK / "forget-time"
    if again:
        shutil.rmtree(work, ignore_errors=True)
    rows = times.measure(
        size or times.SIZES, ids or (times.DEMO, *times.KINDS), work, lambda line: typer.echo(line, err=True)
    )
    contents, text = times.report(rows, _command())
    _publish("forget-time", contents, text, as_json, commit)


@app.command()
def idle(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """What commands take that have little or nothing to do: reports/tables/idle.{json,md}."""
    from benchmarks import idle as waiting

    with tempfile.TemporaryDirectory(prefix="lethe-idle-") as folder:
        rows = waiting.measure(Path(folder) / "project")
    contents, text = waiting.report(rows, _command())
    _publish("idle", contents, text, as_json, commit)


@app.command()
def coverage(
    data_dir: DataDir = DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """What of the sources is measured, built or missing, checked by code: reports/tables/coverage.{json,md}.

    Where the research data are at hand, also whether the tables still make the rows that are named.
    """
    from benchmarks.claims import Figures
    from benchmarks.coverage import Coverage
    from benchmarks.coverage import report as listed

    items = Coverage.read()
    contents, text = listed(items, Figures(RESULTS), _command())
    if not data_dir.is_dir():
        typer.echo(f"{data_dir}: not there; whether the tables still make these rows was not looked at", err=True)
    elif faults := items.unmade(data_dir):
        raise ConfigError(f"coverage.yaml: {len(faults)} faults: {'; '.join(faults)}")
    _publish("coverage", contents, text, as_json, commit)


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


@app.command()
def growth(
    size: Annotated[
        list[int] | None, typer.Option(help="Interactions; repeatable. Default: 0.1 to 10 million.")
    ] = None,
    commit: Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")] = False,
) -> None:
    """Time and memory of the exact solver and of evaluation as the data grow: reports/tables/growth.{json,md}."""
    from benchmarks.growth import SIZES, measure, report
    from benchmarks.report import write_report

    contents, text = report(measure(size or SIZES, typer.echo), _command())
    write_report(contents, text, REPORTS)
    typer.echo(text)
    if commit:
        _commit("growth")


def _assignments(option: str, texts: list[str] | None) -> dict[str, Any]:
    values = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{option}: {text!r} must read field=value")
        values[name] = yaml.safe_load(value)
    return values


def _commit(name: str) -> None:
    place = (RESULTS / name).parent
    place.mkdir(parents=True, exist_ok=True)
    for path in sorted(REPORTS.glob(f"{name}.*")):
        shutil.copy(path, place / path.name)


def _command() -> str:
    return shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])


def main() -> None:
    """Run; an error that a user can mend is one line."""
    # Before anything numeric is imported.
    os.environ.update(NUMERIC)
    try:
        app()
    except LetheError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
