"""Taobao (the sample of CRGCN and MB-CGCN) without the answers: held-out pairs leave the views and carts."""

from __future__ import annotations

from pathlib import Path

from benchmarks import multibehaviour
from benchmarks.side_data import purchases
from benchmarks.table import Row

DATASET = "taobao-mb-clean"
PROTOCOL = (
    "taobao-mb, clean: as multibehaviour-taobao-mb, but the pairs of test and validation are left out of the views and"
    " carts, in training and in tuning, so that no behaviour tells the answer. Settings of Collective, EHCF and"
    " GHCF are tuned anew; models of purchases alone have the settings of the published protocol."
)
AGAINST = multibehaviour.AGAINST
PUBLISHED = {"EHCF": dict.fromkeys(multibehaviour.COLUMNS)}


def rows(data_dir: Path) -> list[Row]:
    split = purchases(data_dir, DATASET)
    return [*multibehaviour.headline_rows(split), *multibehaviour.subset_rows(split, [(), ("cart",), ("view",)])]
