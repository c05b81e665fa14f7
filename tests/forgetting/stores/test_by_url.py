"""Forget runs of a project that keeps artifacts, versions, certificates and copies in a bucket (moto's server)."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from lethe.build.registry import Registry
from lethe.build.stored import artifact_store
from lethe.config.params import Params
from lethe.config.stores import buckets
from lethe.core.workspace import Workspace
from lethe.data import copies, one_stage
from lethe.errors import ArtifactError, ConfigError, Unreachable
from lethe.forgetting import certificate, completion, erasure, intake, standing
from lethe.forgetting.stores.by_url import ByUrl
from lethe.proof.rebuild import clean_workspace
from lethe.tables.interactions import Interactions
from tests import house
from tests.conftest import copied, make_workspace, taste_blocks
from tests.s3 import Server

GONE = "user-003"
KINDS = ("artifacts", "models", "certificates", "copies")


@pytest.fixture
def name(s3_server: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A versioned bucket, which may lock versions."""
    s3_server.lead_to(monkeypatch)
    return s3_server.make(request.node.nodeid, versioned=True, locks=True)


def small(folder: Path, bucket: str) -> Workspace:
    """A small one, whose one family has a model a shard."""
    made = make_workspace(folder, taste_blocks(), models=("mostpop",))
    params = yaml.safe_load(made.params.read_text())
    del params["families"]["plain"]
    params["pipeline"]["shardings"] = ["user-hash-3"]
    params["shardings"]["user-hash-3"]["aggregator"] = "mean"
    params["stores"] = {kind: f"s3://{bucket}/{kind}" for kind in KINDS}
    made.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return made


@pytest.fixture
def workspace(name: str, tmp_path: Path) -> Workspace:
    return small(tmp_path / "workspace", name)


