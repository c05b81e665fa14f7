"""What is measured of an ensemble on a split."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lethe.config.measures import Measures
from lethe.evaluation.assessing import ranking_quality, rating_quality
from lethe.evaluation.contextual import rank_situations
from lethe.evaluation.quality import Quality
from lethe.evaluation.ranking import Ranked, Score, means, rank_users
from lethe.evaluation.rating import ERRORS, error_means, predict_by_scores, rating_errors
from lethe.learning.aggregation.scoring import scoring
from lethe.learning.device import CPU, exactly
from lethe.learning.ensemble import Asked, Ensemble
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions


class Measured(NamedTuple):
    """What one part of a split says of an ensemble."""

    means: dict[str, float]
    quality: Quality


def write_evaluation(
    folder: Path, ensemble: Path, parts: dict[str, Interactions], measures: Measures, device: torch.device = CPU
) -> None:
    """Measure the ensemble of a folder and write, by part, means in metrics.json {"valid": {...}, "test": {...}} and
    ``Quality`` in quality.json; in history.json which rows were its users' history when test was measured; on
    validation those are the training rows."""
    loaded = Ensemble.load(ensemble)
    with exactly(device, "evaluation"):
        measured = measure(loaded, parts, measures, device)
    known = Interactions.concatenate(parts["train"], parts["valid"])
    history = "training and validation" if not measures.ratings and follows(loaded, known) else "training"
    metrics = {part: figures.means for part, figures in measured.items()}
    quality = {part: figures.quality.plain() for part, figures in measured.items()}
    (folder / "metrics.json").write_text(json.dumps(metrics, sort_keys=True))
    (folder / "quality.json").write_text(json.dumps(quality, sort_keys=True))
    (folder / "history.json").write_text(json.dumps({"test": history}))


def measure(
    ensemble: Ensemble, parts: dict[str, Interactions], measures: Measures, device: torch.device = CPU
) -> dict[str, Measured]:
    """Of validation and test; rankings of two towers are made on the device."""
    known = Interactions.concatenate(parts["train"], parts["valid"])
    if measures.ratings:
        return {
            "valid": _rate(ensemble, parts["train"], parts["train"], parts["valid"], measures),
            "test": _rate(ensemble, parts["train"], known, parts["test"], measures),
        }
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
        values = _rank_users(ensemble, seen, held_out, measures).values
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
) -> Measured:
    ranked = _rank_users(ensemble, seen, held_out, measures, device, follow=follow)
    names = [name for name in ranked.values if name != "cold_users"]
    catalogue, _ = _candidates(ensemble.catalogue)
    return Measured(means(ranked.values), ranking_quality(ranked, catalogue, names, measures.cutoffs, seen))


def _rate(
    ensemble: Ensemble, train: Interactions, seen: Interactions, held_out: Interactions, measures: Measures
) -> Measured:
    catalogue = ensemble.catalogue
    errors = rating_errors(predict_by_scores(ensemble.score, catalogue, train), catalogue, held_out)
    figures = error_means(errors, catalogue, held_out, measures.metrics)
    wanted = {name: ERRORS[name] for name in measures.metrics}
    return Measured(figures, rating_quality(errors, np.asarray(held_out.user_ids), wanted, seen))


def _rank_users(
    ensemble: Ensemble,
    seen: Interactions,
    held_out: Interactions,
    measures: Measures,
    device: torch.device = CPU,
    *,
    follow: bool = False,
) -> Ranked:
    cutoffs, metrics = measures.cutoffs, measures.metrics
    catalogue, columns = _candidates(ensemble.catalogue)
    if not held_out.contexts:
        score_users = _after(ensemble, seen) if follow else scoring(ensemble, device)
        return rank_users(
            lambda users: score_users(users)[:, columns], catalogue, seen, held_out, cutoffs=cutoffs, metrics=metrics
        )

    def score(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
        return ensemble.score(users, Asked(contexts))[:, columns]

    return rank_situations(score, catalogue, seen, held_out, cutoffs=cutoffs, metrics=metrics)


def _candidates(catalogue: Catalogue) -> tuple[Catalogue, np.ndarray | slice]:
    """The catalogue without the new items, and where its items stand: nobody has had a new one, so that a split says
    nothing of it, and figures are compared with those of models that have none."""
    if catalogue.new_items is None:
        return catalogue, slice(None)
    own = catalogue.own_items
    return replace(catalogue, items=own, new_items=None), catalogue.items.encode(own.values)


def _after(ensemble: Ensemble, seen: Interactions) -> Score:
    """Scores after all that each user has seen, in order of time."""
    assert seen.timestamps is not None
    rows = ensemble.catalogue.users.encode(seen.user_ids)
    order = np.lexsort((seen.timestamps, rows))
    items = np.asarray(seen.item_ids)[order]
    starts = np.searchsorted(rows[order], np.arange(len(ensemble.catalogue.users) + 1))

    def score(users: np.ndarray) -> np.ndarray:
        return ensemble.score(users, Asked(histories=[items[starts[user] : starts[user + 1]] for user in users]))

    return score
