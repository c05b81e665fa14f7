"""GMF, NeuMF and ConvNCF: their batches, their predictors, and values that can't be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.models import MODELS, configure
from lethe.models.convncf import ConvNCF
from lethe.models.gmf import GMF
from lethe.models.neumf import NeuMF
from lethe.models.parts import losses
from lethe.models.parts.base import Model
from lethe.models.parts.batches import labelled_batches
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS = 12, 9


def matrix() -> InteractionMatrix:
    # User 2 has nothing, user 4 everything.
    filled = np.random.default_rng(0).random((USERS, ITEMS)) < 0.4
    filled[2], filled[4] = False, True
    return InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))


@pytest.mark.parametrize(("batch_size", "sizes"), [(0, None), (7, 7)])
def test_labelled_batches_hold_every_interaction_once_and_lacked_items(batch_size: int, sizes: int | None) -> None:
    data, known = matrix(), matrix().csr().toarray() > 0
    batches = list(labelled_batches(data, batch_size, 3, np.random.default_rng(2)))
    positives = []
    for batch in batches:
        users, items, labels = (part.numpy() for part in batch)
        assert (known[users, items] == (labels == 1)).all()
        own, others = users[labels == 1], users[labels == 0]
        assert (others == np.repeat(own, 3)).all()
        positives += list(zip(own, items[labels == 1], strict=True))
    if sizes is not None:
        assert {int(batch.labels.sum()) for batch in batches[:-1]} == {sizes}
    keep = data.users != 4
    assert sorted(positives) == list(zip(data.users[keep], data.items[keep], strict=True))


def test_batches_of_no_one_who_can_choose_are_none() -> None:
    full = InteractionMatrix(Shape(1, 2), np.array([0, 0]), np.array([0, 1]))
    assert list(labelled_batches(full, 4, 3, np.random.default_rng(2))) == []


def test_gmf_is_log_loss_of_a_weighted_product() -> None:
    data = matrix()
    model = GMF(configure("gmf", {"embedding_dim": 3, "init_std": 0.8, "reg": 0.1}), data.shape)
    model.prepare(data, Stream(1))
    with torch.no_grad():
        model.h.copy_(torch.tensor([0.5, -1.0, 2.0]))
    (batch,) = labelled_batches(data, 0, 1, np.random.default_rng(2))
    expected = 0.0
    for user, item, label in zip(*(part.tolist() for part in batch), strict=True):
        p, q = model.users[user], model.items[item]
        chance = torch.sigmoid((model.h * p * q).sum())
        expected -= torch.log(chance if label else 1 - chance).item()
        expected += 0.1 * (p.square().sum() + q.square().sum()).item()
    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)
    assert losses.log_loss(torch.tensor([0.0]), torch.tensor([1.0])).item() == pytest.approx(np.log(2))


def test_neumf_scores_pairs_as_it_learns_them() -> None:
    data = matrix()
    model = NeuMF(configure("neumf", {"embedding_dim": 3, "init_std": 0.8, "layers": (5, 4, 2)}), data.shape)
    model.prepare(data, Stream(1))
    scores = model.score(torch.arange(USERS))
    for user in range(USERS):
        for item in range(ITEMS):
            z = torch.cat([model.users[user], model.items[item]])
            for weight, bias in zip(model.weights, model.biases, strict=True):
                z = torch.clamp(weight @ z + bias, min=0)
            expected = (model.gmf.users[user] * model.gmf.items[item]) @ model.gmf.h + z @ model.g
            assert scores[user, item].item() == pytest.approx(expected.item(), abs=1e-5)
    assert [tuple(w.shape) for w in model.weights] == [(4, 5), (2, 4)]


def test_convncf_starts_as_its_factorisation() -> None:
    data = matrix()
    model = ConvNCF(configure("convncf", {"embedding_dim": 8, "init_std": 0.5, "pretrain_epochs": 3}), data.shape)
    model.prepare(data, Stream(1))
    start = (model.users @ model.items.T).detach()
    assert torch.allclose(model.score(torch.arange(USERS)), start, atol=1e-5)
    blank = ConvNCF(configure("convncf", {"embedding_dim": 8, "init_std": 0.5, "pretrain_epochs": 0}), data.shape)
    blank.prepare(data, Stream(1))
    assert not torch.equal(blank.users, model.users)


def test_convncf_is_a_stack_of_convolutions() -> None:
    data = matrix()
    model = ConvNCF(configure("convncf", {"embedding_dim": 8, "channels": 3, "pretrain_epochs": 0}), data.shape)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    maps = torch.einsum("ui,vj->uvij", model.users, model.items).reshape(-1, 1, 8, 8)
    for kernel, bias in zip(model.kernels, model.biases, strict=True):
        maps = functional.relu(functional.conv2d(maps, kernel.permute(3, 2, 0, 1), bias, stride=2))
    expected = (maps[:, :, 0, 0] @ model.w).reshape(USERS, ITEMS)
    assert torch.allclose(model.score(torch.arange(USERS)), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "values", "rule"),
    [
        ("gmf", {"embedding_dim": 0}, r"embedding_dim: 0"),
        ("gmf", {"num_negatives": 0}, r"num_negatives: 0"),
        ("neumf", {"layers": []}, r"layers: \[\]"),
        ("neumf", {"layers": [8, 0]}, r"layers\.1: 0"),
        ("convncf", {"embedding_dim": 12}, r"embedding_dim: 12 must be a power of 2"),
        ("convncf", {"channels": 1}, r"channels: 1"),
        ("expomf", {"initial_exposure": 1.0}, r"initial_exposure: 1\.0"),
        ("expomf", {"prior": [0.5, 1.0]}, r"prior\.0: 0\.5"),
        ("expomf", {"embedding_dim": 0}, r"embedding_dim: 0"),
    ],
)
def test_impossible_values_are_named(name: str, values: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^models\.{name}\.{rule}"):
        configure(name, values)


@pytest.mark.parametrize("name", ["gmf", "neumf", "convncf"])
def test_dropout_is_of_learning_alone_drawn_anew_and_known_by_name(name: str) -> None:
    data = matrix()
    models = []
    for dropout in (0.5, 0.0):
        config = configure(name, {"embedding_dim": 8, "batch_size": 0, "dropout": dropout})
        model = MODELS[name](config, data.shape)
        model.prepare(data, Stream(1))
        models.append(model)
    dropping, whole = models
    users = torch.arange(USERS)
    assert torch.equal(dropping.score(users), whole.score(users))

    def losses_of(model: Model, epoch: int) -> list[float]:
        (batch,) = model.batches(data, Stream(1)("epoch", epoch))
        return [model.loss(batch).item(), model.loss(batch).item()]

    assert losses_of(dropping, 0) == losses_of(dropping, 0)
    assert len({*losses_of(dropping, 0), losses_of(whole, 0)[0]}) == 3
    assert len(set(losses_of(whole, 0))) == 1


def test_gmf_drops_entries_of_the_user_vector_and_scales_the_others_up() -> None:
    data = matrix()
    model = GMF(configure("gmf", {"embedding_dim": 3, "init_std": 0.8, "reg": 0.1, "dropout": 0.4}), data.shape)
    model.prepare(data, Stream(1))
    kept = (torch.rand((2, 3), generator=torch.Generator().manual_seed(6)) >= 0.4) / 0.6
    model.masks = torch.Generator().manual_seed(6)
    users, items = torch.tensor([0, 1]), torch.tensor([3, 5])
    scores, norm = model.pairs(users, items)
    p, q = model.users[users], model.items[items]
    assert torch.allclose(scores, (p * kept * q).sum(dim=1))
    assert torch.allclose(norm, p.square().sum() + q.square().sum())
