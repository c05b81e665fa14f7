"""Inferring an attribute: scores, folds and lists worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.attribute_inference import auc, inferred, lists
from lethe.models.wmf import WMF
from lethe.tables.matrix import Shape


def test_auc_by_hand() -> None:
    truth = np.array([True, False, True, False])
    # Of four pairs three are in order, one equal.
    assert auc(np.array([0.9, 0.1, 0.4, 0.4]), truth) == pytest.approx(3.5 / 4)
    assert auc(np.ones(4), truth) == 0.5


def test_what_shows_the_attribute_gives_it_away_and_what_does_not_does_not() -> None:
    generator = np.random.default_rng(1)
    truth, folds = generator.random(400) < 0.3, np.arange(400) % 5
    noise = generator.normal(size=(400, 3))
    assert auc(inferred(noise + truth[:, None] * [3, 0, 0], truth, folds, 1.0), truth) > 0.9
    assert 0.35 < auc(inferred(noise, truth, folds, 1.0), truth) < 0.65


def test_nobodys_own_truth_is_used() -> None:
    generator = np.random.default_rng(2)
    seen, truth, folds = generator.normal(size=(50, 4)), generator.random(50) < 0.5, np.arange(50) % 5
    other = truth.copy()
    other[folds == 2] = ~other[folds == 2]
    assert (inferred(seen, truth, folds, 1.0) == inferred(seen, other, folds, 1.0))[folds == 2].all()


def test_lists_hold_the_best_of_what_is_lacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.attribute_inference.LISTED", 2)
    model = WMF(WMF.Config(embedding_dim=1), Shape(2, 4))
    with torch.no_grad():
        model.users.copy_(torch.tensor([[1.0], [-1.0]]))
        model.items.copy_(torch.tensor([[4.0], [3.0], [2.0], [1.0]]))
        listed = lists(model, np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]))
    assert listed.tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]
