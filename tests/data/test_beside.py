"""What lies beside the tables of the data stages is what whole tables come to, however few rows are held at once."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from lethe.config.params import Params
from lethe.config.sharding import ROWS, laid_in
from lethe.core.workspace import Workspace
from lethe.data import beside, stages
from lethe.data.beside import foreign_beside, held_out, tables_beside
from lethe.data.gates.side import broken_in
from lethe.data.ingest import ingest
from lethe.data.sources import side
from lethe.data.split import deduplicate
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.forgetting.held import Tables
from lethe.forgetting.ledger.requests import ForgetRequest, Held
from lethe.forgetting.removal import take_out
from lethe.learning.runner.calling import HERE, Runner
from lethe.tables.blocks import Block, length
from lethe.tables.ids import Ids
from lethe.tables.inside import KnownIds
from lethe.tables.interactions import Interactions
from lethe.tables.reader import Reader
from lethe.tables.side_tables import SideTable, SideTables, behaviours_in, known_links
from lethe.tables.texts import Column
from tests.data.test_blocks_of_users import Sent, few_at_once, params_of
from tests.side import digest_beside

LAYOUTS = {
    "users": {"partition": "user-hash", "num_shards": 3, "aggregator": "mean"},
    "rows": {"partition": "interaction-hash", "num_shards": 3, "slices": 2, "aggregator": "mean"},
    "whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"},
}
COLUMNS = {"user": "user", "item": "item", "timestamp": "timestamp"}


def made(folder: Path, *, named: bool, in_order: bool, clean: bool, context: bool = False) -> Workspace:
    """Interactions of 14 users; views of 22, among them all who come first and last; carts of few; links and features
    besides. Ids are text where they are ``named``."""
    generator = np.random.default_rng(5)
    folder.mkdir()

    def ids(role: str, places: np.ndarray) -> list[Any]:
        return [f"{role}{place}" for place in places] if named else places.tolist()

    def write(name: str, count: int, users: tuple[int, int], items: int) -> dict[str, list[Any]]:
        owners = generator.integers(*users, count)
        owners = np.sort(owners) if in_order else owners
        table = {"user": ids("ü", owners), "item": ids("i", generator.integers(0, items, count))}
        table |= {"timestamp": generator.integers(10**9, 10**9 + 20, count).tolist()}
        table |= {"place": generator.choice([str(ids("ü", np.array([7]))[0]), "home", ""], count).tolist()}
        pa.csv.write_csv(pa.table(table), folder / f"{name}.csv")
        return table

    rows, views = write("rows", 70, (4, 18), 12), write("views", 160, (0, 22), 15)
    write("carts", 12, (6, 9), 30)
    pa.csv.write_csv(pa.table({"user": rows["user"][:30], "friend": rows["user"][30:60]}), folder / "links.csv")
    items = sorted({*rows["item"], *views["item"]})
    genres = pa.table({"item": items, "genre": [f"g{place % 3}" for place in range(len(items))]})
    pa.csv.write_csv(genres, folder / "items.csv")
    everybody = np.arange(22)[::-1]
    bands = [f"b{place % 3}" for place in range(22)]
    pa.csv.write_csv(pa.table({"user": ids("ü", everybody), "band": bands, "age": everybody}), folder / "users.csv")
    columns = {**COLUMNS, "context": ["place"] if context else []}
    params = params_of({"kind": "table", "path": "rows.csv", "columns": columns}, {"by": "random", "valid": 0.2})
    params["shardings"], params["pipeline"]["shardings"] = LAYOUTS, list(LAYOUTS)
    params["datasets"]["made"]["side"] = {
        "behaviours": {name: {"path": f"{name}.csv", "columns": columns} for name in ("views", "carts")},
        "links": {"path": "links.csv", "invalid": "drop"},
        "user_features": {"path": "users.csv", "fields": {"band": {}, "age": {"kind": "number"}}},
        "item_features": {"path": "items.csv", "fields": {"genre": {}}, "new_items": clean},
        "clean": clean,
    }
    workspace = Workspace(folder)
    workspace.params.write_text(yaml.safe_dump(params))
    first, other = views["user"][0], views["user"][5]
    row = (views["user"][9], views["item"][9], views["timestamp"][9])
    SuppressionList.read(workspace.suppression).add(
        [
            Suppressed.user("made", first),
            Suppressed.user("made", other, 10**9 + 10),
            Suppressed.interaction("made", views["user"][7], views["item"][7]),
            Suppressed.row("made", row[0], "behaviour.views", *row),
            Suppressed.item("made", ids("ü", np.array([7]))[0]),
        ]
    )
    return workspace


def build(workspace: Workspace, place: Runner = HERE) -> Params:
    params = Params.read(workspace.params)
    ingest(workspace, params, "made")
    stages.split_stage(workspace, params, "made", place)
    for stage in ("assign", "shards"):
        for name in LAYOUTS:
            stages.STAGES[stage](workspace, params, "made", name, place)
    return params


def of_whole_tables(workspace: Workspace, params: Params, expected: Path) -> None:
    """What must lie beside, made of tables that are held whole, in the same folders below another one."""
    config, rows = params.datasets["made"], Interactions.read(workspace.interactions("made"))
    source = side.table.read(workspace.root / "rows.csv", config.source)
    read = side.read(config.side, Ids.of(source.user_ids), Ids.of(source.item_ids), root=workspace.root, strict=False)
    listed = SuppressionList.read(workspace.suppression)
    once = read.map(lambda table: table, lambda own: deduplicate(own, "latest"))
    known = known_links(listed.drop_side(once, "made"), Ids.of(rows.user_ids))
    tables = known.map(lambda table: table, lambda own: deduplicate(own, "latest"))
    assert 0 < len(tables.behaviours["views"]) < len(once.behaviours["views"])
    if "ü7" in set(once.behaviours["views"].contexts.get("place", ())):
        assert len(tables.behaviours["views"]) < len(known.behaviours["views"]), "rows became equal without a context"
    tables.write(expected / workspace.side("made").relative_to(workspace.root))
    held_out = [Interactions.read(workspace.split("made", part)) for part in ("valid", "test")]
    for of in ROWS:
        beside = tables.without_pairs(held_out) if of == "train" and config.side.clean else tables
        assert (beside.digest() == tables.digest()) == (of == "all" or not config.side.clean)
        for name in LAYOUTS:
            for path in workspace.shards("made", laid_in(name, of)).glob("*.parquet"):
                folder = workspace.shard_side("made", laid_in(name, of), path.stem).relative_to(workspace.root)
                beside.of_shard(Interactions.read(path)).write(expected / folder)


def bytes_beside(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("data/**/side/**/*.parquet")}


@pytest.mark.parametrize("place", [HERE, Sent()])
@pytest.mark.parametrize(
    ("named", "in_order", "clean", "context"),
    [(False, False, True, False), (False, True, False, True), (True, False, True, True), (True, True, True, False)],
)
def test_what_lies_beside_has_the_bytes_of_whole_tables(
    named: bool,
    in_order: bool,
    clean: bool,
    context: bool,
    place: Runner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few_at_once(monkeypatch, 9)
    workspace = made(tmp_path / "made", named=named, in_order=in_order, clean=clean, context=context)
    params = build(workspace, place)
    of_whole_tables(workspace, params, tmp_path / "expected")
    there, expected = bytes_beside(workspace.root), bytes_beside(tmp_path / "expected")
    assert there.keys() == expected.keys()
    assert [name for name, content in expected.items() if there[name] != content] == []


def many_views(folder: Path) -> Workspace:
    """Views are thirty times as many as interactions, and most of them of users who come behind all who have these."""
    workspace = made(folder, named=False, in_order=False, clean=True)
    generator = np.random.default_rng(2)
    views = {"user": generator.permutation(np.repeat(np.arange(300), 10)).tolist(), "item": [*range(30)] * 100}
    pa.csv.write_csv(pa.table({**views, "timestamp": [10**9] * 3000}), workspace.root / "views.csv")
    return workspace


class Most:
    """The most rows of interactions that were held together."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        of_columns, in_order = Interactions.of_columns, Interactions.in_order
        patch.setattr(Interactions, "of_columns", lambda column: self.seen(of_columns(column)))
        patch.setattr(Interactions, "in_order", lambda rows: in_order(self.seen(rows)))

    def seen(self, rows: Interactions) -> Interactions:
        self.rows = max(self.rows, len(rows))
        return rows


