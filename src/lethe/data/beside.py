"""What may be learnt from beside some rows; and what of it lies beside a shard: the rows of side tables that belong to
its users and items.

A behaviour is a table of users' rows, like the interactions, and comes some users at a time. The other side tables are
held whole: items have no order of users.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lethe.config.params import Params
from lethe.config.sharding import Rows
from lethe.core.workspace import Workspace
from lethe.data.outputs import called
from lethe.learning.runner.calling import Runner
from lethe.tables.blocks import merged, rows_of
from lethe.tables.columns import ParquetWriter
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import BEHAVIOUR, SideTables


def tables_beside(workspace: Workspace, params: Params, dataset: str, of: Rows) -> SideTables:
    """What may be learnt from beside these rows."""
    tables, withheld = SideTables.read(workspace.side(dataset)), held_out(workspace, params, dataset, of)
    if not tables.behaviours or not withheld:
        return tables
    return tables.without_pairs([Interactions.read(path) for path in withheld])


def held_out(workspace: Workspace, params: Params, dataset: str, of: Rows) -> list[Path]:
    """The files of the pairs that behaviours beside these rows must not hold: with ``side.clean`` those of validation
    and test, which tell the answer. Nothing is withheld from a model that learns all rows."""
    clean = of == "train" and params.datasets[dataset].side.clean
    return [workspace.split(dataset, part) for part in ("valid", "test")] if clean else []


def write_beside(shards: Sequence[Path], tables: Path, withheld: Sequence[Path], at_once: int, place: Runner) -> None:
    """What of the side tables in a folder belongs beside each shard's rows, in ``side`` beside the shards; so many
    shards in one look at a behaviour."""
    behaviours = sorted(tables.glob(f"{BEHAVIOUR}*.parquet"))
    some = [shards[first : first + at_once] for first in range(0, len(shards), at_once)]
    for _ in called(place, [(write_behaviour, path, few, withheld) for path in behaviours for few in some]):
        pass
    others = SideTables.read(tables, behaviours=False)
    for shard in shards if others else ():
        files = [shard, *(_side_of(shard) / path.name for path in behaviours)]
        users, items = Ids.in_file(shard, "user"), Ids.of(*(Ids.in_file(file, "item").values for file in files))
        SideTables(others.tables_of(users, items)).write(_side_of(shard))


def write_behaviour(behaviour: Path, shards: Sequence[Path], withheld: Sequence[Path]) -> None:
    """What some shards have of a behaviour: the rows of their users, without the pairs that are withheld."""
    with ExitStack() as stack:
        writers = [stack.enter_context(ParquetWriter(_side_of(shard) / behaviour.name)) for shard in shards]
        # Who has rows in one table may have none in another, so that no table leads.
        for blocks in merged([behaviour, *shards, *withheld]):
            rows, *others = map(rows_of, blocks)
            pairs = [part for part in others[len(shards) :] if len(part)]
            if pairs:
                rows = SideTables(behaviours={"own": rows}).without_pairs(pairs).behaviours["own"]
            for shard, writer in zip(others, writers, strict=False):
                writer.write(rows.take(Ids.of(shard.user_ids).encode(rows.user_ids) >= 0).to_table())


def _side_of(shard: Path) -> Path:
    return shard.parent / "side" / shard.stem
