from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lethe.config.side import SideSources
from lethe.config.source import TableSource
from lethe.data.sources import side, table
from lethe.errors import ConfigError, DataError
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from tests.conftest import taste_blocks
from tests.side import side_tables, write_side

ROWS = Interactions.of(np.array([1, 1, 2, 3]), np.array([10, 20, 10, 30]))


def read(folder: Path, rows: Interactions = ROWS, *, strict: bool = True, **sections: Any) -> side.SideTables:
    known = Ids.of(rows.user_ids), Ids.of(rows.item_ids)
    return side.read(SideSources.parse(sections, "side"), *known, root=folder, strict=strict)


def write(folder: Path, name: str, *lines: str) -> str:
    (folder / name).write_text("\n".join(lines) + "\n")
    return name


def test_every_kind_of_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rows = taste_blocks()
    tables = side_tables(rows)
    found = read(tmp_path, rows, **write_side(tables, tmp_path))
    assert found.digest() == tables.digest()


def test_links_to_oneself_and_to_nobody_are_refused_or_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, "links.csv", "a,b", "1,2", "1,2", "2,2", "3,9")
    how = {"path": path, "user": "a", "friend": "b"}
    with pytest.raises(DataError, match=r"links.csv: links must not lead to oneself, 1 don't keep to that"):
        read(tmp_path, links=how)
    write(tmp_path, "links.csv", "a,b", "1,2", "3,9")
    with pytest.raises(DataError, match=r"links.csv: links must be between users who have interactions, 1 don't"):
        read(tmp_path, links=how)
    # Once something was forgotten, a friend may be gone for that reason.
    links = read(tmp_path, strict=False, links=how).tables["links"]
    assert list(zip(links["user"], links["friend"], strict=True)) == [(1, 2), (3, 9)]
    write(tmp_path, "links.csv", "a,b", "1,2", "1,2", "2,2")
    links = read(tmp_path, links={**how, "invalid": "drop"}).tables["links"]
    assert list(zip(links["user"], links["friend"], strict=True)) == [(1, 2)]


def test_categories_numbers_and_missing_values(tmp_path: Path) -> None:
    path = write(tmp_path, "items.csv", "item,genres,price", "10,Drama|Comedy|Drama,2.5", "20,,1", "30,Drama,")
    fields = {"genres": {"kind": "categories"}, "price": {"kind": "number"}}
    found = read(tmp_path, item_features={"path": path, "fields": fields}).tables["item_features"]
    said = list(zip(*found.columns.values(), strict=True))
    assert said == [
        (10, "genres", "Comedy", 1.0),
        (10, "genres", "Drama", 1.0),
        (10, "price", "", 2.5),
        (20, "price", "", 1.0),
        (30, "genres", "Drama", 1.0),
    ]
    write(tmp_path, "items.csv", "item,genres,price", "10,Drama,cheap")
    with pytest.raises(DataError, match=r"items.csv: column 'price' must be numbers, got text"):
        read(tmp_path, item_features={"path": path, "fields": fields})


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["1,4", "2,nan"], "'age' must be finite numbers, 1 are not .*; leave those cells empty"),
        (["1,4", "2,1e300"], "'age' must be finite numbers, 1 are not .*or beyond 32 bits"),
        (["1,4", '2,"4,5"'], "'age' must be numbers, got text; leave those cells empty, write plain numbers"),
        (["1,4", "2,3", "2,5", "2,7", "1,4"], "'age': 1 ids have several numbers; keep one row of each user"),
    ],
)
def test_numbers_that_are_none_are_refused_with_what_to_do(tmp_path: Path, lines: list[str], words: str) -> None:
    path = write(tmp_path, "users.csv", "user,age", *lines)
    with pytest.raises(DataError, match=rf"users\.csv: column {words}"):
        read(tmp_path, user_features={"path": path, "fields": {"age": {"kind": "number"}}})


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([["a", "b"], ["c"]]), "holds several values in one; write them as one text with"),
        (pa.array([{"a": 1}, {"a": 2}]), "holds several values in one"),
        (pa.array([b"\xff", b"\xfe"]), "must be numbers or text, got binary; leave it out of fields"),
    ],
)
def test_features_of_no_known_type_are_refused(tmp_path: Path, column: pa.Array, words: str) -> None:
    pq.write_table(pa.table({"user": [1, 2], "tags": column}), tmp_path / "users.parquet")
    with pytest.raises(DataError, match=rf"users\.parquet: column 'tags'.* {words}"):
        read(tmp_path, user_features={"path": "users.parquet", "fields": {"tags": {}}})


