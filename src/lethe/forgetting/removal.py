"""Rows that leave, and stay out: what joins the suppression list, and our own copies that are rewritten without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data import copies
from lethe.data.outputs import write_blocks
from lethe.data.suppression import INTERACTIONS, Suppressed, SuppressionList, context_table
from lethe.forgetting import kept_out
from lethe.forgetting.aliases import Aliases
from lethe.forgetting.held import source_blocks
from lethe.forgetting.ledger.beside import mentioned_by, named_in_contexts, said_of
from lethe.forgetting.ledger.requests import ID_COLUMNS, ForgetRequest, covered_by
from lethe.forgetting.standing import digests_asked_about, has_time
from lethe.tables.blocks import AT_ONCE, rows_of, side_by_side
from lethe.tables.columns import ParquetWriter, from_arrow, pieces_of, to_arrow
from lethe.tables.inside import KnownIds
from lethe.tables.interactions import CONTEXT, UNKNOWN, Interactions
from lethe.tables.side_tables import BEHAVIOUR, SAYING, SideTables, behaviours_in


def take_out(workspace: Workspace, params: Params, dataset: str, requests: Sequence[ForgetRequest]) -> None:
    """Put the subjects of requests on the suppression list, and with them every row that is theirs now, so that a lift
    brings none of those back; rewrite our copy of the source without them, here and at its URL. Safe to repeat."""
    known = KnownIds((workspace.interactions(dataset),))
    entries = [
        *subjects(requests),
        *(line for r in requests if r.also_item and r.user for line in Suppressed.lengths(dataset, r.user)),
        *_same_persons(workspace, requests),
        *_rows(workspace, params, dataset, requests, known),
    ]
    listed = SuppressionList.read(workspace.suppression).add(entries)
    kept_out.suppress(workspace, entries)
    copy = workspace.source_copy(dataset)
    if copy.is_file():
        left = (listed.drop(rows_of(block), dataset) for block, _ in side_by_side(copy))
        write_blocks(copy, (listed.emptied(rows, dataset, known=known) for rows in left))
        copies.keep(workspace, dataset)


def rewrite_what_no_stage_makes(
    workspace: Workspace, params: Params, dataset: str, requests: Sequence[ForgetRequest]
) -> None:
    """Tables of a dataset that left params.yaml, or of one of its shardings that did: the data stages pass them by, so
    the rows are taken out of the files themselves."""
    folder, known = workspace.root / "data" / dataset, KnownIds((workspace.interactions(dataset),))
    made = {*params.pipeline.shardings, "ingested", "split"} if dataset in params.pipeline.datasets else set[str]()
    for part in sorted(path for path in folder.glob("*") if path.is_dir() and path.name not in made):
        for path in sorted(part.rglob("*.parquet")):
            if any(left is not rows for rows, left in _left(path, requests, known)):
                with ParquetWriter(path) as writer:
                    for _, left in _left(path, requests, known):
                        writer.write(left)


def _left(path: Path, requests: Sequence[ForgetRequest], known: KnownIds) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Some rows of a file at a time, and what is left of them: the same table, where none is the requests'."""
    for rows in pieces_of(path, AT_ONCE):
        named = _covered(rows, requests, known)
        yield rows, _emptied(rows.filter(pa.array(~named)) if named.any() else rows, requests, known)


def _covered(table: pa.Table, requests: Sequence[ForgetRequest], known: KnownIds) -> np.ndarray:
    columns = {name: from_arrow(table[name]) for name in (*ID_COLUMNS, *SAYING) if name in table.column_names}
    if {"user", "item"} <= columns.keys():
        return covered_by(requests, columns["user"], columns["item"])
    return mentioned_by(requests, columns, len(table), known)


