"""The rebuild inside a forget run: what is touched is made again, and a certificate says exactly that."""

from __future__ import annotations

import pytest
import yaml

from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core import cores
from lethe.core.artifacts import ArtifactStore
from lethe.core.environment import numeric_environment
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, EvidenceError, NotComparable
from lethe.forgetting import certificate, completion, erasure, intake
from lethe.forgetting.certificate import Erasure, Verification
from lethe.forgetting.certificate.claims import SENTENCES
from lethe.forgetting.certificate.content import drawn
from lethe.forgetting.run import Run
from lethe.proof.rebuild import place_to_build
from lethe.proof.reproduce import reproduce
from lethe.proof.request import prove
from lethe.tables.interactions import Interactions
from tests.house import ask, rebuild, train

GONE = "user-004"


def erased(workspace: Workspace, *users: str) -> Run:
    """A run up to the point where the rebuild is due."""
    ask(workspace, *users)
    return erasure.erase(workspace, rebuild(workspace))


def signed(workspace: Workspace, run: Run, verification: Verification) -> Erasure:
    completion.complete(workspace, run, verification)
    return certificate.read(workspace.certificates / f"{run.requests[0]}.json")


def test_what_is_made_anew_has_the_cores_that_params_yaml_gives(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int | None] = []
    monkeypatch.setattr(cores, "use", given.append)
    params = Params.read(tiny.params)
    one = params.model_copy(update={"training": params.training.model_copy(update={"threads": 1})})
    with place_to_build(tiny, one, "verify") as folder:
        assert given == [1]
        assert (folder.parent, folder.is_dir()) == (tiny.temporary, True)
    assert not folder.exists()


def test_what_was_touched_is_rebuilt_and_the_rest_carried(trained: Workspace) -> None:
    run = erased(trained, GONE)
    verification = prove(trained, run)
    assert verification.result == "equal"
    touched = {shard.partition("/")[2] for shard in run.touched if shard.startswith("sharded/")}
    assert len(touched) == 1, "one user lies in one of the three shards"
    assert len(verification.carried) == 2
    assert all(name.startswith("sharded/sub-model/") for name in verification.carried)
    expected = {"tiny/interactions", "sharded/package", "plain/package", f"sharded/sub-model/{touched.pop()}"}
    assert expected <= verification.rebuilt.keys()
    content = signed(trained, run, verification)
    assert content.families["sharded"].claim == SENTENCES["touched"]
    assert content.families["plain"].claim == SENTENCES["equal"]
    assert list(trained.temporary.iterdir()) == []


