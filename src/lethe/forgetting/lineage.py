"""Which artifacts come from today's data alone: every digest that one names must be of something that lives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.canonical import digest_file
from lethe.core.workspace import Workspace
from lethe.learning.slices import slice_rows
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables, content_digest, digest_beside

_DIGEST = re.compile("[0-9a-f]{64}")
_NO_DATA = ("code", "config", "environment")
"""Inputs of an artifact that can't come from rows."""


def live_artifacts(workspace: Workspace) -> dict[str, set[str]]:
    """Keys, by dataset, of every artifact that comes from today's data alone; all others are superseded.

    Of any kind: an artifact lives if each digest in its inputs is that of a table which is there today or of another
    artifact that lives, and it names at least one. A sub-model so lives while a shard with its rows does, also that of
    a candidate that didn't win: it saw nothing else. Only a package also has to be served.
    """
    artifacts = list(ArtifactStore(workspace.artifacts).all())
    served = {version.key for version in Registry(workspace).served().values()}
    waiting = [a for a in artifacts if a.kind != "package" or a.key in served]
    named = {a.key: frozenset(_named(a)) for a in waiting}
    return {
        dataset: _closure(waiting, named, _tables(workspace, dataset))
        for dataset in Params.read(workspace.params).pipeline.datasets
    }


def live_digests(workspace: Workspace) -> set[str]:
    """Digests of those artifacts."""
    alive = set[str]().union(*live_artifacts(workspace).values())
    return {artifact.digest for artifact in ArtifactStore(workspace.artifacts).all() if artifact.key in alive}


def _closure(artifacts: list[Artifact], named: dict[str, frozenset[str]], tables: set[str]) -> set[str]:
    alive, keys = set(tables), set[str]()
    while found := [a for a in artifacts if a.key not in keys and named[a.key] and named[a.key] <= alive]:
        keys |= {a.key for a in found}
        alive |= {name for a in found for name in (a.key, a.digest)}
    return keys


def _named(artifact: Artifact) -> Iterator[str]:
    inputs = artifact.inputs
    if artifact.kind == "package":
        # What it shows of the rows is part of its ensemble's data; it has no table of its own.
        inputs = {"ensemble": inputs["info"]["ensemble"], "data": inputs["info"]["data_digest"]}
    yield from _digests({name: value for name, value in inputs.items() if name not in _NO_DATA})


def _digests(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _digests(inner)
    elif isinstance(value, str) and _DIGEST.fullmatch(value):
        yield value


def _tables(workspace: Workspace, dataset: str) -> set[str]:
    """Digests of every table of a dataset: of its bytes, and of its content where it holds interactions."""
    digests: set[str] = set()
    for path in (workspace.root / "data" / dataset).rglob("*.parquet"):
        digests.add(digest_file(path))
        if {"user", "item"} <= set(pq.read_schema(path).names):
            digests |= {Interactions.read(path).digest(), digest_beside(path)}
        if path.parent.name == "shards" and "slice" in pq.read_schema(path).names:
            digests |= _slices(path)
    return digests


def _slices(path: Path) -> set[str]:
    """Digests of what the slices of a shard learn from."""
    rows, tables = Interactions.read(path), SideTables.read(path.parent / "side" / path.stem)
    slices = pq.read_table(path, columns=["slice"])["slice"].to_numpy()
    return {content_digest(*slice_rows(rows, tables, slices, last)) for last in np.unique(slices)}
