"""The tables of the data stages have the same bytes however few rows are held at once, and whoever makes them."""

from __future__ import annotations

import gzip
import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from distributed.protocol import pickle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data import stages
from lethe.data.ingest import ingest
from lethe.data.partition import Assignment
from lethe.data.sources import files, sql, text
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import DataError
from lethe.learning.runner.calling import HERE, Runner
from lethe.tables import blocks, columns, order, stretches
from lethe.tables.interactions import Interactions

URL = "MADE_URL"
SHARDINGS = {
    "users": {"partition": "user-hash", "num_shards": 3, "slices": 2, "aggregator": "mean"},
    "rows": {"partition": "interaction-hash", "num_shards": 5, "aggregator": "mean"},
    "asked": {
        "partition": "user-hash",
        "num_shards": 2,
        "slices": 3,
        "aggregator": "mean",
        "placement": {"by": "requests", "at_least": 1},
    },
}
SPLITS: list[dict[str, Any]] = [
    {"by": "random", "valid": 0.2, "test": 0.2},
    {"by": "leave-one-out", "order": "latest"},
    {"by": "leave-one-out", "order": "random"},
    {"by": "newest", "valid": 0.2, "test": 0.2},
]


@st.composite
def source_rows(draw: st.DrawFn) -> dict[str, Any]:
    """Columns of a source, in any order, with repeated pairs and ids that turn out to be text late or never."""
    count = draw(st.integers(8, 60))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    users = generator.integers(0, draw(st.integers(3, 30)), count)
    items = generator.integers(0, draw(st.integers(3, 30)), count)
    if draw(st.booleans()):
        users = np.sort(users)
    kinds = {"integer": users, "text": np.array([f"u{user}" for user in users])}
    late = users.astype(str).astype(object)
    late[-1] = "x"
    return {
        "user": draw(st.sampled_from([*kinds.values(), late])).tolist(),
        "item": items.tolist(),
        "rating": generator.integers(1, 6, count).tolist(),
        "timestamp": generator.integers(10**9, 10**9 + 20, count).tolist(),
        "place": generator.choice(["home", "work"], count).tolist(),
    }


def workspace_of(folder: Path, table: dict[str, Any], kind: str, split: dict[str, Any], context: bool) -> Workspace:
    workspace = Workspace(folder)
    folder.mkdir(parents=True)
    fields = {"user": "user", "item": "item", "rating": "rating", "timestamp": "timestamp"}
    source = {**laid_down(folder, table, kind), "columns": {**fields, "context": ["place"] if context else []}}
    workspace.params.write_text(yaml.safe_dump(params_of(source, split)))
    forgotten = [Suppressed.user("made", table["user"][0]), Suppressed.interaction("made", *pair(table, 1))]
    SuppressionList.read(workspace.suppression).add(forgotten)
    return workspace


def laid_down(folder: Path, table: dict[str, Any], kind: str) -> dict[str, Any]:
    """The table in a file, or a database, in the folder; the source that names it."""
    path = folder / f"rows.{kind}"
    if kind == "sqlite":
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"CREATE TABLE made ({', '.join(table)})")
            connection.executemany("INSERT INTO made VALUES (?, ?, ?, ?, ?)", zip(*table.values(), strict=True))
        os.environ[URL] = f"sqlite:///{path}"
        return {"kind": "sql", "url_env": URL, "query": "SELECT * FROM made"}
    if kind == "parquet":
        pq.write_table(pa.table(table), path, row_group_size=7)
        return {"kind": "table", "path": path.name}
    pa.csv.write_csv(pa.table(table), path)
    if kind == "csv.gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    if kind == "utf-16":
        path.write_text(path.read_text(), "utf-16")
    return {"kind": "table", "path": path.name, "encoding": "utf-16" if kind == "utf-16" else "utf-8"}


def pair(table: dict[str, Any], row: int) -> tuple[Any, Any]:
    return table["user"][row], table["item"][row]


