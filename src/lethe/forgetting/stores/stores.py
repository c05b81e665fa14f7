"""The places where forgotten data can hide, each a small object: ``remove`` erases, ``find`` tells where something is.

Most stores need no search to be emptied: what is in use is named by content, and everything else goes. Reports and logs
have no such names; there a file that holds a needle goes.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Protocol

from lethe.core.artifacts import ArtifactStore
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.scan import find_in_file

Datasets = Collection[str] | None
"""Datasets that a file belongs to; None where it may be any's."""


@dataclass(frozen=True)
class Removed:
    """What left a store. ``bytes`` is how much smaller the store's files are (they may also have been rewritten)."""

    store: str
    entries: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return {"store": self.store, "removed": self.entries, "bytes": self.bytes}


@dataclass(frozen=True)
class Place:
    """Something that holds a needle: where, told without ids of people, which kind of needle, and how many bytes."""

    where: str
    kind: str
    bytes: int = 0

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}"


class Store(Protocol):
    """A place where forgotten data can hide."""

    @property
    def name(self) -> str: ...

    def size(self) -> int:
        """Bytes it holds."""
        ...

    def remove(self, needles: Sequence[Needles]) -> Removed:
        """Erase what nothing in use refers to; safe to repeat, and to interrupt at any point."""
        ...

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        """What holds a needle."""
        ...


@dataclass(frozen=True)
class Folder:
    """Every file below ``root``. Those of ``erasable`` names are deleted, or (``empty``) cut to nothing, if they hold a
    needle; others are only searched, because they have an owner of their own."""

    name: str
    root: Path
    erasable: str | None = None
    empty: bool = False
    skip: tuple[Path, ...] = ()
    digests_as_text: bool = False
    datasets_of: Callable[[Path], Datasets] = field(default=lambda path: None)

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files())

    def files(self) -> list[Path]:
        return [p for p in files_below(self.root) if not any(p == s or s in p.parents for s in self.skip)]

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before = size_of(self.root)
        held = [p for p, _ in self._held(needles) if self.erasable and re.search(self.erasable, p.name)]
        for path in held:
            # A log is cut, not deleted, since its writer goes on writing to the same file.
            path.write_bytes(b"") if self.empty else path.unlink(missing_ok=True)
        return Removed(self.name, len(held), before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        held = self._held(needles)
        return [Place(told(path.relative_to(self.root), needles), kind, path.stat().st_size) for path, kind in held]

    def _held(self, needles: Sequence[Needles]) -> Iterator[tuple[Path, str]]:
        for path in self.files():
            datasets = self.datasets_of(path)
            mine = [n for n in needles if datasets is None or n.dataset in datasets]
            kinds = (find_in_file(path, n, digests_as_text=self.digests_as_text) for n in mine)
            if kind := next((kind for kind in kinds if kind), None):
                yield path, kind


@dataclass(frozen=True)
class Artifacts:
    """The artifact folder: mark and sweep. ``live``: keys in use of each dataset; what no dataset uses goes."""

    store: ArtifactStore
    live: Mapping[str, Collection[str]]
    name: str = "artifacts"

    def size(self) -> int:
        return size_of(self.store.root)

    def remove(self, needles: Sequence[Needles]) -> Removed:
        root, before = self.store.root, size_of(self.store.root)
        keep = {key for keys in self.live.values() for key in keys}
        # By folder, not by manifest: builds that were interrupted and folders without a manifest go as well.
        dead = [path for path in sorted(root.glob("*/*")) if path.name not in keep]
        for path in dead:
            delete(path)
        return Removed(self.name, len(dead), before - size_of(root))

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        return Folder(self.name, self.store.root, digests_as_text=True, datasets_of=self._datasets).find(needles)

    def _datasets(self, path: Path) -> Datasets:
        key = path.relative_to(self.store.root).parts[1:2]
        return {dataset for dataset, keys in self.live.items() if key and key[0] in keys} or None


@dataclass(frozen=True)
class Versions:
    """A store of versions (models, bentos). ``retire`` deletes all but those in use and returns how many went."""

    name: str
    root: Path
    retire: Callable[[], int]

    def size(self) -> int:
        return size_of(self.root)

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before = size_of(self.root)
        return Removed(self.name, self.retire(), before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        return Folder(self.name, self.root, digests_as_text=True, datasets_of=self._dataset).find(needles)

    def _dataset(self, path: Path) -> Datasets:
        # A package says in its info.json whose dataset it serves (see lethe.serving.package).
        for folder in path.relative_to(self.root).parents:
            info = self.root / folder / "info.json"
            if info.is_file() and (dataset := json.loads(info.read_bytes()).get("dataset")):
                return (dataset,)
        return None


@dataclass(frozen=True)
class Temporary:
    """Temporary files of the workspace: what is there when a purge runs was left by something that was interrupted."""

    root: Path
    name: str = "temporary files"

    def size(self) -> int:
        return size_of(self.root)

    def remove(self, needles: Sequence[Needles]) -> Removed:
        files, before = len(files_below(self.root)), size_of(self.root)
        delete(self.root)
        return Removed(self.name, files, before)

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        return Folder(self.name, self.root).find(needles)


@dataclass(frozen=True)
class LedgerStore:
    """The ledger. Its subjects go with ``Ledger.erase``; one that a request under way still needs is no finding."""

    ledger: Ledger
    name: str = "ledger"

    def size(self) -> int:
        return self.ledger.size()

    def remove(self, needles: Sequence[Needles]) -> Removed:
        return Removed(self.name, 0, 0)

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        requests = self.ledger.all()
        content = json.dumps([*(r.to_json() for r in requests), *(vars(e) for e in self.ledger.events())]).encode()
        found = [kind for n in needles if (kind := n.in_content(content))]
        if not found and all(request.user is None for request in requests):
            for path in self.ledger.files():
                found += [kind for n in needles if (kind := find_in_file(path, n))]
        return [Place("ledger", kind) for kind in found]


def files_below(root: Path) -> list[Path]:
    """Every file below a folder, in order; none if it isn't there."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def size_of(root: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in files_below(root) if path.exists())


def delete(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def told(path: PurePath, needles: Sequence[Needles]) -> str:
    """A path without the ids of people: a file may itself be called after one."""
    named = ((part, n) for part in path.parts for n in needles)
    withheld = {part for part, n in named if n.is_user(part.split(".")[0]) or n.as_text.found_in(part.encode())}
    return "/".join("(withheld)" if part in withheld else part for part in path.parts)
