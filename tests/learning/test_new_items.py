"""Items that nobody has had: scored by their features alone, beside a training that is the one without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.learning.aggregation import identity, mean, refit, static
from lethe.learning.aggregation.combine import read_sub_model
from lethe.learning.sub_model import Lesson, write_sub_model
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.models.parts.base import Config, Model
from lethe.models.parts.fold_in import SquareLossRows
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables
from tests.conftest import MODEL_SETTINGS
from tests.contract import BLOCK_ITEMS, BLOCK_USERS, checkerboard

BY_CONTENT = [name for name, model in MODELS.items() if model.by_content]
ROWS = checkerboard()
ITEMS = np.unique(ROWS.item_ids)
NEW = [7, 9000]
"""One of each block; in order of ids the first is among the old ones."""
UNHEARD = 9001
"""An item of a block that no item with rows is in."""
LEFT = np.arange(2 * BLOCK_USERS) < BLOCK_USERS


def tables(*new: int) -> SideTables:
    """The block of each item; ``new`` are named as items that may be recommended before anybody has had them."""
    blocks = ["left"] * BLOCK_ITEMS + ["right"] * BLOCK_ITEMS + ["left", "right", "unheard"]
    features = SideTable.of(
        "item_features",
        item=np.array([*ITEMS, *NEW, UNHEARD]),
        field=np.array(["block"] * len(blocks)),
        value=np.array(blocks),
        weight=np.ones(len(blocks)),
    )
    items = {"items": SideTable.of("items", item=np.array(new))} if new else {}
    return SideTables({"item_features": features, **items})


def settings(name: str) -> Config:
    return configure(name, {**MODEL_SETTINGS.get(name, {"embedding_dim": 4}), "epochs": 12})


def learnt(folder: Path, name: str, side: SideTables, rows: Interactions = ROWS) -> SubModel:
    """A sub-model as it is built and read again."""
    folder.mkdir()
    cpu = torch.device("cpu")
    lesson = Lesson(MODELS[name], settings(name), rows, side, Stream(1), cpu, folder / "saved")
    write_sub_model(folder, lesson, lambda row: None)
    return read_sub_model("00", folder, MODELS[name], settings(name))


def scores(one: SubModel) -> np.ndarray:
    return one.score(np.arange(len(one.catalogue.users)))


def stripped(name: str) -> Model:
    """Learnt from the same rows; then its items are given no vector and no bias of their own."""
    side = tables().of_rows(ROWS)
    catalogue = Catalogue.of(ROWS, side)
    model = MODELS[name](settings(name), catalogue.shape)
    train(model, catalogue.encode(ROWS, side), Stream(1))
    with torch.no_grad():
        (model.item_side if name == "ensfm" else model.items)[: len(ITEMS)] = 0
        model.finish()
    return model


def test_every_model_that_reads_features_of_items_scores_new_ones() -> None:
    assert [name for name, model in MODELS.items() if "item_features" in model.reads()] == BY_CONTENT
    assert "ensfm" in BY_CONTENT


@pytest.mark.parametrize("name", BY_CONTENT)
def test_a_new_item_is_worth_its_features_and_the_others_what_they_were(name: str, tmp_path: Path) -> None:
    plain = learnt(tmp_path / "plain", name, tables().of_rows(ROWS))
    wide = learnt(tmp_path / "wide", name, tables(*NEW, UNHEARD))
    # Of an item whose features no old one has nothing is known.
    assert wide.catalogue.new_items is not None
    assert wide.catalogue.new_items.values.tolist() == NEW
    assert wide.catalogue.own_items.values.tolist() == plain.catalogue.items.values.tolist()
    own, new = (wide.catalogue.items.encode(np.array(items)) for items in (ITEMS, NEW))
    scored = "item_vectors" if name == "ensfm" else "item_sums"
    assert torch.equal(wide.model.get_buffer(scored)[own], plain.model.get_buffer(scored))
    assert scores(wide)[:, own] == pytest.approx(scores(plain), abs=1e-6)
    bare = stripped(name).score(torch.arange(2 * BLOCK_USERS))[:, [0, -1]].numpy()
    assert scores(wide)[:, new] == pytest.approx(bare, abs=1e-6)
    gap = scores(wide)[:, new] @ [1, -1]
    assert gap[LEFT].mean() > gap[~LEFT].mean()


def test_what_reads_no_features_never_has_one(tmp_path: Path) -> None:
    plain, beside = learnt(tmp_path / "plain", "wmf", tables()), learnt(tmp_path / "beside", "wmf", tables(*NEW))
    assert beside.catalogue.new_items is None
    assert beside.catalogue.items.values.tolist() == plain.catalogue.items.values.tolist()
    assert scores(beside).tobytes() == scores(plain).tobytes()


def test_nobody_lacks_a_new_item_when_people_are_folded_in(tmp_path: Path) -> None:
    plain = learnt(tmp_path / "plain", "ensfm", tables().of_rows(ROWS))
    wide = learnt(tmp_path / "wide", "ensfm", tables(*NEW))
    before, after = plain.model.fold_in(), wide.model.fold_in()
    assert isinstance(before, SquareLossRows)
    assert isinstance(after, SquareLossRows)
    own = wide.catalogue.items.encode(ITEMS)
    assert after.solve(own[:5], None) == pytest.approx(before.solve(np.arange(5), None), rel=1e-6)
    assert (np.delete(after.negative_weights, own) == 0).all()


@pytest.mark.parametrize("name", ["ensfm", "nfm"])
def test_an_ensemble_has_what_is_new_to_every_shard(name: str, tmp_path: Path) -> None:
    """Shards of one block each: what one has had is new to the other alone."""
    halves = [ROWS.take(np.isin(ROWS.user_ids, np.unique(ROWS.user_ids)[side])) for side in (LEFT, ~LEFT)]
    side = tables(*ITEMS.tolist(), *NEW)
    members = [learnt(tmp_path / str(n), name, side.of_shard(rows), rows) for n, rows in enumerate(halves)]
    assert all(member.catalogue.new_items is not None for member in members)
    for aggregator in (mean, static) if name == "nfm" else (mean,):
        ensemble, _ = aggregator.fit(members, ROWS, aggregator.Config(), Stream(2))
        assert ensemble.catalogue.new_items is not None
        assert ensemble.catalogue.new_items.values.tolist() == NEW
        assert np.isfinite(ensemble.score(np.arange(2 * BLOCK_USERS))).all()
    if name == "ensfm":
        # These learn a vector of each item that has rows.
        for aggregator in (refit, static):
            ensemble, _ = aggregator.fit(members, ROWS, aggregator.Config(), Stream(2))
            assert ensemble.catalogue.items.values.tolist() == ITEMS.tolist()
    alone, _ = identity.fit(members[:1], halves[0], identity.Config(), Stream(2))
    assert alone.catalogue.new_items == members[0].catalogue.new_items
