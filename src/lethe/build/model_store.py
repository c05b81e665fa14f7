"""Versions as they lie in BentoML's model store, a folder NAME/VERSION each: put there whole, opened, found at a URL.

Which of them are served, and which were retired, the registry knows.
"""

from __future__ import annotations

import contextlib
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from lethe.build.grounds import Grounds
from lethe.build.stored import model_bucket
from lethe.build.version import Version
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.canonical import Json
from lethe.core.workspace import Workspace
from lethe.core.yaml_text import values_of
from lethe.errors import ArtifactError


class ModelStore:
    """The versions of a workspace by tag, NAME:VERSION."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.models = workspace.bentoml_home / "models"
        self._artifacts = ArtifactStore(workspace.artifacts)

    def folder(self, tag: str) -> Path:
        """Where a version's files are."""
        name, _, version = tag.partition(":")
        return self.models / name / version

    def folders(self, name: str = "*") -> list[Path]:
        """The folders of all versions of these names, unfinished copies too."""
        return [path for path in self.models.glob(f"{name}/*") if path.is_dir()]

    def holds(self, tag: str, *, check: bool = True) -> bool:
        """Whether a version is here whole; without ``check`` no file is compared with its manifest."""
        folder = self.folder(tag)
        if not ((folder / "model.yaml").is_file() and (folder / "manifest.json").is_file()):
            return False
        with contextlib.suppress(ArtifactError):
            return bool(self._artifacts.open(folder, check=check))
        return False

    def version(self, tag: str) -> Version:
        """A version that is here, its files unchecked."""
        # Not by BentoML: it takes long to import, and ten times as long to read.
        entry = values_of((self.folder(tag) / "model.yaml").read_bytes())
        about, made = entry["metadata"], datetime.fromisoformat(entry["creation_time"])
        artifact = self._artifacts.open(self.folder(tag), check=False)
        grounds, metrics = Grounds.parse(about.get("choice", {})), dict(about["metrics"])
        made_by = (str(about.get(name, "")) for name in ("code", "settings", "stages", "lock", "comparison"))
        return Version(tag, artifact, str(about["reason"]), metrics, made, grounds, *made_by)

    def open(self, tag: str) -> Artifact:
        """A version's artifact with every file compared to its manifest, and that to the tag; raises ArtifactError."""
        artifact = self._artifacts.open(self.folder(tag))
        if not tag.endswith(f":{artifact.digest[:16]}"):
            raise ArtifactError(f"model {tag!r}: its manifest was changed, its digest is {artifact.digest[:16]}")
        return artifact

    def put(self, tag: str, package: Artifact, about: Json) -> None:
        """Store a package whole. Raises ArtifactError where the copy differs from the package's manifest."""
        folder = self.folder(tag)
        shutil.rmtree(folder, ignore_errors=True)
        # BentoML fills a temporary folder outside the workspace and leaves it there, so it gets no data of people:
        # it makes the entry, the files are copied in here, the manifest last.
        entry = _new_entry(tag, about)
        entry.flush()
        entry.save(self._entries())
        shutil.rmtree(entry.path, ignore_errors=True)
        for name in [*sorted(package.files), "manifest.json"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.file(name), folder / name)
        self._must_open(tag)

    def push(self, tag: str) -> None:
        """Put a version at the URL of models, if params.yaml names one."""
        if bucket := model_bucket(self.workspace):
            bucket.push(self.folder(tag))

    def fetch(self, tag: str) -> bool:
        """Whether a version that is missing here was at the URL of models and is what its tag says."""
        bucket = model_bucket(self.workspace)
        if bucket is None:
            return False
        bucket.fetch(self.folder(tag))
        if not self.holds(tag, check=False):
            return False
        self._must_open(tag)
        return True

    def delete(self, tag: str) -> None:
        """Delete a version's files."""
        folder = self.folder(tag)
        # BentoML's own delete reads every other version and gives up at an unfinished one. The file "latest",
        # which we never use, is its cache: it is made again when it is missing.
        shutil.rmtree(folder)
        (folder.parent / "latest").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()

    def _must_open(self, tag: str) -> None:
        try:
            self.open(tag)
        except ArtifactError:
            shutil.rmtree(self.folder(tag))
            raise

    # BentoML's public functions read its folder from the environment of the process, once. Its classes are told ours.
    def _entries(self) -> Any:
        from bentoml._internal.models import ModelStore as Entries

        self.models.mkdir(parents=True, exist_ok=True)
        return Entries(self.models)


def _new_entry(tag: str, about: Json) -> Any:
    from bentoml._internal.models import Model, ModelContext

    nothing = ModelContext(framework_name="", framework_versions={})
    return Model.create(tag, module="", api_version="v1", signatures={}, metadata=about, context=nothing)
