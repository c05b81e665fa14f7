"""DVC's cache, run cache, index and temporary files: superseded versions of every output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from filelock import FileLock

from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc
from lethe.data.dvc_objects import (
    UNUSED,
    Uses,
    cache_folder,
    in_use,
    is_own,
    known,
    object_files,
    object_of,
    remember,
    superseded,
    used_by_others,
)
from lethe.forgetting.stores.base import (
    Datasets,
    Folder,
    Found,
    Place,
    Removed,
    Site,
    bytes_of,
    delete,
    files_below,
    found_in,
)
from lethe.forgetting.stores.needles import Needles

_LEFT_BY_GC = ("tmp", "site-cache")
"""Below .dvc: paths of earlier runs, DVC's index of what it has seen."""


@dataclass(frozen=True)
class DvcCache:
    """A cache inside the project is emptied by ``dvc gc``; from one outside, which others may share, our own superseded
    objects go, one by one. A cache that was used before another was configured goes as well."""

    workspace: Workspace
    name: str = "dvc"

    def size(self) -> int:
        return bytes_of(self._files())

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        folder = self._folder(in_use(self.workspace.root, self._cache))
        gone = {*self._superseded(), *(path for path in self._files() if folder.kind(path, path, needles)[0])}
        return Removed(self.name, len(gone), bytes_of(gone))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        remember(self.workspace)
        files = self._files()
        before = bytes_of(files)
        # To start DVC takes longer than most of what is removed.
        if is_own(self.workspace, self._cache) and files_below(self._cache):
            dvc(self.workspace, "gc", "--workspace", "-f", "-q")
        with FileLock(self.workspace.state / "dvc.lock"):
            for path in (*self._superseded(), *(self._own / name for name in _LEFT_BY_GC)):
                delete(path)
        left = self._files()
        return Removed(self.name, max(0, len(files) - len(left)), before - bytes_of(left))

    def find(self, needles: Sequence[Needles]) -> Found:
        others = used_by_others(self.workspace, self._cache)
        every, uses = self._files(), in_use(self.workspace.root, self._cache)
        files = [path for path in every if path.is_relative_to(self._own) or object_of(path) not in others]
        found = found_in(((path, self._name(path, uses)) for path in files), needles, self._folder(uses))
        shared = sorted({*every} - {*files})
        kept = Place("shared cache", f"{len(shared)} objects are used by other projects too", bytes_of(shared))
        return Found(found.places, (*found.not_searched, *([kept] if shared else [])))

    @property
    def _own(self) -> Path:
        return self.workspace.root / ".dvc"

    @cached_property
    def _cache(self) -> Path:
        return cache_folder(self.workspace)

    def _files(self) -> list[Path]:
        """Every file that DVC has of this project."""
        memory = known(self.workspace)
        # One inside may be a link to another disk, which a walk does not follow.
        own = self._own.resolve()
        caches = [c for c in dict.fromkeys([self._cache, *memory.caches]) if not c.resolve().is_relative_to(own)]
        outside = [
            path
            for cache in caches
            for path in (files_below(cache) if is_own(self.workspace, cache) else object_files(cache, memory.objects))
        ]
        return [*files_below(self._own), *outside]

    def _superseded(self) -> Iterator[Path]:
        """What no output refers to: earlier caches, run caches, objects not in use."""
        memory = known(self.workspace)
        earlier = {*memory.caches, self._own / "cache"} - {self._cache}
        yield from (cache for cache in sorted(earlier) if is_own(self.workspace, cache) and cache.is_dir())
        for cache in [self._cache, *sorted(earlier)]:
            if not is_own(self.workspace, cache):
                yield from object_files(cache, superseded(self.workspace, cache, memory))
        if is_own(self.workspace, self._cache):
            used = in_use(self.workspace.root, self._cache)
            objects = files_below(self._cache / "files")
            yield from (path for path in objects if object_of(path) not in used)
            yield from files_below(self._cache / "runs")

    def _name(self, path: Path, uses: Uses) -> PurePath:
        if (by := uses.get(object_of(path), UNUSED).added_by) is not None:
            return by  # Whoever added a file by hand can mend it there.
        for root in (self._own, self.workspace.root, self._cache):
            if path.is_relative_to(root):
                return path.relative_to(root)
        return PurePath(path.parent.name, path.name)

    def _folder(self, uses: Uses) -> Folder:
        def datasets_of(path: Path) -> Datasets:
            return uses.get(object_of(path), UNUSED).datasets or None

        def called(path: Path) -> str | None:
            return uses.get(object_of(path), UNUSED).name

        return Folder(self.name, self._own, digests_as_text=True, datasets_of=datasets_of, called=called)


def stores(site: Site) -> list[DvcCache]:
    return [DvcCache(site.workspace)]
