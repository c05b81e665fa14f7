"""Where do I add a partition? One function below data/partition/, one entry in ``PARTITIONS`` with what it promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.config.sharding import Balance
from lethe.core.random import Stream, keyed_hash
from lethe.core.workspace import Workspace
from lethe.data.partition import PARTITIONS, Assignment, Embeddings, Partition
from lethe.forgetting.state import state_of
from lethe.tables.interactions import Interactions
from tests import house
from tests.conftest import make_workspace, taste_blocks

# --- the partition: what would stand in src/lethe/data/partition/tenants.py --------------------------------------


def by_tenant(
    interactions: Interactions,
    num_shards: int,
    previous: Assignment | None,
    stream: Stream,
    *,
    balance: Balance,
    embeddings: Embeddings,
) -> np.ndarray:
    """Users of one tenant (the last digit of their id) lie together, in a shard by keyed hash of the tenant."""
    tenants = np.array([str(user)[-1] for user in interactions.user_ids], dtype=object)
    return (keyed_hash(tenants, stream.integer("tenant")) % np.uint64(num_shards)).astype(np.int64)


TENANTS = Partition(by_tenant, frozen=False, balanced=False, keeps_users=True)

# --- what then holds ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARTITIONS, "tenants", TENANTS)


def trained(folder: Path, rows: Interactions) -> Workspace:
    workspace = make_workspace(folder, rows, ("wmf",))
    values = yaml.safe_load(workspace.params.read_text())
    values["shardings"]["user-hash-3"]["partition"] = "tenants"
    values["families"] = {"sharded": values["families"]["sharded"]}
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))
    house.train(workspace)
    return workspace


def shards(workspace: Workspace) -> dict[str, set[str]]:
    folder = workspace.shards("tiny", "user-hash-3")
    return {path.stem: set(Interactions.read(path).user_ids) for path in sorted(folder.glob("*.parquet"))}


def sub_models(workspace: Workspace) -> dict[str, str]:
    return state_of(workspace).families["sharded"].sub_models


def test_one_tenant_leaves_and_one_shard_is_trained_as_if_it_had_never_known_them(tmp_path: Path) -> None:
    rows = taste_blocks()
    workspace = trained(tmp_path / "all", rows)
    before, models = shards(workspace), sub_models(workspace)
    leaving = [user for user in sorted(set(rows.user_ids)) if user.endswith("3")]
    (home,) = (shard for shard, users in before.items() if leaving[0] in users)
    assert set(leaving) <= before[home]
    house.forget(workspace, *leaving)
    assert shards(workspace) == {**before, home: before[home] - set(leaving)}
    changed = {shard for shard, digest in sub_models(workspace).items() if models.get(shard) != digest}
    assert changed == {home}
    never = trained(tmp_path / "never", rows.take(~np.isin(rows.user_ids, leaving)))
    assert sub_models(workspace) == sub_models(never)
