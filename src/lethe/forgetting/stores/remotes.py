"""DVC's remotes, whatever storage they are on: superseded versions of every output."""

from __future__ import annotations

import configparser
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc
from lethe.errors import DataError, LetheError
from lethe.forgetting.stores.dvc_stores import object_of, owners
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.scan import find_in_file, find_in_name
from lethe.forgetting.stores.stores import Place, Removed, told


def remotes(workspace: Workspace) -> dict[str, str]:
    """Name and URL of every configured DVC remote."""
    config = configparser.ConfigParser(interpolation=None)
    config.read([workspace.root / ".dvc" / name for name in ("config", "config.local")])
    sections = {name.strip("'"): config[name] for name in config.sections()}
    return {
        name.removeprefix("remote ").strip('"'): section["url"]
        for name, section in sections.items()
        if name.startswith("remote ") and "url" in section
    }


@dataclass(frozen=True)
class Remote:
    """One remote. ``dvc gc`` deletes what no output refers to; the run cache, which it leaves, goes as well.

    Objects are named by their MD5, so one that the local cache holds too is searched there; any other is fetched.
    """

    workspace: Workspace
    remote: str

    @property
    def name(self) -> str:
        return f"dvc remote {self.remote}"

    def size(self) -> int:
        return sum(self._files().values())

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before = self._files()
        dvc(self.workspace, "gc", "--workspace", "--cloud", "-r", self.remote, "-f", "-q")
        file_system, root = self._storage
        runs = file_system.join(root, "runs")
        with self._reached():
            if file_system.exists(runs):
                file_system.rm(runs, recursive=True)
        after = self._files()
        return Removed(self.name, max(0, len(before) - len(after)), sum(before.values()) - sum(after.values()))

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        belongs = owners(self.workspace)
        found = []
        for path, size in self._files().items():
            datasets = belongs.get(object_of(path))
            mine = [n for n in needles if datasets is None or n.dataset in datasets]
            if kind := self._kind(path, size, mine):
                found.append(Place(told(path, needles), kind, size))
        return found

    def _kind(self, path: PurePosixPath, size: int, needles: Sequence[Needles]) -> str | None:
        if kind := next((kind for n in needles if (kind := find_in_name(path, n))), None):
            return kind
        cached = self.workspace.root / ".dvc" / "cache" / path
        if not needles or (cached.is_file() and cached.stat().st_size == size):
            return None
        with self._local(path) as local:
            return next((kind for n in needles if (kind := find_in_file(local, n, digests_as_text=True))), None)

    @contextmanager
    def _local(self, path: PurePosixPath) -> Iterator[Path]:
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
            raise DataError(f"{self.name}: can't be reached ({type(error).__name__}); try again later") from None
