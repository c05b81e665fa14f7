"""The ``lethe`` command: thin. Every reporting command takes --json; a fault is one line on standard error."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.errors import LetheError
from lethe.workspace import Workspace

if TYPE_CHECKING:
    pass

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="Data: add a source, bring the stages up to date, validate.")
forget_app = typer.Typer(no_args_is_help=True, help="Forget requests: add, plan, run, list.")
audit_app = typer.Typer(no_args_is_help=True, help="Audits: of everything held, of what a model lets on.")
certificate_app = typer.Typer(no_args_is_help=True, help="Certificates of completed requests.")
app.add_typer(data_app, name="data")
app.add_typer(forget_app, name="forget")
app.add_typer(certificate_app, name="certificate")
app.add_typer(audit_app, name="audit")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def main() -> None:
    """Entry point: errors a user can cause become one line and exit code 1."""
    try:
        app()
    except LetheError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def workspace() -> Workspace:
    """The workspace around the current folder, its environment set before anything numeric is imported."""
    found = Workspace.find()
    os.environ.update(found.environment())
    return found


def run_flow(name: str, *arguments: str) -> None:
    """Run a flow in a process of its own; its one error line and exit code become ours."""
    from lethe.process import run_flow as run

    if code := run(workspace(), name, *arguments):
        raise SystemExit(code)


def show(value: Any, as_json: bool, lines: list[str]) -> None:
    typer.echo(json.dumps(value, indent=1, sort_keys=True) if as_json else "\n".join(lines))


@app.command()
def train() -> None:
    """Bring the data up to date, train what changed, register each family's winner."""
    run_flow("training")


@app.command()
def deploy() -> None:
    """Package what is registered and redeploy the running service, or start one that stays up."""
    run_flow("deployment")
    from lethe.serving.deploy import start, status

    if status(workspace()) is None:
        typer.echo(f"serving on {start(workspace()).url}")


@app.command()
def rollback(
    family: Annotated[str, typer.Argument(help="The served slot.")],
    to: Annotated[str | None, typer.Option(help="Tag of an earlier version; default: the one before.")] = None,
) -> None:
    """Serve an earlier version again, if it was built after the last completed forget request."""
    run_flow("rollback", family, *([to] if to else []))
    from lethe.registry import Registry

    current = Registry(workspace()).current(family)
    typer.echo(f"{family}: {current.tag if current else 'nothing'}")


@app.command()
def serve(port: Annotated[int | None, typer.Option(help="Port; default from params.yaml.")] = None) -> None:
    """Serve what is deployed until interrupted."""
    from lethe.serving.deploy import start, stop

    found = workspace()
    server = start(found, port)
    typer.echo(f"serving on {server.url} (Ctrl-C stops it)")
    try:
        while server.process() is not None:
            time.sleep(1)
    except KeyboardInterrupt:
        stop(found)


@app.command()
def stop() -> None:
    """Stop the running service."""
    from lethe.serving.deploy import stop

    typer.echo("stopped" if stop(workspace()) else "no service was running")


@app.command()
def status(as_json: Json = False) -> None:
    """Data, models, service and requests at a glance."""
    from lethe.status import status_lines, status_report

    report = status_report(workspace())
    show(report, as_json, status_lines(report))


@app.command()
def env() -> None:
    """Print the workspace's environment as shell exports, for tools started by hand: eval "$(lethe env)"."""
    found = Workspace.find()
    for name, value in sorted(found.environment().items()):
        if os.environ.get(name) != value:
            typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def tune(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    trials: Annotated[int, typer.Option(help="Settings to try; a stopped search goes on where it was.")] = 40,
    metric: Annotated[str | None, typer.Option(help="Validation metric; default: training.metric.")] = None,
    as_json: Json = False,
) -> None:
    """Search a model's hyper-parameters on the validation part; writes params/DATASET/MODEL.yaml."""
    found = workspace()

    from lethe.config import Params
    from lethe.trials import Trial
    from lethe.tuning import tune as run

    command = shlex.join(["lethe", "tune", model, dataset, "--trials", str(trials)])
    command += f" --metric {metric}" if metric else ""
    params = Params.read(found.params)

    def told(trial: Trial) -> None:
        value = "given up" if trial.value is None else f"{trial.value:.4f}"
        typer.echo(f"  trial {trial.number}: {value}", err=True)

    tuned = run(found, params, model, dataset, command=command, trials=trials, metric=metric, progress=told)
    report = {"model": model, "dataset": dataset, "metric": tuned.metric, "value": tuned.value, "values": tuned.values}
    show(report, as_json, [f"{tuned.metric} {tuned.value:.4f} with {tuned.values}; see params/{dataset}/{model}.yaml"])


@app.command()
def verify(
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many sub-models, others each day.")] = None,
    as_json: Json = False,
) -> None:
    """Rebuild from the remaining data in a clean folder and compare every digest with what is deployed."""
    from lethe.verification import verify as run
    from lethe.verification import write_report

    found = workspace()
    comparison = run(found, lambda step: typer.echo(f"  rebuilding {step}", err=True), sample=sample)
    write_report(found, comparison)
    differing = [f"  {name} differs" for name in comparison.differing]
    verdict = "equal" if comparison.equal else "different"
    show(
        comparison.to_json(), as_json, [f"verify: {verdict} ({len(comparison.compared)} digests compared)", *differing]
    )
    if not comparison.equal:
        raise SystemExit(1)


@app.command()
def demo() -> None:
    """The whole way on MovieLens latest-small: train, serve, forget a user, verify; writes reports/demo.json."""
    from lethe.demo import run

    run(workspace())


