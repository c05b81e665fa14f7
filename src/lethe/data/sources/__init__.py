"""One file a kind of source; each reads it into Interactions, with ids as the source has them."""

from __future__ import annotations

from pathlib import Path

from lethe.config.dataset import (
    Dataset,
    FolderSource,
    MovielensSource,
    RdatasetsSource,
    Source,
    SyntheticSource,
    TableSource,
)
from lethe.data.sources import folder, movielens, rdatasets, side, synthetic, table
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables

__all__ = ["digest", "read", "read_side", "side"]


def read(source: Source, *, root: Path, copy: Path) -> Interactions | dict[str, Interactions]:
    """All rows of a source; of a folder of ready files, the rows of each part (train, test and perhaps valid).

    Relative paths are below ``root``. ``copy`` is where our own copy of a downloaded source is, or is put.
    Timestamps are seconds, or positions where the source's params say so. Raises DataError or ConfigError.
    """
    match source:
        case RdatasetsSource():
            return rdatasets.read()
        case MovielensSource():
            return movielens.read(source, copy)
        case TableSource():
            return table.read(root / source.path, source)
        case FolderSource():
            return folder.read(root / source.path, source)
        case SyntheticSource():
            return synthetic.generate(source)[0]


def read_side(dataset: Dataset, interactions: Interactions, *, root: Path, strict: bool) -> SideTables:
    """The side tables of a dataset; see ``side.read``."""
    if isinstance(dataset.source, SyntheticSource):
        return synthetic.side_tables(dataset.source)
    return side.read(dataset.side, interactions, root=root, strict=strict)


def digest(source: Source, *, root: Path, copy: Path) -> dict[str, str]:
    """What the source holds now, cheaply: {"kind", "digest", "reach"}.

    ``reach`` is "ours" where rows are kept in a copy of ours, which forgetting rewrites, and "outside" where Lethe
    only reads. A source that has to be downloaded is downloaded here, so that its digest is that of the copy.
    """
    match source:
        case RdatasetsSource():
            found, reach = rdatasets.digest(), "outside"
        case MovielensSource():
            found, reach = movielens.digest(source, copy), "ours"
        case TableSource():
            found, reach = table.digest(root / source.path), "outside"
        case FolderSource():
            found, reach = folder.digest(root / source.path, source), "outside"
        case SyntheticSource():
            found, reach = source.digest(), "outside"
    return {"kind": source.kind, "digest": found, "reach": reach}
