"""One test for each trap in the theory of exact unlearning, under the trap's name: how the claim could be false while
every model looks right, and that it isn't."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.build.builder import Builder
from lethe.build.candidates import jobs
from lethe.build.recipes import candidate_recipe
from lethe.build.registry import Registry
from lethe.config.evaluation import Evaluation
from lethe.config.params import Candidate, Params
from lethe.core.artifacts import ArtifactStore
from lethe.core.canonical import digest_file
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.data.gates.__main__ import judge
from lethe.data.partition import Assignment
from lethe.data.stages import build_data
from lethe.errors import DeploymentError, ValidationError
from lethe.forgetting import certificate, completion, erasure, rollback, standing
from lethe.forgetting import run as runs
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.stores import purge
from lethe.forgetting.stores.needles import Needles
from lethe.proof.membership import audit_membership
from lethe.serving import hidden
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables
from tests import house
from tests.conftest import make_workspace, taste_blocks, write_csv
from tests.house import ask, forget, rebuild, train
from tests.side import side_tables
from tests.test_laws import build, without

GONE = "user-004"


def with_sharding(workspace: Workspace, name: str, **layout: object) -> str:
    """The workspace, with one more sharding laid out by its pipeline."""
    params = yaml.safe_load(workspace.params.read_text())
    params["shardings"][name] = layout
    params["pipeline"]["shardings"].append(name)
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return name


def builder(workspace: Workspace, model: str, sharding: str) -> Builder:
    params = Params.read(workspace.params)
    return Builder(workspace, candidate_recipe(workspace, params, "tiny", Candidate(model=model, sharding=sharding)))


def shard_of(workspace: Workspace, user: str, sharding: str = "user-hash-3") -> str:
    tables = sorted(workspace.shards("tiny", sharding).glob("*.parquet"))
    return next(path.stem for path in tables if user in Interactions.read(path).user_ids)


def names_in(workspace: Workspace, text: str) -> list[str]:
    """Files whose bytes, or whose columns, hold a text."""
    import pyarrow.parquet as pq

    found = []
    for path in sorted(p for p in workspace.root.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if content.startswith(b"PAR1"):
            content += json.dumps(pq.read_table(path).to_pydict(), default=str).encode()
        if text.encode() in content:
            found.append(str(path.relative_to(workspace.root)))
    return found


@pytest.mark.parametrize("partition", ["user-hash", "ubp"])
def test_partition_depends_on_data(partition: str, tmp_path: Path) -> None:
    """Survivors lie where they lay, with the user and without; that a frozen assignment saw him is said."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    name = with_sharding(workspace, "laid", partition=partition, num_shards=3, aggregator="mean")
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", [name])
    path = workspace.assignment("tiny", name) / "assignment.parquet"
    before = Assignment.read(path)
    runs.suppress(workspace, "tiny", [(GONE, ())])
    build_data(workspace, params, "tiny", [name])
    after = Assignment.read(path)
    kept = before.user_ids != GONE
    assert not kept.all()
    assert np.array_equal(before.user_ids[kept], after.user_ids)
    assert np.array_equal(before.item_ids[kept], after.item_ids)
    assert np.array_equal(before.shards[kept], after.shards)
    promise = certificate_promise(workspace, name)
    assert ("assignment" in promise) == (partition != "user-hash")


def certificate_promise(workspace: Workspace, sharding: str) -> str:
    from lethe.data.partition.guarantee import guarantee

    return guarantee(Params.read(workspace.params).shardings[sharding])


