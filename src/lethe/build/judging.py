"""By which figure candidates are compared."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lethe.config.params import Params
from lethe.core.spelling import meant
from lethe.errors import ConfigError
from lethe.evaluation.metrics import METRICS
from lethe.evaluation.rating import ERRORS
from lethe.models import rates


def judged_by(params: Params, model: str) -> str:
    """The validation metric that decides between models of its kind. Raises ConfigError if it isn't measured."""
    wanted = params.evaluation
    if rates(model):
        _known("evaluation.rating_metrics", wanted.rating_metrics, ERRORS)
        return _measured("training.rating_metric", params.training.rating_metric, wanted.rating_metrics)
    _known("evaluation.metrics", wanted.metrics, METRICS)
    measured = [f"{name}@{cutoff}" for name in wanted.metrics for cutoff in wanted.cutoffs]
    return _measured("training.metric", params.training.metric, measured)


def _known(field: str, names: Iterable[str], known: Collection[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"{field}: unknown metric {unknown[0]!r}{meant(unknown[0], known)}; known are {', '.join(known)}"
        )


def _measured(field: str, name: str, measured: Iterable[str]) -> str:
    if name not in measured:
        raise ConfigError(f"{field}: {name!r} is not measured; measured are {', '.join(measured)}")
    return name


def merit(value: float, name: str) -> float:
    """The value of a metric such that higher is better."""
    return -value if name in ERRORS else value
