"""Forget-equality, order and isolation for every strategy × partition × aggregator, on small data.

What the laws say of each model is in tests/test_laws.py. Here two users leave, in either order or together, and
everything is compared with a pipeline that never had them: under the frozen assignment, where the partition has one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.build.builder import Builder
from lethe.build.recipe import Recipe
from lethe.config.params import Params
from lethe.config.sharding import Sharding
from lethe.core.workspace import Workspace
from lethe.data.partition import PARTITIONS
from lethe.data.partition.guarantee import frozen
from lethe.data.stages import build_data
from lethe.forgetting.run import suppress
from lethe.learning.aggregation import AGGREGATORS
from lethe.models import configure
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace, taste_blocks
from tests.place import DEVICE

ONE, OTHER = "user-003", "user-010"
SETTINGS = {"attention": {"steps": 5}}
COUNTS = {"ease": "cooccurrence", "turbo-cf": "weighted-cooccurrence"}
"""The models of which an aggregator adds up counts."""
STRATEGIES = {"shards": 1, "slices": 2}
"""Slices of each; the third strategy, retrain, is the partition ``whole``."""


def cases() -> Iterator[tuple[str, str, str]]:
    yield "retrain", "whole", "identity"
    for strategy in STRATEGIES:
        for partition in PARTITIONS:
            for aggregator in AGGREGATORS:
                if partition == "whole" or aggregator == "identity":
                    continue
                # Counts can't be resumed, and need each user in one shard.
                if aggregator in COUNTS and (strategy == "slices" or partition in ("interaction-hash", "ibp", "inbp")):
                    continue
                yield strategy, partition, aggregator


def layout(strategy: str, partition: str, aggregator: str) -> Sharding:
    shards = 1 if partition == "whole" else 2
    return Sharding(
        partition=partition, num_shards=shards, aggregator=aggregator, slack=1.5, slices=STRATEGIES.get(strategy, 1)
    )  # type: ignore[arg-type]


def plainest(strategy: str, partition: str) -> Sharding:
    return layout(strategy, partition, "identity" if partition == "whole" else "mean")


@dataclass(frozen=True)
class World:
    """A workspace whose data stages are done, and what can be built in it."""

    workspace: Workspace
    strategy: str
    partition: str

    def builder(self, aggregator: str) -> Builder:
        model = COUNTS.get(aggregator, "wmf")
        values = {"embedding_dim": 4, "sweeps": 2} if model == "wmf" else {}
        config = AGGREGATORS[aggregator].Config.parse(SETTINGS.get(aggregator, {}), aggregator).plain()
        return Builder(
            self.workspace,
            Recipe(
                dataset="tiny",
                model=model,
                config=configure(model, values).plain(),
                sharding="laid",
                layout=layout(self.strategy, self.partition, aggregator),
                aggregator=config,
                seed=7,
            ),
        )

    def digests(self, aggregator: str) -> dict[str, str]:
        """Of every shard, sub-model and the ensemble."""
        builder = self.builder(aggregator)
        made = {name: builder.sub_model(name, DEVICE) for name in builder.shard_names()}
        found = {f"shard/{name}": builder.shard(name).digest() for name in made}
        found |= {f"sub-model/{name}": artifact.digest for name, artifact in made.items()}
        found["ensemble"] = builder.ensemble({name: artifact.key for name, artifact in made.items()}, DEVICE).digest
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


def begin(folder: Path, strategy: str, partition: str, rows: Interactions, assignment: Path | None = None) -> Workspace:
    workspace = make_workspace(folder, rows)
    params = yaml.safe_load(workspace.params.read_text())
    params["shardings"]["laid"] = plainest(strategy, partition).plain()
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    if assignment is not None:
        shutil.copytree(assignment, workspace.assignment("tiny", "laid"))
    lay(workspace)
    return workspace


def lay(workspace: Workspace) -> None:
    build_data(workspace, Params.read(workspace.params), "tiny", ["laid"])


@cache
def worlds(folder: Path, strategy: str, partition: str) -> dict[str, World]:
    """Data with everybody in it, without the two by three ways of forgetting, and data that never had them."""
    rows, root = taste_blocks(), folder / f"{strategy}-{partition}"
    found = {"before": begin(root / "before", strategy, partition, rows)}
    for name, batches in (("ab", [[ONE], [OTHER]]), ("ba", [[OTHER], [ONE]]), ("both", [[ONE, OTHER]])):
        found[name] = begin(root / name, strategy, partition, rows)
        for batch in batches:
            suppress(found[name], "tiny", [(user, ()) for user in batch])
            lay(found[name])
    kept = found["before"].assignment("tiny", "laid") if frozen(plainest(strategy, partition)) else None
    never = rows.take(~np.isin(rows.user_ids, [ONE, OTHER]))
    found["never"] = begin(root / "never", strategy, partition, never, kept)
    return {name: World(workspace, strategy, partition) for name, workspace in found.items()}


@pytest.mark.parametrize(("strategy", "partition", "aggregator"), cases())
def test_forgetting_equals_never_having_had_in_any_order(
    strategy: str, partition: str, aggregator: str, folder: Path
) -> None:
    there = worlds(folder, strategy, partition)
    before = there["before"].digests(aggregator)
    never = there["never"].digests(aggregator)
    assert before["ensemble"] != never["ensemble"]
    for name in ("ab", "ba", "both"):
        assert there[name].digests(aggregator) == never, name


@pytest.mark.parametrize(("strategy", "partition", "aggregator"), cases())
def test_a_shard_alone_has_the_bytes_of_the_full_build(
    strategy: str, partition: str, aggregator: str, folder: Path
) -> None:
    world = worlds(folder, strategy, partition)["never"]
    full = world.digests(aggregator)
    name = world.builder(aggregator).shard_names()[-1]
    alone = Workspace(folder / "alone" / f"{strategy}-{partition}-{aggregator}")
    shard = Path("data") / "tiny" / "laid" / "shards" / f"{name}.parquet"
    (alone.root / shard).parent.mkdir(parents=True)
    shutil.copyfile(world.workspace.root / shard, alone.root / shard)
    made = World(alone, strategy, partition).builder(aggregator).sub_model(name, DEVICE)
    assert made.digest == full[f"sub-model/{name}"]


@pytest.mark.parametrize(("strategy", "partition"), sorted({case[:2] for case in cases()}))
def test_only_shards_that_held_the_forgotten_are_learnt_again(strategy: str, partition: str, folder: Path) -> None:
    there = worlds(folder, strategy, partition)
    aggregator = plainest(strategy, partition).aggregator
    builder = there["before"].builder(aggregator)
    held = {name for name in builder.shard_names() if np.isin(builder.shard(name).user_ids, [ONE, OTHER]).any()}
    before, after = (there[name].digests(aggregator) for name in ("before", "both"))
    changed = {name for name in before if name.startswith("sub-model/") and before[name] != after[name]}
    assert changed == {f"sub-model/{name}" for name in held}