def test_where_a_family_does_not_repeat_the_certificate_says_how_far_scores_differ(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a graphics card: its environment says so, and the rebuild comes to other bytes."""
    there = {**numeric_environment("cpu"), "device": "a card", "repeatable": False}
    monkeypatch.setattr("lethe.build.builder.numeric_environment", lambda *_: there)
    train(tiny)
    run = erased(tiny, GONE)
    with monkeypatch.context() as fault:
        fault.setattr("lethe.build.builder.Stream", lambda seed: Stream(seed + 1))
        verification = prove(tiny, run)
    assert verification.result == "different"
    content = signed(tiny, run, verification)
    far, learnt = content.verification.scores["sharded"], Interactions.read(tiny.interactions("tiny"))
    assert (far.users, far.items) == (len(set(learnt.user_ids)), len(set(learnt.item_ids)))
    assert 0 < far.relative <= 2
    assert far.absolute > 0
    claim = content.families["sharded"].claim
    assert claim.startswith(SENTENCES["removed"])
    assert f"differ from a rebuild's by at most {far.absolute:.3g}, relatively {far.relative:.3g}" in claim
    assert content.environment == {**numeric_environment("cpu"), "device": "a card"}
    with pytest.raises(NotComparable, match=r": environment differ from the certificate's, nothing was built$"):
        reproduce(tiny, content)


def test_two_requests_of_one_batch_share_one_rebuild(trained: Workspace) -> None:
    run = erased(trained, GONE, "user-007")
    verification = prove(trained, run)
    completion.complete(trained, run, verification)
    for id in run.requests:
        content = certificate.read(trained.certificates / f"{id}.json")
        assert content.verification.rebuilt == verification.rebuilt


def test_above_a_size_a_sample_is_rebuilt_that_the_nonces_draw(tiny: Workspace) -> None:
    params = yaml.safe_load(tiny.params.read_text())
    params["forgetting"] = {"verify_above_rows": 10}
    params["audit"] = {"sample": 1}
    tiny.params.write_text(yaml.safe_dump(params))
    train(tiny)
    intake.submit(tiny, None, GONE, terms=intake.Terms(nonce="mine"))
    run = erasure.erase(tiny, rebuild(tiny))
    verification = prove(tiny, run)
    assert verification.sample is not None
    assert (verification.sample.nonces, verification.sample.origin) == (("mine",), "requesters")
    again = [f"{family}/sub-model/{shard}" for family, _, shard in (name.partition("/") for name in run.touched)]
    assert len(again) == 2, "one shard of the sharded family, and the whole of the plain one"
    chosen = drawn(again, 1, verification.sample.nonces)
    assert [name for name in verification.rebuilt if "/sub-model/" in name] == chosen
    content = signed(tiny, run, verification)
    assert {one.claim for one in content.families.values()} == {SENTENCES["sampled"]}


def test_what_was_made_of_other_rows_is_different_and_nothing_is_signed(trained: Workspace) -> None:
    run = erased(trained, GONE)
    table = trained.interactions("tiny")
    rows = Interactions.read(table)
    rows.take(slice(1, None)).write(table)
    verification = prove(trained, run)
    assert verification.result == "different"
    with pytest.raises(EvidenceError, match="nothing is signed: served differs from rebuilt: must be 0"):
        completion.complete(trained, run, verification)
    (request,) = intake.ledger(trained).get_all(run.requests)
    assert (request.state, request.user) == ("verified", GONE), "its subject is still there: the next run can go on"
    assert not list(trained.certificates.glob("req-*"))
    rows.write(table)
    assert signed(trained, run, prove(trained, run)).verification.result == "equal"


def test_a_source_that_grows_during_a_run_is_no_difference(trained: Workspace) -> None:
    run = erased(trained, GONE)
    with (trained.root / "ratings.csv").open("a") as file:
        file.write("user-001,item-019,3,9999\n")
    verification = prove(trained, run)
    assert verification.result == "equal"
    assert "tiny/interactions" not in verification.rebuilt, "there is nothing to compare it with"
    assert "tiny/split/train" in verification.rebuilt
    assert verification.left_out == ("tiny/interactions",), "and that is said"
    assert signed(trained, run, verification).families["plain"].claim == SENTENCES["equal"]


def test_what_other_code_made_is_not_compared_and_not_claimed(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = erased(trained, GONE)
    monkeypatch.setattr("lethe.build.builder.code_digest", lambda *what: "e" * 64)
    verification = prove(trained, run)
    assert verification.result == "not comparable"
    assert "code" in verification.reason
    assert {one.claim for one in signed(trained, run, verification).families.values()} == {SENTENCES["removed"]}


def test_a_family_that_is_no_longer_served_is_not_claimed_equal(trained: Workspace) -> None:
    run = erased(trained, GONE)
    for family in Registry(trained).families():
        Registry(trained).drop(family)
    assert prove(trained, run).result == "not run"


def test_a_carried_sub_model_is_checked_byte_for_byte(trained: Workspace) -> None:
    run = erased(trained, GONE)
    name = prove(trained, run).carried[0]
    digest = run.ended.after.artifacts[name] if run.ended else ""
    (artifact,) = [one for one in ArtifactStore(trained.artifacts).all() if one.digest == digest]
    weights = artifact.file("weights.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtifactError, match="is corrupt"):
        prove(trained, run)


def test_a_request_whose_evidence_does_not_hold_holds_up_no_other(trained: Workspace) -> None:
    run = erased(trained, GONE, "user-007")
    assert run.ended is not None
    failing, other = run.requests
    rows = run.ended.rows | {failing: run.ended.rows[failing].model_copy(update={"left": 1})}
    run = run.model_copy(update={"ended": run.ended.model_copy(update={"rows": rows})}).write(trained)
    assert completion.complete(trained, run, prove(trained, run)) == [other], (
        "what was fulfilled, not what was set aside"
    )
    failed, done = (intake.ledger(trained).get(id) for id in (failing, other))
    assert (failed.state, failed.failure, failed.user is None) == ("failed", "no-evidence", False)
    assert done.state == "completed"
    assert [path.stem for path in trained.certificates.glob("req-*")] == [other]
