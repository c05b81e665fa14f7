"""``lethe forget``: requests, what becomes of them, their plan, the run that fulfils them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lethe.cli.asking import Actor, Dataset, forget_add
from lethe.cli.common import Commands, Json, run_flow, show, show_table, workspace
from lethe.errors import RequestError

if TYPE_CHECKING:
    from lethe.core.canonical import Json as Plain
    from lethe.core.workspace import Workspace
    from lethe.forgetting.ledger.ledger import Ledger
    from lethe.forgetting.ledger.requests import Fact, ForgetRequest

app = Commands(no_args_is_help=True, help="Forget requests: taken, planned, fulfilled, looked at.")

app.command("add")(forget_add)

Id = Annotated[str, typer.Argument(help="Id of the request.")]


@app.command("run")
def forget_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell the plan, and bytes per store.")] = False,
    as_json: Json = False,
) -> None:
    """Fulfil every accepted request: data, training, redeployment, purge, certificate."""
    from lethe.config.params import Params
    from lethe.forgetting.ledger.requests import PENDING
    from lethe.forgetting.standing import ledger

    here = workspace()
    if dry_run:
        from lethe.forgetting import erasure  # Not at the top, as below: a run's own process imports that for seconds.
        from lethe.forgetting.run import current_plan

        plan, shares = current_plan(here), erasure.dry_run(here)
        lines = [f"{'store':<20} {'bytes':>14} {'removed':>14}"]
        lines += [f"{share.store:<20} {share.bytes:>14,} {share.removed:>14,}" for share in shares]
        report = plan.to_json() | {"stores": [share.to_json() for share in shares]}
        show(report, as_json, [*plan.lines(), *lines])
        return
    book, follows = ledger(here), Params.read(here.params).forgetting.follows
    waiting = [request.id for request in book.in_state("received", *PENDING)]
    # Where others are followed only the run itself knows whom it has to forget.
    begins = waiting or follows or _was_stopped(here)
    known = {request.id for request in book.all()} if begins else set[str]()
    if begins:
        run_flow("forgetting")
        waiting += [request.id for request in book.all() if request.id not in known]
    done = book.get_all(waiting)
    lines = [f"{request.id} {request.state}" for request in done] or ["nothing to forget"]
    if not begins:
        from lethe.forgetting.aside import left_out

        lines += left_out(here)
    show([request.to_json() for request in done], as_json, lines)


def _was_stopped(here: Workspace) -> bool:
    """Whether a run is there to be resumed."""
    from lethe.forgetting.record import Run

    return Run.read(here) is not None


@app.command("plan")
def forget_plan(as_json: Json = False) -> None:
    """What the waiting requests touch and cost: shards, seconds, guarantee, due date, and other shardings' costs."""
    from lethe.forgetting.run import current_plan

    plan = current_plan(workspace())
    show(plan.to_json(), as_json, plan.lines())


@app.command("list")
def forget_list(
    all_of_them: Annotated[bool, typer.Option("--all/--open", help="Also those that are ended.")] = True,
    as_json: Json = False,
) -> None:
    """Requests, their states, and the days that are left."""
    from lethe.forgetting.standing import ledger

    book = ledger(workspace())
    requests = book.all() if all_of_them else book.open()
    plain = [_plain(request) for request in requests]
    if requests:
        show_table(plain, as_json, None, ("request", "state", "of", "dataset", "due", "note"), map(_row, requests))
    else:
        show(plain, as_json, ["no requests"])


@app.command("show")
def forget_show(id: Id, as_json: Json = False) -> None:
    """One request, and every change of it."""
    from lethe.forgetting.standing import ledger

    book = ledger(workspace())
    request, events = book.get(id), book.events(id)
    log = [{"at": event.at, "state": event.state, **event.detail} for event in events]
    lines = [_line(request), f"  held at acceptance: {request.held}"]
    lines += [f"  {event.at}  {event.state:<10} {_detail(event.detail)}".rstrip() for event in events]
    show(_plain(request) | {"events": log}, as_json, lines)


def _plain(request: ForgetRequest) -> Plain:
    from lethe.forgetting.ledger.requests import OPEN

    return request.to_json() | {"days_left": request.days_left() if request.state in OPEN else None}


def _row(request: ForgetRequest) -> list[str]:
    from lethe.forgetting.ledger.requests import OPEN

    state = f"{request.state}{' (on hold)' if request.on_hold else ''}"
    left = [f"{request.days_left()} days left"] if request.state in OPEN else []
    note = ", ".join([*left, *([request.failure] if request.failure else [])])
    return [request.id, state, request.kind, request.dataset, f"{request.due:%Y-%m-%d}", note]


