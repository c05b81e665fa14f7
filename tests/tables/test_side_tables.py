from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import DataError
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables, content_digest, known_links
from tests.conftest import taste_blocks
from tests.side import digest_beside, in_situations, side_tables, without_user

ROWS = taste_blocks()
TABLES = side_tables(ROWS)


def test_order_and_repetition_of_rows_change_nothing() -> None:
    links = TABLES.tables["links"]
    shuffled = np.random.default_rng(0).permutation(len(links))
    twice = np.concatenate([shuffled, shuffled[:5]])
    again = SideTable.of("links", **{name: column[twice] for name, column in links.columns.items()})
    assert again.digest() == links.digest()


def test_files_hold_what_was_written_byte_for_byte(tmp_path: Path) -> None:
    TABLES.write(tmp_path / "one")
    read = SideTables.read(tmp_path / "one")
    read.write(tmp_path / "two")
    assert read.digest() == TABLES.digest()
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [f"{name}.parquet" for name, _ in sorted(TABLES.named())]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


def test_a_shard_takes_what_its_users_and_items_need() -> None:
    own = ROWS.take(np.isin(ROWS.user_ids, ["user-000", "user-002"]))
    tables = TABLES.of_rows(own)
    assert set(tables.tables["links"]["user"]) == {"user-000", "user-002"}
    assert not set(tables.tables["links"]["friend"]) <= {"user-000", "user-002"}
    assert set(tables.tables["user_features"]["user"]) == {"user-000", "user-002"}
    items = set(own.item_ids) | set(tables.behaviours["view"].item_ids)
    assert set(tables.tables["triples"]["item"]) == items
    assert set(tables.behaviours["view"].user_ids) == {"user-000", "user-002"}


def test_dense_tables_say_what_the_raw_ones_say() -> None:
    catalogue = Catalogue.of(ROWS, TABLES)
    data = catalogue.encode(ROWS, TABLES)
    links, raw = data.side.links, TABLES.tables["links"]
    assert links is not None
    pairs = zip(catalogue.users.decode(links.users), catalogue.side["friends"].decode(links.items), strict=True)
    assert set(pairs) == set(zip(raw["user"], raw["friend"], strict=True))
    triples = data.side.triples
    assert triples is not None
    item = int(catalogue.items.encode(np.array(["item-007"], dtype=object))[0])
    own = slice(triples.indptr[item], triples.indptr[item + 1])
    said = zip(
        catalogue.side["relations"].decode(triples.relations[own]),
        catalogue.side["entities"].decode(triples.entities[own]),
        strict=True,
    )
    assert set(said) == {("genre", "g3"), ("maker", "m1")}
    features = data.side.user_features
    assert features is not None
    user = int(catalogue.users.encode(np.array(["user-008"], dtype=object))[0])
    own = slice(features.indptr[user], features.indptr[user + 1])
    names = catalogue.side["user_features"].decode(features.columns[own])
    assert dict(zip(names, features.weights[own], strict=True)) == {
        "band\x1fb2": 1.0,
        "age\x1f": pytest.approx(0.6),
    }


def test_an_item_that_only_another_behaviour_names_is_an_item() -> None:
    view = Interactions.of(np.array(["user-000"], object), np.array(["only-viewed"], object))
    catalogue = Catalogue.of(ROWS, SideTables(behaviours={"view": view}))
    assert "only-viewed" in catalogue.items.values
    assert catalogue.shape.num_items == len(np.unique(ROWS.item_ids)) + 1


def test_contexts_are_dense_and_unseen_ones_are_marked() -> None:
    rows = in_situations(ROWS)
    catalogue = Catalogue.of(rows)
    data = catalogue.encode(rows)
    assert data.contexts is not None
    assert catalogue.context_fields == ["time"]
    assert (
        catalogue.side["contexts"].decode(data.contexts[:, 0]) == ["time\x1f" + w for w in rows.contexts["time"]]
    ).all()
    unseen = catalogue.encode_contexts({"time": np.array(["night", "evening"], object)})
    assert unseen is not None
    assert unseen.tolist() == [[-1], [0]]


def test_a_listed_user_leaves_links_in_both_directions_features_and_behaviours(tmp_path: Path) -> None:
    listed = SuppressionList(tmp_path / "list.csv", (Suppressed.user("d", "user-004"),))
    assert listed.drop_side(TABLES, "d").digest() == without_user(TABLES, "user-004").digest()
    assert listed.drop_side(TABLES, "other").digest() == TABLES.digest()


def test_a_listed_interaction_leaves_the_other_behaviours_too(tmp_path: Path) -> None:
    view = TABLES.behaviours["view"]
    user, item = view.user_ids[0], view.item_ids[0]
    listed = SuppressionList(tmp_path / "list.csv", (Suppressed.interaction("d", user, item),))
    left = listed.drop_side(TABLES, "d")
    assert len(left.behaviours["view"]) == len(view) - 1
    assert left.tables["links"].digest() == TABLES.tables["links"].digest()


def test_an_item_of_which_nothing_but_the_listed_was_said_is_new_no_more(tmp_path: Path) -> None:
    """A source that never named that person would have no row about it."""
    told = np.array(["user-004", "red"], dtype=object)
    items, sellers = np.array(["a", "b"], dtype=object), np.array(["seller", "colour"], dtype=object)
    features = SideTable.of("item_features", item=items, field=sellers, value=told, weight=np.ones(2))
    tables = SideTables({"item_features": features, "items": SideTable.of("items", item=items)})
    listed = SuppressionList(tmp_path / "list.csv", (Suppressed.item("d", "user-004"),))
    assert listed.drop_side(tables, "d").tables["items"]["item"].tolist() == ["b"]


def test_held_out_pairs_leave_the_other_behaviours() -> None:
    held = ROWS.take(np.arange(len(ROWS)) % 7 == 0)
    left = TABLES.without_pairs([held, held.take(np.zeros(len(held), bool))])
    pairs = set(zip(held.user_ids, held.item_ids, strict=True))
    for name, rows in left.behaviours.items():
        before = set(zip(TABLES.behaviours[name].user_ids, TABLES.behaviours[name].item_ids, strict=True))
        assert set(zip(rows.user_ids, rows.item_ids, strict=True)) == before - pairs


def test_links_of_nobody_go() -> None:
    rest = ROWS.take(ROWS.user_ids != "user-004")
    links = known_links(TABLES, Ids.of(rest.user_ids)).tables["links"]
    assert "user-004" not in {*links["user"], *links["friend"]}
    assert len(links) == len(without_user(TABLES, "user-004").tables["links"])


def test_the_digest_covers_what_stands_beside(tmp_path: Path) -> None:
    ROWS.write(tmp_path / "interactions.parquet")
    assert digest_beside(tmp_path / "interactions.parquet") == ROWS.digest()
    TABLES.write(tmp_path / "side")
    assert digest_beside(tmp_path / "interactions.parquet") == content_digest(ROWS, TABLES) != ROWS.digest()


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match="Column 'weight' of user_features: 1 are not finite"):
        SideTable.of("user_features", user=[1], field=["age"], value=[""], weight=[np.nan])
