"""One look at a dataset's interactions, and at the parts they were laid into, for all that is counted of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from lethe.config.params import Params
from lethe.data.gates.counting import CopyCounts, Keys, TableCounts
from lethe.data.suppression import SuppressionList
from lethe.tables.blocks import Block, in_steps, rows_of
from lethe.tables.drift import Tally
from lethe.tables.inside import KnownIds
from lethe.tables.interactions import Interactions

AT_ONCE = 1 << 20
"""Rows in a step: of text as many distinct ids come with half as many rows, and are looked up again in each step."""


@dataclass(frozen=True)
class Look:
    """What was counted of all interactions.

    suppressed  rows that the suppression list names, or somebody of it in a context
    tally       what the rows look like
    copies      how the parts of the split hold the rows; None where the parts weren't looked at
    """

    table: TableCounts
    suppressed: int
    tally: Tally
    copies: CopyCounts | None


def _named(suppressed: SuppressionList, rows: Interactions, dataset: str, known: KnownIds) -> int:
    named = suppressed.matches(rows, dataset)
    for of_field in suppressed.named_in_contexts(rows, dataset, known=known).values():
        named = named | of_field
    return int(named.sum())


def look_at(
    rows: Path, parts: Sequence[Path] | None, dataset: str, params: Params, suppressed: SuppressionList | None
) -> Look:
    """``suppressed``: the list, where it names anybody of the dataset. Raises DataError where a file can't be read."""
    config = params.datasets[dataset]
    tally, known = Tally(config.has_times), KnownIds((rows,))

    def count(block: Block, laid: Sequence[Block]) -> tuple[TableCounts, int, CopyCounts | None]:
        tally.add(block)
        keys = None if parts is None else Keys.of(block, laid)
        table = TableCounts.of(block, config.rating.min, config.rating.max, keys)
        return (
            table,
            0 if suppressed is None else _named(suppressed, rows_of(block), dataset, known),
            None if keys is None else CopyCounts.of(block, laid, keys),
        )

    counts = in_steps(count, rows, parts or (), AT_ONCE, begin=tally.clear)
    table, named = (reduce(add, counted) for counted in list(zip(*counts, strict=True))[:2])
    copies = [copied for *_, copied in counts if copied is not None]
    return Look(table, named, tally, reduce(add, copies) if copies else None)
