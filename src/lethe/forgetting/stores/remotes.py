"""DVC's remotes, whatever storage they are on: superseded versions of every output."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc
from lethe.data.dvc_objects import (
    UNUSED,
    Uses,
    cache_folder,
    in_use,
    is_own,
    known,
    names_one,
    object_of,
    remotes,
    superseded,
)
from lethe.errors import LetheError, Unreachable
from lethe.forgetting.stores.base import Found, Place, Removed, Site, told
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.scan import find_in_name, look


@dataclass(frozen=True)
class Remote:
    """One remote. One of the project's own is emptied by ``dvc gc``, and its run cache, which that leaves, goes as
    well; from one that other projects may use too (``shared``) our own superseded objects go, one by one.

    Objects are named by their MD5, so one that the local cache holds too is searched there; any other is fetched.
    """

    workspace: Workspace
    remote: str
    shared: bool = False

    @property
    def name(self) -> str:
        return f"dvc remote {self.remote}"

    def size(self) -> int:
        return sum(self._files().values())

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        files, used = self._files(), in_use(self.workspace.root, self._cache)
        mine = superseded(self.workspace, self._cache, known(self.workspace))
        gone = [
            path
            for path in files
            if (self._named(path, mine) if self.shared else object_of(path) not in used)
            or self._holds(path, files[path], needles, used, cached=True)
        ]
        return Removed(self.name, len(gone), sum(files[path] for path in gone))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before = self._files()
        if self.shared:
            mine = superseded(self.workspace, self._cache, known(self.workspace))
            self._delete([path for path in before if self._named(path, mine)])
        else:
            dvc(self.workspace, "gc", "--workspace", "--cloud", "-r", self.remote, "-f", "-q")
            self._delete([path for path in self._files() if path.parts[0] == "runs"])
        after = self._files()
        return Removed(self.name, max(0, len(before) - len(after)), sum(before.values()) - sum(after.values()))

    def find(self, needles: Sequence[Needles]) -> Found:
        files, used = self._files(), in_use(self.workspace.root, self._cache)
        mine = known(self.workspace).objects
        searched = [path for path in files if not self.shared or self._named(path, mine)]
        kinds = ((path, self._holds(path, files[path], needles, used)) for path in searched)
        found = tuple(Place(told(path, needles), kind, files[path]) for path, kind in kinds if kind)
        rest = len(files) - len(searched)
        others = Place(self.name, f"{rest} files are not of this project", sum(files.values()))
        return Found(found, (others,) if rest else ())

    def earlier(self, here: Collection[str]) -> Iterator[Path]:
        """Our objects that no output names any more and that aren't ``here``, fetched one after the other; listings of
        folders are none of them. Raises Unreachable."""
        if remotes(self.workspace)[self.remote].is_away:
            raise Unreachable(f"{self.name}: nothing is at its folder now")
        used, mine = in_use(self.workspace.root, self._cache), known(self.workspace).objects
        for path in self._files():
            name = object_of(path)
            if path.parts[0] == "runs" or path.suffix == ".dir" or name in used or name in here:
                continue
            if not self.shared or name in mine:
                with self._fetched(path) as copy:
                    yield copy

    def _holds(
        self,
        path: PurePosixPath,
        size: int,
        needles: Sequence[Needles],
        used: Uses,
        *,
        cached: bool = False,
    ) -> str | None:
        """Kind of needle in a file. ``cached``: look at the local cache's copy as well, and at nothing else."""
        use = used.get(object_of(path), UNUSED)
        mine = [n for n in needles if not use.datasets or n.dataset in use.datasets]
        if not mine:
            return None
        if kind := find_in_name(path, mine):
            return kind
        local, called = self._cache / path, use.name
        if local.is_file() and local.stat().st_size == size:
            return look(local, mine, called=called, digests_as_text=True).kind if cached else None
        if cached:
            return None
        with self._fetched(path) as copy:
            return look(copy, mine, called=called, digests_as_text=True).kind

    def _named(self, path: PurePosixPath, objects: set[str] | frozenset[str]) -> bool:
        """Whether a file is one of these objects, or a record of the run cache that names one."""
        if path.parts[0] != "runs":
            return object_of(path) in objects
        with self._fetched(path) as copy:
            return names_one(copy.read_text(), objects)

    def _delete(self, paths: Sequence[PurePosixPath]) -> None:
        file_system, root = self._storage
        with self._reached():
            for path in paths:
                file_system.rm_file(file_system.join(root, *path.parts))

    @property
    def _cache(self) -> Path:
        return cache_folder(self.workspace)

    @contextmanager
    def _fetched(self, path: PurePosixPath) -> Iterator[Path]:
        file_system, root = self._storage
        self.workspace.temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.workspace.temporary, prefix="remote-") as folder:
            local = Path(folder) / "object"
            with self._reached():
                file_system.get_file(file_system.join(root, *path.parts), str(local))
            yield local

    def _files(self) -> dict[PurePosixPath, int]:
        """Bytes of every file, by its path below the remote's root."""
        file_system, root = self._storage
        with self._reached():
            if not file_system.exists(root):
                return {}
            paths = sorted(file_system.find(root))
            sizes = [file_system.size(path) for path in paths]
        relative = [PurePosixPath(*file_system.relparts(path, root)) for path in paths]
        return dict(zip(relative, sizes, strict=True))

    @cached_property
    def _storage(self) -> tuple[Any, str]:
        """DVC's own file system of the remote, with the credentials of its config, and the root below it."""
        from dvc.config import Config
        from dvc.fs import get_cloud_fs

        with self._reached():
            kind, config, root = get_cloud_fs(Config(str(self.workspace.root / ".dvc")), name=self.remote)
            return kind(**config), root

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except LetheError:
            raise
        except Exception as error:  # Each storage's client raises its own.
            raise Unreachable(f"{self.name}: can't be reached ({type(error).__name__}); try again later") from None


def every_remote(workspace: Workspace) -> list[Remote]:
    """``dvc gc`` empties the cache along with the remote, so beside a cache that others use it is not called."""
    alone = is_own(workspace, cache_folder(workspace))
    named = remotes(workspace)
    return [Remote(workspace, name, shared=not (remote.own and alone)) for name, remote in named.items()]


def stores(site: Site) -> list[Remote]:
    return every_remote(site.workspace)