def test_pretrained_vectors(tmp_path: Path) -> None:
    """What a learnt partition was learnt with is not kept; no artifact is left that is older than the request and saw
    the user."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    params = yaml.safe_load(workspace.params.read_text())
    params["shardings"]["user-hash-3"]["partition"] = "ubp"
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    train(workspace)
    places = ("user-hash-3", "user-hash-3/all")
    files = {path.name for place in places for path in workspace.assignment("tiny", place).rglob("*.*")}
    assert files == {"assignment.parquet", "epoch.json"}
    untouched = {
        Interactions.read(path).digest()
        for place in places
        for path in workspace.shards("tiny", place).glob("*.parquet")
        if path.stem != shard_of(workspace, GONE, place)
    }
    asked = time.time()
    forget(workspace, GONE)
    made = [a for a in ArtifactStore(workspace.artifacts).all() if a.record().made < asked]
    assert len(untouched) == 4
    assert {(a.kind, a.inputs.get("data")) for a in made} == {("sub-model", digest) for digest in untouched}


def test_shard_reads_global_state(tmp_path: Path) -> None:
    """Other shards may hold anything: a shard's sub-model has the same bytes."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    build_data(workspace, Params.read(workspace.params), "tiny", ["user-hash-3"])
    random = np.random.default_rng(0)
    for model in ("bpr", "wmf", "lightgcn"):
        mine = builder(workspace, model, "user-hash-3").sub_model("00").digest
        fuzzed = make_workspace(tmp_path / f"fuzzed-{model}", taste_blocks())
        build_data(fuzzed, Params.read(fuzzed.params), "tiny", ["user-hash-3"])
        for name in ("01", "02"):
            path = fuzzed.shards("tiny", "user-hash-3") / f"{name}.parquet"
            rows = Interactions.read(path)
            rows.take(random.random(len(rows)) < 0.5).write(path)
        for part in ("train", "valid", "test"):
            path = fuzzed.split("tiny", part)
            rows = Interactions.read(path)
            rows.take(random.random(len(rows)) < 0.5).write(path)
        assert builder(fuzzed, model, "user-hash-3").sub_model("00").digest == mine, model


def test_popularity_weights_normalisers(tmp_path: Path) -> None:
    """The only data that a sub-model names are its own shard's, and what weighs by popularity counts there alone."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    build_data(workspace, Params.read(workspace.params), "tiny", ["mean-3"])
    for model in ("mostpop", "ultragcn", "item-knn"):
        artifact = builder(workspace, model, "mean-3").sub_model("00")
        digests = {name for name, value in artifact.inputs.items() if isinstance(value, str) and len(value) == 64}
        assert digests == {"data", "code"}
        assert artifact.inputs["data"] == builder(workspace, model, "mean-3").shard("00").digest()
    everybody = Interactions.read(workspace.split("tiny", "train"))
    path = workspace.shards("tiny", "mean-3") / "01.parquet"
    everybody.take(everybody.item_ids == "item-000").write(path)
    for model in ("mostpop", "ultragcn", "item-knn"):
        again = builder(workspace, model, "mean-3")
        before = again.sub_model("00")
        ArtifactStore(workspace.artifacts).remove(before)
        assert again.sub_model("00").digest == before.digest, "made anew beside another popularity"


def test_rng_coupling(tmp_path: Path) -> None:
    """A shard alone, after others or before them draws the same numbers."""
    digests = set()
    for place, order in enumerate((["00", "01", "02"], ["02", "01", "00"], ["01"])):
        workspace = make_workspace(tmp_path / str(place), taste_blocks())
        build_data(workspace, Params.read(workspace.params), "tiny", ["user-hash-3"])
        made = {name: builder(workspace, "bpr", "user-hash-3").sub_model(name).digest for name in order}
        digests.add(made["01"])
    assert len(digests) == 1


def test_shuffle_tensor_order(tmp_path: Path) -> None:
    """The order of the source's rows, and a row that has gone from among them, leave no trace in any byte."""
    rows = taste_blocks()
    workspace = make_workspace(tmp_path / "ordered", rows)
    shuffled = make_workspace(tmp_path / "shuffled", rows)
    header, *lines = (shuffled.root / "ratings.csv").read_text().splitlines()
    np.random.default_rng(0).shuffle(lines)
    (shuffled.root / "ratings.csv").write_text("\n".join([header, *lines]) + "\n")
    assert build(workspace, "bpr", "user-hash-3") == build(shuffled, "bpr", "user-hash-3")
    runs.suppress(shuffled, "tiny", [(GONE, ())])
    write_csv(without(rows, GONE), workspace.root / "ratings.csv")
    assert build(workspace, "bpr", "user-hash-3") == build(shuffled, "bpr", "user-hash-3")


