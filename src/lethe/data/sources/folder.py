"""A folder of ready train, test and perhaps validation files."""

from __future__ import annotations

from collections.abc import Iterable

from lethe.config.source import FolderSource
from lethe.config.table import Kind
from lethe.core.canonical import digest_json
from lethe.data.sources import files, table
from lethe.data.sources.place import Place
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Column


def read(source: FolderSource, place: Place) -> dict[str, Interactions]:
    """The rows of each part that the source names; ids are of one type in all of them. Raises DataError."""
    return {name: Interactions.concatenate(*rows) for name, rows in blocks(source, place).items()}


def blocks(source: FolderSource, place: Place) -> dict[str, Iterable[Interactions]]:
    """The same, a block of a part at a time."""
    path = place.root / source.path
    parts = {name: table.Rows.of(path / file, source) for name, file in _files(source).items()}
    # In one file all ids may look like integers while another has text.
    text = [any(kind == "text" for kind in kinds) for kinds in zip(*map(_kinds, parts.values()), strict=True)]
    return {name: (_with_text(rows, *text) for rows in part) for name, part in parts.items()}


def _kinds(rows: table.Rows) -> tuple[Kind, Kind]:
    return rows.how.ids, rows.how.item_ids or rows.how.ids


def digest(source: FolderSource, place: Place) -> str:
    """SHA-256 over the digests of the parts' files."""
    return digest_json({name: files.digest(place.root / source.path / file) for name, file in _files(source).items()})


def _files(source: FolderSource) -> dict[str, str]:
    named = {"train": source.train, "valid": source.valid, "test": source.test}
    return {name: file for name, file in named.items() if file is not None}


def _with_text(part: Interactions, users: bool, items: bool) -> Interactions:
    def text(ids: Column, wanted: bool) -> Column:
        return ids.astype(str).astype(object) if wanted and ids.dtype != object else ids

    if not users and not items:
        return part
    ids = text(part.user_ids, users), text(part.item_ids, items)
    return Interactions.of(*ids, part.ratings, part.timestamps, part.contexts, part.ticks, part.weights)
