"""What may be learnt from beside some rows; and what of it lies beside a shard: the rows of side tables that belong to
its users and items.

A behaviour is a table of users' rows, like the interactions, and so are links and features of users: they come some
users at a time. The other side tables are held whole: items have no order of users.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from lethe.config.params import Params
from lethe.config.sharding import Rows
from lethe.core.workspace import Workspace
from lethe.data.outputs import called
from lethe.learning.runner.calling import Runner
from lethe.tables.blocks import Block, held, joined, merged, rows_of
from lethe.tables.columns import ParquetWriter, digest_columns, to_arrow
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import (
    COLUMNS,
    OF_USERS,
    SideTable,
    SideTables,
    are_pairs_of,
    behaviours_in,
    is_behaviour,
)

SHARDS_AT_ONCE = 16
"""Shards that are written or looked at together. Of each as many rows are held as Parquet lays out together, so that
there are no more of them: the others come in further looks at the rows."""


def tables_beside(workspace: Workspace, params: Params, dataset: str, of: Rows, rows: Interactions) -> SideTables:
    """What may be learnt from beside some of these rows: of behaviours what their users did."""
    folder, withheld = workspace.side(dataset), held_out(workspace, params, dataset, of)
    users = Ids.of(rows.user_ids)
    behaviours = {name: joined(_done_by(users, path, withheld)) for name, path in behaviours_in(folder).items()}
    return SideTables(SideTables.read(folder, behaviours=False).tables, behaviours)


def held_out(workspace: Workspace, params: Params, dataset: str, of: Rows) -> list[Path]:
    """The files of the pairs that behaviours beside these rows must not hold: with ``side.clean`` those of validation
    and test, which tell the answer. Nothing is withheld from a model that learns all rows."""
    clean = of == "train" and params.datasets[dataset].side.clean
    return [workspace.split(dataset, part) for part in ("valid", "test")] if clean else []


def write_beside(shards: Sequence[Path], tables: Path, withheld: Sequence[Path], at_once: int, place: Runner) -> None:
    """What of the side tables in a folder belongs beside each shard's rows, in ``side`` beside the shards; so many
    shards in one look at a table of users' rows."""
    of_users, others = _tables_in(tables)
    for _ in called(place, [(write_of_users, path, few, withheld) for path, few in _looks(of_users, shards, at_once)]):
        pass
    for shard in shards if others else ():
        _of_items(shard, others).write(_side_of(shard))


def write_of_users(table: Path, shards: Sequence[Path], withheld: Sequence[Path]) -> None:
    """What some shards have of a table of users' rows, see ``_of_shards``."""
    with ExitStack() as stack:
        writers = [stack.enter_context(ParquetWriter(_side_of(shard) / table.name)) for shard in shards]
        for own, _ in _of_shards(table, shards, withheld):
            for rows, writer in zip(own, writers, strict=True):
                writer.write(rows)


def foreign_beside(shards: Sequence[Path], tables: Path, withheld: Sequence[Path]) -> int:
    """How many shards have something else beside them than ``write_beside`` would lay there."""
    of_users, others = _tables_in(tables)
    names = {path.name for path in tables.glob("*.parquet")}
    right = [shard for shard in shards if {path.name for path in _side_of(shard).glob("*.parquet")} == names]
    wrong = set(shards).difference(right)
    for table, few in _looks(of_users, right, SHARDS_AT_ONCE):
        for own, there in _of_shards(table, few, withheld, [_side_of(shard) / table.name for shard in few]):
            wrong |= {shard for shard, *both in zip(few, own, there, strict=True) if not _are_same(*both)}
    for shard in right if others else ():
        laid = {name: SideTable.read(name, _side_of(shard) / f"{name}.parquet") for name in others.tables}
        wrong |= set() if SideTables(laid).digest() == _of_items(shard, others).digest() else {shard}
    return len(wrong)


def _of_shards(
    table: Path, shards: Sequence[Path], withheld: Sequence[Path], beside: Sequence[Path] = ()
) -> Iterator[tuple[list[pa.Table], list[Block]]]:
    """Of each step of a table of users' rows those of each shard's users, of a behaviour without the pairs that are
    withheld; and what further tables hold of the same users."""
    withheld = withheld if is_behaviour(table) else ()
    only: dict[Path, Sequence[str]] = dict.fromkeys(shards, ("user",)) | dict.fromkeys(withheld, ("user", "item"))
    if not is_behaviour(table):
        only |= dict.fromkeys((table, *beside), COLUMNS[table.stem])
    # Who has rows in one table may have none in another, so that no table leads.
    for block, *others in merged([table, *shards, *withheld, *beside], only=only):
        columns = held(block)
        users = (held(other)["user"] for other in others[: len(shards)])
        of_each = [Ids.of(own).encode(columns["user"]) >= 0 for own in users]
        pairs = [rows_of(part) for part in others[len(shards) : len(shards) + len(withheld)]]
        if any(map(len, pairs)):
            named = are_pairs_of(rows_of(block), pairs)
            of_each = [own & ~named for own in of_each]
        own = [pa.table({name: to_arrow(column[rows]) for name, column in columns.items()}) for rows in of_each]
        yield own, others[len(shards) + len(withheld) :]


def _done_by(users: Ids, behaviour: Path, withheld: Sequence[Path]) -> Iterator[Interactions]:
    """The rows of a behaviour that are of some users, without the pairs that are withheld."""
    for block, *others in merged([behaviour, *withheld], only=dict.fromkeys(withheld, ("user", "item"))):
        rows = rows_of(block)
        kept = users.encode(rows.user_ids) >= 0
        yield rows.take(kept & ~are_pairs_of(rows, [rows_of(part) for part in others]) if others else kept)


def _tables_in(folder: Path) -> tuple[list[Path], SideTables]:
    """The files of users' rows among side tables, and the other tables."""
    paths = sorted(folder.glob("*.parquet"))
    of_users = [path for path in paths if is_behaviour(path) or path.stem in OF_USERS]
    return of_users, SideTables({p.stem: SideTable.read(p.stem, p) for p in paths if p not in of_users})


def _looks(tables: Sequence[Path], shards: Sequence[Path], at_once: int) -> list[tuple[Path, Sequence[Path]]]:
    """The tables, each with some shards at once."""
    return [(path, shards[first : first + at_once]) for path in tables for first in range(0, len(shards), at_once)]


def _of_items(shard: Path, others: SideTables) -> SideTables:
    """What belongs to the items of a shard, and of the behaviours that lie beside it."""
    files = [shard, *behaviours_in(_side_of(shard)).values()]
    return SideTables(others.of_items(Ids.of(*(Ids.in_file(file, "item").values for file in files))))


def _are_same(rows: pa.Table, there: Block) -> bool:
    return digest_columns((name, rows[name]) for name in rows.column_names) == digest_columns(there.items())


def _side_of(shard: Path) -> Path:
    return shard.parent / "side" / shard.stem
