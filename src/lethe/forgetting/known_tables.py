"""Digests of a dataset's tables: what an artifact can have been made of.

They are remembered in ``.lethe/tables.json`` for as long as no file of the dataset is another, by its time, size and
place on the disk: a request reads no table of a dataset that it doesn't touch. Files that changed are looked at anew
before anything is purged, so that the file tells of no table that was.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from lethe.build.recipe import Recipe
from lethe.build.registry import Registry
from lethe.config.section import Section
from lethe.core.canonical import canonical_json, digest_json
from lethe.core.environment import code_digest
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.errors import ConfigError
from lethe.learning.slices import slice_rows
from lethe.serving.package_info import PackageInfo
from lethe.tables.likes import are_likes, likes
from lethe.tables.reader import Reader, settled
from lethe.tables.side_tables import content_digest, folder_beside


class KnownDigests(Section):
    """What was found in a dataset's tables, for these thresholds of what is liked, when its files were as ``files``
    says."""

    files: str
    thresholds: tuple[str, ...]
    digests: tuple[str, ...]


def table_digests(workspace: Workspace, dataset: str, infos: Sequence[PackageInfo], reader: Reader) -> set[str]:
    """Digests of every table of a dataset: of its bytes, and where it holds interactions of its content, and of what of
    it is liked by a version's threshold. Those that are remembered aren't read for it."""
    known, files = _read(workspace).get(dataset), _files(workspace, dataset)
    if known is not None and known.files == files and _thresholds(infos) <= {*known.thresholds}:
        return set(known.digests)
    return _look(workspace, dataset, infos, reader)


def remember(workspace: Workspace, reader: Reader) -> None:
    """Look at the tables that changed, and remember those of every dataset that is there."""
    infos, known = [version.info for version in Registry(workspace).all_versions()], dict[str, KnownDigests]()
    for dataset in workspace.datasets():
        own = [info for info in infos if info.dataset == dataset]
        files = _files(workspace, dataset)
        digests = table_digests(workspace, dataset, own, reader)
        if files is not None and files == _files(workspace, dataset):
            known[dataset] = KnownDigests(files=files, thresholds=sorted(_thresholds(own)), digests=sorted(digests))
    plain = {dataset: one.plain() for dataset, one in known.items()}
    write_whole(_path(workspace), canonical_json(plain))


def _path(workspace: Workspace) -> Path:
    return workspace.state / "tables.json"


def _read(workspace: Workspace) -> dict[str, KnownDigests]:
    """What is remembered; nothing where that can't be read, because it can all be looked at again."""
    path = _path(workspace)
    try:
        return {dataset: KnownDigests.parse(one, path.name) for dataset, one in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, ConfigError):
        return {}


def _files(workspace: Workspace, dataset: str) -> str | None:
    """The tables as they are, and the code that digests them; None where a later change might not show."""
    there = settled(_tables(workspace, dataset), workspace.root)
    return None if there is None else digest_json([there, code_digest(_look)])


def _tables(workspace: Workspace, dataset: str) -> list[Path]:
    return sorted((workspace.root / "data" / dataset).rglob("*.parquet"))


def _thresholds(infos: Collection[PackageInfo]) -> set[str]:
    return {info.positive for info in infos if info.positive is not None}


def _look(workspace: Workspace, dataset: str, infos: Sequence[PackageInfo], reader: Reader) -> set[str]:
    thresholds = _thresholds(infos)
    # Tables whose content a version of today's data names aren't read for it.
    named = {} if thresholds else dict(_named_by(workspace, dataset, infos, reader))
    digests = set(named.values())
    for path in _tables(workspace, dataset):
        digests.add(reader.digest_file(path))
        # Nothing is made of an assignment's content but shards.
        is_known, columns = path in named or path.parent.name == "assignment", set(pq.read_schema(path).names)
        if not is_known and {"user", "item"} <= columns:
            digests |= {reader.digest(path), reader.digest_beside(path)}
            # Of another behaviour, which has no ratings, all rows are learnt.
            rated = thresholds if "rating" in columns else ()
            digests |= {digest for threshold in rated for digest in _liked(path, threshold, reader)}
        if path.parent.name == "shards" and "slice" in pq.read_schema(path).names:
            digests |= {digest for threshold in (None, *thresholds) for digest in _slices(path, threshold, reader)}
    return digests


def _named_by(
    workspace: Workspace, dataset: str, infos: Sequence[PackageInfo], reader: Reader
) -> Iterator[tuple[Path, str]]:
    """The tables that versions of today's data were built from, and what these say of them."""
    whole = workspace.interactions(dataset)
    for info in infos:
        if whole.is_file() and info.data_digest == reader.digest_beside(whole):
            recipe = Recipe.parse(info.recipe, f"model of {info.family}")
            yield whole, info.data_digest
            for part in PARTS:
                if digest := info.tables.get(f"split/{part}"):
                    yield workspace.split(dataset, part), digest
            shards = workspace.shards(dataset, recipe.laid_in)
            yield from ((shards / f"{shard}.parquet", digest) for shard, digest in info.shards.items())


def _liked(path: Path, threshold: str, reader: Reader) -> tuple[str, str]:
    rows = likes(reader.interactions(path), threshold)
    return rows.digest(), content_digest(rows, reader.side(folder_beside(path)))


def _slices(path: Path, threshold: str | None, reader: Reader) -> set[str]:
    """Digests of what the slices of a shard learn from."""
    rows, tables, slices = reader.interactions(path), reader.side(folder_beside(path)), reader.slices(path)
    assert slices is not None
    liked = are_likes(rows, threshold)
    rows, slices = rows.take(liked), slices[liked]
    return {content_digest(*slice_rows(rows, tables, slices, last)) for last in np.unique(slices)}
