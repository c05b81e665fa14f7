"""An assignment that is kept comes out the same however few rows are looked at together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lethe.config.sharding import Sharding
from lethe.core.random import Stream
from lethe.data.partition import PARTITIONS, Assignment, lay_slices
from lethe.data.partition.assigning import assigned_of
from lethe.data.partition.kept import keep_pairs
from lethe.errors import ConfigError
from lethe.tables import blocks
from lethe.tables.interactions import Interactions
from lethe.tables.stretches import EVERYBODY
from tests.data.partition.test_partition import FROZEN, no_embeddings

STREAM = Stream(7, ("partition",))


def table(generator: np.random.Generator, count: int, users: tuple[int, int], named: bool) -> Interactions:
    """Some pairs recur, in another context."""
    pairs = generator.integers(*users, count), generator.integers(0, 25, count)
    spelled = (np.array([str(place) if place < 50 else f"ü{place}" for place in own], object) for own in pairs)
    ids = spelled if named else pairs
    rows = Interactions.of(*ids, contexts={"when": generator.choice(["am", "pm"], count).astype(object)})
    repeated = np.all([column[1:] == column[:-1] for name, column in rows.columns()], axis=0)
    return rows.take(np.append(True, ~repeated))


def sharding(name: str, num_shards: int = 4, slices: int = 3) -> Sharding:
    given = {"partition": name, "num_shards": num_shards, "slices": slices, "slack": 1.0, "aggregator": "mean"}
    return Sharding.parse(given, "shardings.made")


def begun(rows: Interactions) -> Assignment:
    """As of any epoch: users, items and pairs may lie in several shards, of which the first row's counts."""
    shards = np.random.default_rng(2).integers(0, 4, len(rows))
    return Assignment(rows.user_ids, rows.item_ids, shards, lay_slices(rows, 3, STREAM("before")))


def laid(rows: Path, kept: Path, layout: Sharding) -> list[pa.Table]:
    return [table["assignment"] for table in assigned_of(EVERYBODY, rows, kept, layout, STREAM, None)]


@pytest.mark.parametrize("name", FROZEN)
@pytest.mark.parametrize(("named", "named_before"), [(False, False), (True, True), (True, False)])
def test_it_has_the_rows_of_one_that_looks_at_all_together(
    name: str, named: bool, named_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users have left, others came before, between and behind those of then. Ids that have become text compare too."""
    monkeypatch.setattr(blocks, "AT_ONCE", 20)
    generator = np.random.default_rng(1)
    before, now = table(generator, 300, (10, 40), named_before), table(generator, 400, (0, 60), named)
    previous = begun(before)
    now.write(tmp_path / "rows.parquet")
    previous.write(tmp_path / "kept.parquet")
    made = laid(tmp_path / "rows.parquet", tmp_path / "kept.parquet", sharding(name))
    shards = PARTITIONS[name].assign(now, 4, previous, STREAM, balance=sharding(name), embeddings=no_embeddings)
    expected = Assignment(now.user_ids, now.item_ids, shards, lay_slices(now, 3, STREAM, previous=previous))
    assert pa.concat_tables(made).equals(expected.to_table())
    assert len(made) == 1 or named == named_before
    assert max(map(len, made)) < 60 or named != named_before


@pytest.mark.parametrize("users", [2, 40])
def test_a_pair_that_recurs_lies_where_its_first_row_did(users: int) -> None:
    """Whether a table is dense or sparse in pairs."""
    each = np.arange(users)
    when = np.repeat(np.array(["am", "pm"], object), users)
    rows = Interactions.of(np.tile(each, 2), np.tile(each, 2), contexts={"when": when})
    previous = Assignment(rows.user_ids, rows.item_ids, np.tile([1, 0], users))
    assert keep_pairs(rows, previous, 2, len(rows), STREAM).tolist() == [1] * len(rows)


@pytest.mark.parametrize("name", FROZEN)
def test_fewer_shards_than_it_has_are_refused(name: str, tmp_path: Path) -> None:
    rows = table(np.random.default_rng(1), 300, (10, 40), False)
    rows.write(tmp_path / "rows.parquet")
    begun(rows).write(tmp_path / "kept.parquet")
    with pytest.raises(ConfigError, match=r"num_shards: 2 is less than the kept assignment has"):
        laid(tmp_path / "rows.parquet", tmp_path / "kept.parquet", sharding(name, num_shards=2))
