"""What DVC holds here: the outputs of the data stages, and every version of them in its cache and index."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import yaml
from filelock import FileLock

from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.stores import Datasets, Folder, Place, Removed, delete, files_below, size_of


@dataclass(frozen=True)
class Outputs:
    """The tables of the data stages. ``dvc repro`` rewrites them; what goes here is left of interrupted writes."""

    workspace: Workspace
    name: str = "data"

    @property
    def root(self) -> Path:
        return self.workspace.root / "data"

    def size(self) -> int:
        return size_of(self.root)

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before = size_of(self.root)
        # DVC's own .gitignore files are no leftovers.
        left = [path for path in sorted(self.root.rglob(".*")) if path.name != ".gitignore" and path.exists()]
        for path in left:
            delete(path)
        return Removed(self.name, len(left), before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        return Folder(self.name, self.root, datasets_of=lambda p: p.relative_to(self.root).parts[:1]).find(needles)


@dataclass(frozen=True)
class DvcCache:
    """DVC's cache, run cache, index and temporary files: superseded versions of every output."""

    workspace: Workspace
    name: str = "dvc"

    @property
    def root(self) -> Path:
        return self.workspace.root / ".dvc"

    def size(self) -> int:
        return size_of(self.root)

    def remove(self, needles: Sequence[Needles]) -> Removed:
        files, before = len(files_below(self.root)), size_of(self.root)
        dvc(self.workspace, "gc", "--workspace", "-f", "-q")
        # What gc leaves: hashes and paths of earlier runs, DVC's index of what it has seen.
        with FileLock(self.workspace.state / "dvc.lock"):
            for leftover in ("cache/runs", "tmp", "site-cache"):
                delete(self.root / leftover)
        return Removed(self.name, max(0, files - len(files_below(self.root))), before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        belongs = owners(self.workspace)

        def datasets_of(path: Path) -> Datasets:
            return belongs.get(object_of(path))

        return Folder(self.name, self.root, digests_as_text=True, datasets_of=datasets_of).find(needles)


def object_of(path: PurePath) -> str:
    """MD5 by which DVC names an object: files/md5/ab/cdef… or files/md5/ab/cdef….dir"""
    return path.parent.name + path.name.removesuffix(".dir")


def owners(workspace: Workspace) -> dict[str, set[str]]:
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
