"""FM, NFM, DeepFM and CFM against sums over every two features, in float64 loops."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Given
from lethe.models.parts.feature_pairs import FeaturePairs, SituatedPairs
from lethe.tables.matrix import FeatureMatrix, InteractionMatrix, Shape, Side

SHAPE = Shape(3, 4, num_user_features=3, num_item_features=2, num_contexts=3)
USER_FEATURES = FeatureMatrix(np.array([0, 2, 2, 3]), np.array([0, 2, 1]), np.array([1.0, 0.5, 1.0], np.float32))
ITEM_FEATURES = FeatureMatrix(np.array([0, 1, 2, 2, 3]), np.array([0, 1, 1]), np.array([1.0, 2.0, 1.0], np.float32))
SETTINGS: dict[str, dict[str, Any]] = {"fm": {}, "nfm": {"layers": (5,)}, "deepfm": {"layers": (5, 3)}, "cfm": {}}


def data() -> InteractionMatrix:
    users, items = np.array([0, 0, 0, 1, 2, 2]), np.array([1, 1, 3, 0, 2, 3])
    contexts = np.array([[0, 1], [2, 1], [0, -1], [2, -1], [0, 1], [2, 1]])
    side = Side(user_features=USER_FEATURES, item_features=ITEM_FEATURES)
    return InteractionMatrix(SHAPE, users, items, contexts=contexts, side=side)


def model_of(name: str, **values: Any) -> FeaturePairs:
    config = {"embedding_dim": 4, "init_std": 0.5, "epochs": 1, "batch_size": 4} | SETTINGS[name] | values
    model = MODELS[name](configure(name, config), SHAPE)
    assert isinstance(model, FeaturePairs)
    return model


def features(user: int, contexts: list[int], item: int) -> list[tuple[int, str, int, float]]:
    """(group, table, row, x) of every feature of a pair."""

    def of(group: int, table: str, matrix: FeatureMatrix, row: int) -> list[tuple[int, str, int, float]]:
        places = range(matrix.indptr[row], matrix.indptr[row + 1])
        return [(group, table, int(matrix.columns[k]), float(matrix.weights[k])) for k in places]

    return [
        (0, "users", user, 1.0),
        *of(1, "user_features", USER_FEATURES, user),
        *((2, "contexts", context, 1.0) for context in contexts if context >= 0),
        (3, "items", item, 1.0),
        *of(4, "item_features", ITEM_FEATURES, item),
    ]


def by_hand(name: str, model: FeaturePairs, user: int, contexts: list[int], item: int) -> float:
    tables = {key: value.detach().double().numpy() for key, value in model.named_parameters()}
    groups, vectors, score = np.zeros((5, 4)), [], float(tables["bias"])
    for group, table, row, x in features(user, contexts, item):
        vectors.append(x * tables[table][row, :-1])
        groups[group] += vectors[-1]
        score += x * tables[table][row, -1]
    pooled = sum(a * b for a, b in combinations(vectors, 2))
    if name in ("fm", "deepfm"):
        score += float(np.sum(pooled))
    if name in ("nfm", "deepfm"):
        z = pooled if name == "nfm" else groups.reshape(-1)
        for layer in range(len(SETTINGS[name]["layers"])):
            weight, bias = tables[f"perceptron.weights.{layer}"], tables[f"perceptron.biases.{layer}"]
            z = np.maximum(weight @ z + bias, 0)
        score += float(z @ tables["perceptron.g"])
    if name == "cfm":
        cells = np.stack([np.outer(groups[a], groups[b]) for a, b in combinations(range(5), 2)], axis=2)
        for layer in range(2):
            kernel = tables[f"kernels.{layer}"].reshape(2, 2, cells.shape[2], -1)
            half = len(cells) // 2
            out = np.zeros((half, half, kernel.shape[3])) + tables[f"biases.{layer}"]
            for i, j, a, b in np.ndindex(half, half, 2, 2):
                out[i, j] += cells[2 * i + a, 2 * j + b] @ kernel[a, b]
            cells = np.maximum(out, 0)
        score += float(cells[0, 0] @ tables["g"])
    return score


@pytest.mark.parametrize("name", SETTINGS)
def test_scores_are_sums_over_the_features_of_user_situation_and_item(name: str) -> None:
    model = model_of(name)
    train(model, data(), Stream(1))
    contexts = [[0, 1], [-1, -1], [2, -1]]
    scores = model.score_given(torch.tensor([0, 1, 2]), Given(contexts=torch.tensor(contexts)))
    for user in range(3):
        expected = [by_hand(name, model, user, contexts[user], item) for item in range(4)]
        assert scores[user].tolist() == pytest.approx(expected, abs=1e-5)
    alone = model.score(torch.tensor([1]))[0].tolist()
    assert alone == pytest.approx([by_hand(name, model, 1, [], item) for item in range(4)], abs=1e-5)
    stranger = model.score_given(torch.tensor([-1]), Given(contexts=torch.tensor([[2, -1]])))
    assert torch.isfinite(stranger).all()


@pytest.mark.parametrize("loss", ["log", "bpr"])
def test_the_loss_is_of_each_interaction_and_its_sampled_items(loss: str) -> None:
    model = model_of("fm", loss=loss, num_negatives=2, reg=0.3)
    model.prepare(data(), Stream(1))
    contexts, compared = torch.tensor([[0, 1], [2, 1]]), torch.tensor([[1, 0, 2], [3, 0, 1]])
    batch = SituatedPairs(torch.tensor([0, 2]), contexts, compared, 0)
    users, items, contexts = [0] * 3 + [2] * 3, [1, 0, 2, 3, 0, 1], [[0, 1]] * 3 + [[2, 1]] * 3
    labels = [True, False, False] * 2
    scores = [by_hand("fm", model, u, c, v) for u, c, v in zip(users, contexts, items, strict=True)]
    expected = 0.0
    for user, situation, item in zip(users, contexts, items, strict=True):
        for _, table, row, x in features(user, situation, item):
            expected += 0.3 * float(getattr(model, table).detach().double()[row, :-1].square().sum()) * x * x
    if loss == "log":
        expected += sum(np.log1p(np.exp(-s if own else s)) for s, own in zip(scores, labels, strict=True))
    else:
        pairs = [(0, 1), (0, 2), (3, 4), (3, 5)]
        expected += sum(np.log1p(np.exp(scores[other] - scores[own])) for own, other in pairs)
    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_samples_what_a_user_lacks_in_every_context() -> None:
    model = model_of("fm", num_negatives=3, batch_size=0)
    (batch,) = model.batches(data(), Stream(1))
    own = {(0, 1), (0, 3), (1, 0), (2, 2), (2, 3)}
    first, sampled = batch.items[:, 0].tolist(), batch.items[:, 1:].tolist()
    users = batch.users.tolist()
    assert sorted(zip(users, first, strict=True)) == [(0, 1), (0, 1), (0, 3), (1, 0), (2, 2), (2, 3)]
    assert own.isdisjoint((user, item) for user, items in zip(users, sampled, strict=True) for item in items)
    rows = [(*row, *situation) for *row, situation in zip(users, first, batch.contexts.tolist(), strict=True)]
    assert sorted(rows) == sorted(
        (*row, *there) for *row, there in zip(*map(np.ndarray.tolist, _columns()), strict=True)
    )


def _columns() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    there = data()
    assert there.contexts is not None
    return there.users, there.items, there.contexts
