"""A forget request from the command line to its certificate. Each step of ``flows/forgetting.py`` is a function here.

A run's own record, .lethe/run.json, is written before anything changes and holds digests only. Every step can be
repeated, so that a run that was killed goes on with the same requests where it stopped.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from lethe import __version__
from lethe.artifacts import ArtifactStore
from lethe.config import Params, digest_json
from lethe.data.interactions import Interactions
from lethe.data.suppression import Suppressed, SuppressionList, publish_suppressed_users
from lethe.environment import numeric_environment, whole_code_digest
from lethe.errors import LetheError, RequestError
from lethe.keys import subject_digest
from lethe.pipeline import Builder, Recipe
from lethe.registry import Registry
from lethe.serving import deploy
from lethe.unlearning import certificate, purge
from lethe.unlearning.ledger import Ledger
from lethe.unlearning.planner import Plan, Served, plan
from lethe.unlearning.requests import ForgetRequest, holds
from lethe.unlearning.scan import Needles
from lethe.unlearning.stores import LedgerStore
from lethe.workspace import Workspace


def ledger(workspace: Workspace) -> Ledger:
    return Ledger(workspace.ledger_url)


def pending(workspace: Workspace) -> list[ForgetRequest]:
    return ledger(workspace).pending()


def submit(
    workspace: Workspace, dataset: str | None, user: str, items: Sequence[str], reason: str = "user request"
) -> ForgetRequest:
    """Take a request: accepted, or completed at once where nothing is held. Raises RequestError."""
    params = Params.read(workspace.params)
    known = params.pipeline.datasets
    if dataset is None and len(known) > 1:
        raise RequestError(f"dataset: must be named where there are several: {', '.join(known)}")
    name = dataset or known[0]
    book = ledger(workspace)
    due = params.forgetting.due_days
    path = workspace.interactions(name)
    if not path.is_file():
        raise RequestError(f"dataset: {name} has no data yet, so nobody can tell what it holds; run lethe train first")
    request, created = book.add(name, user, items, reason, datasets=known, due_days=due)
    if not created and request.state != "received":
        return request
    if holds(Interactions.read(path), request) == 0:
        return book.nothing_held(request.id)
    # Hidden first, accepted then: from acceptance on, no answer comes from data whose erasure was accepted.
    _hide(workspace, [*pending(workspace), request])
    return book.advance(request.id, "accepted")


def _hide(workspace: Workspace, requests: Sequence[ForgetRequest]) -> None:
    """The service answers these users from popularity: whoever asked, for all of it or for a part."""
    digests = {subject_digest(r.dataset, r.user) for r in requests if r.user is not None}
    publish_suppressed_users(workspace.serving_suppression, digests)


def current_plan(workspace: Workspace) -> Plan:
    """What the waiting requests touch."""
    return plan(workspace, pending(workspace), _served(workspace))


def _served(workspace: Workspace) -> list[Served]:
    recipes = _recipes(workspace)
    return [Served(family, r.dataset, r.sharding, r.layout) for family, r in recipes.items()]


def _recipes(workspace: Workspace) -> dict[str, Recipe]:
    registry = Registry(workspace)
    versions = {family: registry.current(family) for family in registry.families()}
    return {f: Recipe.parse(v.info["recipe"], "recipe") for f, v in versions.items() if v is not None}


# --- the steps of a run ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One batch of requests on its way; digests and names only."""

    requests: tuple[str, ...]
    datasets: tuple[str, ...]
    plan: dict[str, Any]
    before: dict[str, Any]
    started: float
    ended: dict[str, Any] | None = None

    @classmethod
    def read(cls, workspace: Workspace) -> Run | None:
        path = workspace.state / "run.json"
        if not path.is_file():
            return None
        values = json.loads(path.read_text())
        return cls(**{**values, "requests": tuple(values["requests"]), "datasets": tuple(values["datasets"])})

    def write(self, workspace: Workspace) -> Run:
        temporary = workspace.state / ".run.json.tmp"
        temporary.write_text(json.dumps(asdict(self)))
        os.replace(temporary, workspace.state / "run.json")
        return self


def begin(workspace: Workspace) -> Run | None:
    """The interrupted run, or a new one over every accepted request; None if there is nothing to do."""
    run = Run.read(workspace)
    book = ledger(workspace)
    if run is None:
        waiting = [request for request in book.pending() if _still_held(workspace, book, request)]
        if not waiting:
            return None
        run = Run(
            requests=tuple(request.id for request in waiting),
            datasets=tuple(sorted({request.dataset for request in waiting})),
            plan=plan(workspace, waiting, _served(workspace)).to_json(),
            before=_state(workspace),
            started=time.time(),
        ).write(workspace)
    for request in map(book.get, run.requests):
        if request.state == "accepted":
            book.advance(request.id, "planned", touched=_touched(run))
    return run


