"""Tables that lie in a bucket and not in the folder beside it: old versions, and what another machine put there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lethe.config.stores import Kind, buckets
from lethe.core.workspace import Workspace


@contextmanager
def only_in_buckets(workspace: Workspace) -> Iterator[dict[Kind, list[Path]]]:
    """They, fetched, as long as they are looked into; whatever equals a file here is searched there."""
    named = buckets(workspace)
    if not named:
        yield {}
        return
    folders: dict[Kind, Path] = {
        "artifacts": workspace.artifacts,
        "models": workspace.bentoml_home / "models",
        "copies": workspace.root / "data",
    }
    workspace.temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.temporary, prefix="bucket-") as folder:
        fetched: dict[Kind, list[Path]] = {}
        for kind, root in folders.items():
            if (bucket := named.get(kind)) is None:
                continue
            for place, one in enumerate(bucket.versions()):
                if one.etag and one.path.suffix == ".parquet" and not one.is_same(root / one.path):
                    path = Path(folder, kind, str(place), one.path.name)
                    with suppress(FileNotFoundError):  # Gone between listing and reading.
                        bucket.get(one.path, path, one)
                        fetched.setdefault(kind, []).append(path)
        yield fetched
