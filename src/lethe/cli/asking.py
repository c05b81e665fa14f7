"""``lethe forget add``: requests are taken, one or thousands, and what came of them is told."""

from __future__ import annotations

import getpass
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lethe.cli.common import Json, must_be_new, show, workspace
from lethe.errors import RequestError

if TYPE_CHECKING:
    from lethe.forgetting.intake import Answer

Dataset = Annotated[str | None, typer.Option(help="Dataset; needed if there are several.")]
Actor = Annotated[str | None, typer.Option(help="Who does this, for the log; default: the user of this machine.")]
_FEW = 20
"""Answers that are told one by one."""


def forget_add(
    user: Annotated[str | None, typer.Option(help="Id of the user, as in the source; - reads it from input.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="Only the interactions with these items; repeatable.")] = None,
    file: Annotated[
        str | None,
        typer.Option(help="CSV of many: user, or columns user, item, external_id by a head line; - is input."),
    ] = None,
    dataset: Dataset = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="In every dataset.")] = False,
    reason: Annotated[str | None, typer.Option(help="A code of forgetting.reasons; default: the first.")] = None,
    ticket: Annotated[str | None, typer.Option(help="Number of a ticket.")] = None,
    external_id: Annotated[str | None, typer.Option(help="What the asking system calls this request.")] = None,
    also_item: Annotated[
        bool | None, typer.Option("--also-item/--not-item", help="Whether the user is an item too, and goes as one.")
    ] = None,
    confirm_unknown: Annotated[bool, typer.Option("--confirm-unknown", help="Also ids that nobody has.")] = False,
    nonce: Annotated[str | None, typer.Option(help="The requester's: a sample of a rebuild is drawn by it.")] = None,
    receipt: Annotated[Path | None, typer.Option(help="File for the requester's signed receipt.")] = None,
    receipts: Annotated[
        Path | None,
        typer.Option(help="New file for the receipts of many: one a line, in the order asked, dataset by dataset."),
    ] = None,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Take requests: what is held is counted, and the service answers these users from popularity at once."""
    from lethe.core.files import write_whole
    from lethe.forgetting.bulk import read_asks, read_id
    from lethe.forgetting.intake import Ask, Terms, submit_all
    from lethe.forgetting.receipt import issue, issue_all

    if (user is None) == (file is None):
        raise RequestError("user: name --user or --file, one of the two")
    if file is not None and (item or external_id):
        raise RequestError("file: items and external ids stand in its columns item and external_id")
    if receipt is not None and (file is not None or everywhere):
        raise RequestError("receipt: is for one request, name one --user and one dataset, or take --receipts")
    for option, path in (("receipt", receipt), ("receipts", receipts)):
        if path is not None:
            # Looked at first: the salts of receipts that were given stand nowhere else.
            must_be_new(option, path)
    if user is not None:
        asks = [Ask(read_id() if user == "-" else user, tuple(item or ()), external_id)]
    else:
        asks = read_asks(str(file))
    terms = Terms(reason, ticket, also_item, confirm_unknown, nonce, actor or getpass.getuser())
    answers = submit_all(workspace(), dataset, asks, terms, everywhere=everywhere)
    # Of each dataset in turn, all that was asked.
    pairs = list(zip(answers, cycle(asks), strict=False))
    if receipt is not None:
        write_whole(receipt, issue(answers[0].request, asks[0].user, asks[0].items), mode=0o600)
    if receipts is not None:
        write_whole(receipts, issue_all((a.request, ask.user, ask.items) for a, ask in pairs), mode=0o600)
    plain = [answer.to_json() for answer in answers]
    many = len(answers) > _FEW
    lines = _counted(answers) if many else [line for answer, ask in pairs for line in _lines(answer, ask.external_id)]
    show(plain[0] if user is not None and not everywhere else plain, as_json, lines)


def _lines(answer: Answer, external_id: str | None) -> list[str]:
    request = answer.request
    known = "" if answer.is_new else ", as asked before"
    if request.state == "completed":
        lines = [f"{request.id} completed{known}: nothing held, and nothing of it will enter"]
        lines += [f"  certificate {signed}"] if (signed := request.certificate) else []
    else:
        due = f"due {request.due:%Y-%m-%d} ({request.days_left()} days)"
        lines = [f"{request.id} {request.state}{known}: {request.held} held; {due}"]
    if external_id not in (None, request.external_id):
        # What was typed may be somebody's id; nobody has looked at it.
        lines.append(f"  its external id is not kept: the request has {request.external_id or 'none'}")
    for other in answer.same_person:
        lines.append(f"  the same person under another id: {other.id} {other.state}, {other.held} held")
    for name, rows in answer.elsewhere.items():
        lines.append(f"  the same id is held in {name} too ({rows} rows): --everywhere, or --dataset {name}")
    if answer.rows_as_item:
        lines.append(
            f"  the same id is an item too ({answer.rows_as_item} rows): is that the person? then ask again with "
            "--also-item (for all: items_are_users in params.yaml)"
        )
    return lines


def _counted(answers: list[Answer]) -> list[str]:
    new = [answer.request for answer in answers if answer.is_new]
    lines = [f"{len(answers)} requests, {len(answers) - len(new)} of them asked before or repeated"]
    lines += [f"  {state}: {count}" for state, count in sorted(Counter(r.state for r in new).items())]
    if rows := sum(answer.rows_as_item > 0 for answer in answers):
        lines.append(f"  {rows} of the ids are items too; see --also-item and items_are_users in params.yaml")
    return lines
