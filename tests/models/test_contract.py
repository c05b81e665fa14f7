"""Every model keeps every law of the contract, and so does every way of training it."""

from __future__ import annotations

import pytest

from lethe.models import MODELS
from tests.contract import LAWS, Law, Values

VARIANTS: list[tuple[str, Values]] = [(name, {}) for name in MODELS] + [
    ("wmf", {"solver": "gradient", "epochs": 60, "reg": 0.01}),
    ("wmf", {"negative_weight": 4.0, "popularity_exponent": 0.5, "reg": 0.1}),
    ("enmf-u", {"batch_size": 7, "epochs": 60}),
    ("lightgcn", {"loss": "bpr", "reg": 0.001, "epochs": 60}),
    ("eatnn", {"batch_size": 7, "attention": False, "reg": 0.001, "epochs": 60}),
    ("ehcf", {"batch_size": 7, "transfer": False, "joint": False, "epochs": 90}),
    ("ghcf", {"num_layers": 1, "node_dropout": 0.1, "batch_size": 15, "epochs": 60}),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=lambda part: part if isinstance(part, str) else str(part))
def test_law(name: str, values: Values, law: Law) -> None:
    law(name, values)
