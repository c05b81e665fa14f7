"""Refit: it starts where alignment ends, and its sweeps are those of the solver."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.align import align, stack
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.models.parts.batches import row_batches
from lethe.models.parts.losses import non_sampling
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

REFIT = AGGREGATORS["refit"]


@pytest.fixture(scope="module")
def rows() -> Interactions:
    """120 users of three tastes over 45 items, noisy."""
    affinity = np.where(np.equal.outer(np.arange(120) % 3, np.arange(45) % 3), 0.4, 0.05)
    users, items = np.nonzero(np.random.default_rng(0).random(affinity.shape) < affinity)
    return Interactions.of(users, items)


@pytest.fixture(scope="module")
def sub_models(rows) -> list[SubModel]:
    made = []
    for shard in range(3):
        own = rows.take(rows.user_ids // 3 % 3 == shard)
        catalogue = Catalogue.of(own)
        model = MODELS["wmf"](configure("wmf", {"embedding_dim": 6}), catalogue.shape)
        train(model, catalogue.encode(own), Stream(3, (shard,)))
        made.append(SubModel(f"{shard:02d}", model, catalogue))
    return made


def test_without_sweeps_it_is_the_alignment(sub_models, rows):
    ensemble, history = REFIT.fit(sub_models, rows, REFIT.Config(sweeps=0), Stream(0))
    assert history == []
    for tower, aligned in zip(ensemble.factors(), align(*stack(sub_models, rows)), strict=True):
        np.testing.assert_allclose(tower, aligned.mean(), atol=1e-5)


def test_each_sweep_lowers_the_loss_it_reports(sub_models, rows):
    config = REFIT.Config(sweeps=5, negative_weight=0.3, dropout=0.2, reg=0.05)
    ensemble, history = REFIT.fit(sub_models, rows, config, Stream(0))
    losses = [row["loss"] for row in history]
    assert [row["epoch"] for row in history] == list(range(5))
    assert all(after < before for before, after in itertools.pairwise(losses))
    users, items = (torch.from_numpy(tower).double() for tower in ensemble.factors())
    (batch,) = row_batches(Catalogue.of(rows).encode(rows), 0, np.random.default_rng(0))
    weights = torch.full((len(items),), 0.3)
    expected = non_sampling(users, items, batch, negative_weights=weights, dropout=0.2)
    expected += 0.05 * (users.square().sum() + items.square().sum())
    assert losses[-1] == pytest.approx(float(expected), rel=1e-4)


def test_a_good_start_saves_sweeps(sub_models, rows):
    config = {"embedding_dim": 6, "sweeps": 1, "dropout": 0.3, "negative_weight": 0.2}
    catalogue = Catalogue.of(rows)
    fresh = train(MODELS["wmf"](configure("wmf", config), catalogue.shape), catalogue.encode(rows), Stream(0))
    _, history = REFIT.fit(sub_models, rows, REFIT.Config(sweeps=1), Stream(0))
    assert history[-1]["loss"] < fresh[-1]["loss"]