def test_a_number_that_pandas_does_not_know_is_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [1, 2], "age": [4.0, float("nan")]}), tmp_path / "users.parquet")
    how = {"path": "users.parquet", "fields": {"age": {"kind": "number"}}}
    assert read(tmp_path, user_features=how).tables["user_features"]["user"].tolist() == [1]


def test_items_with_features_are_named_as_new_ones_where_that_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "items.csv", "item,genres", "10,Drama", "99,Drama", "98,", "99,Comedy")
    how = {"path": path, "fields": {"genres": {}}}
    assert "items" not in read(tmp_path, item_features=how).tables
    tables = read(tmp_path, item_features=how | {"new_items": True}).tables
    assert tables["items"]["item"].tolist() == [10, 99], "of 98 the table says nothing"
    with pytest.raises(ConfigError, match=r"side\.user_features.*new_items"):
        read(tmp_path, user_features=how | {"new_items": True})


def test_facts_reach_items_as_heads_and_as_tails(tmp_path: Path) -> None:
    facts = write(tmp_path, "kg.csv", "head,relation,tail", "m1,genre,drama", "lead,plays_in,m2", "lead,born,1970")
    items = write(tmp_path, "map.csv", "item,entity", "10,m1", "20,m2")
    found = read(tmp_path, triples={"path": facts, "items": items}).tables["triples"]
    assert list(zip(*found.columns.values(), strict=True)) == [(10, "genre", "drama"), (20, "~plays_in", "lead")]
    write(tmp_path, "map.csv", "item,entity", "10,m1", "20,m1")
    with pytest.raises(DataError, match=r"map.csv: column 'entity' must name an entity once"):
        read(tmp_path, triples={"path": facts, "items": items})


def test_ids_unlike_those_of_the_interactions_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "links.csv", "user,friend", "1,anna")
    with pytest.raises(DataError, match=r"links.csv: column 'friend' must be integers, 1 are not"):
        read(tmp_path, links={"path": path})
    path = write(tmp_path, "view.csv", "user,item", "anna,10")
    with pytest.raises(DataError, match="behaviour view: column 'user' must hold ids like those of the interactions"):
        read(tmp_path, behaviours={"view": {"path": path}})
    named = Interactions.of(np.array(["anna", "7"], object), np.array([10, 20]))
    path = write(tmp_path, "view.csv", "user,item", "7,10")
    with pytest.raises(DataError, match=r"column 'user' must hold .* which are text; see its ids and item_ids"):
        read(tmp_path, named, behaviours={"view": {"path": path, "ids": "integer"}})


def test_ids_of_a_behaviour_are_text_where_those_of_the_interactions_are(tmp_path: Path) -> None:
    """All that is in it may look like integers; items are of their own kind."""
    named = Interactions.of(np.array(["anna", "7"], object), np.array([10, 20]))
    path = write(tmp_path, "view.csv", "user,item", "7,10", "07,20")
    view = read(tmp_path, named, behaviours={"view": {"path": path}}).behaviours["view"]
    assert (list(view.user_ids), list(view.item_ids)) == (["07", "7"], [20, 10])
    assert view.user_ids.dtype == object
    assert view.item_ids.dtype == np.int64


def test_a_digest_for_every_file(tmp_path: Path) -> None:
    sources = SideSources.parse(write_side(side_tables(taste_blocks()), tmp_path), "side")
    before = side.digests(sources, root=tmp_path)
    assert len(before) == 6
    (tmp_path / "view.csv").write_text("user,item\nuser-000,item-000\n")
    after = side.digests(sources, root=tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"side.behaviours.view"}


def test_contexts_come_as_text_and_a_missing_one_is_a_value(tmp_path: Path) -> None:
    write(tmp_path, "rows.csv", "user,item,day,place", "1,10,7,home", "1,10,6,", "2,10,7,work")
    columns = {"context": ["day", "place"]}
    source = TableSource.parse({"kind": "table", "path": "rows.csv", "columns": columns}, "source")
    rows = table.read(tmp_path / "rows.csv", source)
    assert rows.contexts["day"].tolist() == ["6", "7", "7"]
    assert rows.contexts["place"].tolist() == ["missing", "home", "work"]
    rows.write(tmp_path / "rows.parquet")
    assert Interactions.read(tmp_path / "rows.parquet").digest() == rows.digest()
