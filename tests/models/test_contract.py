"""Every model keeps every law of the contract, and so does every way of training it."""

from __future__ import annotations

import pytest

from lethe.models import MODELS, configure
from tests.contract import (
    LAWS,
    Law,
    Values,
    factors_make_the_scores,
    folds_strangers_in,
    hits_the_checkerboard,
    is_alone_in_threads,
    scores_are_finite,
    weights_round_trip,
)

_GRU: Values = {"embedding_dim": 4, "num_negatives": 20, "learning_rate": 0.02, "epochs": 18, "batch_size": 8}
_FM: Values = {"embedding_dim": 8}
_LFM: Values = {"embedding_dim": 8, "init_std": 0.3, "epochs": 60, "reg": 0.05}
_LARGE_STEPS: Values = {"embedding_dim": 8, "batch_size": 0, "learning_rate": 0.05}
_STEPS: Values = {"embedding_dim": 8, "learning_rate": 0.02, "epochs": 40, "num_layers": 1, "dropout": 0.1}
_PAIRS: Values = _LARGE_STEPS | {"init_std": 0.1, "num_negatives": 4, "reg": 0.1, "epochs": 60}
SMALL = {
    "ensfm": _FM,
    # 64 dimensions leave so few cells room for noise: with five of eight seeds a stranger's order is not clean.
    "gmf": {"embedding_dim": 8},
    "gru4rec": _GRU,
    "implicit-lfm": _LFM,
    "ra-lst": _GRU | {"long": _LFM},
    "ra-lst-exact": _GRU,
    "mult-vae": _LARGE_STEPS | {"hidden": 16, "epochs": 30},
    "directau": _LARGE_STEPS | {"epochs": 30, "uniformity": 0.3},
    "fm": _PAIRS | {"loss": "bpr"},
    "nfm": _PAIRS | {"loss": "bpr", "layers": (8,)},
    "deepfm": _PAIRS | {"loss": "bpr", "layers": (8,)},
    "cfm": _LARGE_STEPS | {"embedding_dim": 4, "epochs": 30, "num_negatives": 4, "channels": 4},
    "sbpr": _LARGE_STEPS | {"epochs": 60},
    "samn": _LARGE_STEPS | {"epochs": 60},
    "transiv": {"embedding_dim": 4},
    "cmf": _LARGE_STEPS | {"epochs": 60},
    "mc-bpr": _LARGE_STEPS | {"epochs": 60},
    "nmtr": _LARGE_STEPS | {"epochs": 60, "reg": 0.2},
    "cke": _LARGE_STEPS | {"epochs": 60},
    "cfkg": _LARGE_STEPS | {"epochs": 60},
    "ripplenet": _LARGE_STEPS | {"epochs": 60, "memory": 8, "hops": 1, "num_negatives": 2},
    "rating-mlp": _LARGE_STEPS | {"layers": (8,), "epochs": 60},
    "kgat": _LARGE_STEPS | {"epochs": 40, "layers": (4,)},
    "sasrec": _STEPS,
    "hstu": _STEPS,
    "xsimgcl": _LARGE_STEPS | {"epochs": 60},
    "enmf-quadratic": {"embedding_dim": 8, "squared_dim": 2, "epochs": 60},
}
"""Settings of models whose own are for far more rows than the checkerboard has."""

VARIANTS: list[tuple[str, Values]] = [(name, SMALL.get(name, {})) for name in MODELS] + [
    ("wmf", {"solver": "gradient", "epochs": 60, "reg": 0.01}),
    ("wmf", {"negative_weight": 4.0, "popularity_exponent": 0.5, "reg": 0.1}),
    ("enmf-u", {"batch_size": 7, "epochs": 60}),
    ("gru4rec", _GRU | {"num_layers": 2, "num_negatives": 0}),
    ("ra-lst", _GRU | {"long": _LFM, "theta": 0.7}),
    ("jnskr", {"training": "alternating", "attention": False, "reg": 0.001, "batch_size": 7, "epochs": 60}),
    ("jnskr", {"negative_weight": 4.0, "popularity_exponent": 0.5, "graph_weight": 0.0, "epochs": 60}),
    ("collective-graph", {"negative_weight": 4.0, "popularity_exponent": 0.5, "graph_weight": 0.0}),
    ("ensfm", _FM | {"batch_size": 7, "epochs": 60, "popularity_exponent": 0.5, "negative_weight": 4.0}),
    ("lightgcn", {"loss": "bpr", "reg": 0.001, "epochs": 60}),
    ("eatnn", {"batch_size": 7, "attention": False, "reg": 0.001, "epochs": 60}),
    ("ehcf", {"batch_size": 7, "transfer": False, "joint": False, "epochs": 90}),
    ("ghcf", {"num_layers": 1, "start": "normal", "learning_rate": 0.05, "node_dropout": 0.1, "batch_size": 15}),
]


LEARNT = {
    hits_the_checkerboard,
    scores_are_finite,
    factors_make_the_scores,
    weights_round_trip,
    folds_strangers_in,
}
"""Laws of a model that has learnt: one and the same for them all."""


def epochs(law: Law) -> int:
    """Enough for a law about the bytes of a training: it can be stopped early, midway and late; and of those that are
    side by side each is still learning while the other one is."""
    return 12 if law is is_alone_in_threads else 4


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=lambda part: part if isinstance(part, str) else str(part))
def test_law(name: str, values: Values, law: Law) -> None:
    own = getattr(configure(name, values), "epochs", None)
    brief = {} if own is None or law in LEARNT else {"epochs": min(own, epochs(law))}
    law(name, values | brief)
