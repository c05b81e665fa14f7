"""Forecast, erasure and what is left to go back to, on a trained workspace."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from lethe.build.registry import Registry
from lethe.core.artifacts import ArtifactStore
from lethe.core.canonical import digest_file
from lethe.core.environment import whole_code_digest
from lethe.core.keys import keyed
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError, EvidenceError, LetheError
from lethe.forgetting import certificate, completion, erasure, rollback, standing
from lethe.forgetting import run as runs
from lethe.forgetting.certificate.claims import SENTENCES
from lethe.proof.request import prove
from lethe.serving import hidden
from lethe.tables.interactions import Interactions
from lethe.tables.reader import Reader
from tests.house import ask, forget, rebuild, train

USERS = ("user-004", "user-007", "user-010")


def all_bytes(workspace: Workspace) -> dict[str, bytes]:
    files = [p for p in sorted(workspace.root.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    return {str(p.relative_to(workspace.root)): p.read_bytes() for p in files if p.suffix != ".lock"}


def test_a_dry_run_tells_bytes_per_store_and_changes_nothing(trained: Workspace) -> None:
    ask(trained, *USERS)
    before = all_bytes(trained)
    shares = {share.store: share for share in erasure.dry_run(trained)}
    assert all_bytes(trained) == before
    for name in ("data", "artifacts"):
        assert 0 < shares[name].removed < shares[name].bytes, name
    assert shares["models"].entries == 2, "every version is of the data that changes"
    assert shares["artifacts"].bytes == sum(p.stat().st_size for p in trained.artifacts.rglob("*") if p.is_file())
    assert shares["ledger"].bytes > 0
    assert not any(user in json.dumps([share.to_json() for share in shares.values()]) for user in USERS)


def test_many_requests_are_one_run_with_a_certificate_each(trained: Workspace) -> None:
    made = {artifact.key for artifact in ArtifactStore(trained.artifacts).all()}
    ids = forget(trained, *USERS)
    book = standing.ledger(trained)
    done = book.get_all(ids)
    assert [request.state for request in done] == ["completed"] * 3
    for request in done:
        path = trained.root / request.certificate
        signed = certificate.read(path)
        assert (signed.request.id, signed.request.subject_digest) == (request.id, request.subject_digest)
        assert signed.before["sharded/ensemble"] != signed.after_keyed["sharded/ensemble"]
        assert any(place.what.startswith("backups") for place in signed.outside_reach)
        assert signed.rows.held["interactions"] == signed.rows.removed["interactions"] > 0
        assert signed.request.hidden
        assert signed.families["sharded"].claim == SENTENCES["removed"], "no rebuild was made here"
        assert signed.scan.found == 0
        assert signed.materials["params.yaml"] == digest_file(trained.params)
    assert len({request.certificate for request in done}) == 3
    anew = [a for a in ArtifactStore(trained.artifacts).all() if a.key not in made and a.kind == "sub-model"]
    assert len(anew) == len(set(done[0].work.retrained)), "each touched shard was trained once for all"
    book.check_chain([signed.ledger_head])


def test_the_certificate_names_the_code_that_built_what_was_replaced_and_no_params_that_were_edited_meanwhile(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lethe.build.registry.whole_code_digest", lambda: "a" * 64)
    tiny.lock.write_text("torch==2.13.0\n")
    train(tiny)
    monkeypatch.undo()
    (id,) = ask(tiny, USERS[0])
    run = erasure.erase(tiny, rebuild(tiny))
    with tiny.params.open("a") as file:
        file.write("audit: {sample: 3}\n")
    completion.complete(tiny, run)
    path = tiny.root / standing.ledger(tiny).get(id).certificate
    signed = certificate.read(path)
    assert "params.yaml" not in signed.materials
    assert (signed.materials["code before"], signed.materials["code"]) == ("a" * 64, whole_code_digest())
    assert signed.materials["requirements.lock"] == digest_file(tiny.lock)


def test_digests_of_before_are_keyed(trained: Workspace) -> None:
    """From a plain one whoever has the other rows would find the forgotten ones by trial."""
    ask(trained, USERS[0])
    run = rebuild(trained)
    plain = run.before.datasets["tiny"].interactions
    completion.complete(trained, erasure.erase(trained, run))
    path = trained.certificates / f"{run.requests[0]}.json"
    signed = certificate.read(path)
    assert signed.before["tiny/interactions"] == keyed(plain)
    assert not run.before.digests() & set(signed.before.values())


def test_nothing_is_signed_while_a_text_of_the_ledger_names_the_subject(trained: Workspace) -> None:
    (id,) = ask(trained, USERS[0])
    ended = erasure.erase(trained, rebuild(trained))
    file = trained.state / "ledger.sqlite"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE requests SET ticket = ?", (f"of {USERS[0]}",))
    with pytest.raises(LetheError, match=r"scan: 1 places still hold forgotten data.*first: ledger: ledger: text"):
        completion.complete(trained, ended)
    assert not list(trained.certificates.glob("req-*"))
    assert standing.ledger(trained).get(id).state == "verified"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE requests SET ticket = NULL")
    resumed = runs.begin(trained)
    assert resumed is not None
    completion.complete(trained, erasure.erase(trained, resumed))
    assert standing.ledger(trained).get(id).state == "completed"


def test_what_an_older_version_saw_is_searched_for_in_every_store(trained: Workspace) -> None:
    ask(trained, USERS[0])
    run = rebuild(trained)
    (trained.reports / "old.json").write_text(json.dumps({"digest": run.before.datasets["tiny"].interactions}))
    (trained.state / "kept.json").write_text(json.dumps({"user_id": USERS[0]}))
    with pytest.raises(LetheError, match="scan: 1 places still hold forgotten data") as caught:
        erasure.erase(trained, run)
    assert "kept.json" in str(caught.value)
    assert USERS[0] not in str(caught.value)
    assert not (trained.reports / "old.json").exists()
    (trained.state / "kept.json").unlink()
    completion.complete(trained, erasure.erase(trained, run))
    assert standing.pending(trained) == []


def test_roll_back_goes_only_to_versions_built_after_the_last_completed_request(trained: Workspace) -> None:
    registry = Registry(trained)
    old = registry.served()["sharded"].tag
    ask(trained, USERS[0])
    run = rebuild(trained)
    with pytest.raises(DeploymentError, match="a forget run is on its way"):
        rollback.roll_back(trained, "sharded", old)
    completion.complete(trained, erasure.erase(trained, run))
    for to in (None, old):
        with pytest.raises(DeploymentError, match="built before the last completed forget request"):
            rollback.roll_back(trained, "sharded", to)
    with pytest.raises(DeploymentError, match="family: 'nope' must be one of plain, sharded"):
        rollback.roll_back(trained, "nope")

    clean = registry.served()["sharded"].tag
    package = ArtifactStore(trained.artifacts).get("package", registry.served()["plain"].key)
    newer = registry.promote("sharded", package, reason="newer", metrics={})
    assert newer != clean
    assert rollback.roll_back(trained, "sharded") == clean
    assert registry.served()["sharded"].tag == clean


def test_a_run_killed_after_the_ledger_erased_its_subjects_searches_for_the_same(trained: Workspace) -> None:
    (id,) = ask(trained, USERS[0])
    first = erasure.erase(trained, rebuild(trained))
    assert first.ended is not None
    assert first.ended.scan.needles["subjects"] == 1
    standing.ledger(trained).erase([id])

    resumed = runs.begin(trained)
    assert resumed == first, "the first scan's result is carried in the run"
    (trained.state / "kept.json").write_text(json.dumps({"user_id": USERS[0]}))
    with pytest.raises(LetheError, match="scan: 1 places still hold forgotten data"):
        erasure.erase(trained, resumed)
    (trained.state / "kept.json").unlink()
    source = trained.root / "ratings.csv"
    source.write_text(source.read_text() + "user-001,item-new,3,9999\n")
    train(trained)  # The night came before whoever resumes the run.
    last = erasure.erase(trained, resumed)
    completion.complete(trained, last, prove(trained, last))
    request = standing.ledger(trained).get(id)
    assert request.state == "completed"
    content = certificate.read(trained.root / request.certificate)
    assert content.scan == first.ended.scan
    assert content.after["tiny/interactions"] == Reader().digest_beside(trained.interactions("tiny"))
    assert content.verification.result == "equal"


def test_our_own_copy_of_a_source_is_rewritten(trained: Workspace) -> None:
    copy = trained.source_copy("tiny")
    whole = Interactions.read(trained.interactions("tiny"))
    whole.write(copy)
    ask(trained, USERS[0])
    run = runs.begin(trained)
    assert run is not None
    runs.remove_rows(trained, run)
    assert Interactions.read(copy).digest() == whole.take(whole.user_ids != USERS[0]).digest()


def test_a_copy_of_a_source_that_was_not_rewritten_is_found(trained: Workspace) -> None:
    whole = Interactions.read(trained.interactions("tiny"))
    ask(trained, USERS[0])
    run = rebuild(trained)
    whole.write(trained.source_copy("tiny"))
    with pytest.raises(LetheError, match=r"first: data: tiny/source\.parquet: user id"):
        erasure.erase(trained, run)


def test_who_was_not_hidden_at_acceptance_gets_no_certificate(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the service hides them by the time the run ends."""
    standing.publish_hidden(trained)
    with monkeypatch.context() as patched:
        patched.setattr(hidden, "publish", lambda *_: None)
        (id,) = ask(trained, USERS[0])
    standing.publish_hidden(trained)
    run = erasure.erase(trained, rebuild(trained))
    assert run.ended is not None
    assert run.ended.hidden == {id: False}
    with pytest.raises(EvidenceError, match="hidden from acceptance on: must be yes, is no"):
        completion.complete(trained, run)
