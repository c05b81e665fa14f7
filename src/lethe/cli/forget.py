"""``lethe forget``: requests, their plan, the run that fulfils them."""

from __future__ import annotations

from typing import Annotated

import typer

from lethe.cli.common import Json, run_flow, show, workspace

app = typer.Typer(no_args_is_help=True, help="Forget requests: add, plan, run, list.")


@app.command("add")
def forget_add(
    user: Annotated[str, typer.Option(help="Id of the user, as in the source.")],
    item: Annotated[list[str] | None, typer.Option(help="Only the interactions with these items; repeatable.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset; needed if there are several.")] = None,
    reason: Annotated[str, typer.Option(help="Why: kept in the ledger and on the certificate.")] = "user request",
    as_json: Json = False,
) -> None:
    """Put a request into the ledger; the service answers a whole-user request from popularity at once."""
    from lethe.forgetting.intake import submit

    request = submit(workspace(), dataset, user, item or [], reason)
    held = "" if request.state != "completed" else ": nothing held"
    show(request.to_json(), as_json, [f"{request.id} {request.state}{held}"])


@app.command("run")
def forget_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell the plan, and bytes per store.")] = False,
    as_json: Json = False,
) -> None:
    """Fulfil every accepted request: data, training, redeployment, purge, certificate."""
    from lethe.forgetting import erasure
    from lethe.forgetting.intake import current_plan, ledger, pending
    from lethe.forgetting.run import Run

    found = workspace()
    if dry_run:
        plan, shares = current_plan(found), erasure.dry_run(found)
        lines = [f"{'store':<20} {'bytes':>14} {'removed':>14}"]
        lines += [f"{share.store:<20} {share.bytes:>14,} {share.removed:>14,}" for share in shares]
        report = plan.to_json() | {"stores": [share.to_json() for share in shares]}
        show(report, as_json, [*plan.lines(), *lines])
        return
    waiting = [request.id for request in pending(found)]
    if waiting or Run.read(found) is not None:
        run_flow("forgetting")
    done = [ledger(found).get(request) for request in waiting]
    show([r.to_json() for r in done], as_json, [f"{r.id} {r.state}" for r in done] or ["nothing to forget"])


@app.command("plan")
def forget_plan(as_json: Json = False) -> None:
    """What the waiting requests touch and cost: shards, seconds, guarantee, due date, and other shardings' costs."""
    from lethe.forgetting.intake import current_plan

    plan = current_plan(workspace())
    show(plan.to_json(), as_json, plan.lines())


@app.command("list")
def forget_list(as_json: Json = False) -> None:
    """All requests and their states."""
    from lethe.forgetting.intake import ledger

    requests = ledger(workspace()).all()
    lines = [f"{r.id}  {r.state:<10} {r.kind:<13} due {r.due:%Y-%m-%d}" for r in requests]
    show([r.to_json() for r in requests], as_json, lines or ["no requests"])
