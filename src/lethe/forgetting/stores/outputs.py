"""Our copies of sources, the outputs of the data stages and their side tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lethe.core.workspace import Workspace
from lethe.data.leftovers import hidden_outputs
from lethe.forgetting.stores.base import Folder, Found, Removed, Site, all_below, bytes_of, delete, size_of
from lethe.forgetting.stores.needles import Needles


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

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        held = {*self._folder.holding(needles), *all_below(self._left())}
        return Removed(self.name, len(held), bytes_of(held))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before, left = size_of(self.root), self._left()
        for path in left:
            delete(path)
        return Removed(self.name, len(left), before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> Found:
        return self._folder.find(needles)

    def _left(self) -> list[Path]:
        return hidden_outputs(self.root)

    @property
    def _folder(self) -> Folder:
        return Folder(self.name, self.root, datasets_of=lambda path: path.relative_to(self.root).parts[:1])


def stores(site: Site) -> list[Outputs]:
    return [Outputs(site.workspace)]
