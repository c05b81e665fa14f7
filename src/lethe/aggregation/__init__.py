"""How sub-models become one recommender. ``AGGREGATORS`` is the whole list."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lethe.aggregation import attention, ease, identity, mean, refit, stacked, static
from lethe.aggregation.ensemble import Asked, Ensemble, FactorEnsemble, SubModel, WeightedEnsemble
from lethe.config import Section
from lethe.training import History


class Aggregator(NamedTuple):
    """``fit(sub_models, train, config, stream)`` -> (ensemble, history); ``config`` is a ``Config``."""

    Config: type[Section]
    fit: Callable[..., tuple[Ensemble, History]]


AGGREGATORS: dict[str, Aggregator] = {
    "identity": Aggregator(identity.Config, identity.fit),
    "mean": Aggregator(mean.Config, mean.fit),
    "static": Aggregator(static.Config, static.fit),
    "attention": Aggregator(attention.Config, attention.fit),
    "stacked": Aggregator(stacked.Config, stacked.fit),
    "refit": Aggregator(refit.Config, refit.fit),
    "ease": Aggregator(ease.Config, ease.fit),
}

__all__ = ["AGGREGATORS", "Aggregator", "Asked", "Ensemble", "FactorEnsemble", "SubModel", "WeightedEnsemble"]
