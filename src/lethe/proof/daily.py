"""What must hold on any day, whoever did what since; each check raises LetheError at the first difference.

After completion the ids of the forgotten are gone, so the stores are searched by the keyed digests of the suppression
list: every id that stands where an id stands is digested and looked up.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from lethe.config.params import Params
from lethe.core import reports
from lethe.core.canonical import Json, digest_file
from lethe.core.workspace import Workspace
from lethe.data.suppression import INTERACTIONS, SuppressionList
from lethe.errors import LetheError
from lethe.forgetting import certificate
from lethe.forgetting.erasure import must_be_clean, stores
from lethe.forgetting.record import Run
from lethe.forgetting.respelt import respelt
from lethe.forgetting.standing import check_list, ledger
from lethe.forgetting.stores import purge
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.unsaid import named_after
from lethe.forgetting.witness import witness_of
from lethe.proof.verification import verify
from lethe.tables.side_tables import BEHAVIOUR


class Requests(TypedDict):
    waiting: int


class Log(TypedDict):
    """``head`` is the hash of the newest event, ``witnessed`` the number of heads that a witness keeps."""

    events: int
    head: str
    certificates: int
    witnessed: int


class Listed(TypedDict):
    """Lines of the suppression list, and requests that were looked for on it. ``unsaid``: those whose user's id is an
    item's now, of which nobody has said whether that is the person; ``respelt``: people, by dataset, who are one
    that the list names but for the spelling."""

    entries: int
    forgotten: int
    unsaid: list[str]
    respelt: dict[str, int]


class Searched(TypedDict):
    """Digests that were looked for, the stores they were looked for in, and places found. ``rows``: how many of the
    digests are of single rows that are looked for by themselves, because their user may be known again (all others go
    with their user); ``not_searched``: where such rows were not looked for."""

    digests: int
    rows: int
    stores: int
    found: int
    not_searched: list[str]


ROWS_NOT_SEARCHED = "single rows of people who were lifted: links and features, and files other than Parquet"


class Results(TypedDict):
    """What an audit that found nothing has seen."""

    requests: Requests
    log: Log
    suppression: Listed
    scan: Searched
    rebuild: Json
    """See ``Comparison.to_json``."""


def check_requests(workspace: Workspace) -> Requests:
    """No run was interrupted and left, and no request is past its due date."""
    waiting, now = ledger(workspace).open(), datetime.now(UTC)
    if Run.read(workspace) is not None:
        raise LetheError("audit: a forget run was interrupted and waits to be finished; run lethe forget run")
    overdue = [request.id for request in waiting if request.due < now]
    if overdue:
        raise LetheError(f"audit: {len(overdue)} requests are past their due date, the first is {overdue[0]}")
    return {"waiting": len(waiting)}


def check_log(workspace: Workspace) -> Log:
    """The ledger's chain is whole, every certificate that it names is there unchanged, and it holds the heads that any
    certificate in the folder names and that the witness keeps; the newest head is told to the witness."""
    book = ledger(workspace)
    book.check_chain()
    heads, named = [], set()
    for request in book.in_state("completed"):
        # An older Lethe gave none where nothing was held.
        if request.work is None and request.certificate is None:
            continue
        path, result = workspace.root / (request.certificate or ""), request.result
        if result is None or not path.is_file() or digest_file(path) != result.certificate_digest:
            raise LetheError(f"audit: the certificate of {request.id} is missing or was changed")
        heads.append(certificate.check(path).content.ledger_head)
        named.add(path)
    # What was signed by a process that was killed before the ledger named it is of this chain too.
    unnamed = sorted(set(workspace.certificates.glob("req-*.json")) - named)
    kept = [certificate.check(path).content.ledger_head for path in unnamed]
    witness = witness_of(workspace, Params.read(workspace.params).audit)
    head = book.check_chain([*heads, *kept, *(witness.heads() if witness else ())])
    if witness is not None:
        witness.tell(head)  # The tail too: what came since the last audit.
    witnessed = len(witness.heads()) if witness else 0
    return {"events": len(book.events()), "head": head, "certificates": len(heads), "witnessed": witnessed}


def check_suppression(workspace: Workspace) -> Listed:
    """Every forgotten user and interaction is still on the list that keeps them from coming back, unless lifted."""
    entries = SuppressionList.read(workspace.suppression).entries
    unsaid = named_after(workspace, Params.read(workspace.params), ledger(workspace))
    return {
        "entries": len(entries),
        "forgotten": check_list(workspace),
        "unsaid": unsaid,
        "respelt": respelt(workspace),
    }


def search(workspace: Workspace) -> Searched:
    """No store holds what the suppression list names."""
    entries = SuppressionList.read(workspace.suppression).entries
    datasets = sorted({entry.dataset for entry in entries})
    needles = [Needles.keyed(dataset, entries, _row_tables(workspace, dataset)) for dataset in datasets]
    scan = purge.scan(stores(workspace, ledger(workspace)), needles)
    must_be_clean(scan)
    rows = sum(len(n.removed.entries) for n in needles)
    return {
        "digests": len(entries),
        "rows": rows,
        "stores": len(scan.places),
        "found": scan.found,
        "not_searched": [ROWS_NOT_SEARCHED] if rows else [],
    }


def _row_tables(workspace: Workspace, dataset: str) -> tuple[str, ...]:
    """Names of the tables with a user and an item in each row."""
    return (INTERACTIONS, *(path.stem for path in sorted(workspace.side(dataset).glob(f"{BEHAVIOUR}*.parquet"))))


def rebuild(workspace: Workspace, sample: int | None = None, seed: str | None = None) -> Json:
    """A few sub-models (default: as many as params.yaml says), built anew from the remaining data, have the same
    digests. ``seed`` draws them; see ``verify``."""
    count = Params.read(workspace.params).audit.sample if sample is None else sample
    comparison = verify(workspace, sample=count, seed=seed)
    if not comparison.equal:
        raise LetheError(
            f"audit: {len(comparison.differing)} digests differ from a rebuild; first: {comparison.differing[0]}"
        )
    return comparison.to_json()


def begin(workspace: Workspace) -> None:
    """An earlier report must not be taken for this audit's."""
    reports.remove_report(workspace, "audit")


def write_report(workspace: Workspace, results: Results) -> None:
    """reports/audit.json: only an audit that found nothing has one."""
    reports.write_report(workspace, "audit", {"at": datetime.now(UTC).isoformat(timespec="seconds"), **results})
