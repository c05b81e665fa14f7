"""The end of a run: subjects erased, certificates signed, requests completed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from lethe.core.artifacts import ArtifactStore
from lethe.core.canonical import digest_file
from lethe.core.workspace import Workspace
from lethe.forgetting import certificate
from lethe.forgetting.erasure import must_be_clean, needles_of
from lethe.forgetting.intake import hide, ledger, pending
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.run import Run
from lethe.forgetting.state import State
from lethe.forgetting.stores import purge
from lethe.forgetting.stores.stores import LedgerStore


def complete(workspace: Workspace, run: Run) -> None:
    """Erase the subjects, sign the certificates, end the requests, and let the service answer normally again."""
    assert run.ended is not None, "a run is erased before it is completed"
    book, ended = ledger(workspace), run.ended
    shards = {family: _shards(run, family) for family in ended.after.of(*run.datasets).families}
    seconds = {"total": round(time.time() - run.started, 2), "training": _training_seconds(workspace, run)}
    needles = needles_of(workspace, book, run, ended.after)
    requests = [request for request in book.erase(run.requests) if request.state != "completed"]
    must_be_clean(purge.scan([LedgerStore(book)], needles))
    head = book.check_chain()
    results: dict[str, dict[str, Any]] = {}
    for request in requests:
        signed = certificate.sign(**_certificate(run, request, shards, seconds), ledger_head=head)
        path = certificate.write(signed, workspace.certificates)
        results[request.id] = {
            "outcome": "forgotten",
            "shards_touched": run.touched,
            "shards_retrained": [f"{family}/{shard}" for family, of in shards.items() for shard in of.retrained],
            "shards_reused": [f"{family}/{shard}" for family, of in shards.items() for shard in of.reused],
            "purged": [{"store": one.store, "removed": one.removed} for one in ended.purged],
            "scan": {"stores": len(ended.scan.stores), "found": ended.scan.found},
            "certificate": str(path.relative_to(workspace.root)),
            # Through the result's digest it is part of the chain: nobody can put another certificate in its place.
            "certificate_digest": digest_file(path),
            "seconds": seconds,
        }
    book.complete_all(results)
    hide(workspace, pending(workspace))
    Run.discard(workspace)


def _shards(run: Run, family: str) -> certificate.Shards:
    """Which shards held the subjects, which sub-models were trained anew, and which were used again."""
    assert run.ended is not None
    replaced, now = run.before.families.get(family), run.ended.after.families[family].sub_models
    before = {} if replaced is None else replaced.sub_models
    return certificate.Shards(
        touched=tuple(shard for planned in run.plan if planned.family == family for shard in planned.touched),
        retrained=tuple(shard for shard, digest in now.items() if before.get(shard) != digest),
        reused=tuple(shard for shard, digest in now.items() if before.get(shard) == digest),
    )


def _training_seconds(workspace: Workspace, run: Run) -> float:
    """Seconds of making what this run trained and aggregated."""
    made = [artifact.record() for artifact in ArtifactStore(workspace.artifacts).all()]
    return round(sum(r.get("seconds", 0.0) for r in made if r.get("made", 0.0) >= run.started), 3)


def _certificate(
    run: Run, request: ForgetRequest, shards: dict[str, certificate.Shards], seconds: dict[str, float]
) -> dict[str, Any]:
    assert run.ended is not None
    plans = {planned.family: planned for planned in run.plan if planned.dataset == request.dataset}
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
        "guarantee": {family: planned.guarantee for family, planned in plans.items()},
        "residues": {family: planned.residues for family, planned in plans.items()},
        "outside_reach": run.ended.outside_reach,
        "before": _signed_digests(run.before, request.dataset),
        "after": _signed_digests(run.ended.after, request.dataset),
        "shards": {family: shards[family] for family in plans},
        "seconds": seconds,
        "purged": run.ended.purged,
        "scan": run.ended.scan,
        "verify": {"result": "not run", "compared": 0, "differing": []},
    }


def _signed_digests(state: State, dataset: str) -> certificate.Digests:
    own = state.of(dataset)
    return certificate.Digests(
        data=own.datasets[dataset].interactions,
        shards=own.shards,
        artifacts=own.artifacts,
        code=own.code,
        environment=own.environment,
    )
