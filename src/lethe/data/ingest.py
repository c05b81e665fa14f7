"""From a source to the rows that may be learnt from, in canonical order, a block at a time.

No more is held than a block and, where they are asked for, the side tables but behaviours, which are read whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lethe.config.dataset import Dataset
from lethe.config.params import Params
from lethe.config.table import TableFormat
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.outputs import aside, fresh, write_blocks
from lethe.data.sources import INTERACTIONS
from lethe.data.sources.identifiers import read_ids
from lethe.data.split import deduplicate, must_be_distinct
from lethe.data.suppression import SuppressionList
from lethe.errors import DataError
from lethe.tables.blocks import merged
from lethe.tables.ids import Ids
from lethe.tables.inside import NOBODY, KnownIds
from lethe.tables.interactions import CONTEXT, Interactions
from lethe.tables.order import in_order, together
from lethe.tables.side_tables import BEHAVIOUR, SideTables, known_links


def ingest(workspace: Workspace, params: Params, dataset: str) -> None:
    """Read the source and its side tables, drop what the suppression list names, write all in canonical form.

    How many rows were dropped stands in suppressed.json, for ``lethe train`` to tell.
    """
    config = params.datasets[dataset]
    suppressed = SuppressionList.read(workspace.suppression)
    read = sources.blocks(config.source, root=workspace.source_root, copy=workspace.source_copy(dataset))
    counts, later = Counter[str](), bool(suppressed.lengths(dataset))
    with fresh(workspace.ingested(dataset)) as folder:
        for name, blocks in read.items():
            with aside(folder) as own:
                rows = in_order(blocks, own)
                allowed = (suppressed.drop(block, dataset) for block in _counted(rows, counts, "read"))
                kept = _distinct(_counted(allowed, counts, "allowed"), config.duplicates)
                # A longer id that is known may hold one of somebody's: who is known must be told first.
                told = kept if later else _emptied(kept, suppressed, dataset, config.duplicates, counts)
                write_blocks(folder / f"{name}.parquet", told)
        paths = [folder / f"{name}.parquet" for name in read]
        known = KnownIds(tuple(paths))
        for path in (path for path in paths if later and _has_contexts(path)):
            rows = map(together, merged([path]))
            write_blocks(path, _emptied(rows, suppressed, dataset, config.duplicates, counts, known))
        whole = folder / f"{INTERACTIONS}.parquet"
        if INTERACTIONS not in read:
            # A pair may also recur across parts; which part then has it is the split's business.
            rows = map(together, merged(paths))
            # Pairs that became equal because a context names nobody any more are nobody's error.
            agreed = "latest" if counts["emptied"] and config.duplicates == "error" else config.duplicates
            write_blocks(whole, _distinct(rows, agreed))
        if pq.read_metadata(whole).num_rows == 0:
            raise DataError(f"dataset {dataset}: no interactions are left to learn from, at least 1 is needed")
        dropped = counts["read"] - counts["allowed"]
        if isinstance(config.source, TableFormat) and dropped:
            _must_be_texts(config.source, whole, dataset)
        if sources.has_side(config):
            _write_side(folder / "side", whole, config, workspace.source_root, dataset, suppressed, known)
    write_whole(workspace.suppressed_rows(dataset), json.dumps({"rows": dropped}) + "\n")


def _must_be_texts(source: TableFormat, whole: Path, dataset: str) -> None:
    """What ``auto`` took for texts must be so without the forgotten: from the rest alone integers would be built.

    Raises DataError where all that is left are whole numbers."""
    schema = pq.read_schema(whole)
    now = {name: "integer" if pa.types.is_integer(schema.field(name).type) else "text" for name in ("user", "item")}
    auto = {"user": source.ids == "auto", "item": (source.item_ids or source.ids) == "auto"}
    for name in (name for name in now if auto[name] and now[name] == "text"):
        if _are_whole(whole, name):
            raise DataError(
                f"dataset {dataset}: its {name}s were read as text because of ids that are forgotten, all others are "
                f"whole numbers; write ids: {now['user']} and item_ids: {now['item']} below its source in params.yaml, "
                "so that they stay as they are"
            )


def _are_whole(path: Path, column: str) -> bool:
    with pq.ParquetFile(path) as file:
        read = (pa.chunked_array([batch.column(0)]) for batch in file.iter_batches(columns=[column]))
        return all(read_ids(ids, "auto", column).dtype != object for ids in read)


def _counted(blocks: Iterable[Interactions], counts: Counter[str], name: str) -> Iterator[Interactions]:
    for block in blocks:
        counts[name] += len(block)
        yield block


def _distinct(blocks: Iterable[Interactions], duplicates: str) -> Iterator[Interactions]:
    """``deduplicate`` of blocks that hold all rows of their users."""
    repeated = 0
    for block in blocks:
        distinct_rows = deduplicate(block, "sum" if duplicates == "sum" else "latest")
        repeated += len(block) - len(distinct_rows)
        yield distinct_rows
    if duplicates == "error":
        must_be_distinct(repeated)


def _has_contexts(path: Path) -> bool:
    return any(name.startswith(CONTEXT) for name in pq.read_schema(path).names)


def _emptied(
    blocks: Iterable[Interactions],
    suppressed: SuppressionList,
    dataset: str,
    duplicates: str,
    counts: Counter[str],
    known: KnownIds = NOBODY,
) -> Iterator[Interactions]:
    """Blocks without the contexts that name somebody who is forgotten; what is the same row then is one."""
    for block in blocks:
        told = suppressed.emptied(block, dataset, known=known)
        if told is not block:
            counts["emptied"] += 1
            told = deduplicate(told, "sum" if duplicates == "sum" else "latest")
        yield told


def _allowed(
    blocks: Iterable[Interactions], name: str, suppressed: SuppressionList, dataset: str, known: KnownIds
) -> Iterator[Interactions]:
    """Distinct rows of a behaviour that may be learnt from, of blocks that hold all rows of their users."""
    for block in _distinct(blocks, "latest"):
        left = suppressed.drop_side(SideTables(behaviours={name: block}), dataset, known).behaviours[name]
        yield deduplicate(left, "latest") if left.contexts else left


def _write_side(
    folder: Path, whole: Path, config: Dataset, root: Path, dataset: str, suppressed: SuppressionList, known: KnownIds
) -> None:
    """The side tables of the interactions that remain: what stands beside an item that only the forgotten had would
    tell of them."""
    users, items = (Ids.in_file(whole, name) for name in ("user", "item"))
    strict = all(entry.dataset != dataset for entry in suppressed.entries)
    tables, behaviours = sources.side_blocks(config, users, items, root=root, strict=strict)
    if tables:
        known_links(suppressed.drop_side(tables, dataset, known), users).write(folder)
    for name, blocks in behaviours.items():
        with aside(folder.parent) as own:
            kept = _allowed(in_order(blocks, own), name, suppressed, dataset, known)
            write_blocks(folder / f"{BEHAVIOUR}{name}.parquet", kept)
