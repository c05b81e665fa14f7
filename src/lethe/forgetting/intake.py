"""Taking requests: checked, recorded, and from then on hidden from the running service."""

from __future__ import annotations

from collections.abc import Sequence

from lethe.build.costs import Costs
from lethe.config.params import Params
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.errors import RequestError
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest, holds, mentions
from lethe.forgetting.plan import Plan, plan
from lethe.forgetting.state import served
from lethe.serving import hidden
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables


def ledger(workspace: Workspace) -> Ledger:
    return Ledger(workspace.ledger_url)


def pending(workspace: Workspace) -> list[ForgetRequest]:
    return ledger(workspace).pending()


def submit(
    workspace: Workspace, dataset: str | None, user: str, items: Sequence[str], reason: str = "user request"
) -> ForgetRequest:
    """Take a request: accepted, or completed at once where nothing is held. Raises RequestError."""
    params = Params.read(workspace.params)
    known = params.pipeline.datasets
    if dataset is None and len(known) > 1:
        raise RequestError(f"dataset: must be named where there are several: {', '.join(known)}")
    name = dataset or known[0]
    book = ledger(workspace)
    due = params.forgetting.due_days
    path = workspace.interactions(name)
    if name in known and not path.is_file():
        raise RequestError(f"dataset: {name} has no data yet, so nobody can tell what it holds; run lethe train first")
    request, created = book.add(name, user, items, reason, datasets=known, due_days=due)
    if not created and request.state != "received":
        return request
    if held_rows(workspace, request) == 0:
        return book.nothing_held(request.id)
    # Hidden first, accepted then: from acceptance on, no answer comes from data whose erasure was accepted.
    hide(workspace, [*pending(workspace), request])
    return book.advance(request.id, "accepted")


def held_rows(workspace: Workspace, request: ForgetRequest) -> int:
    """Rows of the data, side tables included, that the request is about."""
    return sum(rows_of(workspace, request).values())


def rows_of(workspace: Workspace, request: ForgetRequest) -> dict[str, int]:
    """The same, by kind."""
    rows = Interactions.read(workspace.interactions(request.dataset))
    beside = mentions(SideTables.read(workspace.side(request.dataset)), request)
    return {"interactions": holds(rows, request), "side tables": beside}


def hide(workspace: Workspace, requests: Sequence[ForgetRequest]) -> None:
    """The service answers these users from popularity: whoever asked, for all of it or for a part."""
    digests = {subject_digest(r.dataset, r.user) for r in requests if r.user is not None}
    hidden.publish(workspace.hidden_users, digests)


def publish_hidden(workspace: Workspace) -> None:
    """Write the list of hidden users anew from the ledger; a service begins with none without it."""
    hide(workspace, pending(workspace))


def current_plan(workspace: Workspace) -> Plan:
    """What the waiting requests touch and cost, here and under the other shardings of params.yaml."""
    params, costs = Params.read(workspace.params), Costs.read(workspace)
    return plan(workspace, pending(workspace), served(workspace), costs=costs, params=params)
