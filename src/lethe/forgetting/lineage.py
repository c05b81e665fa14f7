"""Which artifacts come from data that are still held: every digest that one names must be of something that lives."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from pydantic import JsonValue

from lethe.build.decision import Decisions
from lethe.build.inputs import PackageInputs
from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.workspace import Workspace
from lethe.forgetting.known_tables import table_digests
from lethe.tables.reader import Reader

_DIGEST = re.compile("[0-9a-f]{64}")
_NO_DATA = ("code", "config", "environment")
"""Inputs of an artifact that can't come from rows."""


def live_artifacts(
    workspace: Workspace, kept: Iterable[Version] | None = None, reader: Reader | None = None
) -> dict[str, set[str]]:
    """Keys, by dataset, of every artifact that comes from today's data, or from the data of a version that is ``kept``
    (default: all that are stored); all others are superseded.

    Of any kind: an artifact lives if each digest in its inputs is that of a table which is there today, or was there
    for such a version, or of another artifact that lives, and it names at least one. A sub-model so lives while a shard
    with its rows does, also that of a candidate that didn't win: it saw nothing else. A package also has to be one of a
    kept version; the snapshots of those live, and the ensembles that they were chosen by, which saw the same data.
    """
    versions = list(Registry(workspace).all_versions() if kept is None else kept)
    artifacts = list(ArtifactStore(workspace.artifacts).all())
    packages = {version.key for version in versions}
    waiting = [a for a in artifacts if a.kind != "package" or a.key in packages]
    named = {a.key: frozenset(_named(a)) for a in waiting}
    live, decisions = {}, Decisions.read(workspace)
    for dataset in workspace.datasets():
        infos = [version.info for version in versions if version.info.dataset == dataset]
        tables = table_digests(workspace, dataset, infos, reader or Reader())
        tables = tables.union(*(info.tables.values() for info in infos))
        # What stands for a kept version: the tables it began with, and the build on their training part.
        snapshots = {info.snapshot.key for info in infos}
        compared = {decisions.comparison(version) for version in versions if version.info.dataset == dataset}
        live[dataset] = _closure(waiting, named, tables, snapshots | compared)
    return live


def live_digests(workspace: Workspace, kept: Iterable[Version], reader: Reader | None = None) -> set[str]:
    """Digests of those artifacts."""
    alive = set[str]().union(*live_artifacts(workspace, kept, reader).values())
    return {artifact.digest for artifact in ArtifactStore(workspace.artifacts).all() if artifact.key in alive}


def superseded(workspace: Workspace, datasets: Collection[str], reader: Reader | None = None) -> list[Version]:
    """The versions of these datasets, served or not, that aren't made of what remains: they saw what is forgotten."""
    reader = reader or Reader()
    remaining = {dataset: reader.digest_beside(workspace.interactions(dataset)) for dataset in datasets}
    versions = Registry(workspace).all_versions()
    return [v for v in versions if v.info.data_digest != remaining.get(v.info.dataset, v.info.data_digest)]


def kept_versions(workspace: Workspace, datasets: Collection[str], reader: Reader | None = None) -> list[Version]:
    """The stored versions that a forget run over these datasets doesn't supersede."""
    gone = {version.tag for version in superseded(workspace, datasets, reader)}
    return [version for version in Registry(workspace).all_versions() if version.tag not in gone]


def _closure(artifacts: list[Artifact], named: dict[str, frozenset[str]], tables: set[str], kept: set[str]) -> set[str]:
    alive, keys = set(tables), set[str]()
    while new := [
        a for a in artifacts if a.key not in keys and (a.key in kept or (named[a.key] and named[a.key] <= alive))
    ]:
        keys |= {a.key for a in new}
        alive |= {name for a in new for name in (a.key, a.digest)}
    return keys


def _named(artifact: Artifact) -> Iterator[str]:
    inputs = artifact.inputs
    if artifact.kind == "package":
        # What it shows of the rows is part of its ensemble's data; it has no table of its own.
        info = PackageInputs.of(artifact).info
        inputs = {"ensemble": info.ensemble.digest, "snapshot": info.snapshot.digest, "data": info.data_digest}
    yield from _digests({name: value for name, value in inputs.items() if name not in _NO_DATA})


def _digests(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _digests(inner)
    elif isinstance(value, str) and _DIGEST.fullmatch(value):
        yield value
