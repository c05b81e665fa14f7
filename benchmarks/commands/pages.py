"""Commands that make pages of what is committed and of the data: nothing is trained."""

from __future__ import annotations

import json

import typer

from benchmarks.commands.common import (
    DATA,
    RESULTS,
    ROOT,
    AsJson,
    Commit,
    DataDir,
    publish,
    this_command,
)
from lethe.core.files import write_whole
from lethe.errors import ConfigError

app = typer.Typer()


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
