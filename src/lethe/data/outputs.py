"""What the data stages write: folders that are put in place whole, files block by block, and what is put aside.

What is made of a block hangs on its users alone, so that somebody else may make it: a worker puts the rows of a stretch
of users aside in the project's folder, and here they are laid one stretch behind the other. Who made them, and how the
users were cut, changes no byte (``ParquetWriter``).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from lethe.core.files import temporary_beside
from lethe.core.workspace import Workspace
from lethe.errors import DataError
from lethe.learning.runner.calling import HERE, Runner
from lethe.tables.columns import ParquetWriter
from lethe.tables.interactions import Interactions
from lethe.tables.stretches import EVERYBODY, Stretch

WAITING = 32
"""Calls that wait for somebody else's answer at once."""

ByTable: TypeAlias = Mapping[str, pa.Table]
"""Rows for some tables, by the tables' names."""
Make: TypeAlias = Callable[..., Iterator[ByTable]]
"""Rows of a stretch of users, its first argument, in their order; at least once, though they be none. It must be a
function of a module, and what it is called with small."""


def must_be_ingested(workspace: Workspace, dataset: str) -> None:
    """Raises DataError where the rows of a dataset are gone: DVC removes what a stage makes before it runs it."""
    folder = workspace.ingested(dataset)
    if not (folder / "interactions.parquet").is_file():
        raise DataError(
            f"{folder.relative_to(workspace.root)}: not there, as after a data stage that failed; lethe data repro"
            " makes it, or says why it can't"
        )


def write_tables(
    folder: Path, names: Sequence[str], users: Sequence[Stretch], place: Runner, make: Make, *given: object
) -> None:
    """The named tables, of what ``make(stretch, *given)`` makes: here of all users, elsewhere of some a call."""
    with ExitStack() as stack:
        writers = {name: stack.enter_context(ParquetWriter(folder / f"{name}.parquet")) for name in names}
        for rows in make(EVERYBODY, *given) if place is HERE else _made_elsewhere(folder, users, place, make, given):
            for name, table in rows.items():
                writers[name].write(table)


def _made_elsewhere(
    folder: Path, users: Sequence[Stretch], place: Runner, make: Make, given: tuple[object, ...]
) -> Iterator[ByTable]:
    with aside(folder) as own:
        parts = [own / str(number) for number in range(len(users))]
        calls = [(put_aside, part, make, stretch, *given) for part, stretch in zip(parts, users, strict=True)]
        for part, names in zip(parts, called(place, calls), strict=True):
            for name in names:
                path = part.with_name(f"{part.name}-{name}")
                with pa.memory_map(str(path)) as file:
                    yield {name: pa.ipc.open_file(file).read_all()}
                path.unlink()


def called(place: Runner, calls: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """What calls return, in their order; each is a function and what it is called with. After a fault no further one is
    begun."""
    with ThreadPoolExecutor(WAITING) as pool:
        answers = [pool.submit(place.call, *call) for call in calls]
        try:
            yield from (answer.result() for answer in answers)
        finally:
            pool.shutdown(cancel_futures=True)


def put_aside(part: Path, make: Make, stretch: Stretch, *given: object) -> list[str]:
    """In a worker: the rows of a stretch, in a file for each table; returns the tables' names."""
    writers: dict[str, tuple[Path, pa.RecordBatchFileWriter]] = {}
    for rows in make(stretch, *given):
        for name, table in rows.items():
            if name not in writers:
                path = temporary_beside(part.with_name(f"{part.name}-{name}"))
                writers[name] = path, pa.ipc.new_file(path, table.schema)
            writers[name][1].write_table(table)
    for name, (path, writer) in writers.items():
        writer.close()
        os.replace(path, part.with_name(f"{part.name}-{name}"))
    return list(writers)


def write_blocks(path: Path, blocks: Iterable[Interactions]) -> None:
    """A table of the blocks, one below the other."""
    with ParquetWriter(path) as writer:
        for block in blocks:
            writer.write(block.to_table())


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """A folder for what is put aside while ``folder`` is made; like all that is hidden among the data it is gone
    before the next run, whatever happens to this one."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".aside-") as own:
        yield Path(own)


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
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