def _emptied(table: pa.Table, requests: Sequence[ForgetRequest], known: KnownIds) -> pa.Table:
    contexts = {name: from_arrow(table[name]) for name in table.column_names if name.startswith(CONTEXT)}
    for name, named in named_in_contexts(requests, contexts, known):
        if named.any():
            told = to_arrow(np.where(named, UNKNOWN, contexts[name]))
            table = table.set_column(table.column_names.index(name), name, told)
    return table


def subjects(requests: Sequence[ForgetRequest]) -> Iterator[Suppressed]:
    """The list's lines for what requests are about; none of one whose subject is erased."""
    for request in requests:
        if request.user is None:
            continue
        if request.kind == "user":
            yield Suppressed.user(request.dataset, request.user)
        if request.also_item:
            yield Suppressed.item(request.dataset, request.user)
        for item in request.items:
            yield Suppressed.interaction(request.dataset, request.user, item)


def _same_persons(workspace: Workspace, requests: Sequence[ForgetRequest]) -> Iterator[Suppressed]:
    """Lines for the other ids of whole users whose accounts were merged, but for those that were asked about in their
    own right: one that stands nowhere has no request."""
    aliases = Aliases.read(workspace.aliases)
    asked = digests_asked_about(workspace) if aliases.pairs else set()
    for request in (request for request in requests if request.kind == "user"):
        for digest in aliases.of(request.dataset, request.user_digest):
            if (request.dataset, digest) not in asked:
                yield Suppressed(request.dataset, "user", digest, digest)


def _rows(
    workspace: Workspace, params: Params, dataset: str, requests: Sequence[ForgetRequest], known: KnownIds
) -> Iterator[Suppressed]:
    """Lines for the rows of whole users: as ingested, and as the source has them now, repeated ones and all."""
    whole = [request for request in requests if request.kind == "user" and request.user is not None]
    if not whole:
        return
    for name, rows in _tables(workspace, params, dataset):
        timed = has_time(params, dataset, name.removeprefix(BEHAVIOUR) if name.startswith(BEHAVIOUR) else None)
        mine = rows.take(covered_by(whole, rows.user_ids, rows.item_ids))
        for user, item, time in _told(mine, timed):
            yield Suppressed.row(dataset, user, name, user, item, time)
        for field, named in named_in_contexts(whole, rows.contexts, known):
            others = rows.take(named)
            for (user, item, time), word in zip(_told(others, timed), others.contexts[field], strict=True):
                yield Suppressed.row(dataset, user, context_table(name, field), user, item, time, word)
    people = {request.user for request in whole}
    for table in SideTables.read(workspace.side(dataset), behaviours=False).tables.values():
        about = table.take(mentioned_by(whole, table.columns, len(table), known))
        for values in about.rows():
            for user in people.intersection(map(str, values)):
                yield Suppressed.row(dataset, user, table.kind, *values)
        for _, user, places in said_of([r.user for r in whole if r.also_item and r.user], about.columns, known):
            for values in about.take(places).rows():
                yield Suppressed.row(dataset, user, table.kind, *values)


def _told(rows: Interactions, timed: bool) -> Iterator[tuple[Any, Any, int | None]]:
    """User, item and time of each row; no time where it says nothing."""
    times = [None] * len(rows) if rows.seconds is None or not timed else rows.seconds.tolist()
    return zip(rows.user_ids, rows.item_ids, times, strict=True)


def _tables(workspace: Workspace, params: Params, dataset: str) -> Iterator[tuple[str, Interactions]]:
    """Rows of the source, as it is now, and of our tables, with the name of what they are of, some at a time."""
    yield from ((INTERACTIONS, rows) for rows in source_blocks(workspace, params, dataset))
    if (ingested := workspace.interactions(dataset)).is_file():
        behaviours = {BEHAVIOUR + name: path for name, path in behaviours_in(workspace.side(dataset)).items()}
        for name, path in {INTERACTIONS: ingested, **behaviours}.items():
            yield from ((name, rows_of(block)) for block, _ in side_by_side(path))