def test_no_more_of_a_behaviour_is_held_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_at_once(monkeypatch, 100)
    most, workspace = Most(monkeypatch), many_views(tmp_path / "made")
    build(workspace)
    assert pq.read_metadata(workspace.side("made") / "behaviour.views.parquet").num_rows > 2000
    assert 80 <= most.rows <= 220


def test_no_more_of_a_behaviour_is_looked_at_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a gate, by `lethe tune`, to be counted and to be taken out."""
    workspace = many_views(tmp_path / "made")
    params = build(workspace)
    files, known = behaviours_in(workspace.side("made")), KnownIds((workspace.interactions("made"),))
    listed, views = SuppressionList.read(workspace.suppression), Interactions.read(files["views"])
    request = ForgetRequest.new("made", int(views.user_ids[-1]), now=datetime.now(UTC), datasets=["made"])
    train = Interactions.read(workspace.split("made", "train"))
    whole, digest = Tables.read(workspace, "made").held([request]), digest_beside(workspace.interactions("made"))
    parts = [Interactions.read(path) for path in held_out(workspace, params, "made", "train")]
    learnt = SideTables.read(workspace.side("made")).without_pairs(parts).of_rows(train).digest()
    few_at_once(monkeypatch, 100)
    most = Most(monkeypatch)
    allowed = partial(listed.drop_side, dataset="made", known=known)
    assert broken_in(files["views"], "views", allowed) == {"suppressed": 0, "repeated": 0}
    shards = sorted(workspace.shards("made", "users").glob("*.parquet"))
    assert foreign_beside(shards, workspace.side("made"), held_out(workspace, params, "made", "train")) == 0
    assert foreign_beside(shards, workspace.side("made"), []) == 3, "views of what is held out"
    assert Tables.read(workspace, "made", Reader(room=0)).held([request]) == whole == [Held(behaviours=10)]
    assert Reader(room=0).digest_beside(workspace.interactions("made")) == digest
    assert tables_beside(workspace, params, "made", "train", train).of_rows(train).digest() == learnt
    take_out(workspace, params, "made", [request])
    assert 80 <= most.rows <= 220


def test_features_and_links_of_users_come_some_users_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = made(tmp_path / "made", named=True, in_order=False, clean=False)
    params, most, whole = build(workspace), 0, list[str]()
    few_at_once(monkeypatch, 20)
    held, read = beside.held, SideTable.read

    def watched(block: Block) -> dict[str, Column]:
        nonlocal most
        most = max(most, length(block))
        return held(block)

    monkeypatch.setattr(beside, "held", watched)
    monkeypatch.setattr(SideTable, "read", lambda kind, path: (whole.append(kind), read(kind, path))[1])
    stages.shards_stage(workspace, params, "made", "users")
    assert pq.read_metadata(workspace.side("made") / "user_features.parquet").num_rows == 40
    assert (whole, 5 <= most <= 20) == (["item_features"], True)
