"""Who is likely to leave: their rows lie in a shard's last slice, whose removal costs least."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from lethe.config.sharding import ColumnPlacement, Placement, RequestPlacement
from lethe.config.table import Columns, TableFormat
from lethe.core.keys import subject_digests
from lethe.core.workspace import Workspace
from lethe.data.sources import table
from lethe.data.suppression import SuppressionList
from lethe.tables.columns import distinct
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

Leaving = Callable[[Interactions], np.ndarray]
"""[n] bool of rows: those of users who are likely to leave."""


def leaving_of(workspace: Workspace, placement: Placement | None, dataset: str) -> Leaving | None:
    """Raises DataError where the placement's table is no table."""
    match placement:
        case None:
            return None
        case ColumnPlacement():
            # One value a user, read as the rating that the user gives. There is no item to it: the user stands in for
            # one, which no source may say.
            columns = Columns.model_construct(user=placement.user, item=placement.user, rating=placement.column)
            how = TableFormat.model_construct(columns=columns)
            values = table.read(workspace.source_root / placement.path, how)
            assert values.ratings is not None
            named = Ids.of(values.user_ids[values.ratings >= placement.at_least])
            return lambda rows: named.encode(rows.user_ids) >= 0
        case RequestPlacement():
            entries = SuppressionList.read(workspace.suppression).entries
            asked = Counter(e.user_digest for e in entries if e.dataset == dataset and e.kind == "interaction")
            often = {digest for digest, count in asked.items() if count >= placement.at_least}

            def asked_often(rows: Interactions) -> np.ndarray:
                users, places = distinct(rows.user_ids)
                return np.array([digest in often for digest in subject_digests(dataset, users.tolist())], bool)[places]

            return asked_often
