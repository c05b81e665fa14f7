"""The content-addressed folder: an artifact is a function of its inputs and is named by their digest.

    artifacts/<kind>/<key>/manifest.json   kind, inputs and the SHA-256 of every file: a function of the inputs
                           ...             the files
                           record.json     what is not: seconds it took, when it was made (never part of a digest)

``key`` is the digest of (kind, inputs); ``digest`` of an artifact is that of its manifest, so two builds are equal when
their digests are. Where the project keeps artifacts at a URL too, the folder is a cache of that (lethe.core.shared).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError

from lethe.core.bucket import Bucket
from lethe.core.canonical import Json, canonical_json, digest_file, digest_json
from lethe.core.shared import Shared
from lethe.errors import ArtifactError


@dataclass(frozen=True)
class Reference:
    """An artifact by its name, and the digest that it must have."""

    key: str
    digest: str


@dataclass(frozen=True)
class Record:
    """What making an artifact took: seconds by the clock and of the processor, when that was (Unix time), and how many
    rows it was made from, where that says something."""

    seconds: float
    cpu_seconds: float
    made: float
    rows: int | None = None


@dataclass(frozen=True)
class Artifact:
    """One stored artifact: its folder and what its manifest says."""

    path: Path
    kind: str
    key: str
    inputs: Json
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest: equal for two builds exactly when inputs and all file bytes are."""
        return digest_json({"kind": self.kind, "key": self.key, "inputs": self.inputs, "files": self.files})

    @property
    def environment(self) -> Json:
        """The numeric environment that its bytes are of; empty for a kind that is the same in any."""
        environment = self.inputs.get("environment")
        return environment if isinstance(environment, dict) else {}

    def file(self, name: str) -> Path:
        return self.path / name

    @property
    def reference(self) -> Reference:
        return Reference(self.key, self.digest)

    def record(self) -> Record | None:
        """What making it took; None if that was lost."""
        path = self.path / "record.json"
        return Record(**json.loads(path.read_bytes())) if path.is_file() else None


class ArtifactStore:
    """A folder of artifacts, and the ``bucket`` that it is a cache of, if it is one. Safe for many writers: a folder
    appears whole or not at all."""

    def __init__(self, root: Path, bucket: Bucket | None = None) -> None:
        self.root = root
        self.shared = None if bucket is None else Shared(root, bucket)

    @staticmethod
    def key(kind: str, inputs: Json) -> str:
        return digest_json({"kind": kind, "inputs": inputs})

    def find(self, kind: str, inputs: Json) -> Artifact | None:
        """The artifact these inputs name, if it is there; its files are checked against the manifest."""
        self._begin()
        path = self.root / kind / self.key(kind, inputs)
        if not path.is_dir():
            return self._fetched(path)
        artifact = self.open(path)
        if self.shared is not None:
            # It was made before there was a bucket, or by a process that could not reach it.
            self.shared.push(path)
        return artifact

    def get(self, kind: str, key: str) -> Artifact:
        """The artifact of that key. Raises ArtifactError where it is missing or corrupt."""
        self._begin()
        path = self.root / kind / key
        return (None if path.is_dir() else self._fetched(path)) or self.open(path)

    def _begin(self) -> None:
        if self.shared is not None:
            self.shared.begin()

    def _fetched(self, path: Path) -> Artifact | None:
        """The artifact from the bucket, compared with its manifest and put in place; None where it isn't there."""
        folder = None if self.shared is None else self.shared.fetch(path.parent.name, path.name)
        if folder is None:
            return None
        try:
            if self.open(folder).key != path.name:
                raise ArtifactError(f"artifact {path.parent.name}/{path.name[:12]}: the bucket holds another there")
            self._put(folder, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return self.open(path, check=False)

    def _put(self, folder: Path, path: Path) -> None:
        try:
            os.replace(folder, path)
        except OSError:
            # Another writer was first; both wrote the same bytes, so theirs serves.
            if not path.is_dir():
                raise

    def open(self, path: Path, check: bool = True) -> Artifact:
        """Read an artifact folder (here or copied elsewhere) and compare every file with its manifest."""
        try:
            manifest = json.loads((path / "manifest.json").read_bytes())
            artifact = Artifact(path, manifest["kind"], manifest["key"], manifest["inputs"], manifest["files"])
        except FileNotFoundError:
            raise ArtifactError(f"artifact {path.name[:12]}: no manifest in {path.parent.name}") from None
        except (ValueError, KeyError, TypeError):
            raise ArtifactError(f"artifact {path.name[:12]}: manifest.json is not a manifest") from None
        if check and artifact.key != self.key(artifact.kind, artifact.inputs):
            raise ArtifactError(f"artifact {artifact.kind}/{artifact.key[:12]}: its manifest was changed")
        for name, expected in artifact.files.items() if check else ():
            file = path / name
            actual = digest_file(file) if file.is_file() else "missing"
            if actual != expected:
                raise ArtifactError(
                    f"artifact {artifact.kind}/{artifact.key[:12]}: file {name!r} is corrupt "
                    f"(sha256 {actual[:12]}, must be {expected[:12]}); delete the folder to have it rebuilt"
                )
        return artifact

    def make(self, kind: str, inputs: Json, write: Callable[[Path], int | None]) -> Artifact:
        """The artifact of these inputs: the stored one, or a new one whose files ``write(folder)`` makes.

        ``write`` may return how many rows it was made from, for the record.
        """
        found = self.find(kind, inputs)
        if found is not None:
            return found
        key = self.key(kind, inputs)
        parent = self.root / kind
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".building-{os.getpid()}-", dir=parent))
        try:
            start, worked = time.perf_counter(), time.thread_time()
            rows = write(folder)
            seconds, processor = time.perf_counter() - start, time.thread_time() - worked
            files = {str(p.relative_to(folder)): digest_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
            manifest = {"kind": kind, "key": key, "inputs": inputs, "files": files}
            (folder / "manifest.json").write_bytes(canonical_json(manifest))
            record = Record(round(seconds, 4), round(processor, 4), time.time(), rows)
            (folder / "record.json").write_bytes(canonical_json(asdict(record)))
            self._put(folder, parent / key)
        except SafetensorError as error:
            # A full disk, in its own words.
            raise OSError(f"artifact {kind}/{key[:12]}: {error}") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if self.shared is not None:
            self.shared.push(parent / key)
        return self.open(parent / key, check=False)

    def checkpoint(self, kind: str, inputs: Json) -> Path:
        """A file for the state of a making that takes long, to resume it from where it is killed.

        It is no artifact: whoever makes the artifact deletes it, and a purge takes what was left.
        """
        return self.root / "checkpoint" / f"{self.key(kind, inputs)}.safetensors"

    def all(self) -> Iterator[Artifact]:
        """Every stored artifact, in order of kind and key, unchecked."""
        for path in sorted(self.root.glob("*/*/manifest.json")):
            yield self.open(path.parent, check=False)

    def remove(self, artifact: Artifact) -> None:
        shutil.rmtree(artifact.path)
