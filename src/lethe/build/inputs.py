"""What decides each artifact: frozen, in one canonical form (``Section.plain``), which its key is the digest of."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from lethe.config.dataset import Split
from lethe.config.measures import Measures
from lethe.config.section import Section
from lethe.core.artifacts import Artifact, Reference
from lethe.core.canonical import Json
from lethe.serving.package_info import PackageInfo


class Inputs(Section):
    """What an artifact is made from."""

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """Of one that is there. Raises ConfigError where it is of another kind."""
        return cls.parse(artifact.inputs, f"{artifact.kind} {artifact.key[:12]}")


class SubModelInputs(Inputs):
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


class EnsembleInputs(Inputs):
    """Of sub-models put together; ``data``: digest of the training rows, ``sub_models``: {shard: digest}."""

    data: str
    sub_models: dict[str, str]
    aggregator: str
    config: Json
    seed: int
    code: str
    environment: Json


class EvaluationInputs(Inputs):
    """Of an ensemble's metrics; ``data``: digest of each part of the split."""

    ensemble: str
    data: dict[str, str]
    measures: Measures
    code: str
    environment: Json = Field(default_factory=dict)
    """Of a GPU that made the rankings; empty for the CPU's."""


class SnapshotInputs(Inputs):
    """Of the tables that a build began with: their files, and how they are laid out from there."""

    dataset: str
    files: dict[str, str]
    """{name: SHA-256}"""
    split: Split
    clean: bool


class PackageInputs(Inputs):
    """Of a package: what it says of itself names everything that it is made of."""

    info: PackageInfo
    code: str
