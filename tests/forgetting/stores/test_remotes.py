"""DVC remotes that aren't folders: superseded versions leave an S3 bucket, on a real S3 protocol (moto's server)."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
import yaml

from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc
from lethe.data.dvc_objects import RemoteUrl, remotes
from lethe.errors import DataError
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.remotes import Remote
from tests.forgetting.stores.test_purge import CANARY, STAGE, rows_of, write_source
from tests.s3 import AWS_KEYS, Server
from tests.warm import keep_warm

KEYS = {"access_key_id": "test", "secret_access_key": "test", "region": "us-east-1"}
SECTION = "['remote \"cloud\"']\n"


@pytest.fixture
def bucket(s3_server: Server, request: pytest.FixtureRequest):
    name = s3_server.make(request.node.nodeid)
    return boto3.resource("s3", endpoint_url=s3_server.url, **AWS_KEYS).Bucket(name)


def lead_to(workspace: Workspace, url: str) -> None:
    """Where DVC takes S3 to be, and whose keys it has."""
    private = "\n".join(f"{name} = {value}" for name, value in {**KEYS, "endpointurl": url}.items())
    (workspace.root / ".dvc" / "config.local").write_text(f"{SECTION}{private}\n")


@pytest.fixture
def workspace(bucket, s3_server: Server, tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "workspace")
    made.root.mkdir()
    (made.root / "stage.py").write_text(STAGE)
    stage = {"cmd": "python stage.py ml", "deps": ["ml.csv"], "outs": ["data/ml/ingested"]}
    (made.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"ingest-ml": stage}}))
    dvc(keep_warm(made), "init", "--no-scm", "-q")
    core = "[core]\nno_scm = true\nanalytics = false\nsite_cache_dir = site-cache\nremote = cloud\n"
    (made.root / ".dvc" / "config").write_text(f"{core}{SECTION}url = s3://{bucket.name}/store\n")
    lead_to(made, s3_server.url)
    write_source(made, "ml", ["1", "42", CANARY])
    dvc(made, "repro", "-q")
    dvc(made, "push", "-q", "--run-cache")
    return made


def keys(bucket) -> set[str]:
    return {found.key for found in bucket.objects.all()}


def test_superseded_versions_leave_the_bucket(workspace: Workspace, bucket) -> None:
    before = keys(bucket)
    assert any("/files/md5/" in key for key in before)
    assert any("/runs/" in key for key in before), "the run cache was pushed as well"
    assert remotes(workspace) == {"cloud": RemoteUrl(f"s3://{bucket.name}/store", own=True)}
    remote = Remote(workspace, "cloud")
    assert remote.size() == sum(found.size for found in bucket.objects.all())
    old = rows_of(workspace, "ml").digest()
    needles = [Needles("ml", users=frozenset({"42"}), texts=frozenset({CANARY}), digests=frozenset({old}))]
    assert remote.find(needles).places == (), "what is in use is searched in the local cache, under the same name"

    write_source(workspace, "ml", ["1"])
    dvc(workspace, "repro", "-q")
    dvc(workspace, "gc", "--workspace", "-f", "-q")
    found = remote.find(needles).places
    assert {place.kind for place in found} & {"text", "user id"}, "fetched and looked into"
    assert all(CANARY not in place.where and place.bytes > 0 for place in found)
    removed = remote.remove(needles)
    assert removed.entries == len(before) - len(keys(bucket)) > 0
    assert remote.find(needles).places == ()
    assert not any("/runs/" in key for key in keys(bucket))
    assert list(workspace.temporary.iterdir()) == []

    dvc(workspace, "push", "-q")
    kept = keys(bucket)
    assert remote.remove(needles).entries == 0
    assert keys(bucket) == kept, "what is in use stays"


def test_a_remote_that_is_away_is_one_line_and_loses_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # It is away for good: asking again only takes time.
    lead_to(workspace, "http://127.0.0.1:9")
    remote = Remote(workspace, "cloud")
    for touch in (remote.size, lambda: remote.find([]), lambda: remote.remove([])):
        with pytest.raises(DataError, match="dvc remote cloud: can't be reached") as caught:
            touch()
        assert "\n" not in str(caught.value)
    assert "up to date" in dvc(workspace, "status")
