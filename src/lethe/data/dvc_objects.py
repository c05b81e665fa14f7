"""What DVC keeps for this project: where its cache and remotes are, which objects in them are ours, which are in use.

A cache outside the project, or a remote of the user's or the system's configuration, may be shared. Nothing of another
project is deleted there: only objects that this project's own outputs have named (remembered in .lethe/dvc.json) and
that no project registered at the cache uses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from filelock import FileLock

from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.core.yaml_text import values_of
from lethe.errors import DataError

_REGISTER = "lethe-projects.json"


@dataclass(frozen=True)
class RemoteUrl:
    """Where a DVC remote is. ``own``: the project's own configuration names it, so that nobody else is meant by it."""

    url: str
    own: bool

    @property
    def is_away(self) -> bool:
        """Whether it is a folder that is not there: a disk that is not mounted, or one that nothing was pushed to."""
        return "://" not in self.url and not Path(self.url).is_dir()


@dataclass(frozen=True)
class Memory:
    """MD5 of every object that an output of this project has ever named, and every cache that held them."""

    objects: frozenset[str] = frozenset()
    caches: tuple[Path, ...] = ()

    @classmethod
    def read(cls, workspace: Workspace) -> Memory:
        path = workspace.state / "dvc.json"
        if not path.is_file():
            return cls()
        values = json.loads(path.read_text())
        return cls(frozenset(values["objects"]), tuple(Path(cache) for cache in values["caches"]))

    def write(self, workspace: Workspace) -> Memory:
        values = {"objects": sorted(self.objects), "caches": [str(cache) for cache in self.caches]}
        write_whole(workspace.state / "dvc.json", json.dumps(values))
        return self


class Use(NamedTuple):
    """What a project has an object for."""

    datasets: frozenset[str] = frozenset()
    """Whose outputs (data/DATASET/...) it is of."""
    name: str | None = None
    """Of the file, which says what kind it is of."""
    added_by: PurePath | None = None
    """The .dvc file, from the project, where somebody added it by hand."""


Uses = dict[str, Use]
"""By MD5."""
UNUSED = Use()


def cache_folder(workspace: Workspace) -> Path:
    """DVC's cache, by default .dvc/cache."""
    return _Configuration.read(workspace).cache or workspace.root / ".dvc" / "cache"


def is_own(workspace: Workspace, folder: Path) -> bool:
    """Whether a folder is inside the project, so that nobody else's objects are in it."""
    return folder.resolve().is_relative_to(workspace.root.resolve())


def remotes(workspace: Workspace) -> dict[str, RemoteUrl]:
    """Every configured DVC remote, by name: of the project, of the user and of the system."""
    from dvc.config import Config

    levels = Config(str(workspace.root / ".dvc"), validate=False)
    own = {name for level in Config.REPO_LEVELS for name in levels.read(level).get("remote", {})}
    return {name: RemoteUrl(url, name in own) for name, url in _Configuration.read(workspace).remotes.items()}


def known(workspace: Workspace) -> Memory:
    """What is remembered, and what outputs name now."""
    cache, before = cache_folder(workspace), Memory.read(workspace)
    objects = before.objects | in_use(workspace.root, cache).keys()
    return Memory(objects, tuple(dict.fromkeys([*before.caches, cache])))


def remember(workspace: Workspace) -> None:
    """Remember what outputs name now; a cache outside the project is told that this project uses it."""
    memory, cache = known(workspace), cache_folder(workspace)
    if not is_own(workspace, cache):
        _register(workspace, cache)
    if memory != Memory.read(workspace):
        memory.write(workspace)


def settle(workspace: Workspace) -> None:
    """Once cache and remotes are emptied: keep in mind only what is still there, because a digest of what was tells of
    it. Objects that other projects use are still there, by the same names."""
    memory, cache = known(workspace), cache_folder(workspace)
    there = set(in_use(workspace.root, cache))
    if not is_own(workspace, cache):
        there |= {object_of(path) for path in cached_objects(cache, memory.objects)}
    Memory(memory.objects & there, (cache,)).write(workspace)


def superseded(workspace: Workspace, cache: Path, memory: Memory) -> set[str]:
    """Objects that are ours and that neither this project nor another one registered at the cache uses any more."""
    return set(memory.objects - in_use(workspace.root, cache).keys() - used_by_others(workspace, cache))


def used_by_others(workspace: Workspace, cache: Path) -> set[str]:
    """Objects that the other projects registered at a cache use. Raises DataError if one of them can't be looked at."""
    used = set[str]()
    for root in _registered(cache):
        if root.resolve() == workspace.root.resolve():
            continue
        if not root.is_dir():
            raise DataError(
                f"{cache / _REGISTER}: {root} uses this cache but is not there, so its objects are not known; "
                "if the project is gone for good, remove its line"
            )
        used |= in_use(root, cache).keys()
    return used


