"""Requests: which there are, what became of each, and what may be done with one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import get_args

from lethe.console.asked import Answer, Asked, File, Go, View
from lethe.errors import LetheError, RequestError
from lethe.forgetting import intake
from lethe.forgetting.approval import Log, approvals, entered_by
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import BEFORE_EXECUTING, OPEN, UNSAID, ForgetRequest, State
from lethe.forgetting.receipt import issue
from lethe.forgetting.standing import ledger

PAGE = 50
"""Requests of one page."""
_STATES = {"open": "open", "all": "all", **{state: state for state in get_args(State)}}
_DUE = {"any": "at any time", "soon": "soon, or overdue", "overdue": "overdue"}


def listed(asked: Asked) -> View:
    """Requests by state, dataset and due date; those that are due first come first."""
    requests, lead = ledger(asked.workspace).all(), timedelta(hours=asked.console.params.forgetting.lead_hours)
    datasets = {"all": "all", **{name: name for name in sorted({request.dataset for request in requests})}}
    state, due = asked.choice("state", _STATES, "open"), asked.choice("due", _DUE, "any")
    dataset, now = asked.choice("dataset", datasets, "all"), datetime.now(UTC)
    until = {"any": None, "soon": now + lead, "overdue": now}[due]
    chosen = [
        request
        for request in requests
        if state in ("all", request.state, "open" if request.state in OPEN else "")
        and dataset in ("all", request.dataset)
        and (until is None or (request.state in OPEN and request.due <= until))
    ]
    chosen.sort(key=lambda request: (request.state not in OPEN, request.due, request.id))
    pages = max(-(-len(chosen) // PAGE), 1)
    page = _page(asked, pages)
    values = {
        "tiles": _tiles(requests, now + lead),
        "requests": chosen[(page - 1) * PAGE : page * PAGE],
        "all": len(chosen),
        "page": page,
        "pages": pages,
        "filters": {"state": (_STATES, state), "dataset": (datasets, dataset), "due": (_DUE, due)},
    }
    return View("requests", values)


def _page(asked: Asked, pages: int) -> int:
    wanted = asked.query.get("page", "1")
    if not re.fullmatch("[1-9][0-9]{0,8}", wanted) or int(wanted) > pages:
        raise LetheError(f"page: must be a whole number of 1 to {pages}; by now there may be fewer")
    return int(wanted)


def _tiles(requests: list[ForgetRequest], soon: datetime) -> list[tuple[int, str, str]]:
    """A few figures to see first: how many, of what, and the filter that shows them."""
    waiting = [request for request in requests if request.state in OPEN]
    states = Counter(request.state for request in requests)
    return [
        (len(waiting), "open", "state=open"),
        (sum(request.due <= soon for request in waiting), "due soon", "due=soon"),
        (states["received"], "to be approved", "state=received"),
        (states["failed"], "failed", "state=failed"),
        (states["completed"], "completed", "state=completed"),
    ]


@dataclass(frozen=True)
class Action:
    """What may be done with a request, as a button; ``final``: asked about once more."""

    name: str
    label: str
    about: str
    final: bool = False


def shown(asked: Asked) -> View:
    """One request, everything that happened to it, and what may be done now."""
    book = ledger(asked.workspace)
    request, events = book.get(asked.path["id"]), book.events(asked.path["id"])
    settings = asked.console.params.forgetting
    signed = None if request.certificate is None else asked.workspace.root / request.certificate
    values = {
        "request": request,
        "events": events,
        "entered_by": entered_by(events),
        "approved_by": approvals(events),
        "requires": settings.requires,
        "four_eyes": settings.four_eyes,
        "actions": list(_actions(asked, request, events)),
        "certificate": signed.stem if signed is not None and signed.is_file() else None,
    }
    return View("request", values)


def _actions(asked: Asked, request: ForgetRequest, events: Log) -> Iterator[Action]:
    settings = asked.console.params.forgetting
    if request.state == "received":
        for fact in settings.requires:
            if fact not in request.facts:
                yield _ESTABLISH[fact]
    if request.state == "failed":
        yield from _AGAIN if request.failure == UNSAID else (_RETRY,)
    if request.state in BEFORE_EXECUTING:
        if request.on_hold:
            yield Action("release", "Release", "It goes its way again.")
        else:
            yield Action("hold", "Put on hold", "The next run leaves it out; the person stays hidden, the date stands.")
        yield Action("withdraw", "Withdraw", "The person takes it back.", True)
        yield Action("cancel", "Cancel request", "We don't follow it.", True)
    if request.user is not None:
        yield Action("receipt", "Make a receipt", "A signed file for the requester, with a salt kept nowhere else.")


_RETRY = Action("retry", "Try again", "It takes part in the next run.")
_AGAIN = (
    Action("also-item", "The id is the person", "Items, facts, features and contexts of that id go too."),
    Action("not-item", "The id is another", "What names it stays; the request takes part in the next run."),
)
_ESTABLISH = {
    "identity": Action("identity", "Identity is checked", "The person is who they say they are."),
    "approval": Action("approval", "Approve", "It may be carried out."),
}
Deed = Callable[[Ledger, str, str], object]


def change(asked: Asked) -> Answer:
    """Do something with a request: one of the buttons of its page."""
    book, id, actor = ledger(asked.workspace), asked.path["id"], asked.session.name
    action = asked.form.text("action")
    if action == "receipt":
        request = book.get(id)
        if request.user is None:
            raise RequestError(f"state: {id} is {request.state}, its subject is erased, so no receipt can be made")
        return File(f"receipt-{id}.json", issue(request, request.user, request.items).encode())
    deeds: dict[str, tuple[Deed, str]] = {
        "identity": (lambda *_: intake.establish(asked.workspace, id, "identity", actor), "established"),
        "approval": (lambda *_: intake.establish(asked.workspace, id, "approval", actor), "established"),
        "retry": (lambda *_: intake.retry(asked.workspace, id, actor), "retried"),
        "also-item": (lambda *_: intake.retry(asked.workspace, id, actor, also_item=True), "retried"),
        "not-item": (lambda *_: intake.retry(asked.workspace, id, actor, also_item=False), "retried"),
        "hold": (lambda *_: book.hold(id, True, actor), "held"),
        "release": (lambda *_: book.hold(id, False, actor), "released"),
        "withdraw": (partial(_ended, "withdrawn"), "withdrawn"),
        "cancel": (partial(_ended, "cancelled"), "cancelled"),
    }
    if action not in deeds:
        raise RequestError(f"action: must be one of {', '.join(deeds)}")
    deed, done = deeds[action]
    deed(book, id, actor)
    return Go(f"/ui/requests/{id}", done)


def _ended(state: State, book: Ledger, id: str, actor: str) -> None:
    book.advance(id, state, actor=actor)
