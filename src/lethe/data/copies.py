"""Our copies of downloaded sources at the URL that params.yaml may name for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from lethe.config.stores import bucket_of
from lethe.core.workspace import Workspace


@contextmanager
def at_url(workspace: Workspace, dataset: str) -> Iterator[None]:
    """While the stage runs that makes the copy: what is missing is fetched before, what was made is put there after."""
    restore(workspace, dataset)
    yield
    keep(workspace, dataset)


def restore(workspace: Workspace, dataset: str) -> None:
    """Fetch a dataset's copy where it is missing here, so that nothing is downloaded again."""
    bucket, copy = bucket_of(workspace, "copies"), workspace.source_copy(dataset)
    if bucket is None or copy.is_file():
        return
    bucket.claimed()
    # What it is a copy of last: without that it doesn't count.
    for path in (copy, origin(copy)):
        there = PurePosixPath(dataset, path.name)
        if bucket.is_there(there):
            arriving = path.with_name(f".{path.name}.arriving")
            bucket.get(there, arriving)
            arriving.replace(path)


def keep(workspace: Workspace, dataset: str) -> None:
    """Put a dataset's copy there as it is now, if it has one."""
    bucket, copy = bucket_of(workspace, "copies"), workspace.source_copy(dataset)
    if bucket is None or not copy.is_file():
        return
    bucket.claimed()
    for path in filter(Path.is_file, (copy, origin(copy))):
        bucket.put(PurePosixPath(dataset, path.name), path)


def origin(copy: Path) -> Path:
    """The file that says what a copy is of."""
    return copy.with_name(f"{copy.name}.origin")
