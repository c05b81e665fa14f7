"""A container: another process, which has the bento, the models and nothing else of the workspace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import lethe
from lethe.core.workspace import Workspace
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.serving.deployment import Deployment
from tests.serving.conftest import make_workspace, promote

GONE, STAYS = "user-003", "user-004"
ASK = f"""
import json
from starlette.testclient import TestClient
from lethe.serving.service import Recommender
with TestClient(Recommender.to_asgi(), client=("127.0.0.1", 50000)) as client:
    sources = [client.post("/recommend", json={{"user_id": user}}).json()["source"] for user in ("{GONE}", "{STAYS}")]
    print(json.dumps({{"sources": sources, "ready": client.get("/readyz").json()}}))
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a ledger in which somebody has asked to be forgotten; and the folder a container would get."""
    workspace = make_workspace(tmp_path_factory.mktemp("bare") / "workspace")
    tags = {"a": promote(workspace, "a", 0)}
    folder = workspace.state / "src"
    folder.mkdir()
    shutil.copytree(Path(lethe.__file__).parent, folder / "lethe", ignore=shutil.ignore_patterns("__pycache__"))
    deployment = Deployment.parse({"bento": "recommender:1", "families": tags, "default": "a"}, "test")
    deployment.write(folder / "deployment.json")
    request = ForgetRequest.new("tiny", GONE, now=datetime.now(UTC), datasets=["tiny"])
    Ledger(workspace.ledger_url, workspace.hidden_users).take([request])
    return workspace


def run(workspace: Workspace, **environment: str) -> subprocess.CompletedProcess[str]:
    """The service in a process that inherits nothing but where Python is."""
    bare = {"PATH": os.environ["PATH"], "HOME": str(workspace.root / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    bare |= {"BENTOML_HOME": str(workspace.bentoml_home), "PYTHONPATH": str(workspace.state / "src")}
    return subprocess.run(
        [sys.executable, "-c", ASK],
        env=bare | environment,
        cwd=workspace.state / "src",
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_told_nothing_it_answers_nobody_from_the_model_and_says_so(shipped: Workspace) -> None:
    done = run(shipped)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["sources"] == ["popular", "popular"]
    assert answer["ready"]["answers"] == "popular items only"
    assert "LETHE_HIDDEN_USERS: is not set" in done.stderr + done.stdout
    assert GONE not in done.stderr + done.stdout


@pytest.mark.parametrize("how", ["ledger", "file"])
def test_it_hides_whom_the_ledger_or_a_mounted_file_hides(shipped: Workspace, how: str) -> None:
    named = shipped.ledger_url if how == "ledger" else str(shipped.hidden_users)
    done = run(shipped, LETHE_HIDDEN_USERS=named, LETHE_KEY_DIR=os.environ["LETHE_KEY_DIR"])
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["sources"] == ["popular", "model"]
    assert answer["ready"]["answers"] == "models"


def test_without_the_key_it_does_not_start(shipped: Workspace) -> None:
    done = run(shipped, LETHE_HIDDEN_USERS=shipped.ledger_url)
    assert done.returncode != 0
    assert "key: the ledger was made under the key" in done.stderr
    assert not (shipped.root / "home" / ".config").exists(), "no key was made"
