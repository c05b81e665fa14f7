"""EASE from counts of shards: to the bit the EASE of all rows, before and after a deletion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.build.recipes import check_layout
from lethe.config.sharding import Sharding
from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.ease import gram
from lethe.learning.ensemble import Ensemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions


def table(pairs) -> Interactions:
    pairs = list(pairs)
    return Interactions.of(np.array([u for u, _ in pairs], np.int64), np.array([i for _, i in pairs], np.int64))


def sub_model(name: str, rows: Interactions, shard: str) -> SubModel:
    catalogue = Catalogue.of(rows)
    model = MODELS[name](configure(name, {}), catalogue.shape)
    train(model, catalogue.encode(rows), Stream(3, (shard,)))
    return SubModel(shard, model, catalogue)


def sharded(rows: Interactions, num_shards: int = 3, name: str = "cooccurrence") -> list[SubModel]:
    shards = rows.user_ids * 7 % num_shards
    held = [shard for shard in range(num_shards) if (shards == shard).any()]
    return [sub_model(name, rows.take(shards == shard), f"{shard:02d}") for shard in held]


def fit(name: str, sub_models: list[SubModel], rows: Interactions, **values: object) -> Ensemble:
    aggregator = AGGREGATORS[name]
    return aggregator.fit(sub_models, rows, aggregator.Config.parse(values, name), Stream(5))[0]


def files(ensemble: Ensemble, folder) -> dict[str, bytes]:
    ensemble.save(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


grids = st.sets(st.tuples(st.integers(0, 12), st.integers(0, 9)), min_size=4, max_size=60)


@settings(max_examples=25, deadline=None)
@given(pairs=grids, num_shards=st.integers(1, 4))
def test_the_sum_of_the_shards_counts_is_the_count_of_all(pairs, num_shards):
    rows = table(pairs)
    catalogue = Catalogue.of(rows)
    seen = np.zeros((len(catalogue.users), len(catalogue.items)), np.int64)
    seen[catalogue.users.encode(rows.user_ids), catalogue.items.encode(rows.item_ids)] = 1
    np.testing.assert_array_equal(gram(sharded(rows, num_shards), catalogue), seen.T @ seen)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_it_is_ease_trained_whole_to_the_bit_before_and_after_a_deletion(precision, tmp_path):
    users, items = np.nonzero(np.random.default_rng(1).random((80, 40)) < 0.2)
    rows = Interactions.of(users, items)
    rest = rows.take(rows.user_ids != 13)
    before, after = sharded(rows), sharded(rest)
    for place, (kept, sub_models) in enumerate(((rows, before), (rest, after))):
        catalogue = Catalogue.of(kept)
        whole = MODELS["ease"](configure("ease", {"reg": 20.0, "precision": precision}), catalogue.shape)
        train(whole, catalogue.encode(kept), Stream(9))
        expected = fit("identity", [SubModel("00", whole, catalogue)], kept)
        made = fit("ease", sub_models, kept, reg=20.0, precision=precision)
        assert files(made, tmp_path / f"made-{place}") == files(expected, tmp_path / f"whole-{place}")
    unchanged = [np.array_equal(a.model.values, b.model.values) for a, b in zip(before, after, strict=True)]
    assert unchanged.count(False) == 1, "the deletion recounts one shard"


def test_turbo_cf_of_the_shards_is_that_of_all_rows_to_the_bit_before_and_after_a_deletion(tmp_path):
    users, items = np.nonzero(np.random.default_rng(1).random((80, 40)) < 0.2)
    rows = Interactions.of(users, items)
    for place, kept in enumerate((rows, rows.take(rows.user_ids != 13))):
        catalogue = Catalogue.of(kept)
        whole = MODELS["turbo-cf"](configure("turbo-cf", {"order": 2, "power": 1.2}), catalogue.shape)
        train(whole, catalogue.encode(kept), Stream(9))
        expected = fit("identity", [SubModel("00", whole, catalogue)], kept)
        made = fit("turbo-cf", sharded(kept, name="weighted-cooccurrence"), kept, order=2, power=1.2)
        assert files(made, tmp_path / f"made-{place}") == files(expected, tmp_path / f"whole-{place}")
    with pytest.raises(ConfigError, match=r"turbo-cf has alpha 0\.3, its sub-models 0\.5; must be the same$"):
        fit("turbo-cf", sharded(rows, name="weighted-cooccurrence"), rows, alpha=0.3)
    with pytest.raises(ConfigError, match="turbo-cf needs sub-models of weighted-cooccurrence, got Cooccurrence"):
        fit("turbo-cf", sharded(rows), rows)


def test_refusals_are_one_line_with_field_value_and_rule():
    rows = table((u, i) for u in range(6) for i in range(4))
    with pytest.raises(ConfigError, match="aggregator: ease needs sub-models of cooccurrence, got MostPop"):
        fit("ease", [sub_model("mostpop", rows, "00")], rows)
    halves = [sub_model("cooccurrence", rows.take(rows.item_ids % 2 == half), f"0{half}") for half in (0, 1)]
    with pytest.raises(ConfigError, match="aggregator: ease needs each user in exactly one shard"):
        fit("ease", halves, rows)
    layout = Sharding.parse({"partition": "inbp", "num_shards": 2, "aggregator": "ease"}, "shardings.x")
    with pytest.raises(ConfigError, match="'ease' needs all rows of a user in one shard, not partition inbp"):
        check_layout("x", layout)