def test_aggregator(tmp_path: Path) -> None:
    """It saw all rows, so it is trained anew each time, equals that of a build from scratch, and its time is told."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    train(workspace)
    old = Registry(workspace).served()["sharded"].info.ensemble
    forget(workspace, GONE)
    new = Registry(workspace).served()["sharded"].info.ensemble
    assert new != old
    never = make_workspace(tmp_path / "never", without(taste_blocks(), GONE))
    train(never)
    assert Registry(never).served()["sharded"].info.ensemble == new
    assert ArtifactStore(workspace.artifacts).get("ensemble", new.key).record().seconds > 0
    assert not list(workspace.artifacts.glob(f"ensemble/{old.key}"))


def test_graph_models(tmp_path: Path) -> None:
    """Deleting a user moves no vector of a shard that he was not in, though graphs spread what they see."""
    rows = taste_blocks()
    probed = {}
    for name, kept in (("with", rows), ("without", without(rows, GONE))):
        workspace = make_workspace(tmp_path / name, kept)
        build_data(workspace, Params.read(workspace.params), "tiny", ["user-hash-3"])
        one = builder(workspace, "lightgcn", "user-hash-3")
        probed[name] = {shard: one.sub_model(shard).digest for shard in one.shard_names()}
    changed = {shard for shard in probed["with"] if probed["with"][shard] != probed["without"].get(shard)}
    assert changed == {shard_of(Workspace(tmp_path / "with"), GONE)}


def test_early_stopping_model_choice(tmp_path: Path) -> None:
    """Metamorphic: a user who is only in the validation part leaves, and no sub-model changes."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", ["user-hash-3"])
    valid = Interactions.read(workspace.split("tiny", "valid"))
    mine, other = valid.take(slice(0, 1)), valid.take(slice(1, None))
    for part in ("train", "test"):
        path = workspace.split("tiny", part)
        without(Interactions.read(path), str(mine.user_ids[0])).write(path)
    for path in workspace.shards("tiny", "user-hash-3").glob("*.parquet"):
        without(Interactions.read(path), str(mine.user_ids[0])).write(path)
    one = builder(workspace, "enmf-u", "user-hash-3")
    before = {name: one.sub_model(name).digest for name in one.shard_names()}
    ensemble = one.ensemble({name: one.sub_model(name).key for name in one.shard_names()})
    measured = one.evaluation(ensemble.key, Evaluation(cutoffs=(10,))).digest
    without(other, str(mine.user_ids[0])).write(workspace.split("tiny", "valid"))
    made = len(list(ArtifactStore(workspace.artifacts).all()))
    assert {name: one.sub_model(name).digest for name in one.shard_names()} == before
    assert one.ensemble({name: one.sub_model(name).key for name in one.shard_names()}).digest == ensemble.digest
    assert len(list(ArtifactStore(workspace.artifacts).all())) == made
    assert one.evaluation(ensemble.key, Evaluation(cutoffs=(10,))).digest != measured, (
        "what was measured on him is measured again"
    )


def test_hyperparameters_winner(trained: Workspace) -> None:
    """Chosen on data with the user: neither is decided anew, and each certificate says so, and until when."""
    before = {family: version.recipe for family, version in Registry(trained).served().items()}
    (id,) = forget(trained, GONE)
    assert {family: version.recipe for family, version in Registry(trained).served().items()} == before
    signed = certificate.read(trained.certificates / f"{id}.json")
    for family in before:
        (residue,) = [one for one in signed.families[family].residues if "hyper-parameters" in one.what]
        assert residue.until == "the choice is made anew in the next epoch"
        assert signed.families[family].recipe == before[family].plain()


