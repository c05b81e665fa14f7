"""Changing the key of the digests: what they name is made anew, as far as it is known whom that is.

A digest can't be turned back into an id. So only those lines of the suppression list can be made anew whose subject is
still in the ledger, in the tables, or in the source as it is now (where the forgotten often still stand).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from lethe.config.params import Params
from lethe.core import keys
from lethe.core.process import alone
from lethe.core.workspace import Workspace
from lethe.data.suppression import Suppressed, SuppressionList, context_table
from lethe.errors import RequestError
from lethe.forgetting.aliases import Aliases, pair_of
from lethe.forgetting.held import AllThereIs, all_there_is, every_id
from lethe.forgetting.ledger.beside import said_of
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.record import Run
from lethe.forgetting.standing import check_list, ledger, within_reach
from lethe.tables.blocks import Block, in_steps, rows_of
from lethe.tables.ids import among
from lethe.tables.inside import NOBODY, inside

Line = tuple[Callable[..., Suppressed], tuple[object, ...]]
"""How a line is made, under whichever key is in place."""


@dataclass(frozen=True)
class Rotated:
    """``kept`` and ``dropped`` count lines of the suppression list, ``open`` requests whose receipts name digests of
    before: their certificates answer only new ones."""

    fingerprint: str
    kept: int
    dropped: int
    dropped_aliases: int
    open: int


def rotate(workspace: Workspace, backup: Path, *, drop_unknown: bool = False) -> Rotated:
    """Put a new key in place, and the list and the ledger under it; keys and list of before go to ``backup`` first.

    Raises RequestError, before anything is changed, while an interrupted forget run waits to be finished (what there
    was before it is shown under the key of then), and where lines name somebody whom nobody knows, unless these may be
    dropped: who they named may come back.
    """
    with alone(workspace):
        if Run.read(workspace) is not None:
            raise RequestError("keys: a forget run was interrupted; finish it first (lethe forget run), then rotate")
        check_list(workspace)
        params, book = Params.read(workspace.params), ledger(workspace)
        listed = SuppressionList.read(workspace.suppression)
        known: dict[Suppressed, Line] = {}
        aliases, persons = Aliases.read(workspace.aliases), dict[tuple[str, str], str]()
        for dataset in within_reach(workspace, params):
            asked = [request for request in book.open() if request.dataset == dataset]
            there = all_there_is(workspace, params, dataset)
            ids = every_id(*there) | {str(request.user) for request in asked}
            for make, values in _lines(there, ids, dataset, listed, asked):
                known[make(*values)] = make, values
            persons |= {(dataset, digest): raw for digest, raw in aliases.named_by(dataset, ids).items()}
        lost = [entry for entry in listed.entries if replace(entry, since=None) not in known]
        kept = [(d, persons[d, a], persons[d, b]) for d, a, b in aliases.pairs if {(d, a), (d, b)} <= persons.keys()]
        lost_aliases = len(aliases.pairs) - len(kept)
        if (lost or lost_aliases) and not drop_unknown:
            of_aliases = f" and {lost_aliases} of {len(aliases.pairs)} aliases" if lost_aliases else ""
            raise RequestError(
                f"keys: {len(lost)} of {len(listed.entries)} lines of the suppression list{of_aliases} name somebody "
                "whom neither ledger nor source knows, so they can't be made anew; keep the key, or give them up "
                "(--drop-unknown)"
            )
        keys.backup(backup, workspace.suppression.read_text(encoding="utf-8") if listed.entries else "")
        fingerprint = keys.replace(secrets.token_bytes(32))
        made: dict[Suppressed, Suppressed] = {}
        for entry in listed.entries:
            if entry not in lost:
                make, values = known[replace(entry, since=None)]
                made[entry] = replace(make(*values), since=entry.since)
        SuppressionList(workspace.suppression).rewrite(made.values())
        if aliases.pairs:
            aliases.rewrite(pair_of(*named) for named in kept)
        digests = {entry.digest: "" for entry in lost} | {old.digest: new.digest for old, new in made.items()}
        book.rekey(digests | {old.user_digest: new.user_digest for old, new in made.items()})
        return Rotated(fingerprint, len(made), len(lost), lost_aliases, len(book.open()))


def _lines(
    there: AllThereIs, ids: set[str], dataset: str, listed: SuppressionList, requests: Sequence[ForgetRequest]
) -> Iterator[Line]:
    """Every line that may be on the list, of all whose ids stand anywhere."""
    tables, beside = there
    owners = {entry.user_digest for entry in listed.entries if entry.dataset == dataset}
    people = {raw for raw in ids if keys.subject_digest(dataset, raw) in owners}
    for raw in people:
        yield Suppressed.user, (dataset, raw)
        yield Suppressed.item, (dataset, raw)
    for length in listed.lengths(dataset):
        yield Suppressed.length, (dataset, length)
    for request in requests:
        yield from ((Suppressed.interaction, (dataset, request.user, item)) for item in request.items)
    for name, rows in tables:
        for lines in in_steps(partial(_of_rows, dataset, name, people), rows):
            yield from lines
    for table in (table for side in beside for table in side.tables.values()):
        for values in table.rows():
            for raw in people.intersection(map(str, values)):
                yield Suppressed.row, (dataset, raw, table.kind, *values)
        for _, raw, places in said_of(people, table.columns, NOBODY):
            yield from ((Suppressed.row, (dataset, raw, table.kind, *values)) for values in table.take(places).rows())


def _of_rows(dataset: str, name: str, people: set[str], block: Block, _: object) -> list[Line]:
    """Those lines that may be of rows of a table."""
    rows, lines = rows_of(block), list[Line]()
    mine = rows.take(among(rows.user_ids, people))
    times = [None] * len(mine) if mine.seconds is None else mine.seconds.tolist()
    for user, item, time in zip(mine.user_ids, mine.item_ids, times, strict=True):
        lines.append((Suppressed.interaction, (dataset, user, item)))
        lines += ((Suppressed.row, (dataset, user, name, user, item, at)) for at in (time, None))
    for field, column in mine.contexts.items():
        place = context_table(name, field)
        names = among(column, people)
        for inner in inside(column, people, NOBODY).values():
            names |= inner
        for row in np.flatnonzero(names):
            user, item, said = mine.user_ids[row], mine.item_ids[row], column[row]
            lines += ((Suppressed.row, (dataset, user, place, user, item, at, said)) for at in (times[row], None))
    return lines
