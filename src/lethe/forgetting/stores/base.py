"""What a store is: a place where forgotten data can hide, which can be emptied and searched."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Protocol

from lethe.config.params import Params
from lethe.core.canonical import Json
from lethe.core.workspace import Workspace
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.scan import find_in_name, look
from lethe.tables.reader import Reader

ELSEWHERE = "a link to a folder, which is not followed"
Datasets = Collection[str] | None
"""Datasets that a file belongs to; None where it may be any's."""


@dataclass(frozen=True)
class Site:
    """What stores are made from.

    ``live``: keys of the artifacts in use, by dataset. ``datasets``: those that a forget run is over, whose superseded
    versions go; none: the stores can be searched, but not emptied. ``params``: a store finds its own settings there.
    """

    workspace: Workspace
    ledger: Ledger
    live: Mapping[str, Collection[str]] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    params: Params | None = None
    reader: Reader = field(default_factory=Reader, compare=False, repr=False)


@dataclass(frozen=True)
class Removed:
    """What left a store, or would. ``bytes`` is how much smaller the store's files are (they may have been rewritten
    too)."""

    store: str
    entries: int
    bytes: int

    def to_json(self) -> Json:
        return {"store": self.store, "removed": self.entries, "bytes": self.bytes}


@dataclass(frozen=True)
class Place:
    """Something in a store: where, told without ids of people; which kind of needle it holds, or why it was not
    searched; how many bytes it has."""

    where: str
    kind: str
    bytes: int = 0

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}"


@dataclass(frozen=True)
class Found:
    """What a search of a store came to: what holds a needle, and what by design was not opened."""

    places: tuple[Place, ...] = ()
    not_searched: tuple[Place, ...] = ()


class Store(Protocol):
    """A place where forgotten data can hide."""

    @property
    def name(self) -> str: ...

    def size(self) -> int:
        """Bytes it holds."""
        ...

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        """What a run that forgets these would remove here, as far as that can be told before. Changes nothing."""
        ...

    def remove(self, needles: Sequence[Needles]) -> Removed:
        """Erase what nothing in use refers to; safe to repeat, and to interrupt at any point."""
        ...

    def find(self, needles: Sequence[Needles]) -> Found:
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
    called: Callable[[Path], str | None] = field(default=lambda path: None)
    """The name that says what kind a file is of, where it is not its own."""

    def size(self) -> int:
        return bytes_of(self.files())

    def files(self) -> list[Path]:
        return [p for p in files_below(self.root) if not any(p == s or s in p.parents for s in self.skip)]

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        held = self._erasable(needles)
        return Removed(self.name, len(held), bytes_of(held))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before, held = size_of(self.root), self._erasable(needles)
        for path in held:
            # A log is cut, not deleted, since its writer goes on writing to the same file.
            path.write_bytes(b"") if self.empty else path.unlink(missing_ok=True)
        return Removed(self.name, len(held), before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> Found:
        found = found_in(((path, path.relative_to(self.root)) for path in self.files()), needles, self)
        links = [Place(told(path.relative_to(self.root), needles), ELSEWHERE) for path in links_below(self.root)]
        return Found(found.places, (*found.not_searched, *links))

    def holding(self, needles: Sequence[Needles]) -> list[Path]:
        """The files that hold a needle."""
        return [path for path in self.files() if self.kind(path, path.relative_to(self.root), needles)[0]]

    def _erasable(self, needles: Sequence[Needles]) -> list[Path]:
        return [path for path in self.holding(needles) if self.erasable and re.search(self.erasable, path.name)]

    def kind(self, path: Path, name: PurePath, needles: Sequence[Needles]) -> tuple[str | None, tuple[str, ...]]:
        """Kind of needle that a file holds, and why some of it was not searched."""
        datasets = self.datasets_of(path)
        mine = [n for n in needles if datasets is None or n.dataset in datasets]
        looked = look(path, mine, name=name, called=self.called(path), digests_as_text=self.digests_as_text)
        return looked.kind, looked.not_searched


def found_in(files: Iterable[tuple[Path, PurePath]], needles: Sequence[Needles], folder: Folder) -> Found:
    """What these files (where each is, and by what name it may be told) hold."""
    places, not_searched = list[Place](), list[Place]()
    for path, name in files:
        kind, reasons = folder.kind(path, name, needles)
        where, size = told(name, needles), path.stat().st_size if path.exists() else 0
        places += [Place(where, kind, size)] if kind else []
        not_searched += [Place(where, reason, size) for reason in reasons]
    return Found(tuple(places), tuple(not_searched))


def files_below(root: Path) -> list[Path]:
    """Every file below a folder, in order; none if it isn't there. Raises OSError for a folder that can't be listed:
    what is in it was not seen to be clean."""
    paths = (Path(folder, name) for folder, _, names in os.walk(root, onerror=_refuse) for name in names)
    return sorted(path for path in paths if path.is_file())


def links_below(root: Path) -> list[Path]:
    """Every link to a folder, none of which is followed: what is there is not ours, or is below another name too."""
    paths = (Path(folder, name) for folder, names, _ in os.walk(root, onerror=_refuse) for name in names)
    return sorted(path for path in paths if path.is_symlink())


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def size_of(root: Path) -> int:
    """Bytes of all files below a folder."""
    return bytes_of(files_below(root))


def bytes_of(files: Iterable[Path]) -> int:
    """Bytes of these files, as far as they are there."""
    return sum(path.stat().st_size for path in files if path.exists())


def delete(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def all_below(paths: Iterable[Path]) -> Iterator[Path]:
    """These files, and every file below those that are folders."""
    for path in paths:
        yield from files_below(path) if path.is_dir() else [path]


def told(path: PurePath, needles: Sequence[Needles]) -> str:
    """A path without the ids of people: a file may itself be called after one."""

    def reveals(part: str) -> bool:
        return any(n.is_user(part.split(".")[0]) for n in needles) or find_in_name(PurePath(part), needles) == "text"

    return "/".join("(withheld)" if reveals(part) else _in_one_line(part) for part in path.parts)


def _in_one_line(part: str) -> str:
    """A name as it may be printed and signed: it may hold line breaks, and bytes that are no text."""
    text = part.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
