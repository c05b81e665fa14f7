"""By which figure candidates are compared."""

from __future__ import annotations

from lethe.config.params import Params
from lethe.errors import ConfigError
from lethe.evaluation.ranking import DEFAULT_METRICS
from lethe.evaluation.rating import ERRORS
from lethe.models import rates


def judged_by(params: Params, model: str) -> str:
    """The validation metric that decides between models of its kind. Raises ConfigError if it isn't measured."""
    if rates(model):
        return params.training.rating_metric
    measured = [f"{name}@{cutoff}" for name in DEFAULT_METRICS for cutoff in params.evaluation.cutoffs]
    if params.training.metric not in measured:
        raise ConfigError(
            f"training.metric: {params.training.metric!r} is not measured; measured are {', '.join(measured)}"
        )
    return params.training.metric


def merit(value: float, name: str) -> float:
    """The value of a metric such that higher is better."""
    return -value if name in ERRORS else value
