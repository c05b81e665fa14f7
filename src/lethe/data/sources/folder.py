"""A folder of ready train, test and perhaps validation files."""

from __future__ import annotations

import numpy as np

from lethe.config.source import FolderSource
from lethe.core.canonical import digest_json
from lethe.data.sources import files, table
from lethe.data.sources.place import Place
from lethe.tables.interactions import Interactions


def read(source: FolderSource, place: Place) -> dict[str, Interactions]:
    """The rows of each part that the source names; ids are of one type in all of them. Raises DataError."""
    path = place.root / source.path
    parts = {name: table.read(path / file, source) for name, file in _files(source).items()}
    # In one file all ids may look like integers while another has text.
    text = [
        any(ids.dtype == object for ids in column)
        for column in ([p.user_ids for p in parts.values()], [p.item_ids for p in parts.values()])
    ]
    return {name: _with_text(part, *text) for name, part in parts.items()} if any(text) else parts


def digest(source: FolderSource, place: Place) -> str:
    """SHA-256 over the digests of the parts' files."""
    return digest_json({name: files.digest(place.root / source.path / file) for name, file in _files(source).items()})


def _files(source: FolderSource) -> dict[str, str]:
    named = {"train": source.train, "valid": source.valid, "test": source.test}
    return {name: file for name, file in named.items() if file is not None}


def _with_text(part: Interactions, users: bool, items: bool) -> Interactions:
    def text(ids: np.ndarray, wanted: bool) -> np.ndarray:
        return ids.astype(str).astype(object) if wanted and ids.dtype != object else ids

    return Interactions.of(
        text(part.user_ids, users), text(part.item_ids, items), part.ratings, part.timestamps, part.contexts, part.ticks
    )
