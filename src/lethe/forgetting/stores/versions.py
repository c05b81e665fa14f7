"""Bentos and the model store: versions of what was promoted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.forgetting.lineage import superseded
from lethe.forgetting.stores.base import Datasets, Folder, Found, Removed, Site, size_of
from lethe.forgetting.stores.needles import Needles
from lethe.serving import deploy
from lethe.tables.reader import Reader


@dataclass(frozen=True)
class Versions:
    """A store of versions. ``retire`` deletes all but those in use and returns how many went; ``superseded``: folders
    of those that a run over ``datasets`` would replace."""

    name: str
    root: Path
    retire: Callable[[], int]
    superseded: Callable[[Sequence[str]], list[Path]] = lambda datasets: []

    def size(self) -> int:
        return size_of(self.root)

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        gone = self.superseded([n.dataset for n in needles])
        return Removed(self.name, len(gone), sum(size_of(path) for path in gone))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before = size_of(self.root)
        return Removed(self.name, self.retire(), before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> Found:
        return self.folder.find(needles)

    @property
    def folder(self) -> Folder:
        return Folder(self.name, self.root, digests_as_text=True, datasets_of=self._dataset)

    def _dataset(self, path: Path) -> Datasets:
        # A package says in its info.json whose dataset it serves (see lethe.serving.package).
        for folder in path.relative_to(self.root).parents:
            info = self.root / folder / "info.json"
            if info.is_file() and (dataset := json.loads(info.read_bytes()).get("dataset")):
                return (dataset,)
        return None


def stores(site: Site) -> list[Versions]:
    """Bentos before models: a bento refers to models."""
    workspace = site.workspace
    bentos, models = workspace.bentoml_home / "bentos", workspace.bentoml_home / "models"

    def retire_bentos() -> int:
        assert site.datasets, "only a forget run empties stores"
        return len(deploy.retire_bentos(workspace, ()))

    def retire_models() -> int:
        assert site.datasets, "only a forget run empties stores"
        return _retire_models(workspace, site.datasets, site.reader)

    return [
        # The bento that is deployed serves every family, so one that is rebuilt replaces it.
        Versions("bentos", bentos, retire_bentos, lambda datasets: sorted(bentos.glob("*/*/")) if datasets else []),
        Versions("models", models, retire_models, lambda datasets: _models_of(workspace, datasets)),
    ]


def _retire_models(workspace: Workspace, datasets: Sequence[str], reader: Reader) -> int:
    registry, old = Registry(workspace), superseded(workspace, datasets, reader)
    for version in old:
        registry.retire(version.tag)
    return len(old) + registry.discard_unfinished()


def _models_of(workspace: Workspace, datasets: Sequence[str]) -> list[Path]:
    registry = Registry(workspace)
    return [registry.folder(v.tag) for v in registry.all_versions() if v.info.dataset in datasets]
