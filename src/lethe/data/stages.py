"""One function a DVC stage: read, call, write. Those that look at some users at a time take a runner (``place``): where
one is named they are made by its workers, a stretch of users or some shards a call."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import numpy as np

from lethe.config.dataset import Split
from lethe.config.params import Params
from lethe.config.sharding import ColumnPlacement, Rows, Sharding, laid_in
from lethe.core.canonical import readable_json
from lethe.core.environment import code_digest
from lethe.core.files import write_whole
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.beside import SHARDS_AT_ONCE, held_out, write_beside
from lethe.data.ingest import ingest
from lethe.data.outputs import ByTable, aside, called, fresh, write_tables
from lethe.data.partition import PARTITIONS, Assignment, partition_of
from lethe.data.partition.assigning import assigned_of
from lethe.data.partition.guarantee import frozen
from lethe.data.partition.leaving import leaving_of
from lethe.data.sources import files
from lethe.data.split import PARTS, split
from lethe.data.suppression import SuppressionList
from lethe.learning.runner.calling import HERE, Runner
from lethe.tables.blocks import rows_of, side_by_side
from lethe.tables.columns import ParquetWriter, to_arrow
from lethe.tables.stretches import EVERYBODY, Stretch, stretches

SHARDS_A_CALL = 4
"""Shards that are written together where others write them, so that there is something to do for several."""


def source_stage(workspace: Workspace, params: Params, dataset: str) -> None:
    """What the source holds now, which code reads it, and what of it is suppressed: a change re-runs what is below."""
    config = params.datasets[dataset].source
    found = sources.digest(config, root=workspace.source_root, copy=workspace.source_copy(dataset))
    found |= sources.side.digests(params.datasets[dataset].side, root=workspace.source_root)
    for name, layout in params.shardings.items():
        if isinstance(layout.placement, ColumnPlacement):
            found[f"placement of {name}"] = files.digest(workspace.source_root / layout.placement.path)
    found["code"] = stages_code()
    write_whole(workspace.source_digest(dataset), readable_json(found))
    # Of this dataset's lines alone: who is forgotten in one dataset makes no other one anew.
    listed = SuppressionList.read(workspace.suppression).digest_of(dataset)
    write_whole(workspace.suppression_digest(dataset), readable_json({"digest": listed}))


def stages_code() -> str:
    """SHA-256 of the code that makes the tables."""
    return code_digest(*STAGES.values(), *(partition.assign for partition in PARTITIONS.values()))


def suppressed_rows(workspace: Workspace, dataset: str) -> int:
    """How many rows of the source the last ingest dropped, because the suppression list names them."""
    path = workspace.suppressed_rows(dataset)
    return int(json.loads(path.read_bytes())["rows"]) if path.is_file() else 0


def split_stage(workspace: Workspace, params: Params, dataset: str, place: Runner = HERE) -> None:
    """Lay each interaction into train, validation or test."""
    rows, config = workspace.interactions(dataset), params.datasets[dataset].split
    files = {part: workspace.ingested(dataset) / f"{part}.parquet" for part in PARTS}
    files = {part: path for part, path in files.items() if path.is_file()}
    stream = Stream(params.seed)("split", dataset)
    with fresh(workspace.split(dataset)) as folder:
        write_tables(folder, PARTS, stretches(rows), place, split_of, rows, files, config, stream)


def split_of(of: Stretch, rows: Path, files: Mapping[str, Path], config: Split, stream: Stream) -> Iterator[ByTable]:
    """The parts of some users' rows; ``files`` are parts that the source has itself."""
    for block, ready in side_by_side(rows, list(files.values()), of=of):
        there = {part: rows_of(own) for part, own in zip(files, ready, strict=True)}
        parts = split(rows_of(block), config, stream, parts=there or None)
        yield {name: parts[name].to_table() for name in PARTS}