@data_app.command("add")
def data_add(
    name: Annotated[str, typer.Argument(help="Name of the dataset: lower case, digits, hyphens.")],
    path: Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a folder with train and test files.")],
    user_column: Annotated[str, typer.Option(help="Column with the user's id.")] = "user",
    item_column: Annotated[str, typer.Option(help="Column with the item's id.")] = "item",
    rating_column: Annotated[str | None, typer.Option(help="Column with the rating, if any.")] = None,
    timestamp_column: Annotated[str | None, typer.Option(help="Column with the time, if any.")] = None,
    separator: Annotated[str, typer.Option(help="Separator of a CSV file.")] = ",",
) -> None:
    """Check a source and write its section to params.yaml."""
    from lethe.datasets import add_dataset

    columns = {"user": user_column, "item": item_column, "rating": rating_column, "timestamp": timestamp_column}
    add_dataset(workspace(), name, path, columns, separator)
    typer.echo(f"params.yaml: added datasets.{name}; run dvc repro or lethe train")


@data_app.command("repro")
def data_repro() -> None:
    """Bring every data stage up to date (dvc repro) and validate."""
    run_flow("data")


@forget_app.command("add")
def forget_add(
    user: Annotated[str, typer.Option(help="Id of the user, as in the source.")],
    item: Annotated[list[str] | None, typer.Option(help="Only the interactions with these items; repeatable.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset; needed if there are several.")] = None,
    reason: Annotated[str, typer.Option(help="Why: kept in the ledger and on the certificate.")] = "user request",
    as_json: Json = False,
) -> None:
    """Put a request into the ledger; the service answers a whole-user request from popularity at once."""
    from lethe.fulfilment import submit

    request = submit(workspace(), dataset, user, item or [], reason)
    held = "" if request.state != "completed" else ": nothing held"
    show(request.to_json(), as_json, [f"{request.id} {request.state}{held}"])


@forget_app.command("run")
def forget_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell the plan, and bytes per store.")] = False,
    as_json: Json = False,
) -> None:
    """Fulfil every accepted request: data, training, redeployment, purge, certificate."""
    from lethe.fulfilment import Run, current_plan, forecast, ledger, pending

    found = workspace()
    if dry_run:
        plan, places = current_plan(found), forecast(found)
        lines = [f"{'store':<20} {'bytes':>14} {'touched':>14}"]
        lines += [f"{one['store']:<20} {one['bytes']:>14,} {one['held']:>14,}" for one in places]
        show(plan.to_json() | {"stores": places}, as_json, [*plan.lines(), *lines])
        return
    waiting = [request.id for request in pending(found)]
    if waiting or Run.read(found) is not None:
        run_flow("forgetting")
    done = [ledger(found).get(request) for request in waiting]
    show([r.to_json() for r in done], as_json, [f"{r.id} {r.state}" for r in done] or ["nothing to forget"])


@forget_app.command("plan")
def forget_plan(as_json: Json = False) -> None:
    """What the waiting requests touch and cost: shards, seconds, guarantee, due date, and other shardings' costs."""
    from lethe.fulfilment import current_plan

    plan = current_plan(workspace())
    show(plan.to_json(), as_json, plan.lines())


@forget_app.command("list")
def forget_list(as_json: Json = False) -> None:
    """All requests and their states."""
    from lethe.fulfilment import ledger

    requests = ledger(workspace()).all()
    lines = [f"{r.id}  {r.state:<10} {r.kind:<13} due {r.due:%Y-%m-%d}" for r in requests]
    show([r.to_json() for r in requests], as_json, lines or ["no requests"])


@certificate_app.command("check")
def certificate_check(
    file: Annotated[Path, typer.Argument(help="The certificate.")],
    public_key: Annotated[
        Path | None, typer.Option(help="PEM file of the key you trust; default: the one beside the certificate.")
    ] = None,
) -> None:
    """Check a certificate's signature offline."""
    from lethe.unlearning.certificate import check, key_beside

    check(file, public_key or key_beside(file))
    typer.echo("valid")


@audit_app.command("run")
def audit_run(as_json: Json = False) -> None:
    """Search every store, rebuild a sample, check log and certificates; the first difference is an error."""
    run_flow("audit")
    report = json.loads((workspace().reports / "audit.json").read_text())
    scan, rebuilt = report["scan"], report["rebuild"]
    line = (
        f"audit: {scan['found']} found in {scan['stores']} stores, {rebuilt['compared']} digests {rebuilt['result']}, "
        f"{report['log']['events']} events and {report['log']['certificates']} certificates whole"
    )
    show(report, as_json, [line])


@audit_app.command("membership")
def audit_membership(
    users: Annotated[int | None, typer.Option(min=2, help="Users to forget, and as many never shown.")] = None,
    seed: Annotated[int, typer.Option(help="Which users.")] = 0,
    as_json: Json = False,
) -> None:
    """Forget sampled users in a clean folder and try to tell them from users never seen; exit code 1 at an alarm."""
    from lethe.audit.membership import audit_membership as run
    from lethe.audit.membership import write_report

    found = workspace()
    report = run(found, users, seed, lambda step: typer.echo(f"  {step}", err=True))
    write_report(found, report)
    lines = [f"{report['users']} users forgotten, {report['users']} never seen; 0.5 is chance"]
    for family, looks in report["families"].items():
        for signal, after in looks["after"].items():
            texts = [f"{a['auc']:.3f} [{a['low']:.3f}, {a['high']:.3f}]" for a in (looks["before"][signal], after)]
            lines.append(f"{family}, {signal}: before {texts[0]}, after {texts[1]}")
    lines.append("alarm: after forgetting, an interval is above chance" if report["alarm"] else "no alarm")
    show(report, as_json, lines)
    if report["alarm"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
