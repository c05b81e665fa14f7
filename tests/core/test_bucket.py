"""A prefix of a bucket, and artifacts whose folder is a cache of one, on a real S3 protocol (moto's server)."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from lethe.core import keys, shared
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.bucket import MARKER, Bucket
from lethe.errors import ArtifactError, ConfigError, LetheError, Unreachable
from tests.s3 import Server

KIND, INPUTS = "sub-model", {"data": "d" * 64}
NAME = PurePosixPath("folder/file")


@pytest.fixture
def bucket(s3_server: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bucket:
    """An empty prefix of a bucket of this test's own."""
    s3_server.lead_to(monkeypatch)
    name = s3_server.make(request.node.nodeid, versioned="versioned" in request.node.name)
    s3_server.client().put_object(Bucket=name, Key="artifacts-of-others/file", Body=b"not ours")
    return Bucket(f"s3://{name}/artifacts", "stores.artifacts")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    return path


def name_of(bucket: Bucket) -> str:
    return bucket.url.split("/")[2]


def made(store: ArtifactStore, text: str = "weights") -> Artifact:
    def write(folder: Path) -> int:
        (folder / "part").mkdir()
        (folder / "part" / "weights.txt").write_text(text)
        return 3

    return store.make(KIND, INPUTS, write)


def unexpected(folder: Path) -> int:
    raise AssertionError("it was to be fetched, not made")


# --- objects -----------------------------------------------------------------------------------------------------


