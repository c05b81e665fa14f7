"""What decides each artifact: frozen, in one canonical form (``Section.plain``), which its key is the digest of."""

from __future__ import annotations

from pydantic import Field

from lethe.config.dataset import Split
from lethe.config.measures import Measures
from lethe.config.section import Section
from lethe.core.artifacts import Artifact, Reference
from lethe.core.canonical import Json
from lethe.serving.package_info import PackageInfo


class SubModelInputs(Section):
    """Of a sub-model, or of a slice that it is resumed from."""

    data: str
    """Content digest of the rows and of what lies beside them."""
    shard: str
    model: str
    config: Json
    seed: int
    slice: int | None
    """The last of the slices that it has learnt; None where the shard was not laid in slices."""
    before: Reference | None
    """The slice that it was resumed from."""
    code: str
    environment: Json

    @classmethod
    def of(cls, artifact: Artifact) -> SubModelInputs:
        return cls.parse(artifact.inputs, f"{artifact.kind} {artifact.key[:12]}")


class EnsembleInputs(Section):
    """Of sub-models put together; ``data``: digest of the training rows, ``sub_models``: {shard: digest}."""

    data: str
    sub_models: dict[str, str]
    aggregator: str
    config: Json
    seed: int
    code: str
    environment: Json

    @classmethod
    def of(cls, artifact: Artifact) -> EnsembleInputs:
        return cls.parse(artifact.inputs, f"{artifact.kind} {artifact.key[:12]}")


class EvaluationInputs(Section):
    """Of an ensemble's metrics; ``data``: digest of each part of the split."""

    ensemble: str
    data: dict[str, str]
    measures: Measures
    code: str
    environment: Json = Field(default_factory=dict)
    """Of a GPU that made the rankings; empty for the CPU's."""


class SnapshotInputs(Section):
    """Of the tables that a build began with: their files, and how they are laid out from there."""

    dataset: str
    files: dict[str, str]
    """{name: SHA-256}"""
    split: Split
    clean: bool

    @classmethod
    def of(cls, artifact: Artifact) -> SnapshotInputs:
        return cls.parse(artifact.inputs, f"{artifact.kind} {artifact.key[:12]}")


class PackageInputs(Section):
    """Of a package: what it says of itself names everything that it is made of."""

    info: PackageInfo
    code: str

    @classmethod
    def of(cls, artifact: Artifact) -> PackageInputs:
        return cls.parse(artifact.inputs, f"{artifact.kind} {artifact.key[:12]}")
