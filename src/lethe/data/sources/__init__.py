"""One file a kind of source, one entry a kind in ``SOURCES``; each reads into Interactions, ids as the source has them.

A source that needs a secret takes the name of an environment variable in its section, never the secret itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lethe.config.dataset import Dataset
from lethe.config.source import Source, SyntheticSource
from lethe.data.sources import folder, movielens, rdatasets, side, sql, synthetic, table, url
from lethe.data.sources.place import Place
from lethe.data.sources.table import INTERACTIONS
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables

__all__ = ["INTERACTIONS", "SOURCES", "blocks", "digest", "has_side", "read", "read_side", "side", "side_blocks"]


@dataclass(frozen=True)
class Reader:
    """What a kind of source can do. Its functions take the source's section of the params and its place."""

    read: Callable[[Any, Place], Interactions | dict[str, Interactions]]
    """All rows; of a folder of ready files those of each part. Raises DataError or ConfigError."""
    digest: Callable[[Any, Place], str]
    """What the source holds now, cheaply; a source that has to be downloaded is downloaded here."""
    reach: Literal["ours", "outside"]
    """"ours": rows are kept in a copy of ours, which forgetting rewrites; "outside": Lethe only reads."""
    blocks: Callable[[Any, Place], dict[str, Iterable[Interactions]]] | None = None
    """The rows of ``read`` by part, some at a time, each block in canonical order; None: the source is read whole."""


SOURCES: dict[str, Reader] = {
    "rdatasets": Reader(rdatasets.read, rdatasets.digest, "outside"),
    "movielens": Reader(movielens.read, movielens.digest, "ours", movielens.blocks),
    "table": Reader(table.read_source, table.digest_source, "outside", table.source_blocks),
    "url": Reader(url.read, url.digest, "outside", url.blocks),
    "sql": Reader(sql.read, sql.digest, "outside", sql.blocks),
    "folder": Reader(folder.read, folder.digest, "outside", folder.blocks),
    "synthetic": Reader(synthetic.read, synthetic.digest, "outside"),
}


def read(source: Source, *, root: Path, copy: Path) -> Interactions | dict[str, Interactions]:
    """All rows of a source; of a folder of ready files, the rows of each part (train, test and perhaps valid).

    Relative paths are below ``root``. ``copy`` is where our own copy of a downloaded source is, or is put.
    Timestamps are as the source's params say. Raises DataError or ConfigError.
    """
    return SOURCES[source.kind].read(source, Place(root, copy))


def blocks(source: Source, *, root: Path, copy: Path) -> dict[str, Iterable[Interactions]]:
    """What ``read`` gives, by part, some rows at a time: each block is in canonical order, the blocks are in none.
    A source without parts has one, ``INTERACTIONS``."""
    reader, place = SOURCES[source.kind], Place(root, copy)
    if reader.blocks is not None:
        return reader.blocks(source, place)
    whole = reader.read(source, place)
    return {name: (rows,) for name, rows in (whole if isinstance(whole, dict) else {INTERACTIONS: whole}).items()}


def has_side(dataset: Dataset) -> bool:
    """Whether side tables may stand beside a dataset's interactions."""
    return isinstance(dataset.source, SyntheticSource) or side.is_any(dataset.side)


def read_side(dataset: Dataset, users: Ids, items: Ids, *, root: Path, strict: bool) -> SideTables:
    """The side tables of a dataset whose interactions name these users and items; see ``side.read``."""
    if isinstance(dataset.source, SyntheticSource):
        return synthetic.side_tables(dataset.source)
    return side.read(dataset.side, users, items, root=root, strict=strict)


def side_blocks(
    dataset: Dataset, users: Ids, items: Ids, *, root: Path, strict: bool
) -> tuple[SideTables, dict[str, Iterable[Interactions]]]:
    """The same: the tables but behaviours, and these by name, a block at a time."""
    if isinstance(dataset.source, SyntheticSource):
        whole = synthetic.side_tables(dataset.source)
        return SideTables(whole.tables), {name: (rows,) for name, rows in whole.behaviours.items()}
    tables = side.tables(dataset.side, users, items, root=root, strict=strict)
    return SideTables(tables), {**side.behaviours(dataset.side, users, items, root=root)}


def digest(source: Source, *, root: Path, copy: Path) -> dict[str, str]:
    """What the source holds now and who may rewrite it: {"kind", "digest", "reach"}; see ``Reader``."""
    reader = SOURCES[source.kind]
    return {"kind": source.kind, "digest": reader.digest(source, Place(root, copy)), "reach": reader.reach}
