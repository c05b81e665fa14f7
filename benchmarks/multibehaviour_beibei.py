"""Beibei, purchases and carts alone: the views of the EHCF and GHCF papers are not to be had."""

from __future__ import annotations

from pathlib import Path

from benchmarks import multibehaviour
from benchmarks.side_data import purchases
from benchmarks.table import Row

DATASET = "beibei-buy-cart"
PROTOCOL = (
    "Beibei, buy + cart: the leave-one-out purchases of the EHCF and GHCF papers; their views are missing, so only"
    " models of purchases alone compare with the papers' figures, and EHCF, GHCF and Collective see carts alone. 62 %"
    " of the held-out pairs are among the carts, as published. Every item not among the user's train purchases is a"
    " candidate; means over all 21,716 users. Settings are tuned on each user's last train purchase in file order,"
    " which ranks settings but overstates their figures."
)
AGAINST = multibehaviour.AGAINST
PUBLISHED = {
    model: dict(zip(multibehaviour.COLUMNS, figures, strict=True))
    for model, figures in {
        "BPR": (0.0437, 0.1246, 0.2192, 0.0213, 0.0407, 0.0539),
        "ENMF": (0.0464, 0.1637, 0.2586, 0.0247, 0.0484, 0.0639),
        "LightGCN": (0.0451, 0.1613, 0.2495, 0.0232, 0.0466, 0.0611),
    }.items()
}


def rows(data_dir: Path) -> list[Row]:
    split = purchases(data_dir, DATASET)
    return [*multibehaviour.headline_rows(split), *multibehaviour.sampled_rows(split)]