def test_social_kg_multi_behaviour(tmp_path: Path) -> None:
    """A friend's link, a feature, another behaviour name the user too: none of them is left anywhere, in any table."""
    rows = taste_blocks()
    workspace = make_workspace(tmp_path / "w", rows, ("eatnn", "ehcf"), side_tables(rows))
    params = yaml.safe_load(workspace.params.read_text())
    params["models"] |= {name: {"epochs": 2, "embedding_dim": 4} for name in ("eatnn", "ehcf")}
    params["families"].pop("sharded")
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    train(workspace)
    links = SideTables.read(workspace.side("tiny")).tables["links"]
    assert GONE in links["user"]
    assert GONE in links["friend"]
    source = [name for name in names_in(workspace, GONE) if "/" not in name]
    assert len(names_in(workspace, GONE)) > len(source) + 5
    forget(workspace, GONE)
    assert names_in(workspace, GONE) == source, "only the sources, which are not ours, still name him"


def test_adaptive_requests(tmp_path: Path) -> None:
    """Who is forgotten next may hang on what was answered before; the end is that of never having had them."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    train(workspace)
    gone = [GONE]
    forget(workspace, GONE)
    for _ in range(2):
        from lethe.serving.package import Package

        tag = Registry(workspace).served()["sharded"].tag
        package = Package.load(Registry(workspace).folder(tag))
        users = package.ensemble.catalogue.users.values
        best = package.ensemble.score(np.arange(len(users), dtype=np.int64)).max(axis=1)
        gone.append(str(users[int(best.argmax())]))
        forget(workspace, gone[-1])
    assert len(set(gone)) == 3
    never = make_workspace(tmp_path / "never", without(taste_blocks(), *gone))
    train(never)
    assert {f: v.digest for f, v in Registry(workspace).served().items()} == {
        f: v.digest for f, v in Registry(never).served().items()
    }


def test_two_versions_diffed(tmp_path: Path) -> None:
    """Old beside new would show who left: the old can't be had any more, and an attack is told with its interval."""
    workspace = make_workspace(tmp_path / "w", taste_blocks(users=40))
    train(workspace)
    old = {family: version.tag for family, version in Registry(workspace).served().items()}
    report = audit_membership(workspace, users=10)
    for looks in report["families"].values():
        assert set(looks) == {"before", "after"}
        assert all({"auc", "low", "high"} == set(found) for look in looks.values() for found in look.values())
    forget(workspace, GONE)
    for tag in old.values():
        assert not Registry(workspace).folder(tag).exists()
        with pytest.raises(DeploymentError, match="not in the model store"):
            Registry(workspace).version(tag)


def test_copies(trained: Workspace) -> None:
    """A canary's id is in no byte of the workspace, but for the source that the product only reads."""
    assert len(names_in(trained, GONE)) > 5
    forget(trained, GONE)
    assert names_in(trained, GONE) == ["ratings.csv"]


def test_re_ingestion(trained: Workspace) -> None:
    """A data stage that brings the user back is stopped by validation, with a count and without an id."""
    old = {path: path.read_bytes() for path in (trained.root / "data").rglob("*.parquet")}
    rows = Interactions.read(trained.interactions("tiny"))
    forget(trained, GONE)
    for path, content in old.items():
        path.write_bytes(content)
    with pytest.raises(ValidationError) as caught:
        judge(trained, Params.read(trained.params), "tiny")
    count = int((rows.user_ids == GONE).sum())
    assert f"{count} rows break this rule" in str(caught.value)
    assert "suppression list" in str(caught.value)
    assert GONE not in str(caught.value)
    assert not any(GONE in path.read_text() for path in (trained.reports / "validation").rglob("*.txt"))


def test_races(tiny: Workspace) -> None:
    """A request that lands between training and promotion: what is promoted saw him, but answers nobody from him, and
    the next run replaces it whatever its metrics."""
    params = Params.read(tiny.params)
    build_data(tiny, params, "tiny", list(params.pipeline.shardings))
    outcomes = [house.build(tiny, params, job) for job in jobs(tiny, params)]
    (id,) = ask(tiny, GONE)
    house.promote(tiny, params, outcomes)
    stale = {version.tag for version in Registry(tiny).served().values()}
    assert subject_digest("tiny", GONE) in hidden.read(tiny.hidden_users)
    run = rebuild(tiny)
    assert run.requests == (id,)
    completion.complete(tiny, erasure.erase(tiny, run))
    assert not stale & {version.tag for version in Registry(tiny).served().values()}
    assert all(Registry(tiny).is_retired(tag) for tag in stale)


