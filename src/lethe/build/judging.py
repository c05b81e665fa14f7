"""How candidates are measured on a split, and by which figure they are compared."""

from __future__ import annotations

import numpy as np

from lethe.config.params import Params
from lethe.errors import ConfigError
from lethe.evaluation import ERRORS, evaluate, evaluate_ratings, evaluate_situations, means, predict_by_scores
from lethe.evaluation.ranking import DEFAULT_METRICS
from lethe.learning.aggregation import Asked, Ensemble
from lethe.models import rates
from lethe.tables.interactions import Interactions


def measure(
    ensemble: Ensemble, parts: dict[str, Interactions], cutoffs: tuple[int, ...], *, ratings: bool = False
) -> dict[str, dict[str, float]]:
    """Validation and test metrics of an ensemble on a split: of rankings, or (``ratings``) errors of ratings."""
    if ratings:
        predict = predict_by_scores(ensemble.score, ensemble.catalogue, parts["train"])
        return {part: evaluate_ratings(predict, ensemble.catalogue, parts[part]) for part in ("valid", "test")}
    known = Interactions.concatenate(parts["train"], parts["valid"])
    return {
        "valid": _rank(ensemble, parts["train"], parts["valid"], cutoffs),
        "test": _rank(ensemble, known, parts["test"], cutoffs),
    }


def _rank(ensemble: Ensemble, seen: Interactions, held_out: Interactions, cutoffs: tuple[int, ...]) -> dict[str, float]:
    if not held_out.contexts:
        return evaluate(ensemble.score, ensemble.catalogue, seen, held_out, cutoffs=cutoffs)

    def score(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
        return ensemble.score(users, Asked(contexts))

    return means(evaluate_situations(score, ensemble.catalogue, seen, held_out, cutoffs=cutoffs))


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
