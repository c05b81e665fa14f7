"""MovieLens-1M with the knowledge graph of MKR."""

from __future__ import annotations

from pathlib import Path

from benchmarks.knowledge import COLUMNS, graph_rows
from benchmarks.side_data import ml1m_graph
from benchmarks.table import Row

PROTOCOL = (
    "MovieLens-1M, every rating an interaction, split 80/10/10 by the key of each pair; trained on train, tuned on"
    " validation; every item in neither of a user's two is a candidate on test; recall = hits/|test|. The graph is"
    " MKR's: 20,195 triples of seven relations about 2,347 of the 3,706 movies. No paper has this split. Baselines are"
    " all rows but JNSKR's, Collective and those with defaults."
)
PUBLISHED = {"": COLUMNS}


def rows(data_dir: Path) -> list[Row]:
    return graph_rows(ml1m_graph(data_dir))
