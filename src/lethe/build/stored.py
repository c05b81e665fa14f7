"""The stores of what is built: a folder each, and the URL that params.yaml may name for it."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lethe.config.stores import bucket_of
from lethe.core.artifacts import ArtifactStore
from lethe.core.bucket import Bucket
from lethe.core.workspace import Workspace

_LAST = "manifest.json"


def artifact_store(workspace: Workspace) -> ArtifactStore:
    """The workspace's artifacts: a folder, and the URL that it is a cache of."""
    return ArtifactStore(workspace.artifacts, bucket_of(workspace, "artifacts"))


@dataclass(frozen=True)
class ModelBucket:
    """Where versions of models are kept beside BentoML's folder of them, a folder NAME/VERSION each."""

    models: Path
    bucket: Bucket

    def push(self, folder: Path) -> None:
        """Put a whole version there, unless it is."""
        self.bucket.claimed()
        self.bucket.put_folder(PurePosixPath(*folder.relative_to(self.models).parts), folder, last=_LAST)

    def fetch(self, folder: Path) -> None:
        """Put a version's files in place, if they are there; whoever opens it compares them with the tag."""
        self.bucket.claimed()
        there = PurePosixPath(*folder.relative_to(self.models).parts)
        if not self.bucket.is_there(there / _LAST):
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        fetched = Path(tempfile.mkdtemp(prefix=f".fetched-{os.getpid()}-", dir=folder.parent))
        try:
            for path in self.bucket.names(f"{there}/"):
                self.bucket.get(path, fetched / path.relative_to(there))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(fetched, folder)
        finally:
            shutil.rmtree(fetched, ignore_errors=True)


def model_bucket(workspace: Workspace) -> ModelBucket | None:
    """The URL of the workspace's versions, if params.yaml names one."""
    bucket = bucket_of(workspace, "models")
    return None if bucket is None else ModelBucket(workspace.bentoml_home / "models", bucket)
