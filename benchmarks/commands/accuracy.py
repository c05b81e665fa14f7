"""Commands of how good models are: tables, figures, people folded in."""

from __future__ import annotations

import json
from typing import Annotated

import typer

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
from lethe.errors import LetheError

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
