"""What is found of requests before they are taken: what is held of each, and whom nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.forgetting import kept_out
from lethe.forgetting.earlier import earlier_files
from lethe.forgetting.held import Tables, near_spellings, rows_of, source_rows
from lethe.forgetting.ledger.requests import ForgetRequest, Held
from lethe.forgetting.removal import subjects

_FEW = 5  # Unknown ids whose other spellings are looked for: among many, one after the other would take long.


@dataclass(frozen=True)
class Looked:
    """What was found of some requests, by subject."""

    tables: Tables | None
    """None while they are being rebuilt."""
    held: dict[str, Held]
    nothing: list[ForgetRequest]
    """Those that hold nothing which has to be removed."""
    unknown: list[ForgetRequest]
    """Those of them whom nobody ever held."""
    near: int
    """Ids that are the unknown ones in another spelling."""


def look(workspace: Workspace, params: Params, dataset: str, requests: Sequence[ForgetRequest]) -> Looked:
    tables = Tables.read(workspace, dataset) if workspace.interactions(dataset).is_file() else None
    counts = tables.held(requests) if tables else [Held()] * len(requests)
    held = {request.subject: count for request, count in zip(requests, counts, strict=True)}
    absent = [request for request in requests if not held[request.subject]]
    if not absent:
        return Looked(tables, held, [], [], 0)
    source = source_rows(workspace, params, dataset)
    listed = SuppressionList.read(workspace.suppression)
    files = earlier_files(workspace, dataset, absent)
    unknown = []
    in_source = [0] * len(absent) if source is None else rows_of(source, absent)
    for request, earlier, rows in zip(absent, files, in_source, strict=True):
        held[request.subject] = Held(source=rows, earlier=earlier)
        known = rows or earlier or all(entry in listed for entry in subjects([request]))
        if not known and not kept_out.knows(workspace, request):
            unknown.append(request)
    near = sum(
        near_spellings([tables.rows if tables else None, source], str(request.user)) for request in unknown[:_FEW]
    )
    # While the tables are rebuilt nobody can tell what will be in them: the next run will.
    nothing = [] if tables is None else [request for request in absent if not held[request.subject]]
    return Looked(tables, held, nothing, unknown, near)