@pytest.fixture(scope="module")
def once(s3_server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A workspace that was trained, and the bucket with what it made: to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        s3_server.lead_to(patch)
        bucket = s3_server.make("trained once")
        workspace = small(tmp_path_factory.mktemp("once") / "workspace", bucket)
        house.train(workspace)
    return workspace, bucket


@pytest.fixture
def trained(once: tuple[Workspace, str], s3_server: Server, name: str, tmp_path: Path) -> Workspace:
    built, bucket = once
    workspace = copied(built, tmp_path / "workspace")
    workspace.params.write_text(workspace.params.read_text().replace(f"s3://{bucket}/", f"s3://{name}/"))
    s3_server.copy(bucket, name)
    return workspace


def holds(content: bytes, text: str) -> bool:
    if content.startswith(b"PAR1"):
        content = repr(pq.read_table(io.BytesIO(content)).to_pydict()).encode()
    return text.encode() in content


def traces(s3_server: Server, name: str, text: str) -> list[str]:
    """Objects of which any version holds a text."""
    return sorted({key for (key, _), content in s3_server.contents(name).items() if holds(content, text)})


def test_nothing_is_left_in_a_bucket_that_keeps_old_versions(trained: Workspace, s3_server: Server, name: str) -> None:
    client = s3_server.client()
    client.delete_object(Bucket=name, Key=traces(s3_server, name, GONE)[0])  # It lives on as an old version.
    client.create_multipart_upload(Bucket=name, Key="artifacts/sub-model/broken/weights.safetensors")
    assert {key.split("/")[0] for key in traces(s3_server, name, GONE)} == {"artifacts", "models"}
    (id,) = house.ask(trained, GONE)
    shares = {share.store: share for share in erasure.dry_run(trained)}
    ended = erasure.erase(trained, house.rebuild(trained))
    completion.complete(trained, ended)

    assert traces(s3_server, name, GONE) == []
    assert s3_server.uploads(name) == 0
    current = {key: content for (key, _), content in s3_server.contents(name, "artifacts/").items()}
    here = {str(p.relative_to(trained.root)): p for p in trained.artifacts.glob("*/*/**/*") if p.is_file()}
    assert current.keys() == here.keys() | {"artifacts/lethe.json"}, "what is in use is still there"
    path = trained.root / standing.ledger(trained).get(id).certificate
    assert s3_server.keys(name, "certificates/") >= {f"certificates/{path.name}"}
    assert path.read_bytes() in s3_server.contents(name, "certificates/").values()
    signed = certificate.read(path)
    stores = {f"artifacts at s3://{name}/artifacts", f"models at s3://{name}/models"}
    assert stores <= signed.scan.stores.keys()
    assert {f"certificates at s3://{name}/certificates", f"source copies at s3://{name}/copies"} <= shares.keys()
    removed = {one.store: one.removed for one in signed.purged}
    for store in stores:
        assert 0 < shares[store].entries <= removed[store]
        assert 0 < shares[store].removed < shares[store].bytes
    assert any(f"s3://{name}/artifacts" in place.what for place in signed.outside_reach)


def test_what_the_bucket_keeps_or_does_not_take_leaves_a_request_uncompleted(
    trained: Workspace, s3_server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, book = s3_server.client(), standing.ledger(trained)
    (id,) = house.ask(trained, GONE)
    key = next(key for key in traces(s3_server, name, GONE) if key.startswith("artifacts/"))
    client.put_object_legal_hold(Bucket=name, Key=key, LegalHold={"Status": "ON"})
    run = house.rebuild(trained)
    with pytest.raises(
        ConfigError, match=r"stores\.artifacts: .* keeps 1 of what must go .*nothing is certified"
    ) as stopped:
        erasure.erase(trained, run)
    assert "\n" not in str(stopped.value)
    assert GONE not in str(stopped.value)
    (version,) = [version for there, version in s3_server.contents(name) if there == key]
    client.put_object_legal_hold(Bucket=name, Key=key, VersionId=version, LegalHold={"Status": "OFF"})
    run = erasure.erase(trained, run)
    assert traces(s3_server, name, GONE) == []

    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(Unreachable, match=r"stores\.certificates: .* try again later"):
            completion.complete(trained, run)
    assert book.get(id).state == "verified"
    completion.complete(trained, erasure.erase(trained, run))
    assert book.get(id).state == "completed"
    path = trained.root / book.get(id).certificate
    assert path.read_bytes() in s3_server.contents(name, "certificates/").values()


def test_whom_only_an_old_version_holds_is_not_nothing_held(
    trained: Workspace, s3_server: Server, name: str, tmp_path: Path
) -> None:
    client, gone = s3_server.client(), "user-777"
    rows = Interactions.of(np.array([gone], object), np.array(["item-001"], object))
    rows.write(tmp_path / "rows.parquet")
    key = "artifacts/snapshot/of-another-machine/interactions.parquet"
    client.put_object(Bucket=name, Key=key, Body=(tmp_path / "rows.parquet").read_bytes())
    client.delete_object(Bucket=name, Key=key)
    request = intake.submit(trained, None, gone, terms=intake.Terms(confirm_unknown=True))
    assert (request.state, request.held.rows, request.held.earlier) == ("accepted", 0, 1)
    other = intake.submit(trained, None, "user-778", terms=intake.Terms(confirm_unknown=True))
    assert other.state == "completed", "nothing is held of somebody else"


def test_a_scan_looks_into_old_versions_and_says_what_it_can_not(
    trained: Workspace, s3_server: Server, name: str
) -> None:
    client = s3_server.client()
    store = next(one for one in of(trained) if one.here.name == "artifacts")
    needles = [erasure.Needles("tiny", users=frozenset({GONE}), texts=frozenset({"canary-77"}))]
    client.put_object(Bucket=name, Key="artifacts/notes/canary-77/notes.txt", Body=b"nothing")
    client.put_object(Bucket=name, Key="artifacts/notes/plain/notes.txt", Body=b"of canary-77 alone")
    client.put_object(Bucket=name, Key="artifacts/notes/plain/notes.txt", Body=b"of nobody")
    client.create_multipart_upload(Bucket=name, Key="artifacts/notes/plain/large")
    found = store.find(needles)
    planted = {str(place) for place in found.places if place.where.startswith("notes/")}
    assert planted == {"notes/(withheld)/notes.txt: text", "notes/plain/notes.txt (an old version): text"}
    assert [place.where for place in found.not_searched] == ["notes/plain/large"]


def test_a_clean_rebuild_makes_everything_itself(workspace: Workspace, tmp_path: Path) -> None:
    clean = clean_workspace(workspace, Params.read(workspace.params), tmp_path / "clean")
    assert artifact_store(workspace).shared is not None
    assert artifact_store(clean).shared is None
    assert buckets(clean) == {}


def test_a_lost_version_comes_back_and_a_changed_one_does_not(trained: Workspace, s3_server: Server, name: str) -> None:
    registry = Registry(trained)
    (version,) = registry.served().values()
    shutil.rmtree(registry.folder(version.tag))
    assert Registry(trained).version(version.tag).digest == version.digest
    assert registry.open(version.tag).digest == version.digest
    shutil.rmtree(registry.folder(version.tag))
    key = next(key for key in s3_server.keys(name, "models/") if key.endswith("info.json"))
    s3_server.client().put_object(Bucket=name, Key=key, Body=b"{}")
    with pytest.raises(ArtifactError, match="is corrupt"):
        Registry(trained).version(version.tag)
    assert not registry.folder(version.tag).exists()


def test_a_copy_of_a_source_comes_back_and_is_rewritten_there(
    workspace: Workspace, s3_server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = workspace.source_copy("tiny")
    taste_blocks().write(copy)
    copies.origin(copy).write_text("edition 1")
    monkeypatch.chdir(workspace.root)
    assert one_stage.main(["source", "tiny"]) == 0
    before = copy.read_bytes()
    copy.unlink()
    copies.origin(copy).unlink()
    assert one_stage.main(["source", "tiny"]) == 0
    assert copy.read_bytes() == before
    assert copies.origin(copy).read_text() == "edition 1"
    rows = Interactions.read(copy)
    rows.take(rows.user_ids != GONE).write(copy)
    copies.keep(workspace, "tiny")
    assert traces(s3_server, name, GONE) == ["copies/tiny/source.parquet"], "as an old version"
    store = next(one for one in of(workspace) if one.here.name == "source copies")
    assert store.remove([]).entries == 1
    assert traces(s3_server, name, GONE) == []
    assert s3_server.keys(name, "copies/") == {f"copies/tiny/source.parquet{end}" for end in ("", ".origin")} | {
        "copies/lethe.json"
    }


@pytest.mark.parametrize(
    ("stores", "fault"),
    [
        ({"artifacts": "s3://bucket"}, r"stores\.artifacts: 's3://bucket' String should match"),
        ({"artifacts": "gs://bucket/artifacts"}, r"stores\.artifacts: 'gs://"),
        ({"artifacts": "s3://key:secret@bucket/artifacts"}, r"stores\.artifacts"),
        ({"artifacts": "s3://bucket/a", "models": "s3://bucket/a/models"}, "models must not lie in that of artifacts"),
        ({"artifacts": "s3://bucket/a", "copies": "s3://bucket/a"}, "must not lie in that of"),
        ({"artefacts": "s3://bucket/a"}, "unknown key"),
    ],
)
def test_urls_that_would_mix_or_can_not_be_certified_are_refused(
    stores: dict[str, str], fault: str, workspace: Workspace
) -> None:
    params = yaml.safe_load(workspace.params.read_text()) | {"stores": stores}
    workspace.params.write_text(yaml.safe_dump(params))
    for read in (lambda: Params.read(workspace.params), lambda: buckets(workspace)):
        with pytest.raises(ConfigError, match=fault):
            read()


def of(workspace: Workspace) -> list[ByUrl]:
    return [one for one in erasure.stores(workspace, standing.ledger(workspace)) if isinstance(one, ByUrl)]
