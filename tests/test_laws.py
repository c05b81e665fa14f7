"""The laws of docs/architecture.md on small data, for every model: locality, isolation, equality, order.

Absence is tested in tests/forgetting and tests/flows, recovery in tests/flows.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lethe.build.builder import Builder
from lethe.build.recipes import candidate_recipe
from lethe.config.params import Candidate, Params
from lethe.config.sharding import Rows
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.plan import Served, plan
from lethe.forgetting.run import suppress
from lethe.models import MODELS, configure
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import Shape
from lethe.tables.side_tables import NO_TABLES, SideTables
from tests.conftest import copied, make_workspace, taste_blocks
from tests.place import DEVICE
from tests.side import digest_beside, side_tables, without_user

TWO_TOWERS = [name for name, model in MODELS.items() if model(configure(name, {}), Shape(2, 2)).factors() is not None]


def build(workspace: Workspace, model: str, sharding: str, rows: Rows = "all") -> dict[str, str]:
    """Digest of everything from data to package, by name; of what is served, or of the build that is compared."""
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", [sharding])
    recipe = candidate_recipe(workspace, params, "tiny", Candidate(model=model, sharding=sharding)).of(rows)
    builder = Builder(workspace, recipe)
    sub_models = {name: builder.sub_model(name, DEVICE) for name in builder.shard_names()}
    ensemble = builder.ensemble({name: artifact.key for name, artifact in sub_models.items()}, DEVICE)
    digests = {f"sub-model/{name}": artifact.digest for name, artifact in sub_models.items()}
    digests |= {"ensemble": ensemble.digest, "package": builder.package(ensemble.key, "family", params).digest}
    for path in sorted((workspace.root / "data").rglob("*.parquet")):
        if "side" not in path.parts:
            digests[str(path.relative_to(workspace.root))] = digest_beside(path)
    return digests


Whole = Callable[[str, str, Rows], tuple[Workspace, dict[str, str]]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A workspace over all rows, with everything built, and the digests of that: made once for all laws that begin with
    it, so to be copied by whoever changes it."""

    @cache
    def made(model: str, sharding: str, of: Rows) -> tuple[Workspace, dict[str, str]]:
        rows, folder = everybody(), tmp_path_factory.mktemp("whole")
        workspace = make_workspace(folder / "w", rows, (model,), tables_for(model, rows))
        return workspace, build(workspace, model, sharding, of)

    return made


def tables_for(model: str, rows: Interactions) -> SideTables:
    """Side tables for a model that reads any."""
    return side_tables(rows) if MODELS[model].reads() - {"timestamps", "contexts"} else NO_TABLES


def everybody() -> Interactions:
    """Blocks of taste, and an item that user-004 alone took; side tables let friends look at it, being the first."""
    rows = taste_blocks()
    assert rows.ratings is not None
    assert rows.timestamps is not None
    users, items = np.append(np.asarray(rows.user_ids), "user-004"), np.append(np.asarray(rows.item_ids), "a-777")
    return Interactions.of(users, items, np.append(rows.ratings, 5), np.append(rows.timestamps, 999))


def without(rows: Interactions, *users: str) -> Interactions:
    return rows.take(~np.isin(rows.user_ids, users))


def cases() -> list[tuple[str, str, Rows]]:
    sharded: list[tuple[str, str, Rows]] = [
        (model, "user-hash-3" if model in TWO_TOWERS else "mean-3", "all") for model in MODELS
    ]
    compared: list[tuple[str, str, Rows]] = [("wmf", "user-hash-3", "train"), ("eatnn", "whole", "train")]
    return [*sharded, *compared, ("mostpop", "whole", "all"), ("wmf", "whole", "all"), ("wmf", "mean-3", "all")]


@pytest.mark.parametrize(("model", "sharding", "of"), cases())
def test_equality_forgetting_a_user_is_never_having_had_him(
    model: str, sharding: str, of: Rows, whole: Whole, tmp_path: Path
) -> None:
    rows, gone = everybody(), "user-004"
    tables = tables_for(model, rows)
    built, before = whole(model, sharding, of)
    forgetful = copied(built, tmp_path / "forgetful")
    suppress(forgetful, "tiny", [(gone, ())])
    after = build(forgetful, model, sharding, of)
    rest = without_user(tables, gone)
    never = build(make_workspace(tmp_path / "never", without(rows, gone), (model,), rest), model, sharding, of)
    assert after == never
    assert after["package"] != before["package"]


def test_equality_forgetting_single_interactions(tmp_path: Path) -> None:
    rows = everybody()
    gone = (rows.user_ids == "user-004") & np.isin(rows.item_ids, rows.item_ids[rows.user_ids == "user-004"][:2])
    forgetful = make_workspace(tmp_path / "forgetful", rows)
    build(forgetful, "wmf", "user-hash-3")
    suppress(forgetful, "tiny", [("user-004", tuple(rows.item_ids[gone]))])
    never = make_workspace(tmp_path / "never", rows.take(~gone))
    assert build(forgetful, "wmf", "user-hash-3") == build(never, "wmf", "user-hash-3")