def _still_held(workspace: Workspace, book: Ledger, request: ForgetRequest) -> bool:
    if request.state not in ("accepted", "planned"):
        return True
    if holds(Interactions.read(workspace.interactions(request.dataset)), request):
        return True
    # An earlier run took the same rows with it.
    book.nothing_held(request.id)
    return False


def _touched(run: Run) -> list[str]:
    return [f"{f['family']}/{shard}" for f in run.plan["families"] for shard in f["shards_touched"]]


def remove_rows(workspace: Workspace, run: Run) -> None:
    """Keyed digests join the suppression list; our own copies of sources are rewritten without the rows."""
    book = ledger(workspace)
    for request in map(book.get, run.requests):
        if request.state == "planned":
            request = book.advance(request.id, "executing")
        if request.user is not None:
            suppress(workspace, request.dataset, [(request.user, request.items)], request.received.timestamp())


def suppress(workspace: Workspace, dataset: str, subjects: Sequence[tuple[str, Sequence[str]]], at: float) -> None:
    """Put users (or, with items, their interactions) on the suppression list, and rewrite our source copy."""
    entries: list[Suppressed] = []
    for user, items in subjects:
        entries += [Suppressed.interaction(dataset, user, item, int(at)) for item in items]
        entries += [] if items else [Suppressed.user(dataset, user, int(at))]
    listed = SuppressionList.read(workspace.suppression).add(entries)
    copy = workspace.source_copy(dataset)
    if copy.is_file():
        listed.drop(Interactions.read(copy), dataset).write(copy)


def confirm(workspace: Workspace, run: Run) -> None:
    """No served version may come from other data than what remains; then the requests are verified.

    Raises LetheError if one does, or if rows of a request are still there.
    """
    book = ledger(workspace)
    remaining = {d: Interactions.read(workspace.interactions(d)) for d in run.datasets}
    requests = [book.get(id) for id in run.requests]
    for request in requests:
        left = holds(_not_newer(remaining[request.dataset], request), request)
        if left:
            raise LetheError(f"{request.id}: {left} rows are still in the data after removal, there must be none")
    registry = Registry(workspace)
    for family, recipe in _recipes(workspace).items():
        version = registry.current(family)
        if version is None or recipe.dataset not in remaining:
            continue
        if version.info["data_digest"] != remaining[recipe.dataset].digest():
            raise LetheError(f"{family}: {version.tag} was not rebuilt from the remaining data")
    for request in requests:
        if request.state == "executing":
            book.advance(request.id, "verified")


def _not_newer(rows: Interactions, request: ForgetRequest) -> Interactions:
    # A person may come back: what a user did after asking is new data.
    if request.kind != "user" or rows.timestamps is None:
        return rows
    return rows.take(rows.timestamps <= request.received.timestamp())


def _state(workspace: Workspace) -> dict[str, Any]:
    """Digests of data, shards, artifacts and versions as they are now."""
    registry = Registry(workspace)
    families: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for family, recipe in _recipes(workspace).items():
        version = registry.current(family)
        assert version is not None
        families[family] = {"version": version.tag, "digest": version.digest, "sub_models": version.info["sub_models"]}
        path = workspace.interactions(recipe.dataset)
        data[recipe.dataset] = Interactions.read(path).digest()
        builder = Builder(workspace, recipe)
        for name in builder.shard_names():
            data[f"{recipe.dataset}/{recipe.sharding}/{name}"] = builder.shard(name).digest()
    code = {"version": __version__, "digest": whole_code_digest()}
    return {"data": data, "families": families, "code": code, "environment": numeric_environment("cpu")}


def _shards(run: Run, after: dict[str, Any]) -> dict[str, list[str]]:
    """Which shards held the subjects, which sub-models were trained anew, and which were used again."""
    retrained: list[str] = []
    reused: list[str] = []
    for family, now in after["families"].items():
        before = run.before["families"].get(family, {"sub_models": {}})["sub_models"]
        for name, digest in now["sub_models"].items():
            (reused if before.get(name) == digest else retrained).append(f"{family}/{name}")
    return {"shards_touched": _touched(run), "shards_retrained": retrained, "shards_reused": reused}


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
    needles = _needles(workspace, book, run)
    removed = purge.purge(places, needles)
    scan = purge.scan(places, needles)
    _must_be_clean(scan)
    ended = {
        "purged": [one.to_json() for one in removed],
        "scan": scan.to_json(),
        "outside_reach": [*_sources_outside(workspace, run), *purge.outside_reach(workspace, book)],
    }
    return replace(run, ended=ended).write(workspace)


def _must_be_clean(scan: purge.Scan) -> None:
    if scan.found:
        where = next(f"{store}: {found[0]}" for store, found in scan.places.items() if found)
        raise LetheError(f"scan: {scan.found} places still hold forgotten data, there must be none; first: {where}")


