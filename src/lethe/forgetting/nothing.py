"""Requests of whose subject nothing is held: suppressed first, then searched for, and ended with a certificate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from lethe.config.params import Params
from lethe.core.canonical import digest_file
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.errors import EvidenceError
from lethe.forgetting.certificate.nothing import COPY, PLACES, TABLES, Asked, NothingHeld
from lethe.forgetting.deposit import deposit
from lethe.forgetting.earlier import files_by_place
from lethe.forgetting.held import Tables, rows_of, source_rows
from lethe.forgetting.ledger.ledger import Ending, Ledger
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.ledger.result import NOTHING_WAS_HELD, Result
from lethe.forgetting.removal import take_out
from lethe.tables.reader import Reader


def ending(workspace: Workspace, params: Params, book: Ledger, requests: Sequence[ForgetRequest]) -> Ending:
    """How requests end of whose subjects (all of one dataset) nothing seems to be held: they join the suppression list,
    are searched for once more, and what that shows is signed. None for any other request, and where it shows that
    something is held after all."""
    if not requests:
        return lambda _: None
    (dataset,) = {request.dataset for request in requests}
    take_out(workspace, params, dataset, requests)
    evidence = _search(workspace, params, book, dataset, requests)

    def end(request: ForgetRequest) -> Result | None:
        content = evidence.get(request.subject)
        return None if content is None else _signed(workspace, request, content)

    return end


def _search(
    workspace: Workspace, params: Params, book: Ledger, dataset: str, requests: Sequence[ForgetRequest]
) -> dict[str, NothingHeld]:
    """By subject, what the search for each came to."""
    tables, source = Tables.read(workspace, dataset), source_rows(workspace, params, dataset)
    files = files_by_place(workspace, dataset, requests)
    in_source = [None] * len(requests) if source is None else rows_of(source, requests)
    others = {
        other: [held.rows for held in Tables.read(workspace, other).held(requests)]
        for other in workspace.datasets()
        if other != dataset
    }
    listed = {e.digest for e in SuppressionList.read(workspace.suppression).entries if e.since is None}
    same = {
        "dataset": dataset,
        "interactions": Reader().digest_beside(workspace.interactions(dataset)),
        "suppression_list": digest_file(workspace.suppression),
        "ledger_head": book.check_chain(),
    }
    return {
        request.subject: NothingHeld(
            request=_asked(request),
            held={TABLES: held.rows, COPY: held.source_copy}
            | {name: of[place] for name, of in files.items() if name in PLACES and of is not None},
            remotes={name: None if of is None else of[place] for name, of in files.items() if name not in PLACES},
            source=in_source[place],
            elsewhere={name: counts[place] for name, counts in others.items()},
            named=len(request.digests()),
            suppressed=tuple(digest for digest in request.digests() if digest in listed),
            **same,
        )
        for place, (request, held) in enumerate(zip(requests, tables.held(requests), strict=True))
    }


def _asked(request: ForgetRequest) -> Asked:
    return Asked(
        id=request.id,
        kind=request.kind,
        subject_digest=request.subject_digest,
        reason=request.reason,
        received=request.received.isoformat(),
        due=request.due.isoformat(),
        completed=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _signed(workspace: Workspace, request: ForgetRequest, content: NothingHeld) -> Result | None:
    try:
        # Asked twice at once, it is another request about the same.
        path = deposit(workspace, content.model_copy(update={"request": _asked(request)}))
    except EvidenceError:
        return None
    return Result(
        outcome=NOTHING_WAS_HELD,
        suppressed=content.suppressed,
        certificate=str(path.relative_to(workspace.root)),
        certificate_digest=digest_file(path),
        looked_at={
            **content.held,
            "remotes": {**content.remotes},
            "source": content.source,
            "elsewhere": {**content.elsewhere},
        },
    )
