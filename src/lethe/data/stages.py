"""One function a DVC stage: read, call, write. ``python -m lethe.data.stages STAGE DATASET [SHARDING]`` runs one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import get_args

import numpy as np

from lethe.config.params import Params
from lethe.config.sharding import ColumnPlacement, Rows, Sharding, laid_in
from lethe.core.canonical import readable_json
from lethe.core.environment import code_digest
from lethe.core.files import write_whole
from lethe.core.format import must_fit
from lethe.core.process import FAULT, MAY_PASS
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data import copies, sources
from lethe.data.ingest import ingest
from lethe.data.outputs import fresh
from lethe.data.partition import PARTITIONS, Assignment, lay_slices, partition_of
from lethe.data.partition.guarantee import frozen
from lethe.data.partition.leaving import Leaving, leaving_of
from lethe.data.sources import files
from lethe.data.split import PARTS, split
from lethe.errors import ConfigError, LetheError
from lethe.tables.blocks import held, rows_of, side_by_side
from lethe.tables.catalogue import Catalogue
from lethe.tables.columns import ParquetWriter, to_arrow
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables

SHARDS_AT_ONCE = 16
"""Shards that are written together. Of each as many rows are held as Parquet lays out together, so that there are no
more of them: the others are written in further looks at the rows."""


def source_stage(workspace: Workspace, params: Params, dataset: str) -> None:
    """What the source holds now, and which code reads it: a change of either re-runs the stages below."""
    config = params.datasets[dataset].source
    found = sources.digest(config, root=workspace.source_root, copy=workspace.source_copy(dataset))
    found |= sources.side.digests(params.datasets[dataset].side, root=workspace.source_root)
    for name, layout in params.shardings.items():
        if isinstance(layout.placement, ColumnPlacement):
            found[f"placement of {name}"] = files.digest(workspace.source_root / layout.placement.path)
    found["code"] = stages_code()
    write_whole(workspace.source_digest(dataset), readable_json(found))


def stages_code() -> str:
    """SHA-256 of the code that makes the tables."""
    return code_digest(*STAGES.values(), *(partition.assign for partition in PARTITIONS.values()))


def suppressed_rows(workspace: Workspace, dataset: str) -> int:
    """How many rows of the source the last ingest dropped, because the suppression list names them."""
    path = workspace.suppressed_rows(dataset)
    return int(json.loads(path.read_bytes())["rows"]) if path.is_file() else 0


def split_stage(workspace: Workspace, params: Params, dataset: str) -> None:
    """Lay each interaction into train, validation or test."""
    files = {part: workspace.ingested(dataset) / f"{part}.parquet" for part in PARTS}
    files = {part: path for part, path in files.items() if path.is_file()}
    config, stream = params.datasets[dataset].split, Stream(params.seed)("split", dataset)
    with fresh(workspace.split(dataset)) as folder, ExitStack() as stack:
        writers = {name: stack.enter_context(ParquetWriter(folder / f"{name}.parquet")) for name in PARTS}
        for block, ready in side_by_side(workspace.interactions(dataset), list(files.values())):
            there = {part: rows_of(rows) for part, rows in zip(files, ready, strict=True)}
            parts = split(rows_of(block), config, stream, parts=there or None)
            for name in PARTS:
                writers[name].write(parts[name].to_table())


def assign(workspace: Workspace, params: Params, dataset: str, sharding: str, of: Rows = "train") -> None:
    """Lay each row into a shard: each of training, or each of all. An assignment that looked at data is frozen until
    its params change or a new epoch begins."""
    layout = params.shardings[sharding]
    folder = workspace.assignment(dataset, laid_in(sharding, of))
    epoch = {"sharding": layout.plain(), "seed": params.seed, "epoch": params.datasets[dataset].epoch}
    kept = folder / "assignment.parquet" if frozen(layout) and _begun(folder, epoch) else None
    stream = Stream(params.seed)("partition", dataset, sharding)
    leaving = leaving_of(workspace, layout.placement, dataset)
    with fresh(folder) as new:
        with ParquetWriter(new / "assignment.parquet") as writer:
            for rows, previous in _to_assign(workspace.rows(dataset, of), kept, whole=partition_of(layout).frozen):
                writer.write(_assigned(rows, layout, previous, stream, leaving).to_table())
        (new / "epoch.json").write_text(json.dumps(epoch, sort_keys=True) + "\n")


def _to_assign(path: Path, kept: Path | None, *, whole: bool) -> Iterator[tuple[Interactions, Assignment | None]]:
    """Rows with the kept assignment of their users. A partition that looks at data sees them whole; in any other a
    row's shard hangs on its own user's rows at most, by the law of locality."""
    if whole:
        yield Interactions.read(path), None if kept is None else Assignment.read(kept)
        return
    for block, before in side_by_side(path, [] if kept is None else [kept], also=Assignment.PLACES):
        yield rows_of(block), Assignment.of_columns(held(before[0])) if before else None


def _assigned(
    rows: Interactions, layout: Sharding, previous: Assignment | None, stream: Stream, leaving: Leaving | None
) -> Assignment:
    shards = partition_of(layout).assign(rows, layout.num_shards, previous, stream, balance=layout, embeddings=pretrain)
    slices = None
    if layout.slices > 1:
        likely = None if leaving is None else leaving(rows)
        slices = lay_slices(rows, layout.slices, stream, leaving=likely, previous=previous)
    return Assignment(rows.user_ids, rows.item_ids, shards, slices)


def _begun(folder: Path, epoch: dict[str, object]) -> bool:
    path = folder / "epoch.json"
    # Before version 0.2 no epoch had a number.
    return path.is_file() and {"epoch": 1, **json.loads(path.read_text())} == json.loads(json.dumps(epoch))


def pretrain(rows: Interactions, stream: Stream) -> tuple[Catalogue, np.ndarray, np.ndarray]:
    """User and item vectors of a WMF trained on the rows, for the balanced partitions; never stored."""
    from lethe.learning.training import train
    from lethe.models.wmf import WMF

    catalogue = Catalogue.of(rows)
    model = WMF(WMF.Config.parse({}, "models.wmf"), catalogue.shape)
    train(model, catalogue.encode(rows), stream)
    users, items = model.factors_or_fail()
    return catalogue, users.detach().numpy(), items.detach().numpy()


def shards_stage(workspace: Workspace, params: Params, dataset: str, sharding: str, of: Rows = "train") -> None:
    """One Parquet file a shard: exactly the rows the assignment lays there; and the side tables' rows that belong to
    its users and items, in ``side`` below them."""
    rows, place = workspace.rows(dataset, of), laid_in(sharding, of)
    assignment = workspace.assignment(dataset, place) / "assignment.parquet"
    count = params.shardings[sharding].num_shards
    width = max(2, len(str(count - 1)))
    tables = tables_beside(workspace, params, dataset, of)
    with fresh(workspace.shards(dataset, place)) as folder:
        paths = [folder / f"{shard:0{width}d}.parquet" for shard in range(count)]
        for first in range(0, count, SHARDS_AT_ONCE):
            _write_shards(rows, assignment, first, paths[first : first + SHARDS_AT_ONCE])
        for path in paths if tables else ():
            tables.of_rows(Interactions.read(path)).write(folder / "side" / path.stem)


def _write_shards(rows: Path, assignment: Path, first: int, paths: Sequence[Path]) -> None:
    """The files of some shards, from the one numbered ``first`` on."""
    with ExitStack() as stack:
        writers = [stack.enter_context(ParquetWriter(path)) for path in paths]
        for block, (laid,) in side_by_side(rows, [assignment], also=Assignment.PLACES):
            places = Assignment.of_columns(held(laid))
            for shard, writer in enumerate(writers, first):
                mine = places.shards == shard
                own = rows_of(block).take(mine).to_table()
                writer.write(
                    own if places.slices is None else own.append_column("slice", to_arrow(places.slices[mine]))
                )


def tables_beside(workspace: Workspace, params: Params, dataset: str, of: Rows) -> SideTables:
    """What may be learnt from beside these rows: nothing is withheld from a model that learns all of them."""
    return SideTables.read(workspace.side(dataset)) if of == "all" else training_tables(workspace, params, dataset)


def training_tables(workspace: Workspace, params: Params, dataset: str) -> SideTables:
    """What may be learnt from beside the training rows: with ``side.clean`` behaviours don't hold the pairs of
    validation and test, which tell the answer."""
    tables = SideTables.read(workspace.side(dataset))
    if not tables.behaviours or not params.datasets[dataset].side.clean:
        return tables
    return tables.without_pairs([Interactions.read(workspace.split(dataset, part)) for part in ("valid", "test")])


def _of_both(stage: Callable[[Workspace, Params, str, str, Rows], None]) -> Callable[..., None]:
    """A stage of one sharding, for the rows that are compared and for those that are served."""

    def both(workspace: Workspace, params: Params, dataset: str, sharding: str) -> None:
        for rows in get_args(Rows):
            stage(workspace, params, dataset, sharding, rows)

    return both


STAGES: dict[str, Callable[..., None]] = {
    "source": source_stage,
    "ingest": ingest,
    "split": split_stage,
    "assign": _of_both(assign),
    "shards": _of_both(shards_stage),
}


def build_data(workspace: Workspace, params: Params, dataset: str, shardings: list[str]) -> None:
    """All stages of a dataset in order, without DVC: what ``verify`` and tests run in a clean folder."""
    for stage in (source_stage, ingest, split_stage):
        stage(workspace, params, dataset)
    for sharding in shardings:
        for name in ("assign", "shards"):
            STAGES[name](workspace, params, dataset, sharding)


def prepare() -> None:
    """What is done once, before a process is forked for each of several stages."""
    stages_code()
    to_arrow(np.zeros(1))  # Imports pandas.


def main(arguments: list[str]) -> int:
    """Run one stage; a fault is one line on standard error and exit code 1."""
    try:
        workspace = Workspace.find()
        must_fit(workspace)
        params = Params.read(workspace.params)
        name, dataset, *rest = arguments
        if dataset not in params.datasets:
            raise ConfigError(f"datasets: unknown {dataset!r}; known: {', '.join(params.datasets)}")
        with copies.at_url(workspace, dataset) if name == "source" else nullcontext():
            STAGES[name](workspace, params, dataset, *rest)
    except LetheError as error:
        print(f"{MAY_PASS if error.may_pass else FAULT}{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
