"""What is measured of an ensemble on a split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lethe.config.measures import Measures
from lethe.evaluation.contextual import evaluate_situations
from lethe.evaluation.ranking import evaluate, means
from lethe.evaluation.rating import evaluate_ratings, predict_by_scores
from lethe.learning.aggregation.ensemble import Asked, Ensemble
from lethe.tables.interactions import Interactions


def write_evaluation(folder: Path, ensemble: Path, parts: dict[str, Interactions], measures: Measures) -> None:
    """Measure the ensemble of a folder and write metrics.json {"valid": {...}, "test": {...}}."""
    metrics = measure(Ensemble.load(ensemble), parts, measures)
    (folder / "metrics.json").write_text(json.dumps(metrics, sort_keys=True))


def measure(ensemble: Ensemble, parts: dict[str, Interactions], measures: Measures) -> dict[str, dict[str, float]]:
    """Validation and test metrics of an ensemble on a split."""
    if measures.ratings:
        predict = predict_by_scores(ensemble.score, ensemble.catalogue, parts["train"])
        held_out = {part: parts[part] for part in ("valid", "test")}
        return {
            part: evaluate_ratings(predict, ensemble.catalogue, rows, measures.metrics)
            for part, rows in held_out.items()
        }
    known = Interactions.concatenate(parts["train"], parts["valid"])
    return {
        "valid": _rank(ensemble, parts["train"], parts["valid"], measures),
        "test": _rank(ensemble, known, parts["test"], measures),
    }


def _rank(ensemble: Ensemble, seen: Interactions, held_out: Interactions, measures: Measures) -> dict[str, float]:
    cutoffs, metrics = measures.cutoffs, measures.metrics
    catalogue = ensemble.catalogue
    if not held_out.contexts:
        return evaluate(ensemble.score, catalogue, seen, held_out, cutoffs=cutoffs, metrics=metrics)

    def score(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
        return ensemble.score(users, Asked(contexts))

    return means(evaluate_situations(score, catalogue, seen, held_out, cutoffs=cutoffs, metrics=metrics))
