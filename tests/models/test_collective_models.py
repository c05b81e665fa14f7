"""The collective models: what they are without side data, and what side data alone can teach them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.collective_graph import CollectiveGraph, item_entities
from lethe.models.parts.base import Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.matrix import InteractionMatrix, Shape, Side, TripleMatrix
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
    weights: Values = {"negative_weight": 4.0, "popularity_exponent": 0.5, "power_iterations": 2}
    plain, everyone = trained("wmf", data, weights), torch.arange(data.num_users)
    for name, values in (("collective-social", {"links_weight": 0}), ("collective-behaviours", {"other_weight": 0})):
        model = trained(name, replace(data, side=side), weights | values)
        assert set(model.state_dict()) == {"users", "items", "negative_weights"}
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


def test_the_graph_is_a_block_of_items_and_entities() -> None:
    # Item 0 has entity 1 by two relations, which is one pair.
    triples = TripleMatrix(np.array([0, 3, 4, 4]), np.array([0, 0, 1, 0]), np.array([0, 1, 1, 1]))
    pairs = item_entities(triples, 3)
    assert list(zip(pairs.users, pairs.items, strict=True)) == [(0, 0), (0, 1), (1, 1)]
    shape = Shape(2, 3, num_relations=2, num_entities=3)
    data = InteractionMatrix(shape, np.array([0, 1]), np.array([0, 1]), side=Side(triples=triples))
    model = CollectiveGraph(configure("collective-graph", {"graph_weight": 2.0, "graph_negative_weight": 0.6}), shape)
    blocks, sizes = model.blocks(data, np.ones(3))
    assert sizes == {"entities": 3}
    assert (blocks[1].rows, blocks[1].columns, blocks[1].weight) == ("items", "entities", 2.0)
    assert blocks[1].negative_weights == pytest.approx([0.6] * 3)


def test_triples_tell_who_likes_an_item_that_nobody_has() -> None:
    """Every item is of its block's maker; the first has no interactions."""
    data = matrix()
    kept = data.items != 0
    triples = TripleMatrix(
        np.arange(data.num_items + 1), np.zeros(data.num_items, np.int64), np.arange(32) // BLOCK_ITEMS
    )
    shape = replace(data.shape, num_relations=1, num_entities=2)
    data = InteractionMatrix(shape, data.users[kept], data.items[kept], side=Side(triples=triples))
    unseen = trained("collective-graph", data, {"graph_weight": 10}).score(torch.arange(data.num_users))[:, 0]
    assert unseen[:BLOCK_USERS].min() > unseen[BLOCK_USERS:].max()