def assign(
    workspace: Workspace, params: Params, dataset: str, sharding: str, of: Rows = "train", place: Runner = HERE
) -> None:
    """Lay each row into a shard: each of training, or each of all. An assignment that looked at data is frozen until
    its params change or a new epoch begins."""
    layout = params.shardings[sharding]
    folder = workspace.assignment(dataset, laid_in(sharding, of))
    kept = kept_assignment(workspace, params, dataset, sharding, of)
    stream = Stream(params.seed)("partition", dataset, sharding)
    leaving = leaving_of(workspace, layout.placement, dataset)
    rows, whole = workspace.rows(dataset, of), partition_of(layout).frozen
    if whole or leaving is not None:
        # A partition that looks at data sees all rows; who asked often only the holder of the key can tell.
        place = HERE
    with fresh(folder) as new:
        users = [EVERYBODY] if whole else stretches(rows)
        write_tables(new, ["assignment"], users, place, assigned_of, rows, kept, layout, stream, leaving)
        (new / "epoch.json").write_text(json.dumps(_epoch(params, dataset, layout), sort_keys=True) + "\n")


def kept_assignment(workspace: Workspace, params: Params, dataset: str, sharding: str, of: Rows) -> Path | None:
    """The assignment that these params' epoch began with, where one is frozen for it."""
    layout, folder = params.shardings[sharding], workspace.assignment(dataset, laid_in(sharding, of))
    begun = frozen(layout) and _begun(folder, _epoch(params, dataset, layout))
    return folder / "assignment.parquet" if begun else None


def _epoch(params: Params, dataset: str, layout: Sharding) -> dict[str, object]:
    return {"sharding": layout.plain(), "seed": params.seed, "epoch": params.datasets[dataset].epoch}


def _begun(folder: Path, epoch: dict[str, object]) -> bool:
    path = folder / "epoch.json"
    # Before version 0.2 no epoch had a number.
    return path.is_file() and {"epoch": 1, **json.loads(path.read_text())} == json.loads(json.dumps(epoch))


def shards_stage(
    workspace: Workspace, params: Params, dataset: str, sharding: str, of: Rows = "train", place: Runner = HERE
) -> None:
    """One Parquet file a shard: exactly the rows the assignment lays there; and the side tables' rows that belong to
    its users and items, with the dataset's new items, in ``side`` below them."""
    rows, laid = workspace.rows(dataset, of), laid_in(sharding, of)
    assignment = workspace.assignment(dataset, laid) / "assignment.parquet"
    layout = params.shardings[sharding]
    count = layout.num_shards
    width = max(2, len(str(count - 1)))
    names = [f"{shard:0{width}d}.parquet" for shard in range(count)]
    at_once = SHARDS_AT_ONCE if place is HERE else SHARDS_A_CALL
    # Aside: what a worker that is killed was at must not lie among the shards.
    with fresh(workspace.shards(dataset, laid)) as folder, aside(folder) as own:
        paths = [own / name for name in names]
        if count == layout.slices == 1:
            # The bytes of a table are a function of its rows, and a shard that is alone has them all.
            shutil.copyfile(rows, paths[0])
        else:
            firsts = range(0, count, at_once)
            calls = [(write_shards, rows, assignment, first, paths[first : first + at_once]) for first in firsts]
            for _ in called(place, calls):
                pass
        write_beside(paths, workspace.side(dataset), held_out(workspace, params, dataset, of), at_once, place)
        for path in own.iterdir():
            os.replace(path, folder / path.name)


def write_shards(rows: Path, assignment: Path, first: int, paths: Sequence[Path]) -> None:
    """The files of some shards, from the one numbered ``first`` on."""
    with ExitStack() as stack:
        writers = [stack.enter_context(ParquetWriter(path)) for path in paths]
        for block, (laid,) in side_by_side(rows, [assignment], of_parts=("user", *Assignment.PLACES)):
            here = rows_of(block)
            for shard, writer in enumerate(writers, first):
                mine = laid["shard"] == shard
                own = here.take(mine).to_table()
                writer.write(own if "slice" not in laid else own.append_column("slice", to_arrow(laid["slice"][mine])))


def _of_both(stage: Callable[[Workspace, Params, str, str, Rows, Runner], None]) -> Callable[..., None]:
    """A stage of one sharding, for the rows that are compared and for those that are served."""

    def both(workspace: Workspace, params: Params, dataset: str, sharding: str, place: Runner = HERE) -> None:
        for rows in get_args(Rows):
            stage(workspace, params, dataset, sharding, rows, place)

    return both


STAGES: dict[str, Callable[..., None]] = {
    "source": source_stage,
    "ingest": ingest,
    "split": split_stage,
    "assign": _of_both(assign),
    "shards": _of_both(shards_stage),
}
BY_USERS = ("split", "assign", "shards")
"""Stages that take a runner. Ingest does not: whom the suppression list names only the holder of the key can tell."""


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