def in_use(root: Path, cache: Path) -> Uses:
    """Every object that an output of a project names."""
    uses: Uses = {}
    for output in _outputs(root):
        folder, *rest = output.path.parts
        dataset = frozenset(rest[:1]) if folder == "data" and not output.added else frozenset[str]()
        by = output.path.with_name(f"{output.path.name}.dvc") if output.added else None
        for md5, path in _members(output, cache):
            uses[md5] = Use(uses.get(md5, UNUSED).datasets | dataset, path.name, by)
    return uses


def object_of(path: PurePath) -> str:
    """MD5 by which DVC names an object: files/md5/ab/cdef… or files/md5/ab/cdef….dir"""
    return path.parent.name + path.name.removesuffix(".dir")


def object_files(cache: Path, objects: set[str] | frozenset[str]) -> list[Path]:
    """The files of these objects in a cache, and the run-cache records that name one of them."""
    records = [path for path in sorted(cache.glob("runs/**/*")) if path.is_file()]
    return cached_objects(cache, objects) + [path for path in records if names_one(path.read_text(), objects)]


def cached_objects(cache: Path, objects: set[str] | frozenset[str]) -> list[Path]:
    """The files of these objects in a cache, listings of folders too."""
    paths = [cache / "files" / "md5" / md5[:2] / f"{md5[2:]}{end}" for md5 in sorted(objects) for end in ("", ".dir")]
    return [path for path in paths if path.is_file()]


def names_one(record: str, objects: set[str] | frozenset[str]) -> bool:
    """Whether a record of the run cache names one of these objects."""
    named = values_of(record) or {}
    entries = [*named.get("outs", ()), *named.get("deps", ())]
    return any(str(entry.get("md5", "")).removesuffix(".dir") in objects for entry in entries)


@dataclass(frozen=True)
class _Output:
    """Of a stage, or ``added`` by hand (``dvc add``); its path from the project."""

    path: PurePath
    md5: str
    added: bool = False


def _outputs(root: Path) -> Iterator[_Output]:
    lock = root / "dvc.lock"
    stages = (values_of(lock.read_text()) or {}).get("stages", {}) if lock.is_file() else {}
    yield from (_Output(*out) for stage in stages.values() for out in _named(stage))
    for folder, names, files in os.walk(root):
        # Of what users have beside ours in data/ much is added by hand.
        names[:] = [n for n in names if not n.startswith(".") and Path(folder, n) != root / "artifacts"]
        for name in files:
            if name.endswith(".dvc"):
                by = Path(folder, name)
                below = by.parent.relative_to(root)
                yield from (_Output(below / path, md5, True) for path, md5 in _named(values_of(by.read_text())))


def _named(stage: Any) -> Iterator[tuple[PurePath, str]]:
    """Path and MD5 of each output of a stage, or of a .dvc file."""
    for out in (stage or {}).get("outs", ()):
        if "md5" in out:
            yield PurePath(str(out["path"])), out["md5"].removesuffix(".dir")


def _members(output: _Output, cache: Path) -> Iterator[tuple[str, PurePath]]:
    """MD5 and path of an output, and of the files in it where it is a folder."""
    yield output.md5, output.path
    listing = cache / "files" / "md5" / output.md5[:2] / f"{output.md5[2:]}.dir"
    if listing.is_file():
        yield from ((entry["md5"], output.path / entry["relpath"]) for entry in json.loads(listing.read_text()))


@dataclass(frozen=True)
class _Configuration:
    """What DVC's configuration says of places: of system, user, project and local, one over the other."""

    cache: Path | None
    """The folder, where one is named."""
    remotes: dict[str, str]
    """URL by name."""

    @classmethod
    def read(cls, workspace: Workspace) -> _Configuration:
        """Raises DataError."""
        from dvc.config import Config, ConfigError

        try:
            values = Config(str(workspace.root / ".dvc"))
        except ConfigError as error:
            raise DataError(f"DVC configuration: {str(error).splitlines()[0]}") from None
        folder = values.get("cache", {}).get("dir")
        urls = {name: section["url"] for name, section in values.get("remote", {}).items() if "url" in section}
        return cls(Path(folder) if folder else None, urls)


def _registered(cache: Path) -> list[Path]:
    path = cache / _REGISTER
    return [Path(root) for root in json.loads(path.read_text())] if path.is_file() else []


def _register(workspace: Workspace, cache: Path) -> None:
    root = workspace.root.resolve()
    if root in _registered(cache):
        return
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{_REGISTER}.lock"):
        roots = sorted({*map(str, _registered(cache)), str(root)})
        write_whole(cache / _REGISTER, json.dumps(roots, indent=1) + "\n")
