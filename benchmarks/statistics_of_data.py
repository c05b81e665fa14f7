"""What the research data are: users, items, interactions and what is known beside them, with what the sources say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure_data import SETS, bench
from benchmarks.page import grid, page

PUBLISHED: dict[str, dict[str, int]] = {
    "ml-1m-loo": {"users": 6040, "items": 3706, "interactions": 1_000_209},
    "ml-1m-receraser": {"users": 6040, "items": 3706, "interactions": 1_000_209},
    "ciao-eatnn": {"users": 7267, "items": 11_211, "interactions": 157_995, "links": 111_781},
    "beibei-buy-cart": {"users": 21_716, "items": 7977, "interactions": 304_576, "cart": 642_622},
    "frappe-ensfm": {"users": 957, "items": 4082, "interactions": 96_203},
    "ml-1m-ensfm": {"users": 6040, "items": 3706, "interactions": 1_000_209},
    "amazon-book-jnskr": {"users": 70_679, "items": 24_915, "interactions": 847_733, "triples": 2_557_746},
}
"""Tables 3.2, 4.2, 4.9, 5.2, 5.7 and 6.2 of the thesis. Two of them print 6,940 users of MovieLens, which has 6,040."""

Rows = list[dict[str, Any]]


def measure(data_dir: Path) -> Rows:
    """A row for each data set: counts over all of its parts. Raises DataError."""
    rows = []
    for name in SETS:
        data = bench(name, data_dir)
        users = len(np.unique(np.concatenate([part.user_ids for part in data.parts])))
        items = len(np.unique(np.concatenate([part.item_ids for part in data.parts])))
        interactions = sum(map(len, data.parts))
        counts = {"users": users, "items": items, "interactions": interactions}
        if data.split:
            counts |= {kind: len(table) for kind, table in data.split.tables.tables.items()}
            counts |= {kind: len(table) for kind, table in data.split.tables.behaviours.items()}
        rows.append({"model": name, "counts": counts, "density": round(interactions / users / items, 5)})
    return rows


def report(rows: Rows, command: str) -> tuple[dict[str, Any], str]:
    """The rows as other reports name them, and a table of them."""
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["counts"]))
    said = (
        "Of all parts of each data set as the tables read it; in brackets what the thesis says of\n"
        f"it, where that is another number. `{command}`"
    )
    published = [row | {"published": PUBLISHED.get(row["model"], {})} for row in rows]
    cells = [
        (
            row["model"],
            *(_cell(row["counts"].get(kind), row["published"].get(kind)) for kind in kinds),
            f"{row['density']:.2%}",
        )
        for row in published
    ]
    text = page("statistics", said, grid(["data", *kinds, "density"], cells))
    return {"table": "statistics", "command": command, "rows": published}, text


def _cell(count: int | None, published: int | None) -> str:
    if count is None:
        return "–"
    return f"{count:,}" if published in (None, count) else f"{count:,} ({published:,})"
