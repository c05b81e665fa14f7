"""Commands that go the whole way as a user does: a newcomer, customers of the service, a night with all its parts."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.common import (
    WORK,
    AsJson,
    Commit,
    publish,
    publish_plain,
    say,
    this_command,
    timed,
)
from lethe.errors import ConfigError

app = typer.Typer()


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
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """From the built wheel and an empty folder to a certificate: reports/tables/newcomer.{json,md}; with --cold
    newcomer-cold.{json,md}."""
    from benchmarks.newcomer import run

    if cold:
        from benchmarks.cold import start

        with tempfile.TemporaryDirectory(prefix="lethe-cold-", ignore_cleanup_errors=True) as folder:
            figures = start(Path(folder))
        publish_plain("newcomer-cold", timed(figures), as_json, commit)
        if not figures["met"]:
            raise SystemExit(1)
        return
    files = sorted(path for path in cases.resolve().iterdir() if path.is_file()) if cases else []
    files = [path for path in files if not only or path.name in only]
    with tempfile.TemporaryDirectory(prefix="lethe-newcomer-") as folder:
        report = run(Path(folder), files, say, whole=not init_only)
    publish_plain("newcomer", timed(report), as_json, commit)
    if report["right"] < report["files"]:
        raise SystemExit(1)


@app.command()
def serving(
    size: Annotated[list[str] | None, typer.Option(help="demo or large; repeatable. Default: both.")] = None,
    seconds: Annotated[float, typer.Option(help="Of each kind of request at each number of connections.")] = 5,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """What a request costs beside a constant route, memory, start, batches: reports/tables/serving.{json,md}."""
    from benchmarks import serving as service

    for name in size or []:
        if name not in service.SIZES:
            raise ConfigError(f"--size: unknown size {name!r}; known sizes: {', '.join(service.SIZES)}")
    with tempfile.TemporaryDirectory(prefix="lethe-serving-") as folder:
        chosen = size or list(service.SIZES)

        figures = [service.measure(Path(folder), name, seconds, say) for name in chosen]
    contents, text = service.report(figures, this_command())
    publish(timed(contents), text, as_json, commit)


@app.command()
def redeploys(
    times: Annotated[int, typer.Option(help="Redeployments.", min=1)] = 20,
    again: Annotated[bool, typer.Option(help="Do those again that were done already.")] = False,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Redeploy while customers ask: what fails, who serves what: reports/tables/redeploys.{json,md}. Resumed."""
    from benchmarks import redeploys as renewals

    work = WORK / "redeploys"
    if again:
        shutil.rmtree(work, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="lethe-redeploys-") as folder:
        os.environ["LETHE_KEY_DIR"] = str(Path(folder) / "keys")
        rows = renewals.measure(Path(folder), times, work, say)
    contents, text = renewals.report(rows, this_command())
    publish(timed(contents), text, as_json, commit)
    if contents["failed"] or contents["all_workers_on_the_new_version"] < times:
        raise SystemExit(1)


@app.command()
def answers(
    project: Annotated[
        Path, typer.Option(help="Where a service runs: what make demo and lethe deploy leave.")
    ] = Path(),
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Ask a service for all users of its data: none of what they have, all known: reports/tables/answers.{json,md}."""
    from benchmarks.answers import measure, report

    contents, text = report(measure(project.resolve(), say), this_command())
    publish(contents, text, as_json, commit)
    if contents["seen"] or contents["unknown"]:
        raise SystemExit(1)


@app.command()
def up(
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Start all that deploy/Procfile names on this machine, and stop it: reports/tables/up.{json,md}."""
    from benchmarks.up import measure
    from benchmarks.up import report as told

    with tempfile.TemporaryDirectory(prefix="lethe-up-") as folder:
        os.environ["LETHE_KEY_DIR"] = str(Path(folder) / "keys")
        came = measure(Path(folder))
    contents, text = told(came, this_command())
    publish(timed(contents), text, as_json, commit)
    if came["left"]:
        raise SystemExit(1)


@app.command()
def night(
    small: Annotated[bool, typer.Option(help="The size of the tests, without an audit.")] = False,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """A night with everything around a project for real; what is lost is a failure: reports/tables/night.{json,md}."""
    from benchmarks.night import measure, report

    with tempfile.TemporaryDirectory(prefix="lethe-night-") as folder:
        os.environ["LETHE_KEY_DIR"] = str(Path(folder) / "keys")
        steps = measure(Path(folder), not small, say)
    contents, text = report(steps, this_command())
    publish(timed(contents), text, as_json, commit)


@app.command("two-places")
def two_places() -> None:
    """Staging and production by the real commands: a recipe is promoted there, who is forgotten is followed here."""
    from benchmarks.two_places import measure

    with tempfile.TemporaryDirectory(prefix="lethe-two-places-") as folder:
        typer.echo(measure(Path(folder), typer.echo))