def _line(request: ForgetRequest) -> str:
    id, state, kind, dataset, due, note = _row(request)
    return f"{id}  {state:<12} {kind:<11} {dataset}  due {due}  {note}".rstrip()


def _detail(detail: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in detail.items() if name not in ("held", "result"))


@app.command("cancel")
def forget_cancel(id: Id, actor: Actor = None, as_json: Json = False) -> None:
    """End a request that we don't follow, while nothing was removed for it yet."""
    _change(id, as_json, lambda book, who: book.advance(id, "cancelled", actor=who), actor)


@app.command("withdraw")
def forget_withdraw(id: Id, actor: Actor = None, as_json: Json = False) -> None:
    """End a request that its subject takes back, while nothing was removed for it yet."""
    _change(id, as_json, lambda book, who: book.advance(id, "withdrawn", actor=who), actor)


@app.command("hold")
def forget_hold(id: Id, actor: Actor = None, as_json: Json = False) -> None:
    """Keep a request from being executed; its subject stays hidden, and its date stands."""
    _change(id, as_json, lambda book, who: book.hold(id, True, who), actor)


@app.command("release")
def forget_release(id: Id, actor: Actor = None, as_json: Json = False) -> None:
    """Let a request that was on hold take part in the next run."""
    _change(id, as_json, lambda book, who: book.hold(id, False, who), actor)


@app.command("establish")
def forget_establish(
    id: Id,
    fact: Annotated[str, typer.Argument(help="identity or approval; see forgetting.requires in params.yaml.")],
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Record that something about the asking was established; when all of it is, the request is accepted."""
    from lethe.forgetting.intake import establish

    if fact not in ("identity", "approval"):
        raise RequestError(f"fact: {fact!r} must be identity or approval")
    established = cast("Fact", fact)
    _change(id, as_json, lambda _, who: establish(workspace(), id, established, who), actor)


@app.command("retry")
def forget_retry(
    id: Id,
    also_item: Annotated[
        bool | None,
        typer.Option("--also-item/--not-item", help="Of one that failed as unsaid-item: whether that is the person."),
    ] = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Let a request that failed take part in the next run again."""
    from lethe.forgetting.intake import retry

    _change(id, as_json, lambda _, who: retry(workspace(), id, who, also_item), actor)


def _change(id: str, as_json: bool, change: Callable[[Ledger, str], ForgetRequest], actor: str | None) -> None:
    from lethe.forgetting.standing import ledger

    request = change(ledger(workspace()), actor or getpass.getuser())
    show(_plain(request), as_json, [_line(request)])


@app.command("lift")
def forget_lift(
    user: Annotated[str, typer.Option(help="Id of the user, as in the source; - reads it from input.")],
    dataset: Dataset = None,
    since: Annotated[str | None, typer.Option(help="Only rows of this time or later (ISO 8601) may enter.")] = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Let somebody who was forgotten be known again, by new rows: those that were removed never come back."""
    from lethe.forgetting.bulk import read_id
    from lethe.forgetting.standing import lift

    began = _time(since)
    subject = read_id() if user == "-" else user
    lifted = lift(workspace(), dataset, subject, began, actor or getpass.getuser())
    show({"lifted": lifted}, as_json, ["lifted: rows that are new enter with the next lethe train"])


@app.command("alias")
def forget_alias(
    user: Annotated[str | None, typer.Option(help="An id, as in the source.")] = None,
    same_as: Annotated[str | None, typer.Option("--same-as", help="Another id of the same person.")] = None,
    file: Annotated[str | None, typer.Option(help="CSV of many: two ids a line; - is input.")] = None,
    dataset: Dataset = None,
    remove: Annotated[bool, typer.Option("--remove", help="They are not the same person after all.")] = False,
    as_json: Json = False,
) -> None:
    """Record that accounts were merged, by keyed digests: a request about one id finds the rows of the others too."""
    from lethe.forgetting.bulk import read_pairs
    from lethe.forgetting.standing import alias

    if (file is None) == (user is None or same_as is None) or (file is not None and (user or same_as)):
        raise RequestError("alias: name --user and --same-as, or --file")
    pairs = read_pairs(str(file)) if user is None or same_as is None else [(user, same_as)]
    changed = alias(workspace(), dataset, pairs, remove=remove)
    word = "removed" if remove else "recorded"
    show({"aliases": len(pairs), word: changed}, as_json, [f"{len(pairs)} aliases, {changed} {word}"])


def _time(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        time = datetime.fromisoformat(since)
    except ValueError:
        raise RequestError(f"since: {since!r} must be a time such as 2026-12-01T00:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
