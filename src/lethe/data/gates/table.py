"""``GATES`` is the whole list of the gates between data and training, in the order in which they judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from lethe.config.params import Params
from lethe.config.sharding import ROWS, Rows, laid_in
from lethe.core.workspace import Workspace
from lethe.data.beside import held_out
from lethe.data.gates.engine import Engine
from lethe.data.gates.epoch import Epoch
from lethe.data.gates.look import Look, look_at
from lethe.data.gates.report import Report
from lethe.data.gates.side import validate_shard_side, validate_side
from lethe.data.gates.suites import validate_interactions, validate_shards, validate_split
from lethe.data.split import PARTS
from lethe.data.suppression import SuppressionList
from lethe.errors import DataError
from lethe.tables.ids import NOBODY, Ids
from lethe.tables.inside import KnownIds
from lethe.tables.side_tables import SideTables, behaviours_in


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
    def look(self) -> Look:
        """What all interactions come to, and the parts of the split with them where these can be read."""
        listed = any(entry.dataset == self.dataset for entry in self.suppressed.entries)
        suppressed = self.suppressed if listed else None
        try:
            return look_at(self.rows("all"), list(self.parts.values()), self.dataset, self.params, suppressed)
        except DataError:
            # What is wrong with the parts is for their own gate to say.
            return look_at(self.rows("all"), None, self.dataset, self.params, suppressed)

    @cached_property
    def suppressed(self) -> SuppressionList:
        return SuppressionList.read(self.workspace.suppression)

    @property
    def side(self) -> Path:
        """The folder of the side tables."""
        return self.workspace.side(self.dataset)

    @cached_property
    def shards(self) -> dict[tuple[str, Rows], dict[str, Path]]:
        """{(sharding, of which rows it is): {shard: the file of its rows}}."""
        layouts = [(name, of) for name in self.params.pipeline.shardings for of in ROWS]
        folders = {layout: self.workspace.shards(self.dataset, laid_in(*layout)) for layout in layouts}
        return {
            layout: {path.stem: path for path in sorted(folder.glob("*.parquet"))} for layout, folder in folders.items()
        }

    @property
    def parts(self) -> dict[str, Path]:
        return {part: self.workspace.split(self.dataset, part) for part in PARTS}

    def rows(self, of: Rows) -> Path:
        """The file of the rows that are laid out in shards."""
        return self.parts["train"] if of == "train" else self.workspace.interactions(self.dataset)


Gate = Callable[[Judged], Iterator[Report]]
"""Judges a dataset, one report a suite; the first report with a broken rule stops the run."""


def interactions(judged: Judged) -> Iterator[Report]:
    yield validate_interactions(
        judged.look.table,
        judged.params.datasets[judged.dataset],
        judged.params.validation,
        judged.epoch.interactions,
        suppressed=judged.look.suppressed,
        engine=judged.engine,
    )


def side(judged: Judged) -> Iterator[Report]:
    tables, behaviours = SideTables.read(judged.side, behaviours=False), behaviours_in(judged.side)
    if tables or behaviours:
        rows = judged.rows("all")
        allowed = partial(judged.suppressed.drop_side, dataset=judged.dataset, known=KnownIds((rows,)))
        linked = Ids.in_file(rows, "user") if "links" in tables.tables else NOBODY
        yield validate_side(tables, behaviours, linked, allowed, engine=judged.engine)


def split(judged: Judged) -> Iterator[Report]:
    yield validate_split(judged.parts, judged.look.copies or judged.rows("all"), engine=judged.engine)


def shards(judged: Judged) -> Iterator[Report]:
    for (name, of), rows in judged.shards.items():
        layout = judged.params.shardings[name]
        # Another layout of the same name is another epoch of it.
        begun = judged.epoch.begun(of, layout.digest())
        title = f"shards-{_title(name, of)}"
        yield validate_shards(list(rows.values()), judged.rows(of), layout, begun, name=title, engine=judged.engine)


def shard_side(judged: Judged) -> Iterator[Report]:
    for (name, of), rows in judged.shards.items() if any(judged.side.glob("*.parquet")) else ():
        withheld, title = held_out(judged.workspace, judged.params, judged.dataset, of), f"side-{_title(name, of)}"
        yield validate_shard_side(list(rows.values()), judged.side, withheld, name=title, engine=judged.engine)


def _title(sharding: str, of: Rows) -> str:
    return laid_in(sharding, of).replace("/", "-")


GATES: dict[str, Gate] = {
    "interactions": interactions,
    "side": side,
    "split": split,
    "shards": shards,
    "shard-side": shard_side,
}
