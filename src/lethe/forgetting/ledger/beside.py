"""What stands beside the rows of somebody and is about them too: in side tables, and in contexts of others' rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from lethe.forgetting.ledger.requests import ID_COLUMNS, ForgetRequest, covered_by
from lethe.tables.ids import among
from lethe.tables.inside import KnownIds, inside
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SAID, SAYING, may_name, may_name_in_context
from lethe.tables.texts import Column


def named_in_contexts(
    requests: Sequence[ForgetRequest], contexts: Mapping[str, Column], known: KnownIds
) -> Iterator[tuple[str, np.ndarray]]:
    """Fields, each with [n] bool: which rows name there, alone or among other words, somebody whom one of the requests
    is about as an item too. ``known``: whose longer ids are no hit."""
    words = [r.user for r in requests if r.also_item and r.user is not None and may_name_in_context(r.user)]
    for name, column in contexts.items() if words else ():
        named = among(column, words)
        for rows in inside(column, words, known).values():
            named |= rows
        yield name, named


def changed_by(requests: Sequence[ForgetRequest], rows: Interactions, known: KnownIds) -> np.ndarray:
    """[n] bool: which rows stay, and lose such a context."""
    changed = np.zeros(len(rows), dtype=bool)
    for _, named in named_in_contexts(requests, rows.contexts, known):
        changed |= named
    return changed & ~covered_by(requests, rows.user_ids, rows.item_ids) if changed.any() else changed


def said_of(
    ids: Collection[str], columns: Mapping[str, Column], known: KnownIds
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Columns of a side table, with each of these ids that stands inside of what they say, and [n] bool: where."""
    for name in SAYING:
        if name in columns:
            yield from ((name, raw, rows) for raw, rows in inside(columns[name], ids, known).items())


def mentioned_by(
    requests: Sequence[ForgetRequest], columns: Mapping[str, np.ndarray], count: int, known: KnownIds
) -> np.ndarray:
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
    for _, _, rows in said_of(as_item, columns, known):
        named |= rows
    return named
