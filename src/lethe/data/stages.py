"""One function a DVC stage: read, call, write. ``python -m lethe.data.stages STAGE DATASET [SHARDING]`` runs one."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa

from lethe.config.params import Params
from lethe.config.sharding import ColumnPlacement, Placement, RequestPlacement, Rows, laid_in
from lethe.config.table import Columns, TableFormat
from lethe.core.canonical import readable_json
from lethe.core.environment import code_digest
from lethe.core.files import write_whole
from lethe.core.format import must_fit
from lethe.core.keys import subject_digests
from lethe.core.process import FAULT, MAY_PASS
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.partition import PARTITIONS, Assignment, lay_slices, partition_of
from lethe.data.partition.guarantee import frozen
from lethe.data.sources import files, table
from lethe.data.split import PARTS, deduplicate, split
from lethe.data.suppression import SuppressionList
from lethe.errors import ConfigError, DataError, LetheError
from lethe.tables.catalogue import Catalogue
from lethe.tables.columns import distinct, to_arrow, write_parquet
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables, known_links


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


def ingest(workspace: Workspace, params: Params, dataset: str) -> None:
    """Read the source and its side tables, drop what the suppression list names, write all in canonical form.

    How many rows were dropped stands in suppressed.json, for ``lethe train`` to tell.
    """
    config = params.datasets[dataset]
    suppressed = SuppressionList.read(workspace.suppression)
    read = sources.read(config.source, root=workspace.source_root, copy=workspace.source_copy(dataset))
    parts = read if isinstance(read, dict) else {"interactions": read}
    allowed = {name: suppressed.drop(rows, dataset) for name, rows in parts.items()}
    dropped = sum(len(rows) - len(allowed[name]) for name, rows in parts.items())
    kept = {name: deduplicate(rows, config.duplicates) for name, rows in allowed.items()}
    if isinstance(read, dict):
        # A pair may also recur across parts; which part then has it is the split's business.
        kept["interactions"] = deduplicate(Interactions.concatenate(*kept.values()), config.duplicates)
    if len(kept["interactions"]) == 0:
        raise DataError(f"dataset {dataset}: no interactions are left to learn from, at least 1 is needed")
    everything = Interactions.concatenate(*parts.values())
    strict = all(entry.dataset != dataset for entry in suppressed.entries)
    tables = sources.read_side(config, everything, root=workspace.source_root, strict=strict)
    tables = tables.map(lambda table: table, lambda rows: deduplicate(rows, "latest"))
    tables = known_links(suppressed.drop_side(tables, dataset), kept["interactions"])
    with _fresh(workspace.ingested(dataset)) as folder:
        for name, rows in kept.items():
            rows.write(folder / f"{name}.parquet")
        tables.write(folder / "side")
    write_whole(workspace.suppressed_rows(dataset), json.dumps({"rows": dropped}) + "\n")


def suppressed_rows(workspace: Workspace, dataset: str) -> int:
    """How many rows of the source the last ingest dropped, because the suppression list names them."""
    path = workspace.suppressed_rows(dataset)
    return int(json.loads(path.read_bytes())["rows"]) if path.is_file() else 0


def split_stage(workspace: Workspace, params: Params, dataset: str) -> None:
    """Lay each interaction into train, validation or test."""
    ready = {
        part: Interactions.read(path)
        for part in PARTS
        if (path := workspace.ingested(dataset) / f"{part}.parquet").is_file()
    }
    rows = Interactions.read(workspace.interactions(dataset))
    parts = split(rows, params.datasets[dataset].split, Stream(params.seed)("split", dataset), parts=ready or None)
    with _fresh(workspace.split(dataset)) as folder:
        for name in PARTS:
            parts[name].write(folder / f"{name}.parquet")


def assign(workspace: Workspace, params: Params, dataset: str, sharding: str, of: Rows = "train") -> None:
    """Lay each row into a shard: each of training, or each of all. An assignment that looked at data is frozen until
    its params change or a new epoch begins."""
    layout = params.shardings[sharding]
    rows = Interactions.read(workspace.rows(dataset, of))
    folder = workspace.assignment(dataset, laid_in(sharding, of))
    epoch = {"sharding": layout.plain(), "seed": params.seed, "epoch": params.datasets[dataset].epoch}
    stream = Stream(params.seed)("partition", dataset, sharding)
    previous = None
    if frozen(layout) and _begun(folder, epoch):
        previous = Assignment.read(folder / "assignment.parquet")
    shards = partition_of(layout).assign(rows, layout.num_shards, previous, stream, balance=layout, embeddings=pretrain)
    slices = None
    if layout.slices > 1:
        leaving = _leaving(workspace, layout.placement, dataset, rows)
        slices = lay_slices(rows, layout.slices, stream, leaving=leaving, previous=previous)
    with _fresh(folder) as fresh:
        Assignment(rows.user_ids, rows.item_ids, shards, slices).write(fresh / "assignment.parquet")
        (fresh / "epoch.json").write_text(json.dumps(epoch, sort_keys=True) + "\n")


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


def _leaving(workspace: Workspace, placement: Placement | None, dataset: str, rows: Interactions) -> np.ndarray | None:
    """[n] bool: the rows of users who are likely to leave. Raises DataError where the placement's table is no table."""
    match placement:
        case None:
            return None
        case ColumnPlacement():
            # One value a user, read as the rating that the user gives; there is no item to it.
            columns = Columns(user=placement.user, item=placement.user, rating=placement.column)
            values = table.read(workspace.source_root / placement.path, TableFormat(columns=columns))
            assert values.ratings is not None
            named = Ids.of(values.user_ids[values.ratings >= placement.at_least])
            return named.encode(rows.user_ids) >= 0
        case RequestPlacement():
            entries = SuppressionList.read(workspace.suppression).entries
            asked = Counter(e.user_digest for e in entries if e.dataset == dataset and e.kind == "interaction")
            users, places = distinct(rows.user_ids)
            digests = subject_digests(dataset, users.tolist())
            often = [asked[digest] >= placement.at_least for digest in digests]
            return np.array(often, dtype=bool)[places]


def shards_stage(workspace: Workspace, params: Params, dataset: str, sharding: str, of: Rows = "train") -> None:
    """One Parquet file a shard: exactly the rows the assignment lays there; and the side tables' rows that belong to
    its users and items, in ``side`` below them."""
    rows, place = Interactions.read(workspace.rows(dataset, of)), laid_in(sharding, of)
    assignment = Assignment.read(workspace.assignment(dataset, place) / "assignment.parquet")
    count = params.shardings[sharding].num_shards
    width = max(2, len(str(count - 1)))
    tables = tables_beside(workspace, params, dataset, of)
    with _fresh(workspace.shards(dataset, place)) as folder:
        for shard in range(count):
            name, held = f"{shard:0{width}d}", assignment.shards == shard
            own, slices = rows.take(held), assignment.slices
            columns = {column: to_arrow(values) for column, values in own.columns()}
            if slices is not None:
                columns["slice"] = to_arrow(slices[held])
            write_parquet(pa.table(columns), folder / f"{name}.parquet")
            tables.of_rows(own).write(folder / "side" / name)


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


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    """A new folder that replaces the old one when all of it is written; after a fault the old one stands."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield new
        new.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


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
        STAGES[name](workspace, params, dataset, *rest)
    except LetheError as error:
        print(f"{MAY_PASS if error.may_pass else FAULT}{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
