"""Seconds to the best validation value: a model as it is, with the square loss over all cells spelt out, and with
sampled negatives. Any model whose loss is ``lethe.models.parts.losses.non_sampling`` can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.collaborative import Split, ranked, score
from benchmarks.watching import Look, watch
from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts import losses
from lethe.models.parts.base import Model
from lethe.models.parts.batches import RowBatch

SAMPLED = 4
"""Negatives a positive."""

Loss = Callable[..., Tensor]


def full(
    left: Tensor,
    right: Tensor,
    batch: RowBatch,
    *,
    negative_weights: Tensor,
    row_weights: Tensor | None = None,
    positive_weight: float = 1.0,
    h: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """What ``losses.non_sampling`` computes, cell by cell: every score of the batch's rows is made."""
    scaled = left if h is None else left * h
    ones = left.new_ones(len(left)) if row_weights is None else row_weights
    costs = ones[:, None] * negative_weights
    rows = torch.repeat_interleave(batch.indptr.diff())
    costs = costs.index_put((rows, batch.columns), costs.new_tensor(positive_weight))
    labels = torch.zeros_like(costs).index_put((rows, batch.columns), costs.new_tensor(1.0))
    scores = scaled @ right.T
    loss = (costs * (labels - scores).square()).sum() - positive_weight * len(batch.columns)
    return loss + dropout / (1 - dropout) * (costs * (scaled.square() @ right.square().T)).sum()


def sampled(
    left: Tensor, right: Tensor, batch: RowBatch, *, h: Tensor | None = None, dropout: float = 0.0, **_: Any
) -> Tensor:
    """Square loss of the positives and of ``SAMPLED`` uniform other columns for each, with plain dropout."""
    scaled = functional.dropout(left if h is None else left * h, dropout)
    rows = torch.repeat_interleave(batch.indptr.diff())
    columns = torch.randint(len(right), (SAMPLED * len(rows),))
    user = functional.embedding(torch.cat([rows, rows.repeat_interleave(SAMPLED)]), scaled)
    item = functional.embedding(torch.cat([batch.columns, columns]), right)
    scores = (user * item).sum(dim=1)
    return (1 - scores[: len(rows)]).square().sum() - len(rows) + scores[len(rows) :].square().sum()


LOSSES: dict[str, Loss] = {"non-sampling": losses.non_sampling, "full square loss": full, "sampled negatives": sampled}


Curve = list[Look[float]]


def seconds_to_best(
    model: str,
    values: Mapping[str, Any],
    split: Split,
    loss: Loss,
    *,
    metric: str,
    every: int,
    epochs: int,
    seed: int = 1,
) -> Curve:
    """The model's curve under a loss, with ``metric`` of the split's test part every ``every`` of ``epochs`` epochs.

    Seconds are of the processor, one thread, training alone.
    """
    data = split.catalogue.encode(split.train, split.side)
    name, _, cutoff = metric.partition("@")

    def value(built: Model) -> float:
        def scores(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
            return score(built, users, split.catalogue.encode_contexts(contexts))

        return float(ranked(split, scores, cutoffs=(int(cutoff),), metrics=(name,))[metric].mean())

    warm, built = (
        MODELS[model](configure(model, {**values, "epochs": count}), split.catalogue.shape) for count in (1, epochs)
    )
    # Compiled code is loaded in an epoch that isn't timed.
    train(warm, data, Stream(0))
    with learning_by(loss, seed):
        return watch(built, data, Stream(seed)("benchmark"), value, every).looks


@contextmanager
def learning_by(loss: Loss, seed: int) -> Iterator[None]:
    """Models learn by ``loss``, which may draw from torch's generator: they look it up in its module at each use."""
    original = losses.non_sampling
    losses.non_sampling = loss
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        losses.non_sampling = original
