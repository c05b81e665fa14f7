"""Changing the key of the digests: what they name is made anew, as far as it is known whom that is.

A digest can't be turned back into an id. So only those lines of the suppression list can be made anew whose subject is
still in the ledger, in the tables, or in the source as it is now (where the forgotten often still stand).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lethe.config.params import Params
from lethe.core import keys
from lethe.core.process import alone
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.suppression import INTERACTIONS, Suppressed, SuppressionList
from lethe.errors import LetheError, RequestError
from lethe.forgetting.held import Tables, source_rows
from lethe.forgetting.ledger.requests import ID_COLUMNS, ForgetRequest
from lethe.forgetting.standing import check_list, ledger, within_reach
from lethe.tables.ids import among
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import BEHAVIOUR, NO_TABLES, SideTables

Line = tuple[Callable[..., Suppressed], tuple[object, ...]]
"""How a line is made, under whichever key is in place."""


@dataclass(frozen=True)
class Rotated:
    """``kept`` and ``dropped`` count lines of the suppression list."""

    fingerprint: str
    kept: int
    dropped: int


def rotate(workspace: Workspace, backup: Path, *, drop_unknown: bool = False) -> Rotated:
    """Put a new key in place, and the list and the ledger under it; keys and list of before go to ``backup`` first.

    Raises RequestError, before anything is changed, where lines name somebody whom nobody knows, unless these may be
    dropped: who they named may come back.
    """
    with alone(workspace):
        check_list(workspace)
        params, book = Params.read(workspace.params), ledger(workspace)
        listed = SuppressionList.read(workspace.suppression)
        known: dict[Suppressed, Line] = {}
        for dataset in within_reach(workspace, params):
            asked = [request for request in book.open() if request.dataset == dataset]
            for make, values in _lines(workspace, params, dataset, listed, asked):
                known[make(*values)] = make, values
        lost = [entry for entry in listed.entries if replace(entry, since=None) not in known]
        if lost and not drop_unknown:
            raise RequestError(
                f"keys: {len(lost)} of {len(listed.entries)} lines of the suppression list name somebody whom neither "
                "ledger nor source knows, so they can't be made anew; keep the key, or give them up (--drop-unknown)"
            )
        keys.backup(backup, workspace.suppression.read_text(encoding="utf-8") if listed.entries else "")
        fingerprint = keys.replace(secrets.token_bytes(32))
        made: dict[Suppressed, Suppressed] = {}
        for entry in listed.entries:
            if entry not in lost:
                make, values = known[replace(entry, since=None)]
                made[entry] = replace(make(*values), since=entry.since)
        SuppressionList(workspace.suppression).rewrite(made.values())
        digests = {entry.digest: "" for entry in lost} | {old.digest: new.digest for old, new in made.items()}
        book.rekey(digests | {old.user_digest: new.user_digest for old, new in made.items()})
        return Rotated(fingerprint, len(made), len(lost))


def _lines(
    workspace: Workspace, params: Params, dataset: str, listed: SuppressionList, requests: Sequence[ForgetRequest]
) -> Iterator[Line]:
    """Every line that may be on the list, of all whose ids stand anywhere."""
    tables, beside = _all_there_is(workspace, params, dataset)
    owners = {entry.user_digest for entry in listed.entries if entry.dataset == dataset}
    columns = [column for _, rows in tables for column in (rows.user_ids, rows.item_ids)]
    columns += [t.columns[n] for side in beside for t in side.tables.values() for n in ID_COLUMNS if n in t.columns]
    ids = {str(raw) for column in columns for raw in np.unique(column)} | {str(request.user) for request in requests}
    people = {raw for raw in ids if keys.subject_digest(dataset, raw) in owners}
    for raw in people:
        yield Suppressed.user, (dataset, raw)
        yield Suppressed.item, (dataset, raw)
    for request in requests:
        yield from ((Suppressed.interaction, (dataset, request.user, item)) for item in request.items)
    for name, rows in tables:
        mine = rows.take(among(rows.user_ids, people))
        times = [None] * len(mine) if mine.seconds is None else mine.seconds.tolist()
        for user, item, time in zip(mine.user_ids, mine.item_ids, times, strict=True):
            yield Suppressed.interaction, (dataset, user, item)
            yield from ((Suppressed.row, (dataset, user, name, user, item, at)) for at in (time, None))
    for table in (table for side in beside for table in side.tables.values()):
        for values in table.rows():
            for raw in people.intersection(map(str, values)):
                yield Suppressed.row, (dataset, raw, table.kind, *values)


def _all_there_is(
    workspace: Workspace, params: Params, dataset: str
) -> tuple[list[tuple[str, Interactions]], list[SideTables]]:
    """Tables by name, and side tables: as ingested, and as the source has them now."""
    source, beside = source_rows(workspace, params, dataset), []
    tables = [] if source is None else [(INTERACTIONS, source)]
    if workspace.interactions(dataset).is_file():
        held = Tables.read(workspace, dataset)
        tables.append((INTERACTIONS, held.rows))
        beside.append(held.beside)
    if source is not None:
        beside.append(_side_of_source(workspace, params, dataset, source))
    tables += [(BEHAVIOUR + name, rows) for side in beside for name, rows in side.behaviours.items()]
    return tables, beside


def _side_of_source(workspace: Workspace, params: Params, dataset: str, source: Interactions) -> SideTables:
    try:
        return sources.read_side(params.datasets[dataset], source, root=workspace.source_root, strict=False)
    except LetheError:
        return NO_TABLES
