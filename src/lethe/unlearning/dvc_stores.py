"""What DVC holds: the outputs of the data stages, and every version of them in cache, index and remotes."""

from __future__ import annotations

import configparser
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from filelock import FileLock

from lethe.dvc import dvc
from lethe.unlearning.scan import Needles
from lethe.unlearning.stores import Datasets, Folder, Removed, delete, files_below, size_of
from lethe.workspace import Workspace


@dataclass(frozen=True)
class Outputs:
    """The tables of the data stages. ``dvc repro`` rewrites them; what goes here is left of interrupted writes."""

    workspace: Workspace
    name: str = "data"

    @property
    def root(self) -> Path:
        return self.workspace.root / "data"

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before = size_of(self.root)
        # DVC's own .gitignore files are no leftovers.
        left = [path for path in sorted(self.root.rglob(".*")) if path.name != ".gitignore" and path.exists()]
        for path in left:
            delete(path)
        return Removed(self.name, len(left), before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> list[str]:
        return Folder(self.name, self.root, datasets_of=lambda p: p.relative_to(self.root).parts[:1]).find(needles)


@dataclass(frozen=True)
class DvcCache:
    """DVC's cache, run cache, index and temporary files, and its remotes: superseded versions of every output.

    A remote that is a folder is searched as well; of any other see ``outside_reach``.
    """

    workspace: Workspace
    name: str = "dvc"

    @property
    def root(self) -> Path:
        return self.workspace.root / ".dvc"

    def remove(self, needles: Sequence[Needles]) -> Removed:
        roots = [self.root, *self._folders()]
        files, before = sum(len(files_below(root)) for root in roots), sum(size_of(root) for root in roots)
        dvc(self.workspace, "gc", "--workspace", "-f", "-q")
        for remote in remotes(self.workspace):
            dvc(self.workspace, "gc", "--workspace", "--cloud", "-r", remote, "-f", "-q")
        # What gc leaves: hashes and paths of earlier runs, DVC's index of what it has seen.
        with FileLock(self.workspace.state / "dvc.lock"):
            for leftover in ("cache/runs", "tmp", "site-cache"):
                delete(self.root / leftover)
        left, after = sum(len(files_below(root)) for root in roots), sum(size_of(root) for root in roots)
        return Removed(self.name, max(0, files - left), before - after)

    def find(self, needles: Sequence[Needles]) -> list[str]:
        owners = _owners(self.workspace)

        def datasets_of(path: Path) -> Datasets:
            return owners.get(_object(path))

        found: list[str] = []
        for name, root in [(self.name, self.root), *((f"{self.name} remote", root) for root in self._folders())]:
            found += Folder(name, root, digests_as_text=True, datasets_of=datasets_of).find(needles)
        return found

    def _folders(self) -> list[Path]:
        # DVC reads a relative path from its config's folder.
        folders = (self.root / url for url in remotes(self.workspace).values() if "://" not in url)
        return [folder for folder in folders if folder.is_dir()]


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


def _object(path: Path) -> str:
    # files/md5/ab/cdef… and files/md5/ab/cdef….dir
    return path.parent.name + path.name.removesuffix(".dir")


def _owners(workspace: Workspace) -> dict[str, set[str]]:
    """MD5 of every object in use -> datasets whose outputs (data/DATASET/...) it is part of."""
    lock = workspace.root / "dvc.lock"
    stages = (yaml.safe_load(lock.read_text()) or {}).get("stages", {}) if lock.is_file() else {}
    owners: dict[str, set[str]] = {}
    for output in (output for stage in stages.values() for output in stage.get("outs", ())):
        folder, _, dataset = output["path"].partition("/")
        if folder != "data" or "md5" not in output:
            continue
        dataset, md5 = dataset.split("/")[0], output["md5"].removesuffix(".dir")
        members = [md5]
        listing = workspace.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / f"{md5[2:]}.dir"
        if listing.is_file():
            members += [entry["md5"] for entry in json.loads(listing.read_text())]
        for member in members:
            owners.setdefault(member, set()).add(dataset)
    return owners
