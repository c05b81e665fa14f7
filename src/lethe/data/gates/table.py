"""``GATES`` is the whole list of the gates between data and training, in the order in which they judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.gates.engine import Engine
from lethe.data.gates.epoch import Epoch
from lethe.data.gates.report import Report
from lethe.data.gates.side import validate_shard_side, validate_side
from lethe.data.gates.suites import validate_interactions, validate_shards, validate_split
from lethe.data.split import PARTS
from lethe.data.stages import training_tables
from lethe.data.suppression import SuppressionList
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables


@dataclass(frozen=True)
class Judged:
    """What a gate may look at: a dataset as its data stages left it, each table read once, and when it is needed."""

    workspace: Workspace
    params: Params
    dataset: str
    epoch: Epoch
    """What was counted when the epoch began (``current_epoch``); no counts where it begins now."""
    engine: Engine

    @cached_property
    def interactions(self) -> Interactions:
        return Interactions.read(self.workspace.interactions(self.dataset))

    @cached_property
    def suppressed(self) -> SuppressionList:
        return SuppressionList.read(self.workspace.suppression)

    @cached_property
    def tables(self) -> SideTables:
        return SideTables.read(self.workspace.side(self.dataset))

    @cached_property
    def parts(self) -> dict[str, Interactions]:
        return {part: Interactions.read(self.workspace.split(self.dataset, part)) for part in PARTS}

    @cached_property
    def shards(self) -> dict[str, dict[str, Interactions]]:
        """{sharding: {shard: its rows}}."""
        folders = {name: self.workspace.shards(self.dataset, name) for name in self.params.pipeline.shardings}
        return {
            name: {path.stem: Interactions.read(path) for path in sorted(folder.glob("*.parquet"))}
            for name, folder in folders.items()
        }


Gate = Callable[[Judged], Iterator[Report]]
"""Judges a dataset, one report a suite; the first report with a broken rule stops the run."""


def interactions(judged: Judged) -> Iterator[Report]:
    rows, dataset = judged.interactions, judged.dataset
    yield validate_interactions(
        rows,
        judged.params.datasets[dataset],
        judged.params.validation,
        judged.epoch.interactions,
        suppressed=judged.suppressed.matches(rows, dataset),
        engine=judged.engine,
    )


def side(judged: Judged) -> Iterator[Report]:
    if judged.tables:
        allowed = judged.suppressed.drop_side(judged.tables, judged.dataset)
        yield validate_side(judged.tables, judged.interactions, allowed, engine=judged.engine)


def split(judged: Judged) -> Iterator[Report]:
    yield validate_split(judged.parts, judged.interactions, engine=judged.engine)


def shards(judged: Judged) -> Iterator[Report]:
    for name, rows in judged.shards.items():
        layout = judged.params.shardings[name]
        # Another layout of the same name is another epoch of it.
        begun = judged.epoch.train.get(layout.digest())
        train = judged.parts["train"]
        yield validate_shards(list(rows.values()), train, layout, begun, name=f"shards-{name}", engine=judged.engine)


def shard_side(judged: Judged) -> Iterator[Report]:
    if not judged.tables:
        return
    clean = training_tables(judged.workspace, judged.params, judged.dataset)
    for name, rows in judged.shards.items():
        beside = [
            (own, SideTables.read(judged.workspace.shard_side(judged.dataset, name, shard)))
            for shard, own in rows.items()
        ]
        yield validate_shard_side(beside, clean, name=f"side-{name}", engine=judged.engine)


GATES: dict[str, Gate] = {
    "interactions": interactions,
    "side": side,
    "split": split,
    "shards": shards,
    "shard-side": shard_side,
}
