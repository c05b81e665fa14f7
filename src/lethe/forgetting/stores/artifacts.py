"""Artifacts of any kind, half-built ones too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lethe.core.artifacts import ArtifactStore
from lethe.forgetting.stores.base import Datasets, Folder, Found, Removed, Site, delete, size_of
from lethe.forgetting.stores.needles import Needles


@dataclass(frozen=True)
class Artifacts:
    """The artifact folder: mark and sweep. ``live``: keys in use of each dataset; what no dataset uses goes."""

    store: ArtifactStore
    live: Mapping[str, Collection[str]]
    name: str = "artifacts"

    def size(self) -> int:
        return size_of(self.store.root)

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        root = self.store.root
        holding = {root.joinpath(*path.relative_to(root).parts[:2]) for path in self.folder.holding(needles)}
        gone = holding | set(self._dead())
        return Removed(self.name, len(gone), sum(size_of(path) for path in gone))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before, dead = size_of(self.store.root), self._dead()
        for path in dead:
            delete(path)
        return Removed(self.name, len(dead), before - size_of(self.store.root))

    def find(self, needles: Sequence[Needles]) -> Found:
        return self.folder.find(needles)

    def _dead(self) -> list[Path]:
        keep = {key for keys in self.live.values() for key in keys}
        # By folder, not by manifest: builds that were interrupted and folders without a manifest go as well.
        return [path for path in sorted(self.store.root.glob("*/*")) if path.name not in keep]

    @property
    def folder(self) -> Folder:
        return Folder(self.name, self.store.root, digests_as_text=True, datasets_of=self._datasets)

    def _datasets(self, path: Path) -> Datasets:
        key = path.relative_to(self.store.root).parts[1:2]
        return {dataset for dataset, keys in self.live.items() if key and key[0] in keys} or None


def stores(site: Site) -> list[Artifacts]:
    return [Artifacts(ArtifactStore(site.workspace.artifacts), site.live)]
