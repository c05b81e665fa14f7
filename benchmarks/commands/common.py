"""What the commands share: their options, where reports go, and the words a report was made by."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import ROOT
from benchmarks.page import grid, page

WORK = ROOT / "benchmarks" / "work"
RESULTS = ROOT / "benchmarks" / "results"
REPORTS = ROOT / "reports" / "tables"
DATA = Path("../shared/data")

DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="LETHE_DATA_DIR", help="Folder with the research data, one folder a set.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Commit = Annotated[bool, typer.Option(help="Copy the report to benchmarks/results, to be committed.")]


def say(line: str) -> None:
    """Progress, which is no part of a report."""
    typer.echo(line, err=True)


def publish_plain(name: str, figures: dict[str, Any], as_json: bool, commit: bool) -> None:
    """A report of plain figures, its long lists left out of the text."""
    command = this_command()
    plain = [(what, value) for what, value in figures.items() if not isinstance(value, list | dict)]
    text = page(name, f"`{command}`", grid(("", ""), plain))
    publish({"command": command, **figures, "table": name}, text, as_json, commit)


def timed(contents: dict[str, Any]) -> dict[str, Any]:
    """A report with seconds or memory in it, and what it was measured on."""
    from benchmarks.machine import machine

    return contents | machine()


def publish(contents: dict[str, Any], text: str, as_json: bool = False, commit: bool = False, folder: str = "") -> None:
    """Write a report, print it, and with ``commit`` put it among the results; ``folder``: below theirs."""
    from benchmarks.report import write_report

    page = write_report(contents, text, REPORTS / folder)
    typer.echo(json.dumps(contents, indent=1, ensure_ascii=False) if as_json else page)
    if commit:
        commit_report(str(Path(folder) / contents["table"]))


def commit_report(name: str) -> None:
    """Put what was written of a report (its page, its figures, its drawing) among the results."""
    place = (RESULTS / name).parent
    place.mkdir(parents=True, exist_ok=True)
    for path in sorted(REPORTS.glob(f"{name}.*")):
        shutil.copy(path, place / path.name)


def this_command(module: str = "benchmarks") -> str:
    """The words that this run was asked by."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])
