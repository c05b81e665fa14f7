"""Where a certificate goes: the project's folder, and the URL that params.yaml may name for them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from lethe.config.stores import bucket_of
from lethe.core.workspace import Workspace
from lethe.forgetting import certificate
from lethe.forgetting.certificate.files import C


def deposit(workspace: Workspace, content: C) -> Path:
    """Sign and write a certificate, at its URL too, and return its path here. Raises a LetheError where it isn't there
    byte for byte: its request is not completed then."""
    path: Path = certificate.write(content, workspace.certificates)
    if bucket := bucket_of(workspace, "certificates"):
        bucket.claimed()
        for file in (*sorted(path.parent.glob("signing-key-*.pem")), path):
            bucket.put(PurePosixPath(file.name), file)
    return path
