"""A folder of artifacts as the cache of a prefix of a bucket, in which several machines meet.

An artifact is whole there once its manifest is, which is put last; one that is fetched is compared with it. Whoever
empties the bucket renews its marker's generation. A cache of an earlier generation drops what the bucket has no more,
and a process that began before stops rather than put something back.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lethe.core.bucket import Bucket, Marker
from lethe.core.files import write_whole
from lethe.errors import ArtifactError, Unreachable

MANIFEST, RECORD = "manifest.json", "record.json"
GENERATION = ".generation"
"""The file of a cache that says of which generation it is."""
_BEGUN: dict[tuple[int, Bucket, Path], str] = {}
"""The generation under which this process began to use a bucket for a cache."""

_BEGINNING = threading.Lock()


@dataclass(frozen=True)
class Shared:
    """The bucket behind a folder of artifacts."""

    root: Path
    bucket: Bucket

    def begin(self) -> None:
        """To be called before anything in the cache counts; does something once a process."""
        with _BEGINNING:
            if self._mine in _BEGUN:
                return
            marker, is_new = self.bucket.claimed()
            path = self.root / GENERATION
            if not is_new and path.is_file() and path.read_text() != marker.generation:
                self._drop_what_left()
            self._note(marker)

    def fetch(self, kind: str, key: str) -> Path | None:
        """An artifact's files in a folder of this writer's own below ``root``, not compared yet; None where the bucket
        doesn't have it."""
        there = PurePosixPath(kind, key)
        parent = self.root / kind
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".building-{os.getpid()}-", dir=parent))
        try:
            self.bucket.get(there / MANIFEST, folder / MANIFEST)
            for name in _files(folder / MANIFEST, f"{self.bucket.url}/{there}"):
                self.bucket.get(there / name, folder / name)
        except FileNotFoundError:
            # Not there, or emptied meanwhile.
            shutil.rmtree(folder)
            return None
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            self.bucket.get(there / RECORD, folder / RECORD)
        except FileNotFoundError:
            (folder / RECORD).unlink()  # What it took is lost; the artifact is whole.
        return folder

    def push(self, folder: Path) -> None:
        """Put an artifact there, unless it is. Raises Unreachable where the bucket was emptied since this process
        began: what was made from data of before must not come back."""
        there = PurePosixPath(*folder.relative_to(self.root).parts)
        if self.bucket.is_there(there / MANIFEST):
            return
        if self.bucket.claimed()[0].generation != _BEGUN[self._mine]:
            raise Unreachable(f"{self.bucket}: a forget run has emptied it meanwhile; run again")
        self.bucket.put_folder(there, folder, last=MANIFEST)

    def emptied(self) -> None:
        """After a purge of the bucket and of this cache: all others are of an earlier generation now."""
        self._note(self.bucket.renew())

    @property
    def _mine(self) -> tuple[int, Bucket, Path]:
        return os.getpid(), self.bucket, self.root

    def _note(self, marker: Marker) -> None:
        write_whole(self.root / GENERATION, marker.generation)
        _BEGUN[self._mine] = marker.generation

    def _drop_what_left(self) -> None:
        there = {path.parts[:2] for path in self.bucket.names()}
        for path in sorted(self.root.glob("*/*")):
            if (path.parent.name, path.name) not in there:
                shutil.rmtree(path, ignore_errors=True)
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def _files(manifest: Path, where: str) -> list[str]:
    """The files that a manifest names. Raises ArtifactError where it is none, or names one outside its folder."""
    again = "delete it there to have it made again"
    try:
        names = [str(name) for name in json.loads(manifest.read_bytes())["files"]]
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{where}: manifest.json is not a manifest; {again}") from None
    for path in map(PurePosixPath, names):
        if path.is_absolute() or ".." in path.parts or str(path) in (".", MANIFEST):
            raise ArtifactError(f"{where}: its manifest names a file outside it; {again}")
    return names