def test_what_is_put_is_there_and_can_be_had_again(bucket: Bucket, file: Path, tmp_path: Path) -> None:
    assert not bucket.is_there(NAME)
    bucket.put(NAME, file)
    assert bucket.is_there(NAME)
    assert bucket.names() == [NAME]
    bucket.get(NAME, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    with pytest.raises(FileNotFoundError):
        bucket.get(PurePosixPath("other"), tmp_path / "back")


def test_what_came_in_parts_is_read_to_be_compared(bucket: Bucket, s3_server: Server, file: Path) -> None:
    client, where = s3_server.client(), {"Bucket": name_of(bucket), "Key": f"artifacts/{NAME}"}
    upload = client.create_multipart_upload(**where)["UploadId"]
    part = client.upload_part(**where, UploadId=upload, PartNumber=1, Body=file.read_bytes())
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
    assert "-" in client.head_object(**where)["ETag"], "its tag is no MD5 of the file"
    assert bucket.holds(NAME, file)
    file.write_bytes(b"SOME BYTES")
    assert not bucket.holds(NAME, file)


def test_a_versioned_bucket_is_emptied_of_versions_marks_and_uploads(
    bucket: Bucket, s3_server: Server, file: Path
) -> None:
    name, client = name_of(bucket), s3_server.client()
    bucket.put(NAME, file)
    file.write_bytes(b"other bytes")
    bucket.put(NAME, file)
    client.delete_object(Bucket=name, Key=f"artifacts/{NAME}")
    client.create_multipart_upload(Bucket=name, Key="artifacts/broken")
    client.create_multipart_upload(Bucket=name, Key="artifacts-of-others/broken")
    assert bucket.names() == [], "a reader sees nothing"
    kept = bucket.versions()
    assert sorted((one.bytes, one.current) for one in kept) == [(0, False), (10, False), (11, False)]
    assert [path for path, _ in bucket.unfinished()] == [PurePosixPath("broken")]
    bucket.delete(kept, bucket.unfinished())
    assert bucket.versions() == []
    assert bucket.unfinished() == []
    assert s3_server.keys(name) == {"artifacts-of-others/file"}
    assert s3_server.uploads(name) == 1, "what is not below the prefix is not ours"


def test_an_object_that_changes_between_listing_and_reading_is_said(bucket: Bucket, file: Path, tmp_path: Path) -> None:
    bucket.put(NAME, file)
    (listed,) = bucket.versions()
    file.write_bytes(b"SOME BYTES")
    bucket.put(NAME, file)
    with pytest.raises(Unreachable, match="an object changed while it was read; run again"):
        bucket.get(NAME, tmp_path / "back", listed)


# --- faults ------------------------------------------------------------------------------------------------------


def test_no_bucket_no_credentials_no_answer_are_a_line_each(
    bucket: Bucket, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(where: Bucket) -> LetheError:
        with pytest.raises(LetheError) as caught:
            where.put(NAME, file)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"stores.artifacts: {where.url}: ")
        return caught.value

    nowhere = fault(Bucket("s3://no-such-bucket/artifacts", "stores.artifacts"))
    assert isinstance(nowhere, ConfigError)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        away = fault(bucket)
    assert isinstance(away, Unreachable)
    assert away.may_pass
    assert "try again later" in str(away)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    unknown = fault(bucket)
    assert isinstance(unknown, ConfigError)
    assert "set AWS_ACCESS_KEY_ID" in str(unknown)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("ExpiredToken", "its credentials have expired; renew them"),
        ("InvalidAccessKeyId", "its credentials are not known there; correct AWS_ACCESS_KEY_ID and"),
        ("RequestTimeTooSkewed", "this machine's clock is not the server's; set it right"),
        ("XMinioStorageFull", "is full; make room there"),
    ],
)
def test_what_somebody_has_to_mend_is_said_and_not_tried_again(
    code: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    def refuse(*_: object, **__: object) -> None:
        raise translate_boto_error(ClientError({"Error": {"Code": code, "Message": ""}}, "PutObject"))

    monkeypatch.setattr("lethe.core.bucket.client", lambda: SimpleNamespace(call_s3=refuse))
    with pytest.raises(ConfigError, match=rf"^stores.models: s3://b/p: {line}.* \({code}\)$") as caught:
        Bucket("s3://b/p", "stores.models").is_there(NAME)
    assert not caught.value.may_pass


def test_a_bucket_that_may_only_be_read_is_a_line_and_loses_nothing(
    bucket: Bucket, s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    iam = s3_server.client("iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    allowed = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
    bucket.claimed()
    store = ArtifactStore(tmp_path / "artifacts", bucket)
    s3_server.lead_to(monkeypatch, key["AccessKeyId"], key["SecretAccessKey"])
    httpx.post(f"{s3_server.url}/moto-api/reset-auth", content="0")
    try:
        with pytest.raises(ConfigError, match=r"may not be written \(AccessDenied\); give the credentials that right"):
            made(store)
    finally:
        httpx.post(f"{s3_server.url}/moto-api/reset-auth", content="inf")
    assert [artifact.kind for artifact in store.all()] == [KIND], "what was made is kept here"
    s3_server.lead_to(monkeypatch)
    assert store.make(KIND, INPUTS, unexpected).digest
    assert bucket.is_there(PurePosixPath(KIND, store.key(KIND, INPUTS), "manifest.json")), "and is there with the right"


# --- whose it is -------------------------------------------------------------------------------------------------


def test_a_prefix_is_one_projects_and_one_settings(
    bucket: Bucket, s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, is_new = bucket.claimed()
    assert is_new
    assert bucket.claimed() == (first, False)
    with pytest.raises(ConfigError, match=r"is that of stores\.artifacts already"):
        Bucket(bucket.url, "stores.models").claimed()
    with pytest.raises(ConfigError, match="holds objects that are not Lethe's"):
        Bucket(f"s3://{name_of(bucket)}/artifacts-of-others", "stores.models").claimed()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("LETHE_KEY_DIR", str(tmp_path / "keys"))
        with pytest.raises(ConfigError, match="is another project's"):
            bucket.claimed()
    s3_server.client().put_object(Bucket=name_of(bucket), Key=f"artifacts/{MARKER}", Body=b"[]")
    with pytest.raises(ConfigError, match="is not of this Lethe"):
        bucket.claimed()


def test_of_two_who_begin_at_once_both_see_one_generation(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    others = []
    really = Bucket.names

    def names(asked: Bucket, below: str = "") -> list[PurePosixPath]:
        """Nothing is there yet; the next moment another worker has claimed it."""
        listed = really(asked, below)
        monkeypatch.setattr(Bucket, "names", really)
        others.append(bucket.claimed()[0])
        return listed

    monkeypatch.setattr(Bucket, "names", names)
    assert bucket.claimed() == (others[0], False)


def test_what_another_worker_put_there_at_once_is_not_of_others(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = []
    really = Bucket.names

    def names(asked: Bucket, below: str = "") -> list[PurePosixPath]:
        """Another worker has claimed it, and keeps something there, since the marker was looked for."""
        monkeypatch.setattr(Bucket, "names", really)
        others.append(bucket.claimed()[0])
        (tmp_path / "made").write_text("made")
        bucket.put(PurePosixPath("made"), tmp_path / "made")
        return really(asked, below)

    monkeypatch.setattr(Bucket, "names", names)
    assert bucket.claimed() == (others[0], False)


def test_a_project_whose_key_was_changed_keeps_its_prefix(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "keys"))
    before, _ = bucket.claimed()
    keys.replace(b"k" * 32)
    after, is_new = bucket.claimed()
    assert not is_new
    assert after.key == keys.fingerprint() != before.key
    assert after.generation == before.generation, "nothing was emptied"


# --- artifacts ---------------------------------------------------------------------------------------------------


def test_two_machines_meet_in_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    here, there = ArtifactStore(tmp_path / "here", bucket), ArtifactStore(tmp_path / "there", bucket)
    artifact = made(here)
    fetched = there.make(KIND, INPUTS, unexpected)
    assert fetched.digest == artifact.digest
    assert fetched.path.is_relative_to(tmp_path / "there")
    assert fetched.file("part/weights.txt").read_text() == "weights"
    assert fetched.record() == artifact.record()
    assert ArtifactStore(tmp_path / "third", bucket).get(KIND, artifact.key).digest == artifact.digest
    with pytest.raises(ArtifactError, match="no manifest"):
        there.get(KIND, "f" * 64)
    assert not list((tmp_path / "there").rglob(".building-*"))


def test_a_folder_without_a_bucket_holds_what_it_held(bucket: Bucket, tmp_path: Path) -> None:
    alone, beside = made(ArtifactStore(tmp_path / "alone")), made(ArtifactStore(tmp_path / "beside", bucket))
    assert alone.digest == beside.digest
    assert {path.name for path in (tmp_path / "alone").iterdir()} == {KIND}


def test_what_the_bucket_holds_is_compared_before_it_counts(bucket: Bucket, s3_server: Server, tmp_path: Path) -> None:
    artifact = made(ArtifactStore(tmp_path / "here", bucket))
    there, client, name = f"artifacts/{KIND}/{artifact.key}", s3_server.client(), name_of(bucket)
    client.put_object(Bucket=name, Key=f"{there}/part/weights.txt", Body=b"WEIGHTS")
    other = ArtifactStore(tmp_path / "there", bucket)
    with pytest.raises(ArtifactError, match="is corrupt"):
        other.get(KIND, artifact.key)
    manifest = json.loads(artifact.file("manifest.json").read_bytes())
    for names in (["../../escaped"], ["/tmp/escaped"], ["manifest.json"]):
        changed = json.dumps({**manifest, "files": dict.fromkeys(names, "0" * 64)}).encode()
        client.put_object(Bucket=name, Key=f"{there}/manifest.json", Body=changed)
        client.put_object(Bucket=name, Key="artifacts/escaped", Body=b"x")
        with pytest.raises(ArtifactError, match="names a file outside it"):
            other.get(KIND, artifact.key)
    assert not (tmp_path / "escaped").exists()
    assert not list(other.all())
    client.delete_object(Bucket=name, Key=f"{there}/part/weights.txt")
    client.put_object(Bucket=name, Key=f"{there}/manifest.json", Body=artifact.file("manifest.json").read_bytes())
    assert other.find(KIND, INPUTS) is None, "half there is not there"
    assert made(other).digest == artifact.digest


def test_what_left_the_bucket_leaves_every_cache_and_does_not_return(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = ArtifactStore(tmp_path / "here", bucket), ArtifactStore(tmp_path / "there", bucket)
    artifact = made(here)
    there.get(KIND, artifact.key)
    # A forget run on the first machine.
    here.remove(artifact)
    bucket.delete([one for one in bucket.versions() if one.path != MARKER])
    assert here.shared is not None
    here.shared.emptied()
    with pytest.raises(Unreachable, match="a forget run has emptied it meanwhile"):
        there.find(KIND, INPUTS)
    assert bucket.names() == [MARKER]
    # The second machine's next process.
    monkeypatch.setattr(shared, "_BEGUN", {})
    assert there.find(KIND, INPUTS) is None
    assert not list(there.all())
    assert bucket.names() == [MARKER]


def test_a_folder_that_gets_a_bucket_keeps_what_it_has(bucket: Bucket, tmp_path: Path) -> None:
    artifact = made(ArtifactStore(tmp_path / "here"))
    made(ArtifactStore(tmp_path / "other", bucket), text="weights")
    shutil.rmtree(tmp_path / "other")
    store = ArtifactStore(tmp_path / "here", bucket)
    assert store.make(KIND, INPUTS, unexpected).digest == artifact.digest
