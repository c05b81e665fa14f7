"""What was made earlier and still holds somebody: versions, artifacts and objects that nothing in use is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lethe.core.canonical import digest_file
from lethe.core.workspace import Workspace
from lethe.data.dvc_objects import (
    Memory,
    cache_folder,
    cached_objects,
    in_use,
    is_own,
    known,
    object_of,
    used_by_others,
)
from lethe.errors import Unreachable
from lethe.forgetting.beyond import only_in_buckets
from lethe.forgetting.certificate.nothing import ARTIFACTS, OBJECTS, VERSIONS
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.tables.columns import from_arrow
from lethe.tables.ids import among, same_id

_PEOPLE = ("users.parquet", "friends.parquet")
"""Where a model keeps the ids it knows, in a column "id"."""


def earlier_files(workspace: Workspace, dataset: str, requests: Sequence[ForgetRequest]) -> list[int]:
    """Of requests whose subject no table holds any more, how many files of what was made earlier still do, as far as
    they can be read."""
    by_place = files_by_place(workspace, dataset, requests).values()
    return [sum(counts) for counts in zip(*(counts for counts in by_place if counts is not None), strict=True)]


def files_by_place(
    workspace: Workspace, dataset: str, requests: Sequence[ForgetRequest]
) -> dict[str, list[int] | None]:
    """The same of each place: the dataset's versions, the artifacts and the DVC objects that nothing in use is made of,
    and each DVC remote; None where it could not be read."""
    with _earlier(workspace, dataset) as earlier:
        return {name: _holding(files, requests) for name, files in earlier.items()}


def digests_of_earlier(workspace: Workspace, dataset: str, requests: Sequence[ForgetRequest]) -> set[str]:
    """SHA-256 of each of these files that holds one of the subjects, as far as they can be read."""
    digests = set[str]()
    with _earlier(workspace, dataset) as earlier:
        for files in earlier.values():
            with suppress(Unreachable):
                digests.update(digest_file(path) for path in files if any(_holding([path], requests) or ()))
    return digests


def ids_of_earlier_files(workspace: Workspace, dataset: str) -> set[str]:
    """The people of all these files."""
    people = set[str]()
    with _earlier(workspace, dataset) as earlier:
        for files in earlier.values():
            with suppress(Unreachable):
                people.update(*map(_people_in, files))
    return people


@contextmanager
def _earlier(workspace: Workspace, dataset: str) -> Iterator[dict[str, Iterable[Path]]]:
    # Not at the top: asking about somebody who is held must not wait for the model store's imports.
    from lethe.build.registry import Registry
    from lethe.core.artifacts import ArtifactStore
    from lethe.forgetting.lineage import live_artifacts
    from lethe.forgetting.stores.remotes import every_remote

    registry = Registry(workspace)
    versions = [version for family in registry.families() for version in registry.versions(family)]
    live = set[str]().union(*live_artifacts(workspace, kept=()).values())
    old = (m.path for m in ArtifactStore(workspace.artifacts).all() if m.key not in live)
    own = (version.artifact.path for version in versions if version.info.dataset == dataset)
    objects = superseded_objects(workspace)
    cached = set(map(object_of, objects))
    with only_in_buckets(workspace) as there:
        # An old version of our copy of a source counts with the artifacts: in the copy itself rows are counted.
        yield {
            VERSIONS: [*_tables_in(own), *there.get("models", ())],
            ARTIFACTS: [*_tables_in(old), *there.get("artifacts", ()), *there.get("copies", ())],
            OBJECTS: objects,
            **{remote.name: remote.earlier(cached) for remote in every_remote(workspace)},
        }


def _holding(files: Iterable[Path], requests: Sequence[ForgetRequest]) -> list[int] | None:
    """Of each request, how many of these files hold its subject: the user, or a row of the user and one of the items.
    Somebody whose other rows stay is in many files rightly. None where a file can't be had."""
    counts, rows_only = Counter[str](), [request for request in requests if request.kind == "interaction"]
    people = {str(request.user): request.subject for request in requests if request.kind == "user"}
    try:
        for path in files:
            counts.update(people[raw] for raw in people.keys() & _people_in(path))
            counts.update(request.subject for request in rows_only if _has_row(path, request))
    except Unreachable:
        return None
    return [counts[request.subject] for request in requests]


def _tables_in(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*.parquet")]


def superseded_objects(workspace: Workspace) -> list[Path]:
    """Objects of ours in DVC's cache, and in those that it had before, that no output names, by itself or in a folder's
    listing."""
    memory, cache = known(workspace), cache_folder(workspace)
    used = in_use(workspace.root, cache)
    objects = [path for each in dict.fromkeys([cache, *memory.caches]) for path in _ours(workspace, each, memory)]
    return [path for path in objects if path.suffix != ".dir" and object_of(path) not in used]


def _ours(workspace: Workspace, cache: Path, memory: Memory) -> list[Path]:
    if is_own(workspace, cache):
        return sorted((cache / "files" / "md5").glob("*/*"))
    return cached_objects(cache, memory.objects - used_by_others(workspace, cache))


def _columns_of(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return []


def _has_row(path: Path, request: ForgetRequest) -> bool:
    if not {"user", "item"} <= set(_columns_of(path)):
        return False
    table = pq.read_table(path, columns=["user", "item"])
    users, items = from_arrow(table["user"]), from_arrow(table["item"])
    return bool((same_id(users, str(request.user)) & among(items, request.items)).any())


def _people_in(path: Path) -> set[str]:
    names = _columns_of(path)
    people = [name for name in names if name in ("user", "friend") or (name == "id" and path.name in _PEOPLE)]
    table = pq.read_table(path, columns=people)
    return {str(raw) for name in people for raw in table[name].unique().to_pylist()}
