"""Book-Crossing with its complete knowledge graph."""

from __future__ import annotations

from pathlib import Path

from benchmarks.knowledge import COLUMNS, graph_rows
from benchmarks.side_data import book_crossing
from benchmarks.table import Row

PROTOCOL = (
    "Book-Crossing as MCCLK ships it: the 69,873 real rows (label 1; those of label 0 are random pairs and are left"
    " out), split 80/10/10 by the key of each pair; trained on train, tuned on validation; every item in neither of a"
    " user's two is a candidate on test; recall = hits/|test|. The graph is every triple that names a book, as head or"
    " as tail. No paper has this split. Baselines are all"
    " rows but JNSKR's, Collective and those with defaults."
)
PUBLISHED = {"": COLUMNS}


def rows(data_dir: Path) -> list[Row]:
    return graph_rows(book_crossing(data_dir))
