"""Which of a user's items carried a score."""

from __future__ import annotations

import numpy as np
import torch

from lethe.learning.aggregation.ensemble import Ensemble, FactorEnsemble, WeightedEnsemble
from lethe.models.parts.item_based import ItemBased


def shares(ensemble: Ensemble, own: np.ndarray, item: int) -> np.ndarray | None:
    """How much each of the items ``own`` [n], dense and distinct, adds to the score of ``item`` -> [n] float64; None
    where the model's score has no such parts.

    Of factors that is the linear system that the vector solves, of item weights the weights themselves; of several
    shards the mean over those that hold both items.
    """
    if isinstance(ensemble, FactorEnsemble):
        return None if ensemble.fold_in is None else ensemble.fold_in.shares(own, None, item)
    if not isinstance(ensemble, WeightedEnsemble):
        return None
    total, holders = np.zeros(len(own)), 0
    raw, asked = ensemble.catalogue.items.decode(own), ensemble.catalogue.items.decode(np.array([item]))
    for weight, member in zip(ensemble.weights, ensemble.members, strict=True):
        place, items = int(member.catalogue.items.encode(asked)[0]), member.catalogue.items.encode(raw)
        held, fold_in = items >= 0, member.model.fold_in()
        if place < 0:
            continue
        if isinstance(member.model, ItemBased):
            part = member.model.weights_to(torch.from_numpy(items[held]), place).numpy()
        elif fold_in is not None:
            part = fold_in.shares(items[held], None, place)
        else:
            return None
        total[held] += float(weight) * part
        holders += 1
    return total / holders if holders else None
