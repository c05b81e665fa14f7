"""The ``lethe`` command: thin. Every reporting command takes --json; a fault is one line on standard error."""

from __future__ import annotations

import io
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

import lethe
from lethe.cli import (
    console,
    data,
    epoch,
    evidence,
    follow,
    forget,
    init,
    keys,
    models,
    places,
    report,
    tune,
    upgrade,
    worker,
)
from lethe.cli.common import (
    PORTS,
    QUIET,
    Commands,
    Json,
    Root,
    is_quiet,
    must_take_files,
    run_flow,
    show,
    show_tables,
    workspace,
)
from lethe.core import logs
from lethe.core.compiled import cache_of_compiled
from lethe.core.interrupted import however_it_ends
from lethe.core.workspace import NUMERIC, Workspace, past_proxies
from lethe.errors import ConfigError, LetheError, UsageError

app = Commands(
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
app.add_typer(epoch.app, name="epoch")
app.add_typer(forget.app, name="forget")
app.add_typer(keys.app, name="keys")
app.add_typer(evidence.certificate_app, name="certificate")
app.add_typer(evidence.audit_app, name="audit")
app.command()(console.console)
app.command()(follow.follow)
app.command()(init.init)
app.command()(models.models)
app.command("promote-to")(places.promote_to)
app.command("show")(models.show_model)
app.command()(evidence.reproduce)
app.command()(report.report)
app.command()(tune.tune)
app.command()(upgrade.upgrade)
app.command()(worker.worker)


def main() -> None:
    """Entry point: errors a user can cause, a full or read-only disk among them, become one line and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # An older terminal has no signs for a table's lines or a name: they are spelt out.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        logs.begin()
        # The environment of a process of ours is changed from inside where one begins alone, and here it must be: the
        # user's shell didn't set it, and no command has loaded a numeric library yet.
        os.environ.update({**NUMERIC, **past_proxies(os.environ), **cache_of_compiled(os.environ)})
        app()
    except (LetheError, OSError) as error:
        print(logs.fault(error), file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lethe {lethe.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and end.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors alone, and what --json asks for.")] = False,
) -> None:
    """Recommender systems that can forget, exactly and with proof.

    A first afternoon: lethe init shop --csv orders.csv; cd shop; lethe train; lethe serve.
    """
    QUIET.set(quiet)


@app.command()
def train(as_json: Json = False) -> None:
    """Bring the data up to date, train what changed, register each family's winner; show all candidates.

    What is up to date is re-used. Everything in params.yaml is checked before anything runs.
    """
    run_flow("training")
    from lethe.build.reports import read_reports, together
    from lethe.cli.tables import candidates_table, console
    from lethe.config.params import Params

    here = workspace()
    reports = read_reports(here)
    if as_json:
        show(together(reports), as_json, [])
    elif not is_quiet():
        for report in reports:
            console().print(candidates_table(report))
            console().print(f"{report.winner.decision}: {report.winner}")
        if not Params.read(here.params).families:
            typer.echo("families: params.yaml names none, so nothing was trained; lethe data add makes one", err=True)
            return
        typer.echo("next: lethe report for a page to look at; lethe serve, or lethe deploy for a service that stays up")


@app.command()
def deploy(as_json: Json = False) -> None:
    """Package what is registered and redeploy the running service, or start one that stays up."""
    run_flow("deployment")
    from lethe.serving.deploy import start, status

    here = workspace()
    server = status(here) or start(here)
    show({"url": server.url, "workers": server.workers}, as_json, [f"serving on {server.url}"])


@app.command()
def rollback(
    family: Annotated[str, typer.Argument(help="The served slot.")],
    to: Annotated[str | None, typer.Option(help="Tag of an earlier version; default: the one before.")] = None,
    as_json: Json = False,
) -> None:
    """Serve an earlier version again, if it was built after the last completed forget request."""
    run_flow("rollback", family, *([to] if to else []))
    from lethe.build.registry import Registry

    current = Registry(workspace()).current(family)
    tag = None if current is None else current.tag
    show({"family": family, "version": tag}, as_json, [f"{family}: {tag or 'nothing'}"])


def _is_deployed(here: Workspace) -> bool:
    """Whether what a service would answer from is what is registered."""
    from lethe.build.registry import tags_to_deploy
    from lethe.serving.deployment import Deployment

    return here.deployment.is_file() and Deployment.read(here.deployment).families == tags_to_deploy(here)


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(**PORTS, help="Port; default from params.yaml.")] = None,
) -> None:
    """Serve what is registered until interrupted; what isn't deployed yet is deployed first."""
    from lethe.forgetting.standing import publish_hidden
    from lethe.serving.deploy import start, status, stop

    here = workspace()
    if status(here) is None and not _is_deployed(here):
        run_flow("deployment")
    publish_hidden(here)
    # The service has a session of its own: what ends this process, be it while that one starts, would leave it behind.
    with however_it_ends():
        try:
            server = start(here, port)
            typer.echo(f"serving on {server.url} (Ctrl-C stops it)")
            while server.process() is not None:
                time.sleep(1)
        except KeyboardInterrupt:
            stop(here)


@app.command()
def stop(as_json: Json = False) -> None:
    """Stop the running service."""
    from lethe.serving.deploy import stop

    # Of any format: a service of an older Lethe is stopped before the upgrade.
    stopped = stop(Workspace.find())
    show({"stopped": stopped}, as_json, ["stopped" if stopped else "no service was running"])


@app.command()
def status(as_json: Json = False) -> None:
    """Data, models, service and requests at a glance."""
    from lethe.cli.status import status_lines, status_report, status_tables

    report = status_report(workspace())
    show_tables(report.plain(), as_json, status_tables(report), status_lines(report))


@app.command()
def env() -> None:
    """Print the workspace's environment as shell exports, for tools started by hand: eval "$(lethe env)"."""
    for name, value in sorted(workspace().settings().items()):
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def verify(
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many sub-models, drawn by the seed.")] = None,
    seed: Annotated[str | None, typer.Option(help="What draws the sample: an auditor's word; default: random.")] = None,
    attest: Annotated[Path | None, typer.Option(help="Folder for signed statements that other tools read.")] = None,
    as_json: Json = False,
) -> None:
    """Rebuild from the remaining data in a clean folder and compare every digest with what is deployed."""
    from lethe.proof.attestation import attest as write_statements
    from lethe.proof.verification import verify as run
    from lethe.proof.verification import write_report

    if seed is not None and sample is None:
        raise ConfigError("seed: draws a sample, so it goes with --sample")
    if attest is not None:
        must_take_files("attest", attest)
    here = workspace()
    comparison = run(here, lambda step: typer.echo(f"  rebuilding {step}", err=True), sample=sample, seed=seed)
    write_report(here, comparison)
    if attest is not None:
        write_statements(here, comparison, attest)
    differing = [f"  {name} differs" for name in comparison.differing]
    verdict = "equal" if comparison.equal else "different"
    drawn = f", a sample of seed {comparison.seed}" if comparison.seed else ""
    line = f"verify: {verdict} ({len(comparison.compared)} digests compared{drawn})"
    show(comparison.to_json(), as_json, [line, *differing])
    if not comparison.equal:
        raise SystemExit(1)


@app.command()
def demo() -> None:
    """The whole way on MovieLens latest-small: train, serve, forget a user, verify; writes reports/demo.json."""
    from lethe.cli.demo import run

    run(workspace())
