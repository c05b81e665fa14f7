"""How sub-models become one recommender. ``AGGREGATORS`` is the whole list."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lethe.config.section import Section
from lethe.core.spelling import meant
from lethe.errors import ConfigError
from lethe.learning.aggregation import attention, ease, identity, mean, refit, stacked, static, turbo_cf
from lethe.learning.ensemble import Ensemble
from lethe.learning.training import History
from lethe.models import MODELS
from lethe.models.cooccurrence import Cooccurrence
from lethe.models.parts.base import Config, Model
from lethe.models.weighted_cooccurrence import WeightedCooccurrence
from lethe.tables.matrix import Shape


class Aggregator(NamedTuple):
    """``fit(sub_models, train, config, stream)`` -> (ensemble, history); ``config`` is a ``Config``. With ``on_device``
    it takes the device that it computes on as a fifth argument."""

    Config: type[Section]
    fit: Callable[..., tuple[Ensemble, History]]
    takes: Callable[[Model], bool] = lambda model: True
    """Whether sub-models of this model can be combined."""
    of: str = ""
    """What those are, in words."""
    whole_users: bool = False
    """Whether all rows of a user must lie in one shard."""
    on_device: bool = False
    new_items: bool = False
    """Whether the ensemble has items that no training row names, where sub-models score such (static: where those have
    no two towers)."""


_TOWERS = "models with two towers"


def _has_towers(model: Model) -> bool:
    return model.factors() is not None


def _counts(model: Model) -> bool:
    return isinstance(model, Cooccurrence)


def _sums(model: Model) -> bool:
    return isinstance(model, WeightedCooccurrence)


AGGREGATORS: dict[str, Aggregator] = {
    "identity": Aggregator(identity.Config, identity.fit, new_items=True),
    "mean": Aggregator(mean.Config, mean.fit, new_items=True),
    "static": Aggregator(static.Config, static.fit, on_device=True, new_items=True),
    "attention": Aggregator(attention.Config, attention.fit, _has_towers, _TOWERS, on_device=True),
    "stacked": Aggregator(stacked.Config, stacked.fit, _has_towers, _TOWERS, on_device=True),
    "refit": Aggregator(refit.Config, refit.fit, _has_towers, _TOWERS, on_device=True),
    "ease": Aggregator(ease.Config, ease.fit, _counts, "cooccurrence alone", whole_users=True, on_device=True),
    "turbo-cf": Aggregator(turbo_cf.Config, turbo_cf.fit, _sums, "weighted-cooccurrence alone", whole_users=True),
}


def aggregator_of(name: str) -> Aggregator:
    """Raises ConfigError for a name that is not in the table."""
    if name not in AGGREGATORS:
        raise ConfigError(f"aggregator: {name!r} must be one of {', '.join(AGGREGATORS)}{meant(name, AGGREGATORS)}")
    return AGGREGATORS[name]


def check(aggregator: str, name: str, config: Config) -> None:
    """Raises ConfigError where sub-models of the model ``name`` can't be combined so: before any is trained."""
    chosen = aggregator_of(aggregator)
    try:
        smallest = MODELS[name](config, Shape(2, 2))
    except (RuntimeError, MemoryError):  # what torch raises where a size can't be had
        raise ConfigError(
            f"models.{name}: two users and two items already need more memory than there is; give it smaller sizes"
            " (embedding_dim, hidden, layers)"
        ) from None
    if not chosen.takes(smallest):
        raise ConfigError(f"aggregator: {aggregator} is for sub-models of {chosen.of}, not of {name}")
