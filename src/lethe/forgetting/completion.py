"""The end of a run: subjects erased, certificates signed, requests completed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from lethe.core.artifacts import ArtifactStore
from lethe.core.canonical import digest_file, digest_json
from lethe.core.workspace import Workspace
from lethe.forgetting import certificate
from lethe.forgetting.erasure import must_be_clean, needles_of
from lethe.forgetting.intake import hide, ledger, pending
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.run import Run, touched
from lethe.forgetting.state import state_of
from lethe.forgetting.stores import purge
from lethe.forgetting.stores.stores import LedgerStore


def complete(workspace: Workspace, run: Run) -> None:
    """Erase the subjects, sign the certificates, end the requests, and let the service answer normally again."""
    assert run.ended is not None, "a run is erased before it is completed"
    book = ledger(workspace)
    after = state_of(workspace)
    shards = _shards(run, after)
    seconds = {"total": round(time.time() - run.started, 2), "training": _training_seconds(workspace, run)}
    needles = needles_of(workspace, book, run)
    requests = [request for request in book.erase(run.requests) if request.state != "completed"]
    must_be_clean(purge.scan([LedgerStore(book)], needles))
    head = book.check_chain()
    results: dict[str, dict[str, Any]] = {}
    for request in requests:
        signed = certificate.sign(**_certificate(run, request, after, shards, seconds), ledger_head=head)
        path = certificate.write(signed, workspace.certificates)
        results[request.id] = {
            "outcome": "forgotten",
            **shards,
            "purged": [{"store": one["store"], "removed": one["removed"]} for one in run.ended["purged"]],
            "scan": {"stores": len(run.ended["scan"]["stores"]), "found": run.ended["scan"]["found"]},
            "certificate": str(path.relative_to(workspace.root)),
            # Through the result's digest it is part of the chain: nobody can put another certificate in its place.
            "certificate_digest": digest_file(path),
            "seconds": seconds,
        }
    book.complete_all(results)
    hide(workspace, pending(workspace))
    (workspace.state / "run.json").unlink(missing_ok=True)


def _shards(run: Run, after: dict[str, Any]) -> dict[str, list[str]]:
    """Which shards held the subjects, which sub-models were trained anew, and which were used again."""
    retrained: list[str] = []
    reused: list[str] = []
    for family, now in after["families"].items():
        before = run.before["families"].get(family, {"sub_models": {}})["sub_models"]
        for name, digest in now["sub_models"].items():
            (reused if before.get(name) == digest else retrained).append(f"{family}/{name}")
    return {"shards_touched": touched(run), "shards_retrained": retrained, "shards_reused": reused}


def _training_seconds(workspace: Workspace, run: Run) -> float:
    """Seconds of making what this run trained and aggregated."""
    made = [artifact.record() for artifact in ArtifactStore(workspace.artifacts).all()]
    return round(sum(r.get("seconds", 0.0) for r in made if r.get("made", 0.0) >= run.started), 3)


def _certificate(
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
    }


def _of(family: str, names: list[str]) -> list[str]:
    return [name.partition("/")[2] for name in names if name.startswith(f"{family}/")]


def _signed_digests(state: dict[str, Any], dataset: str) -> dict[str, Any]:
    artifacts = {}
    for family, one in state["families"].items():
        if one["dataset"] != dataset:
            continue
        artifacts[f"{family}/package"] = one["digest"]
        artifacts[f"{family}/ensemble"] = one["ensemble"]
        artifacts |= {f"{family}/sub-model/{name}": digest for name, digest in one["sub_models"].items()}
    return {
        "data": state["data"].get(dataset, ""),
        "shards": {name: d for name, d in state["data"].items() if name.startswith(f"{dataset}/")},
        "artifacts": artifacts,
        "code": state["code"]["digest"],
        "environment": digest_json(state["environment"]),
    }
