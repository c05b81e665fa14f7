"""The three suites. Each counts blocks of rows, says the rules, and lets the engine judge and record the counts.

No row reaches the engine: it is handed how many there are, and how many break each rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import numpy as np

from lethe.config.dataset import Dataset
from lethe.config.params import Validation
from lethe.config.sharding import Sharding
from lethe.data.gates.counting import ColumnCounts, CopyCounts, TableCounts, copies_of, key_columns
from lethe.data.gates.engine import Count, Engine
from lethe.data.gates.report import Report
from lethe.data.partition import partition_of
from lethe.tables.blocks import Block, Source, in_steps
from lethe.tables.interactions import TIMES

_BETWEEN = "ExpectColumnValuesToBeBetween"
_TYPE = "ExpectColumnValuesToBeOfType"
_ROWS = "ExpectTableRowCountToBeBetween"
_NUMBERS = ("rating", "weight")


def validate_interactions(
    interactions: Source | TableCounts,
    dataset: Dataset,
    bounds: Validation,
    last_epoch_count: int | None = None,
    *,
    suppressed: np.ndarray | int | None = None,
    engine: Engine | None = None,
) -> Report:
    """Types, no missing values, ratings in range, weights above 0, each (user, item) once, no suppressed row, and about
    as many rows as when the epoch began (``last_epoch_count``; None: it begins now). ``suppressed``: [n] bool marks
    suppressed rows, or how many there are. What is counted already is not looked at again.
    """
    low, high = dataset.rating.min, dataset.rating.max

    def count(block: Block, _: Sequence[Block]) -> TableCounts:
        return TableCounts.of(block, low, high)

    table = interactions if isinstance(interactions, TableCounts) else reduce(add, in_steps(count, interactions))
    counts = [
        Count("ExpectColumnValuesToNotBeNull", "have no missing values", name, column.missing)
        for name, column in table.columns.items()
    ]
    counts += [_type(name, column, table.rows) for name, column in table.columns.items()]
    if "rating" in table.columns and (low, high) != (None, None):
        within = f"between {low} and {high}" if None not in (low, high) else _side(low, high)
        counts.append(Count(_BETWEEN, f"be {within}", "rating", table.outside))
    if "weight" in table.columns:
        counts.append(Count(_BETWEEN, "be above 0 and finite", "weight", table.idle))
    pairs = f"hold each pair of columns {', '.join(map(repr, key_columns(table.columns)))} once"
    counts.append(Count("ExpectCompoundColumnsToBeUnique", pairs, "", table.repeated, failed=table.repeated))
    counts.append(_about_as_many(table.rows, bounds, last_epoch_count))
    if suppressed is not None:
        counts.append(_none("suppressed", "no row that the suppression list names", int(np.sum(suppressed))))
    return (engine or Engine()).record("interactions", counts)


def validate_split(parts: Mapping[str, Source], whole: Source | CopyCounts, *, engine: Engine | None = None) -> Report:
    """Disjoint (no pair of user and item in two parts), complete (exactly the rows of ``whole``), train not empty.
    ``whole`` may be what is counted already."""
    copies = whole if isinstance(whole, CopyCounts) else copies_of(whole, list(parts.values()))
    train = copies.parts[list(parts).index("train")]
    counts = [
        _none("missing", "no row of the interactions is missing from the parts", copies.missing),
        _none("foreign", "no row of the parts is foreign to the interactions, or there too often", copies.foreign),
        Count(_BETWEEN, "be 1: each pair of user and item is in one part", "parts", copies.spread),
        Count(_BETWEEN, "be at least 1: train is not empty", "rows", train, least=1, most=None, failed=1),
    ]
    return (engine or Engine()).record("split", counts)


def validate_shards(
    shards: Sequence[Source],
    train: Source,
    sharding: Sharding,
    epoch_rows: int | None = None,
    *,
    name: str = "shards",
    engine: Engine | None = None,
) -> Report:
    """Exactly the training rows, each in one shard; as many shards as asked for, none too large.

    ``epoch_rows`` is the number of training rows when the epoch began (None: it begins now). Deletions empty some
    shards more than others, so later a shard may even be empty, and the cap stays that of the epoch's beginning.
    """
    copies = copies_of(train, shards)
    least = 1 if epoch_rows is None else 0
    most = None
    words = f"be at least {least}: rows of each shard"
    if partition_of(sharding).balanced and sharding.cap == "strict":
        most = math.ceil(sharding.slack * max(copies.whole, epoch_rows or 0) / sharding.num_shards)
        words = f"be between {least} and {most}: rows of each shard, within slack {sharding.slack}"
    broken = sum(size < least or (most is not None and size > most) for size in copies.parts)
    count, there = sharding.num_shards, len(copies.parts)
    counts = [
        _none("missing", "no training row is missing from the shards", copies.missing),
        _none("foreign", "no row of a shard is foreign to the training rows, or in two shards", copies.foreign),
        Count(_ROWS, f"have {count} shards", "", there, least=count, most=count, got=str(there)),
        Count(_BETWEEN, words, "rows", broken),
    ]
    return (engine or Engine()).record(name, counts)


def _type(name: str, column: ColumnCounts, rows: int) -> Count:
    wanted = "float32" if name in _NUMBERS else "int64"
    words, right = wanted, column.dtype == wanted
    if name not in _NUMBERS and name not in TIMES:
        words = "int64 or text"
        if column.dtype == object:
            return Count(_TYPE, f"be {words}", name, column.strange)
    if right:
        return Count(_TYPE, f"be {words}", name, 0)
    # A column of another type is wrong in a table without rows too.
    return Count(_TYPE, f"be {words}", name, max(1, rows), failed=rows, got=str(column.dtype))


def _about_as_many(rows: int, bounds: Validation, begun: int | None) -> Count:
    least, most = 1, None
    words = f"have at least {least} rows"
    if begun is not None:
        least = max(1, math.ceil(bounds.min_fraction * begun))
        most = max(1, math.floor(bounds.max_fraction * begun))
        words = (
            f"have between {least} and {most} rows, because the epoch began with {begun} (where the data are"
            " right, `lethe epoch begin` begins the next)"
        )
    return Count(_ROWS, words, "", rows, least=least, most=most, got=str(rows))


def _none(column: str, words: str, broken: int) -> Count:
    return Count(_BETWEEN, f"be 0: {words}", column, broken)


def _side(low: float | None, high: float | None) -> str:
    return f"at least {low}" if high is None else f"at most {high}"
