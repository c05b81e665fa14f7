"""What is measured of an ensemble on a split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from lethe.config.measures import Measures
from lethe.evaluation.contextual import evaluate_situations
from lethe.evaluation.ranking import Score, evaluate_users, means
from lethe.evaluation.rating import evaluate_ratings, predict_by_scores, rating_errors
from lethe.learning.aggregation.ensemble import Asked, Ensemble, scoring
from lethe.learning.device import CPU, exactly
from lethe.tables.interactions import Interactions


def write_evaluation(
    folder: Path, ensemble: Path, parts: dict[str, Interactions], measures: Measures, device: torch.device = CPU
) -> None:
    """Measure the ensemble of a folder and write metrics.json {"valid": {...}, "test": {...}}, and in history.json
    which rows were its users' history when test was measured; on validation those are the training rows."""
    loaded = Ensemble.load(ensemble)
    with exactly(device, "evaluation"):
        metrics = measure(loaded, parts, measures, device)
    known = Interactions.concatenate(parts["train"], parts["valid"])
    history = "training and validation" if not measures.ratings and follows(loaded, known) else "training"
    (folder / "metrics.json").write_text(json.dumps(metrics, sort_keys=True))
    (folder / "history.json").write_text(json.dumps({"test": history}))


def measure(
    ensemble: Ensemble, parts: dict[str, Interactions], measures: Measures, device: torch.device = CPU
) -> dict[str, dict[str, float]]:
    """Validation and test metrics of an ensemble on a split; rankings of two towers are made on the device."""
    if measures.ratings:
        predict = predict_by_scores(ensemble.score, ensemble.catalogue, parts["train"])
        held_out = {part: parts[part] for part in ("valid", "test")}
        return {
            part: evaluate_ratings(predict, ensemble.catalogue, rows, measures.metrics)
            for part, rows in held_out.items()
        }
    known = Interactions.concatenate(parts["train"], parts["valid"])
    return {
        "valid": _rank(ensemble, parts["train"], parts["valid"], measures, device),
        "test": _rank(ensemble, known, parts["test"], measures, device, follow=follows(ensemble, known)),
    }


def follows(ensemble: Ensemble, known: Interactions) -> bool:
    """Whether test is measured with training and validation rows as history, as a service that knows them would be: of
    models of sequences. What others answer from is what they have learnt, the training rows."""
    return ensemble.ordered and known.timestamps is not None and not known.contexts


def measure_each(
    ensemble: Ensemble, seen: Interactions, held_out: Interactions, measures: Measures, metric: str
) -> np.ndarray:
    """A metric of each user (or situation) of ``held_out``, or the error r - r̂ of each of its rows; NaN where the
    ensemble doesn't know the user, or the item that is rated."""
    if not measures.ratings:
        values = _rank_users(ensemble, seen, held_out, measures)
        return np.where(values["cold_users"] > 0, np.nan, values[metric])
    catalogue = ensemble.catalogue
    errors = rating_errors(predict_by_scores(ensemble.score, catalogue, seen), catalogue, held_out)
    known = (catalogue.users.encode(held_out.user_ids) >= 0) & (catalogue.items.encode(held_out.item_ids) >= 0)
    return np.where(known, errors, np.nan)


def _rank(
    ensemble: Ensemble,
    seen: Interactions,
    held_out: Interactions,
    measures: Measures,
    device: torch.device,
    *,
    follow: bool = False,
) -> dict[str, float]:
    return means(_rank_users(ensemble, seen, held_out, measures, device, follow=follow))


def _rank_users(
    ensemble: Ensemble,
    seen: Interactions,
    held_out: Interactions,
    measures: Measures,
    device: torch.device = CPU,
    *,
    follow: bool = False,
) -> dict[str, np.ndarray]:
    cutoffs, metrics = measures.cutoffs, measures.metrics
    catalogue = ensemble.catalogue
    if not held_out.contexts:
        score_users = _after(ensemble, seen) if follow else scoring(ensemble, device)
        return evaluate_users(score_users, catalogue, seen, held_out, cutoffs=cutoffs, metrics=metrics)

    def score(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
        return ensemble.score(users, Asked(contexts))

    return evaluate_situations(score, catalogue, seen, held_out, cutoffs=cutoffs, metrics=metrics)


def _after(ensemble: Ensemble, seen: Interactions) -> Score:
    """Scores after all that each user has seen, in order of time."""
    assert seen.timestamps is not None
    rows = ensemble.catalogue.users.encode(seen.user_ids)
    order = np.lexsort((seen.timestamps, rows))
    items, starts = seen.item_ids[order], np.searchsorted(rows[order], np.arange(len(ensemble.catalogue.users) + 1))

    def score(users: np.ndarray) -> np.ndarray:
        return ensemble.score(users, Asked(histories=[items[starts[user] : starts[user + 1]] for user in users]))

    return score
