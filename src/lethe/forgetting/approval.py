"""When a request may be accepted: what params.yaml requires is established, and under four eyes by another.

One rule for every way in: whoever establishes a fact, and whatever takes requests up, asks here. Who entered a request
and who approved it, and when, is read from its log, which can only be appended to.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from lethe.config.params import Forgetting
from lethe.errors import RequestError
from lethe.forgetting.ledger.log import Event
from lethe.forgetting.ledger.requests import Fact, ForgetRequest

Log = Sequence[Event]
"""What happened to one request, oldest first."""


def may_be_accepted(settings: Forgetting, request: ForgetRequest, events: Callable[[], Log]) -> bool:
    """Whether all that is required is established; ``events`` reads the request's log, which is seldom needed."""
    if not set(settings.requires) <= set(request.facts):
        return False
    return not settings.four_eyes or approved_by_another(events())


def must_be_another(settings: Forgetting, fact: Fact, actor: str) -> Callable[[Log], None]:
    """What looks at a request's log before ``actor`` establishes a fact of it; it raises RequestError where four eyes
    are asked for and the approval would be that of who entered it."""

    def look(events: Log) -> None:
        if not settings.four_eyes or fact != "approval":
            return
        if not actor.strip():
            raise RequestError("actor: must say who approves, since forgetting.four_eyes asks for another")
        if _same(actor, entered_by(events)):
            raise RequestError("actor: who entered a request can't approve it (forgetting.four_eyes), another must")

    return look


def approved_by_another(events: Log) -> bool:
    """Whether somebody other than who entered the request approved it."""
    by, enterer = approvals(events), entered_by(events)
    return any(name and not _same(name, enterer) for name in by)


def approvals(events: Log) -> list[str]:
    """Who approved it, in that order."""
    return [str(event.detail.get("actor", "")) for event in events if event.detail.get("established") == "approval"]


def entered_by(events: Log) -> str:
    """Who entered it; empty where nobody did, as for the other id of merged accounts."""
    return str(events[0].detail.get("actor", "")) if events else ""


def _same(one: str, other: str) -> bool:
    one, other = (unicodedata.normalize("NFKC", name).casefold().strip() for name in (one, other))
    return one == other
