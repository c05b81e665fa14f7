"""Temporary files of the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lethe.forgetting.stores.base import Folder, Found, Removed, Site, delete, files_below, size_of
from lethe.forgetting.stores.needles import Needles


@dataclass(frozen=True)
class Temporary:
    """What is there when a purge runs was left by something that was interrupted, a ``verify`` among others."""

    root: Path
    name: str = "temporary files"

    def size(self) -> int:
        return size_of(self.root)

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        return Removed(self.name, len(files_below(self.root)), size_of(self.root))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        removed = self.would_remove(needles)
        delete(self.root)
        return removed

    def find(self, needles: Sequence[Needles]) -> Found:
        return Folder(self.name, self.root).find(needles)


def stores(site: Site) -> list[Temporary]:
    return [Temporary(site.workspace.temporary)]