def _needles(workspace: Workspace, book: Ledger, run: Run) -> list[Needles]:
    """What must be gone: the subjects, and every digest of before that is of nothing now."""
    requests = [book.get(id) for id in run.requests]
    after = _state(workspace)
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
    return found


def live_artifacts(workspace: Workspace) -> dict[str, set[str]]:
    """Keys, by dataset, of every artifact that comes from today's data alone; all others are superseded.

    A sub-model lives while a shard with its rows does, also that of a candidate that didn't win: it saw nothing else.
    """
    params = Params.read(workspace.params)
    registry = Registry(workspace)
    served = {version.key for family in registry.families() if (version := registry.current(family)) is not None}
    artifacts = list(ArtifactStore(workspace.artifacts).all())
    alive: dict[str, set[str]] = {}
    for dataset in params.pipeline.datasets:
        folder = workspace.root / "data" / dataset
        rows = {Interactions.read(path).digest() for path in folder.glob("*/shards/*.parquet")}
        rows |= {Interactions.read(path).digest() for path in workspace.split(dataset).glob("*.parquet")}
        trained = [a for a in artifacts if a.kind in ("sub-model", "ensemble") and a.inputs["data"] in rows]
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


def complete(workspace: Workspace, run: Run) -> None:
    """Erase the subjects, sign the certificates, end the requests, and let the service answer normally again."""
    assert run.ended is not None, "a run is erased before it is completed"
    book = ledger(workspace)
    after = _state(workspace)
    shards = _shards(run, after)
    seconds = {"total": round(time.time() - run.started, 2), "training": _training_seconds(workspace, run)}
    needles = _needles(workspace, book, run)
    requests = [book.erase(id) for id in run.requests]
    _must_be_clean(purge.scan([LedgerStore(book)], needles))
    for request in requests:
        if request.state == "completed":
            continue
        signed = certificate.sign(**_certificate(book, run, request, after, shards, seconds))
        path = certificate.write(signed, workspace.certificates)
        result = {
            "outcome": "forgotten",
            **shards,
            "purged": [{"store": one["store"], "removed": one["removed"]} for one in run.ended["purged"]],
            "scan": {"stores": len(run.ended["scan"]["stores"]), "found": run.ended["scan"]["found"]},
            "certificate": str(path.relative_to(workspace.root)),
            "seconds": seconds,
        }
        book.complete(request.id, result)
    _hide(workspace, pending(workspace))
    (workspace.state / "run.json").unlink(missing_ok=True)


def _training_seconds(workspace: Workspace, run: Run) -> float:
    """Seconds of making what this run trained and aggregated."""
    made = [artifact.record() for artifact in ArtifactStore(workspace.artifacts).all()]
    return round(sum(r.get("seconds", 0.0) for r in made if r.get("made", 0.0) >= run.started), 3)


def _certificate(
    book: Ledger,
    run: Run,
    request: ForgetRequest,
    after: dict[str, Any],
    shards: dict[str, list[str]],
    seconds: dict[str, float],
) -> dict[str, Any]:
    assert run.ended is not None
    plans = {f["family"]: f for f in run.plan["families"] if f["dataset"] == request.dataset}
    return {
        "request": {
            "id": request.id,
            "kind": request.kind,
            "subject_digest": request.subject_digest,
            "reason": request.reason,
            "received": request.received.isoformat(),
            "completed": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "dataset": request.dataset,
        "guarantee": {family: one["guarantee"] for family, one in plans.items()},
        "residues": {family: one["residues"] for family, one in plans.items()},
        "outside_reach": run.ended["outside_reach"],
        "before": _signed_digests(run.before, request.dataset),
        "after": _signed_digests(after, request.dataset),
        "shards": {
            family: {kind: _of(family, shards[f"shards_{kind}"]) for kind in ("touched", "retrained", "reused")}
            for family in plans
        },
        "seconds": seconds,
        "purged": run.ended["purged"],
        "scan": run.ended["scan"],
        "verify": {"result": "not run", "compared": 0, "differing": []},
        "ledger_head": book.check_chain(),
    }


def _of(family: str, names: list[str]) -> list[str]:
    return [name.partition("/")[2] for name in names if name.startswith(f"{family}/")]


def _signed_digests(state: dict[str, Any], dataset: str) -> dict[str, Any]:
    artifacts = {}
    for family, one in state["families"].items():
        artifacts[f"{family}/package"] = one["digest"]
        artifacts |= {f"{family}/sub-model/{name}": digest for name, digest in one["sub_models"].items()}
    return {
        "data": state["data"].get(dataset, ""),
        "shards": {name: d for name, d in state["data"].items() if name.startswith(f"{dataset}/")},
        "artifacts": artifacts,
        "code": state["code"]["digest"],
        "environment": digest_json(state["environment"]),
    }
