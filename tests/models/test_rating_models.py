"""What rating models promise beyond the contract: ratings of cells, cold ones too, and the bounds of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.errors import ConfigError, DataError
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.embedding_dot import RatingBatch
from lethe.models.parts.rating import RatingModel
from lethe.models.rating_mlp import RatingMLP
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix, Shape
from tests.contract import build, rated_checkerboard

RATING = [name for name, model in MODELS.items() if issubclass(model, RatingModel)]
BIASED = {"bias-lfm", "minibatch-lfm"}


def rated(name: str) -> RatingModel:
    model = build(name, {}, rated_checkerboard())
    assert isinstance(model, RatingModel)
    return model


def cells(*pairs: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    users, items = torch.tensor(pairs, dtype=torch.int64).T
    return users, items


def test_the_family_is_whole() -> None:
    assert set(RATING) == {"lfm", "bias-lfm", "minibatch-lfm", "momentum-mf", "embedding-dot", "als", "rating-mlp"}


@pytest.mark.parametrize("name", RATING)
def test_unseen_cells_are_predicted_near_their_ratings(name: str) -> None:
    data = rated_checkerboard()
    catalogue = Catalogue.of(data)
    seen = catalogue.encode(data).csr().toarray() > 0
    users, items = np.nonzero(~seen)
    stars = np.where(users // 20 == items // 16, 5, 1)
    predicted = rated(name).predict(torch.from_numpy(users), torch.from_numpy(items)).numpy()
    assert np.abs(predicted - stars).mean() < 1


@pytest.mark.parametrize("name", RATING)
def test_known_cells_are_the_scores_within_the_ratings_range(name: str) -> None:
    model = rated(name)
    users, items = torch.arange(40).repeat_interleave(32), torch.arange(32).repeat(40)
    scores = model.score(torch.arange(40)).flatten()
    assert torch.allclose(model.predict(users, items), scores.clamp(1, 5), atol=1e-5)
    model.bounds.copy_(torch.tensor([2.0, 4.0]))
    assert torch.allclose(model.predict(users, items), scores.clamp(2, 4), atol=1e-5)


@pytest.mark.parametrize("name", RATING)
def test_cold_cells_are_the_mean_and_what_is_known_of_the_other_side(name: str) -> None:
    data = rated_checkerboard()
    matrix, model = Catalogue.of(data).encode(data), rated(name)
    assert matrix.ratings is not None
    mean = matrix.ratings.mean()
    neither, no_user, no_item = model.predict(*cells((-1, -1), (-1, 3), (7, -1))).tolist()
    assert neither == pytest.approx(mean, abs=1e-5)
    if name in BIASED:
        assert no_user == pytest.approx(float(model.mean + model.item_offsets[3]), abs=1e-5)
        assert no_item == pytest.approx(float(model.mean + model.user_offsets[7]), abs=1e-5)
    else:
        assert no_user == pytest.approx(matrix.ratings[matrix.items == 3].mean(), abs=1e-5)
        assert no_item == pytest.approx(matrix.ratings[matrix.users == 7].mean(), abs=1e-5)


@pytest.mark.parametrize("name", ["lfm", "bias-lfm"])
def test_cold_and_known_cells_do_not_disturb_each_other(name: str) -> None:
    model = rated(name)
    pairs = [(0, 0), (-1, 5), (39, 31), (2, -1), (-1, -1), (0, 0)]
    together = model.predict(*cells(*pairs))
    assert together.tolist() == [model.predict(*cells(pair)).item() for pair in pairs]


def test_biases_take_up_what_tastes_do_not_explain() -> None:
    # User u gives u % 3 stars more than others, item v gets v % 2 more: additive, nothing for the vectors.
    users, items = np.divmod(np.arange(30 * 20), 20)
    stars = 2.0 + users % 3 + items % 2
    model = build("bias-lfm", {"reg": 0.001, "epochs": 200}, Interactions.of(users, items, stars))
    assert isinstance(model, RatingModel)
    assert model.mean.item() == pytest.approx(3.5)
    assert model.user_offsets.numpy() == pytest.approx(np.arange(30) % 3 - 1, abs=0.05)
    assert model.item_offsets.numpy() == pytest.approx(np.arange(20) % 2 - 0.5, abs=0.05)


def test_one_batch_a_rating_is_one_rating_a_step() -> None:
    one, batched = (
        build(name, values, rated_checkerboard())
        for name, values in (("bias-lfm", {"epochs": 3}), ("minibatch-lfm", {"epochs": 3, "batch_size": 1}))
    )
    for name, value in one.state_dict().items():
        assert torch.equal(value, batched.state_dict()[name])


def test_embedding_dot_learns_the_objective_of_als() -> None:
    values = {"embedding_dim": 3, "init_std": 0.1, "reg": 0.2}
    data = rated_checkerboard()
    exact = build("als", {**values, "sweeps": 200}, data)
    descended = build("embedding-dot", {**values, "batch_size": 0, "epochs": 1500, "learning_rate": 0.02}, data)
    users = torch.arange(40)
    assert (exact.score(users) - descended.score(users)).abs().max() < 0.02


def test_momentum_mf_is_stable_whatever_the_size_of_the_data_and_up_to_ten_stars() -> None:
    board = rated_checkerboard()
    assert board.ratings is not None
    for stretch in (0.2, 2.0):
        for kept in (1, 7, len(board)):
            rows = Interactions.of(board.user_ids[:kept], board.item_ids[:kept], board.ratings[:kept] * stretch)
            catalogue = Catalogue.of(rows)
            model = MODELS["momentum-mf"](configure("momentum-mf", {}), catalogue.shape)
            history = train(model, catalogue.encode(rows), Stream(1))
            assert history[-1]["loss"] < 0.2 * kept * stretch**2


@pytest.mark.parametrize("name", RATING)
def test_data_without_ratings_are_refused_before_training(name: str) -> None:
    bare = InteractionMatrix(Shape(2, 2), np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(DataError, match="column 'rating': missing"):
        train(MODELS[name](configure(name, {}), bare.shape), bare, Stream(1))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lfm", {"embedding_dim": 0}),
        ("bias-lfm", {"reg": -0.1}),
        ("minibatch-lfm", {"batch_size": 0}),
        ("momentum-mf", {"momentum": 1.0}),
        ("als", {"reg": 0.0}),
        ("embedding-dot", {"solver": "sgd"}),
    ],
)
def test_impossible_settings_are_named(name: str, values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"models\.{name}\.{next(iter(values))}: "):
        configure(name, values)


def test_the_perceptron_sees_both_vectors_and_adds_the_mean() -> None:
    data = Catalogue.of(rated_checkerboard()).encode(rated_checkerboard())
    model = RatingMLP(RatingMLP.Config(embedding_dim=3, layers=(4, 2), reg=0.3), data.shape)
    model.prepare(data, Stream(1))
    with torch.no_grad():
        for bias in model.perceptron.biases:
            bias.fill_(0.2)
    t = {key: value.detach().double().numpy() for key, value in model.named_parameters()}
    z = np.concatenate([t["users"][5], t["items"][7]])
    for layer in range(2):
        z = np.maximum(t[f"perceptron.weights.{layer}"] @ z + t[f"perceptron.biases.{layer}"], 0)
    rating = float(model.mean) + t["perceptron.g"] @ z
    assert model.score(torch.tensor([5]))[0, 7].item() == pytest.approx(rating, abs=1e-5)
    loss = (4.0 - rating) ** 2 + 0.3 * (np.square(t["users"][5]).sum() + np.square(t["items"][7]).sum())
    batch = RatingBatch(torch.tensor([5]), torch.tensor([7]), torch.tensor([4.0]))
    assert model.loss(batch).item() == pytest.approx(loss, rel=1e-5)
