"""What the data stages write: folders that are put in place whole, files block by block, and what is put aside."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lethe.tables.columns import ParquetWriter
from lethe.tables.interactions import Interactions


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
