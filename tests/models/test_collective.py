"""The collective models: what they are without side data, and what side data alone can teach them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lethe.data.catalogue import Catalogue, InteractionMatrix, Shape
from lethe.data.side import Side
from lethe.errors import ConfigError
from lethe.models import MODELS, configure
from lethe.models.base import Model
from lethe.random import Stream
from lethe.training import train
from tests.contract import BLOCK_ITEMS, BLOCK_USERS, Values, checkerboard

SHARED: Values = {"dropout": 0.3, "negative_weight": 0.2, "init_std": 0.01}


def matrix() -> InteractionMatrix:
    data = checkerboard()
    return Catalogue.of(data).encode(data)


def trained(name: str, data: InteractionMatrix, values: Values) -> Model:
    model = MODELS[name](configure(name, SHARED | values), data.shape)
    train(model, data, Stream(1))
    return model


def without_user(data: InteractionMatrix, user: int) -> InteractionMatrix:
    kept = data.users != user
    return InteractionMatrix(data.shape, data.users[kept], data.items[kept])


def prefers_own_block(model: Model, user: int) -> bool:
    own, other = model.score(torch.tensor([user]))[0].split(BLOCK_ITEMS)
    return bool(own.min() > other.max())


def test_with_no_weight_on_the_side_data_they_are_wmf() -> None:
    data = matrix()
    side = Side(links=data, behaviours={"view": data.transposed.transposed})
    # Popularity weights differ from item to item, so that both solvers do the same sums in the same order.
    weights = {"negative_weight": 4.0, "popularity_exponent": 0.5}
    plain, everyone = trained("wmf", data, weights), torch.arange(data.num_users)
    for name, values in (("collective-social", {"links_weight": 0}), ("collective-behaviours", {"other_weight": 0})):
        model = trained(name, replace(data, side=side), weights | values)
        assert set(model.state_dict()) == {"users", "items"}
        assert torch.equal(model.score(everyone), plain.score(everyone))


def test_links_tell_what_a_user_without_interactions_likes() -> None:
    data = without_user(matrix(), 0)
    # Everybody trusts the first users of their own block; user 0 has nothing else.
    users = np.repeat(np.arange(2 * BLOCK_USERS), 3)
    friends = np.tile(np.arange(1, 4), 2 * BLOCK_USERS) + users // BLOCK_USERS * BLOCK_USERS
    links = InteractionMatrix(Shape(data.num_users, data.num_users), users, friends)
    data = replace(data, side=Side(links=links))
    assert prefers_own_block(trained("collective-social", data, {}), 0)
    assert not trained("collective-social", data, {"links_weight": 0}).users[0].any()


def test_other_behaviours_tell_what_a_user_without_the_target_likes() -> None:
    views, data = matrix(), without_user(matrix(), 0)
    data = replace(data, side=Side(behaviours={"view": views}))
    assert prefers_own_block(trained("collective-behaviours", data, {}), 0)
    assert not trained("collective-behaviours", data, {"weights": {"view": 0}}).users[0].any()


def test_a_weight_of_an_unknown_behaviour_is_refused() -> None:
    data = replace(matrix(), side=Side(behaviours={"view": matrix(), "cart": matrix()}))
    with pytest.raises(ConfigError, match=r"weights: unknown behaviour 'veiw'; known: view, cart"):
        trained("collective-behaviours", data, {"weights": {"veiw": 1.0}})


def test_without_their_side_data_they_say_so() -> None:
    with pytest.raises(ConfigError, match="CollectiveSocial: needs links, and the dataset has none"):
        trained("collective-social", matrix(), {})
    with pytest.raises(ConfigError, match="CollectiveBehaviours: needs behaviours, and the dataset has none"):
        trained("collective-behaviours", matrix(), {})
