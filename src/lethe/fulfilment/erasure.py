"""Emptying every store of what is superseded, and the scan that shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from lethe.artifacts import ArtifactStore
from lethe.config import Params
from lethe.data.interactions import Interactions
from lethe.errors import LetheError
from lethe.fulfilment.intake import ledger
from lethe.fulfilment.run import Run
from lethe.fulfilment.served import state_of
from lethe.pipeline import stages_before
from lethe.registry import Registry
from lethe.serving import deploy
from lethe.unlearning import purge
from lethe.unlearning.ledger import Ledger
from lethe.unlearning.scan import Needles
from lethe.workspace import Workspace


def erase(workspace: Workspace, run: Run) -> Run:
    """Empty every store of what is superseded, then scan them all; raises LetheError if anything is found."""
    book = ledger(workspace)
    places = purge.stores(
        workspace,
        artifacts=live_artifacts(workspace),
        ledger=book,
        retire_models=lambda: _retire_models(workspace),
        retire_bentos=lambda: len(deploy.retire_bentos(workspace, ())),
    )
    needles = needles_of(workspace, book, run)
    removed = purge.purge(places, needles)
    scan = purge.scan(places, needles)
    must_be_clean(scan)
    ended = {
        "purged": [one.to_json() for one in removed],
        "scan": scan.to_json(),
        "outside_reach": [*_sources_outside(workspace, run), *purge.outside_reach(workspace, book)],
    }
    return replace(run, ended=ended).write(workspace)


def must_be_clean(scan: purge.Scan) -> None:
    if scan.found:
        where = next(f"{store}: {found[0]}" for store, found in scan.places.items() if found)
        raise LetheError(f"scan: {scan.found} places still hold forgotten data, there must be none; first: {where}")


def needles_of(workspace: Workspace, book: Ledger, run: Run) -> list[Needles]:
    """What must be gone: the subjects, and every digest of before that is of nothing now."""
    requests = [book.get(id) for id in run.requests]
    after = state_of(workspace)
    old = _digests(run.before) - _digests(after)
    return [
        Needles.of(dataset, requests, Interactions.read(workspace.interactions(dataset)), digests=old)
        for dataset in run.datasets
    ]


def _digests(state: dict[str, Any]) -> set[str]:
    families = state["families"].values()
    versions = {one["digest"] for one in families} | {
        digest for one in families for digest in one["sub_models"].values()
    }
    return versions | set(state["data"].values())


def _retire_models(workspace: Workspace) -> int:
    registry = Registry(workspace)
    gone = 0
    for family in registry.families():
        current = registry.current(family)
        for version in registry.versions(family):
            if current is not None and version.tag != current.tag:
                registry.retire(version.tag)
                gone += 1
    return gone


def _sources_outside(workspace: Workspace, run: Run) -> list[str]:
    found = []
    for dataset in run.datasets:
        source = json.loads(workspace.source_digest(dataset).read_text())
        if source["reach"] == "outside":
            found.append(f"source of {dataset} ({source['kind']}): only read; its owner has to remove the rows there")
        found += [f"{name}: its table is only read" for name in source if name.startswith("placement of ")]
    return found


def live_artifacts(workspace: Workspace) -> dict[str, set[str]]:
    """Keys, by dataset, of every artifact that comes from today's data alone; all others are superseded.

    A sub-model lives while a shard with its rows does, also that of a candidate that didn't win: it saw nothing else.
    """
    params = Params.read(workspace.params)
    registry = Registry(workspace)
    served = {version.key for family in registry.families() if (version := registry.current(family)) is not None}
    store = ArtifactStore(workspace.artifacts)
    artifacts = list(store.all())
    alive: dict[str, set[str]] = {}
    for dataset in params.pipeline.datasets:
        folder = workspace.root / "data" / dataset
        rows = {Interactions.read(path).digest() for path in folder.glob("*/shards/*.parquet")}
        rows |= {Interactions.read(path).digest() for path in workspace.split(dataset).glob("*.parquet")}
        trained = [a for a in artifacts if a.kind in ("sub-model", "ensemble") and a.inputs["data"] in rows]
        trained += [stage for artifact in trained for stage in stages_before(store, artifact)]
        ensembles = {artifact.digest for artifact in trained if artifact.kind == "ensemble"}
        keys = {artifact.key for artifact in trained}
        for artifact in artifacts:
            measured = artifact.kind == "evaluation" and artifact.inputs["ensemble"] in ensembles
            if measured and set(artifact.inputs["data"].values()) <= rows:
                keys.add(artifact.key)
            if artifact.kind == "package" and artifact.key in served and artifact.inputs["info"]["dataset"] == dataset:
                keys.add(artifact.key)
        alive[dataset] = keys
    return alive