def test_order_of_requests_leaves_no_trace(tmp_path: Path) -> None:
    one, other = "user-003", "user-010"
    results = []
    for name, batches in (("ab", [[one], [other]]), ("ba", [[other], [one]]), ("both", [[one, other]])):
        workspace = make_workspace(tmp_path / name, everybody())
        build(workspace, "wmf", "user-hash-3")
        for batch in batches:
            suppress(workspace, "tiny", [(user, ()) for user in batch])
            result = build(workspace, "wmf", "user-hash-3")
        results.append(result)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("model", MODELS)
def test_isolation_a_shard_alone_has_the_bytes_of_the_full_build(model: str, whole: Whole, tmp_path: Path) -> None:
    sharding = "user-hash-3" if model in TWO_TOWERS else "mean-3"
    _, digests = whole(model, sharding, "all")
    alone = make_workspace(tmp_path / "alone", everybody(), (model,), tables_for(model, everybody()))
    params = Params.read(alone.params)
    build_data(alone, params, "tiny", [sharding])
    candidate = Candidate(model=model, sharding=sharding)
    builder = Builder(alone, candidate_recipe(alone, params, "tiny", candidate).of("all"))
    names = builder.shard_names()
    # Backwards, side by side in threads: neither order nor company may show in the bytes.
    with ThreadPoolExecutor(2) as pool:
        made = dict(
            zip(reversed(names), pool.map(lambda name: builder.sub_model(name, DEVICE), reversed(names)), strict=True)
        )
    assert {f"sub-model/{name}": made[name].digest for name in names} == {
        name: digest for name, digest in digests.items() if name.startswith("sub-model/")
    }


def test_isolation_only_the_touched_shard_changes(whole: Whole, tmp_path: Path) -> None:
    built, before = whole("wmf", "user-hash-3", "all")
    workspace = copied(built, tmp_path / "w")
    folder = workspace.shards("tiny", "user-hash-3/all")
    holder = next(p.stem for p in sorted(folder.glob("*.parquet")) if "user-004" in Interactions.read(p).user_ids)
    suppress(workspace, "tiny", [("user-004", ())])
    after = build(workspace, "wmf", "user-hash-3")
    changed = {name for name in before if name.startswith("sub-model/") and before[name] != after.get(name)}
    assert changed == {f"sub-model/{holder}"}


def test_forgetting_a_user_touches_the_shards_of_who_chose_them_and_no_other(tmp_path: Path) -> None:
    rows = everybody()
    tables = side_tables(rows)
    workspace = make_workspace(tmp_path / "w", rows, ("wmf",), tables)
    before = build(workspace, "wmf", "user-hash-3")
    links, folder = tables.tables["links"], workspace.shards("tiny", "user-hash-3/all")

    def holders(user: str) -> set[str]:
        concerned = {user, *links["user"][links["friend"] == user]}
        return {p.stem for p in folder.glob("*.parquet") if concerned & set(Interactions.read(p).user_ids)}

    gone = next(user for user in np.unique(rows.user_ids) if len(holders(user)) == 2)
    holding = holders(gone)
    request = ForgetRequest.new("tiny", gone, now=datetime.now(UTC), datasets=["tiny"])
    candidate = Candidate(model="wmf", sharding="user-hash-3")
    recipe = candidate_recipe(workspace, Params.read(workspace.params), "tiny", candidate).of("all")
    planned = plan(workspace, [request], [Served("sharded", recipe)])
    assert set(planned.families[0].touched) == holding
    suppress(workspace, "tiny", [(gone, ())])
    after = build(workspace, "wmf", "user-hash-3")
    assert {n for n in before if n.startswith("sub-model/") and before[n] != after[n]} == {
        f"sub-model/{shard}" for shard in holding
    }
    for path in (workspace.root / "data").rglob("side/**/*.parquet"):
        assert gone.encode() not in path.read_bytes()
        assert all(gone not in column.to_pylist() for column in pq.read_table(path).columns)


def test_locality_deleting_a_user_moves_nobody_else(tmp_path: Path) -> None:
    rows, gone = everybody(), "user-004"
    with_user = make_workspace(tmp_path / "with", rows)
    without_user = make_workspace(tmp_path / "without", without(rows, gone))
    for workspace in (with_user, without_user):
        build_data(workspace, Params.read(workspace.params), "tiny", ["user-hash-3", "whole"])
    compared = 0
    for path in sorted((with_user.root / "data").rglob("*.parquet")):
        table = Interactions.read(path)
        other = Interactions.read(without_user.root / path.relative_to(with_user.root))
        assert without(table, gone).digest() == other.digest(), path.name
        compared += 1
    assert compared >= 10