def test_rollback_canary(trained: Workspace) -> None:
    """The version that saw the user is a tombstone: going back to it is refused."""
    old = Registry(trained).served()["plain"].tag
    forget(trained, GONE)
    with pytest.raises(DeploymentError, match="built before the last completed forget request"):
        rollback.roll_back(trained, "plain", old)


def test_identity_in_audit(trained: Workspace) -> None:
    """What is kept of a request names nobody: ids of requests are random, the digest needs the key."""
    (id,) = forget(trained, GONE)
    book = standing.ledger(trained)
    kept = json.dumps([book.get(id).to_json(), *(vars(event) for event in book.events())])
    kept += (trained.certificates / f"{id}.json").read_text() + trained.suppression.read_text()
    assert GONE not in kept
    import hashlib

    for name in ("sha256", "sha1", "md5"):
        for text in (GONE, f"tiny{GONE}", repr(("tiny", GONE, None))):
            assert hashlib.new(name, text.encode()).hexdigest() not in kept, "a digest without a key can be guessed"
    now = book.get(id).received
    ids = {ForgetRequest.new("tiny", GONE, now=now, datasets=["tiny"]).id for _ in range(20)}
    assert len(ids) == 20


def test_gpu_nondeterminism(tmp_path: Path) -> None:
    """Three times the same bytes here; what may change them elsewhere is part of every key."""
    digests = set()
    for place in range(3):
        workspace = make_workspace(tmp_path / str(place), taste_blocks())
        build_data(workspace, Params.read(workspace.params), "tiny", ["whole"])
        artifact = builder(workspace, "lightgcn", "whole").sub_model("00")
        digests.add((artifact.digest, digest_file(artifact.file("weights.safetensors"))))
    assert len(digests) == 1
    environment = artifact.inputs["environment"]
    assert {"torch", "numpy", "cpu", "instructions", "device", "threads"} <= set(environment)
    other = {**artifact.inputs, "environment": {**environment, "device": "another card"}}
    assert ArtifactStore.key("sub-model", other) != artifact.key


# --- edge cases of the same claim --------------------------------------------------------------------------------


def edge(rows: Interactions, kind: str) -> tuple[Interactions, list[str]]:
    """Rows, and who leaves."""
    if kind == "all of a shard":
        return rows, []
    if kind == "the only one who had an item":
        extra = Interactions.of(
            np.array([GONE], dtype=object), np.array(["item-only"], dtype=object), np.array([3.0]), np.array([9_999])
        )
        return Interactions.concatenate(rows, extra), [GONE]
    return rows, [GONE, "user-007", GONE]


@pytest.mark.parametrize("kind", ["all of a shard", "the only one who had an item", "asked for twice"])
def test_edge_cases_end_as_if_never_there(kind: str, tmp_path: Path) -> None:
    rows, gone = edge(taste_blocks(), kind)
    workspace = make_workspace(tmp_path / "w", rows)
    train(workspace)
    if kind == "all of a shard":
        gone = sorted(set(Interactions.read(workspace.shards("tiny", "user-hash-3") / "01.parquet").user_ids))
    ids = ask(workspace, *gone)
    assert len(set(ids)) == len(set(gone))
    completion.complete(workspace, erasure.erase(workspace, rebuild(workspace)))
    never = make_workspace(tmp_path / "never", without(rows, *gone))
    train(never)
    assert {f: v.digest for f, v in Registry(workspace).served().items()} == {
        f: v.digest for f, v in Registry(never).served().items()
    }
    needles = [Needles("tiny", users=frozenset(gone), texts=frozenset({*gone, "item-only"}))]
    found = purge.scan(erasure.stores(workspace, standing.ledger(workspace)), needles)
    assert found.found == 0, found.to_json()