def params_of(source: dict[str, Any], split: dict[str, Any]) -> dict[str, Any]:
    return {
        "seed": 3,
        "pipeline": {"datasets": ["made"], "shardings": list(SHARDINGS)},
        "datasets": {"made": {"source": source, "split": split, "duplicates": "latest"}},
        "shardings": SHARDINGS,
        "families": {"made": {"dataset": "made", "candidates": [{"model": "mostpop", "sharding": "users"}]}},
    }


R = TypeVar("R")


class Sent:
    """Calls are made of what is left of them when they were sent to another process."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        self.calls += 1
        sent, given = pickle.loads(pickle.dumps((function, arguments)))
        answer: R = sent(*given)
        return answer


def build(workspace: Workspace, shardings: list[str], place: Runner = HERE) -> dict[str, str]:
    """SHA-256 of every table, assigned twice, so that the second time an assignment is kept."""
    params = Params.read(workspace.params)
    ingest(workspace, params, "made")
    stages.split_stage(workspace, params, "made", place)
    for stage in ("assign", "assign", "shards"):
        for name in shardings:
            stages.STAGES[stage](workspace, params, "made", name, place)
    data = workspace.root / "data"
    assert not [path for path in data.rglob(".*") if path.is_dir()], "what was put aside is gone"
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(data.rglob("*"))
        if path.is_file()
    }


def few_at_once(patch: pytest.MonkeyPatch, rows: int) -> None:
    patch.setattr(files, "ROWS", rows)
    patch.setattr(text, "AT_ONCE", 16 * rows)
    patch.setattr(sql, "ROWS", rows)
    patch.setattr(blocks, "AT_ONCE", rows)
    patch.setattr(order, "RUN_GROUP", max(1, rows // 2))
    patch.setattr(stages, "SHARDS_AT_ONCE", 2)
    patch.setattr(stages, "SHARDS_A_CALL", 2)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=source_rows(),
    kind=st.sampled_from(["csv", "parquet", "csv.gz", "utf-16", "sqlite"]),
    split=st.sampled_from(SPLITS),
    sharding=st.sampled_from([*SHARDINGS]),
    context=st.booleans(),
    rows=st.integers(1, 12),
    group=st.sampled_from([3, 1 << 20]),
)
def test_bytes_do_not_hang_on_how_many_rows_are_held(
    table: dict[str, Any],
    kind: str,
    split: dict[str, Any],
    sharding: str,
    context: bool,
    rows: int,
    group: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "ROW_GROUP", group)
        patch.setenv(URL, "")
        whole = build(workspace_of(folder / "whole", table, kind, split, context), [sharding])
        few_at_once(patch, rows)
        assert build(workspace_of(folder / "few", table, kind, split, context), [sharding]) == whole
        sent = Sent()
        assert build(workspace_of(folder / "sent", table, kind, split, context), [sharding], sent) == whole
        assert sent.calls >= len(stretches.stretches(Workspace(folder / "sent").interactions("made")))


@pytest.mark.parametrize(("with_valid", "clean"), [(True, True), (True, False), (False, True)])
def test_ready_parts_and_side_tables_have_the_same_bytes(with_valid: bool, clean: bool, tmp_path: Path) -> None:
    """Ids of one part are text, those of the others and of the views only look like integers; a pair lies in two parts.
    Some users have views and no interactions, and views name pairs of the test part."""
    generator = np.random.default_rng(1)
    parts = {"train": 40, "test": 12} | ({"valid": 9} if with_valid else {})

    def make(folder: Path, place: Runner = HERE) -> dict[str, str]:
        workspace, source = Workspace(folder), folder / "ready"
        source.mkdir(parents=True)
        for name, count in parts.items():
            users = [str(user) for user in generator.integers(0, 9, count)]
            rows = {"user": users, "item": generator.integers(0, 9, count).tolist()}
            if name == "test":
                rows["user"][0] = "somebody"
            pa.csv.write_csv(pa.table(rows), source / f"{name}.csv")
        links = {"user": ["1", "2", "3", "1"], "friend": ["2", "3", "4", "nobody"]}
        pa.csv.write_csv(pa.table(links), folder / "links.csv")
        views = {"user": [str(user) for user in generator.integers(0, 13, 80)], "item": generator.integers(0, 12, 80)}
        pa.csv.write_csv(pa.table(views), folder / "views.csv")
        files_of = {name: f"{name}.csv" for name in parts}
        made = params_of({"kind": "folder", "path": "ready", **files_of}, {"by": "ready", "valid": 0.2})
        made["datasets"]["made"]["side"] = {
            "links": {"path": "links.csv", "invalid": "drop"},
            "behaviours": {"view": {"path": "views.csv"}},
            "clean": clean,
        }
        workspace.params.write_text(yaml.safe_dump(made))
        return build(workspace, ["users", "rows"], place)

    whole = make(tmp_path / "whole")
    for table in ("links", "behaviour.view"):
        where = {Path(name).parent.name for name in whole if table in name}
        assert where == {"side", "00", "01", "02", "03", "04"}
    with pytest.MonkeyPatch.context() as patch:
        few_at_once(patch, 5)
        generator = np.random.default_rng(1)
        assert make(tmp_path / "few") == whole
        patch.setattr(columns, "ROW_GROUP", 4)
        generator = np.random.default_rng(1)
        in_groups = make(tmp_path / "in groups")
        generator = np.random.default_rng(1)
        assert make(tmp_path / "sent", Sent()) == in_groups


@pytest.mark.parametrize(("before", "now"), [("integer", "text"), ("text", "integer")])
def test_slices_by_requests_are_kept_where_ids_are_of_another_kind_since(
    before: str, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of users who asked to be forgotten in part, whom the next requests would put elsewhere."""
    few_at_once(monkeypatch, 5)
    table = {"user": np.repeat(np.arange(98, 106), 4).tolist(), "item": [*range(4)] * 8, "rating": [1] * 32}
    table |= {"timestamp": [10**9] * 32, "place": ["home"] * 32}
    workspace = workspace_of(tmp_path / "made", table, "csv", SPLITS[0], False)
    laid = workspace.assignment("made", "asked/all") / "assignment.parquet"

    def assigned(ids: str) -> dict[str, int]:
        made = params_of({"kind": "table", "path": "rows.csv", "ids": ids}, SPLITS[0])
        workspace.params.write_text(yaml.safe_dump(made))
        build(workspace, ["asked"])
        rows = Assignment.read(laid)
        assert rows.slices is not None
        assert (rows.user_ids.dtype == object) == (ids == "text")
        return dict(zip(map(str, rows.user_ids), rows.slices.tolist(), strict=True))

    first = assigned(before)
    asked = min(user for user, place in first.items() if place < 2)
    SuppressionList.read(workspace.suppression).add([Suppressed.interaction("made", asked, 3)])
    assert len(first) == 7  # One user is forgotten.
    assert assigned(now) == first


