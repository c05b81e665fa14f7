"""What stands beside the rows of somebody and is about them too: in side tables, and in contexts of others' rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lethe.forgetting.ledger.requests import ID_COLUMNS, ForgetRequest, Held, covered_by, holds
from lethe.tables.ids import among
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SAID, SideTables, may_name, may_name_in_context
from lethe.tables.texts import Column


def named_in_contexts(
    requests: Sequence[ForgetRequest], contexts: Mapping[str, Column]
) -> Iterator[tuple[str, np.ndarray]]:
    """Fields, each with [n] bool: which rows name there somebody whom one of the requests is about as an item too."""
    words = [r.user for r in requests if r.also_item and r.user is not None and may_name_in_context(r.user)]
    for name, column in contexts.items() if words else ():
        yield name, among(column, words)


def changed_by(requests: Sequence[ForgetRequest], rows: Interactions) -> np.ndarray:
    """[n] bool: which rows stay, and lose such a context."""
    changed = np.zeros(len(rows), dtype=bool)
    for _, named in named_in_contexts(requests, rows.contexts):
        changed |= named
    return changed & ~covered_by(requests, rows.user_ids, rows.item_ids) if changed.any() else changed


def mentioned_by(requests: Sequence[ForgetRequest], columns: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """[n] bool: which rows of a side table, of these columns, are about all of a user of one of the requests."""
    whole = [r.user for r in requests if r.kind == "user" and r.user is not None]
    as_item = [r.user for r in requests if r.also_item and r.user is not None]
    named = np.zeros(count, dtype=bool)
    for name, ids in zip(ID_COLUMNS, (whole, whole, as_item, as_item), strict=True):
        if name in columns and ids:
            named |= among(columns[name], ids)
    words = list(filter(may_name, as_item))
    if SAID in columns and words:
        named |= among(columns[SAID], words)
    return named


def counts_beside(tables: SideTables, request: ForgetRequest) -> Held:
    """Rows of side tables that the request covers, by kind."""
    by_kind = {name: int(mentioned_by([request], t.columns, len(t)).sum()) for name, t in tables.tables.items()}
    return Held(
        links=by_kind.pop("links", 0),
        behaviours=sum(holds(rows, request) for rows in tables.behaviours.values()),
        features=sum(by_kind.values()),
        contexts=sum(int(changed_by([request], rows).sum()) for rows in tables.behaviours.values()),
    )
