"""A workspace that was moved while its service runs: said at once, before a forget run does anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.forgetting import run as runs
from lethe.serving import deploy
from lethe.serving.deployment import Deployment


def served_from(workspace: Workspace, root: Path | str) -> None:
    """As if this very process were the service, started in that folder."""
    created = psutil.Process(os.getpid()).create_time()
    about = {"pid": os.getpid(), "created": created, "host": "127.0.0.1", "port": 1, "workers": 1, "root": str(root)}
    workspace.state.mkdir(exist_ok=True)
    workspace.server.write_text(json.dumps(about))


def test_forgetting_deploying_and_starting_are_refused_in_one_line(workspace: Workspace) -> None:
    served_from(workspace, workspace.root.with_name("before"))
    deployment = Deployment.parse({"bento": "b:1", "families": {"a": "t:1"}, "default": "a"}, "test")
    deployment.write(workspace.deployment)
    for command in (
        lambda: runs.begin(workspace),
        lambda: deploy.redeploy(workspace, deployment),
        lambda: deploy.start(workspace),
    ):
        with pytest.raises(DeploymentError, match=r"^service: it was started in .*before, .*stop it with lethe stop"):
            command()
    assert not (workspace.state / "run.json").exists()


def test_where_it_stands_or_is_not_known_nothing_is_said(workspace: Workspace) -> None:
    for root in (workspace.root, ""):
        served_from(workspace, root)
        assert runs.begin(workspace) is None