@pytest.mark.parametrize("named", [False, True])
def test_every_row_lies_in_one_stretch_of_users(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user has more rows than a row group, another as many."""
    monkeypatch.setattr(columns, "ROW_GROUP", 5)
    users = np.repeat(np.arange(9), [1, 2, 12, 5, 1, 1, 5, 3, 4])
    ids = np.array([f"ü{user}" for user in users], dtype=object) if named else users
    rows = Interactions(ids, np.arange(len(users)))
    rows.write(tmp_path / "rows.parquet")
    cut = stretches.stretches(tmp_path / "rows.parquet")
    assert (cut[0].first, cut[-1].end) == (None, None)
    read = [
        [blocks.rows_of(block) for block, _ in blocks.side_by_side(tmp_path / "rows.parquet", of=part)] for part in cut
    ]
    assert [len(set(own.user_ids)) for part in read for own in [Interactions.concatenate(*part)]] == [2, 1, 1, 2, 2, 1]
    assert Interactions.concatenate(*(own for part in read for own in part)).digest() == rows.digest()
    nobody = stretches.Stretch("z", "zz") if named else stretches.Stretch(98, 99)
    assert [blocks.length(block) for block, _ in blocks.side_by_side(tmp_path / "rows.parquet", of=nobody)] == [0]


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 14, 50])
def test_a_table_written_in_pieces_has_the_bytes_of_one_written_whole(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "ROW_GROUP", 7)
    table = pa.table({"user": [f"u{n % 5}" for n in range(count)], "item": np.arange(count)})
    table = table.cast(pa.schema({"user": pa.string(), "item": pa.int64()}))
    pq.write_table(
        table, tmp_path / "whole", row_group_size=7, compression="zstd", compression_level=3, store_schema=False
    )
    with columns.ParquetWriter(tmp_path / "pieces") as writer:
        writer.write(table.slice(0, 0))
        for start in range(0, count, 3):
            writer.write(table.slice(start, 3))
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes()


def test_nothing_is_left_of_a_table_that_broke_off(tmp_path: Path) -> None:
    def fail() -> None:
        with columns.ParquetWriter(tmp_path / "rows.parquet") as writer:
            writer.write(pa.table({"user": [1]}))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_repeated_pair_is_counted_in_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_at_once(monkeypatch, 4)
    table = {"user": [*range(9), *range(9)], "item": [1] * 18, "rating": [3] * 18, "timestamp": [10**9] * 18}
    workspace = workspace_of(tmp_path / "made", {**table, "place": ["home"] * 18}, "csv", SPLITS[0], False)
    made = params_of({"kind": "table", "path": "rows.csv"}, SPLITS[0])
    made["datasets"]["made"]["duplicates"] = "error"
    workspace.params.write_text(yaml.safe_dump(made))
    with pytest.raises(DataError, match="7 rows repeat one"):  # One user is forgotten, one row of another.
        ingest(workspace, Params.read(workspace.params), "made")
    assert not list((workspace.root / "data").rglob("*.parquet"))


@pytest.mark.parametrize("sorted_already", [True, False])
def test_no_more_rows_are_held_than_a_block(
    sorted_already: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each step of each stage; where runs are merged, than two blocks."""
    few_at_once(monkeypatch, 100)
    generator = np.random.default_rng(2)
    users, items = np.repeat(np.arange(100), 10), np.tile(np.arange(10), 100)
    mixed = np.arange(1000) if sorted_already else generator.permutation(1000)
    table = {"user": users[mixed].tolist(), "item": items[mixed].tolist()}
    most = 0
    in_canonical_order = Interactions.of_columns

    def watched(column: Any) -> Interactions:
        nonlocal most
        most = max(most, len(column["user"]))
        return in_canonical_order(column)

    monkeypatch.setattr(Interactions, "of_columns", watched)
    rows = {**table, "rating": [1] * 1000, "timestamp": [10**9] * 1000, "place": ["home"] * 1000}
    workspace = workspace_of(tmp_path / "made", rows, "parquet", SPLITS[0], False)
    stages.build_data(workspace, Params.read(workspace.params), "made", ["users", "rows"])
    assert pq.read_metadata(workspace.interactions("made")).num_rows > 950
    assert 80 <= most <= 220


def test_of_parts_only_the_columns_are_read_that_are_asked_for(tmp_path: Path) -> None:
    rows = Interactions.of(np.array([1, 1, 2]), np.array([5, 6, 5]), np.ones(3))
    for name in ("whole", "part"):
        rows.write(tmp_path / f"{name}.parquet")
    whole, part = tmp_path / "whole.parquet", tmp_path / "part.parquet"
    for block, (beside,) in blocks.side_by_side(whole, [part], of_parts=("user", "rating", "not there")):
        assert [*block] == ["user", "item", "rating"]
        assert [*beside] == ["user", "rating"]


def test_rows_become_a_table_once_however_many_shards_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, rows_of = list[int](), stages.rows_of
    monkeypatch.setattr(stages, "rows_of", lambda block: (made.append(1), rows_of(block))[1])
    rows = Interactions.of(np.arange(8), np.arange(8))
    rows.write(tmp_path / "rows.parquet")
    Assignment(rows.user_ids, rows.item_ids, np.arange(8) % 4).write(tmp_path / "assignment.parquet")
    paths = [tmp_path / f"{shard}.parquet" for shard in range(4)]
    stages.write_shards(tmp_path / "rows.parquet", tmp_path / "assignment.parquet", 0, paths)
    assert [Interactions.read(path).user_ids.tolist() for path in paths] == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert sum(made) == 2, "the users before the last one, and that one"
