"""Tables that are read and digested once for as long as their files stay as they are.

A ``Reader`` is made where a run or a step begins and handed on to whatever reads tables in it. It is no part of any
result: whoever is given none makes one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow.parquet as pq

from lethe.core.canonical import digest_file, digest_json
from lethe.tables.blocks import Source
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables, behaviours_in, digest_together, folder_beside, is_behaviour

T = TypeVar("T")

ROOM = 64 << 20
"""Bytes of files whose decoded tables are kept, those used last; digests of all files are."""

_TICK = 20_000_000
"""Nanoseconds within which a file may change again without its time showing it: two of the kernel's slowest ticks."""

_COARSE_TICK = 2_000_000_000
"""The same on a file system that keeps whole seconds, or two."""


class _Stamp(NamedTuple):
    """A file as it was at one time."""

    path: Path
    changed: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Stamp:
        status = path.stat()
        return cls(path, status.st_mtime_ns, status.st_size, status.st_ino)

    @property
    def is_coarse(self) -> bool:
        return self.changed % 1_000_000_000 == 0

    def settles_in(self, now: int) -> int:
        """Nanoseconds until a later change would show."""
        return max(0, self.changed + (_COARSE_TICK if self.is_coarse else _TICK) + 1 - now)


class Reader:
    """Reads the tables of a workspace, each once. Safe for several threads; another process begins with an empty one.

    A file that was written just now is read a moment later, when a change of it would show in its time; on a file
    system that keeps whole seconds it is read each time until then.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._tables: OrderedDict[tuple[str, tuple[_Stamp, ...]], Interactions | SideTables] = OrderedDict()
        self._digests: dict[tuple[str, tuple[_Stamp, ...]], str] = {}
        self._contents: dict[tuple[str, tuple[str, ...]], str] = {}
        self._lock = RLock()

    def __reduce__(self) -> tuple[type[Reader], tuple[int]]:
        return Reader, (self._room,)

    def interactions(self, path: Path) -> Interactions:
        return self._table("interactions", (path,), lambda: Interactions.read(path))

    def source(self, path: Path) -> Source:
        """The rows to be looked at in steps: the table, where it is small enough to be kept, else its file."""
        return self.interactions(path) if path.stat().st_size <= self._room else path

    def side(self, folder: Path, *, behaviours: bool = True) -> SideTables:
        """The side tables in a folder, ``behaviours`` too or without them."""
        paths = [path for path in sorted(folder.glob("*.parquet")) if behaviours or not is_behaviour(path)]
        return self._table("side", tuple(paths), lambda: SideTables.read(folder, behaviours=behaviours))

    def digest(self, path: Path) -> str:
        """Digest of the content of a table of interactions."""
        return self._content("content", (path,), lambda: self._digest_of_rows(path))

    def digest_beside(self, path: Path) -> str:
        """Digest of the content of a table of interactions and of the side tables that lie beside it."""
        folder = folder_beside(path)
        files = (path, *sorted(folder.glob("*.parquet")))
        if len(files) == 1:
            return self.digest(path)
        return self._content("beside", files, lambda: digest_together(self._digest_of_rows(path), self._beside(folder)))

    def digest_file(self, path: Path) -> str:
        """SHA-256 of a file's bytes."""
        return self._digest("file", (path,), lambda: digest_file(path))

    def rows(self, path: Path) -> int:
        """How many a table has; none of them is read."""
        return int(pq.read_metadata(path).num_rows)

    def slices(self, path: Path) -> np.ndarray | None:
        """[n] int64: the slice of each row of a shard; None where it was not laid in slices."""
        if "slice" not in pq.read_schema(path).names:
            return None
        return pq.read_table(path, columns=["slice"])["slice"].to_numpy()

    def _beside(self, folder: Path) -> dict[str, str]:
        """The digests of side tables, by name."""
        tables = {name: table.digest() for name, table in self.side(folder, behaviours=False).named()}
        return tables | {path.stem: self._digest_of_rows(path) for path in behaviours_in(folder).values()}

    def _digest_of_rows(self, path: Path) -> str:
        rows = self.source(path)
        return Interactions.digest_at(rows) if isinstance(rows, Path) else rows.digest()

    def _table(self, kind: str, files: tuple[Path, ...], read: Callable[[], T]) -> T:
        with self._lock:
            stamps = _stamps(files)
            if (kind, stamps) in self._tables:
                self._tables.move_to_end((kind, stamps))
                return self._tables[kind, stamps]  # type: ignore[return-value]
            now = time.time_ns()
            table = read()
            if _unchanged(stamps, now):
                self._tables[kind, stamps] = table  # type: ignore[assignment]
                self._make_room()
            return table

    def _content(self, kind: str, files: tuple[Path, ...], take: Callable[[], str]) -> str:
        """What ``take`` finds, once for files of the same bytes (and names of what lies beside), wherever they lie: to
        hash bytes takes a tenth of decoding them."""

        def found() -> str:
            same = (kind, (*(path.name for path in files[1:]), *map(self.digest_file, files)))
            if same not in self._contents:
                self._contents[same] = take()
            return self._contents[same]

        return self._digest(kind, files, found)

    def _digest(self, kind: str, files: tuple[Path, ...], take: Callable[[], str]) -> str:
        with self._lock:
            stamps = _stamps(files)
            if (kind, stamps) in self._digests:
                return self._digests[kind, stamps]
            now = time.time_ns()
            digest = take()
            if _unchanged(stamps, now):
                self._digests[kind, stamps] = digest
            return digest

    def _make_room(self) -> None:
        while sum(stamp.size for _, stamps in self._tables for stamp in stamps) > self._room:
            self._tables.popitem(last=False)


def settled(files: Sequence[Path], root: Path) -> str | None:
    """A digest of these files below ``root`` as they are, by their times, sizes and places; none of them is read. None
    where a later change of one might not show."""
    stamps = _stamps(tuple(files))
    if any(stamp.settles_in(time.time_ns()) for stamp in stamps):
        return None
    return digest_json([[str(s.path.relative_to(root)), str(s.changed), s.size, s.inode] for s in stamps])


def _stamps(files: tuple[Path, ...]) -> tuple[_Stamp, ...]:
    """The files as they are, after a wait where the next change of one might not show."""
    stamps = tuple(map(_Stamp.of, files))
    wait = max((stamp.settles_in(time.time_ns()) for stamp in stamps if not stamp.is_coarse), default=0)
    if not 0 < wait <= _TICK + 1:
        return stamps
    time.sleep(wait / 1e9)
    return tuple(map(_Stamp.of, files))


def _unchanged(stamps: tuple[_Stamp, ...], now: int) -> bool:
    """Whether what was read since ``now`` is what these stamps stand for."""
    return all(stamp.settles_in(now) == 0 and _Stamp.of(stamp.path) == stamp for stamp in stamps)
