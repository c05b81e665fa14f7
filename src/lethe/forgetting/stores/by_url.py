"""What lies at the URLs of params.yaml (``stores``) beside the folders here: objects, their old versions, and parts of
uploads that never ended."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lethe.config.stores import Kind, buckets
from lethe.core.artifacts import ArtifactStore
from lethe.core.bucket import MARKER, Bucket, ObjectVersion
from lethe.forgetting.stores import artifacts, versions
from lethe.forgetting.stores.base import Folder, Found, Place, Removed, Site, told
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.scan import find_in_name, look


@dataclass(frozen=True)
class ByUrl:
    """The bucket behind a folder ``here``, which is emptied first: then what isn't here goes there too, with every old
    version and unfinished upload. Of certificates (``kept``) nothing goes; a bucket may well lock them.

    An object with the bytes of its file here is searched there; anything else is fetched.
    """

    bucket: Bucket
    here: Folder
    temporary: Path
    cache: ArtifactStore | None = None
    """Whose other caches must know that it was emptied."""
    kept: bool = False

    @property
    def name(self) -> str:
        return f"{self.here.name} at {self.bucket.url}"

    def size(self) -> int:
        return sum(one.bytes for one in self._versions())

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        going = set(self.here.holding(needles))
        gone = [one for one in self._versions() if not self._stays(one) or self._file(one) in going]
        return Removed(self.name, 0 if self.kept else len(gone), 0 if self.kept else sum(one.bytes for one in gone))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        self.bucket.claimed()
        if self.kept:
            return Removed(self.name, 0, 0)
        gone, unfinished = [one for one in self._versions() if not self._stays(one)], self.bucket.unfinished()
        self.bucket.delete(gone, unfinished)
        if self.cache is not None and self.cache.shared is not None:
            self.cache.shared.emptied()
        return Removed(self.name, len(gone) + len(unfinished), sum(one.bytes for one in gone))

    def find(self, needles: Sequence[Needles]) -> Found:
        places, not_searched = list[Place](), list[Place]()
        for one in self._versions():
            kind, reasons = self._holds(one, needles)
            where = told(one.path, needles)
            places += [Place(where if one.current else f"{where} (an old version)", kind, one.bytes)] if kind else []
            not_searched += [Place(where, reason, one.bytes) for reason in reasons]
        for path, _ in self.bucket.unfinished():
            not_searched.append(Place(told(path, needles), "an upload under way or broken off, which can't be read"))
        return Found(tuple(places), tuple(not_searched))

    def _holds(self, one: ObjectVersion, needles: Sequence[Needles]) -> tuple[str | None, tuple[str, ...]]:
        """Kind of needle in a version of an object, and why some of it was not searched."""
        path = self._file(one)
        datasets = self.here.datasets_of(path)
        mine = [n for n in needles if datasets is None or n.dataset in datasets]
        if kind := find_in_name(one.path, mine):
            return kind, ()
        if not one.etag or one.is_same(path):
            return None, ()
        self.temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.temporary, prefix="bucket-") as folder:
            copy = Path(folder) / one.path.name
            try:
                self.bucket.get(one.path, copy, one)
            except FileNotFoundError:
                return None, ()  # Gone between listing and reading.
            looked = look(copy, mine, name=one.path, digests_as_text=self.here.digests_as_text)
            return looked.kind, looked.not_searched

    def _versions(self) -> list[ObjectVersion]:
        return self.bucket.versions()

    def _stays(self, one: ObjectVersion) -> bool:
        return one.current and (one.path == MARKER or self._file(one).is_file())

    def _file(self, one: ObjectVersion) -> Path:
        return self.here.root.joinpath(*one.path.parts)


def stores(site: Site) -> list[ByUrl]:
    workspace, named = site.workspace, buckets(site.workspace)
    store, data = ArtifactStore(workspace.artifacts, named.get("artifacts")), workspace.root / "data"
    folders: dict[Kind, Folder] = {
        "copies": Folder("source copies", data, datasets_of=lambda path: path.relative_to(data).parts[:1]),
        "artifacts": artifacts.Artifacts(store, site.live).folder,
        "models": next(one.folder for one in versions.stores(site) if one.name == "models"),
        "certificates": Folder("certificates", workspace.certificates),
    }
    return [
        ByUrl(
            bucket, folders[kind], workspace.temporary, store if kind == "artifacts" else None, kind == "certificates"
        )
        for kind, bucket in named.items()
    ]
