"""Bring a deployment to the running service without a failed request, and back if it doesn't answer well."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Protocol

from filelock import FileLock

from lethe.core.artifacts import ArtifactStore
from lethe.core.canonical import Json
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError, LetheError
from lethe.serving import server as servers
from lethe.serving.answers import Recommended, Similar
from lethe.serving.bentos import build_bento, deployment_of, retire_bentos, shipped
from lethe.serving.choosing import RawId
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers
from lethe.serving.server import Server, start, status, stop

__all__ = [
    "Server",
    "build_bento",
    "deployment_of",
    "redeploy",
    "retire_bentos",
    "shipped",
    "smoke_test",
    "start",
    "status",
    "stop",
]


class Answers(Protocol):
    """Whoever answers as the service does; raises LetheError where it refuses."""

    def recommend(self, user_id: RawId, k: int, family: str | None) -> Recommended: ...

    def similar_items(self, item_id: RawId, k: int, family: str | None) -> Similar: ...


@dataclass(frozen=True)
class OverHttp:
    """The answers of a running server."""

    server: Server

    def recommend(self, user_id: RawId, k: int, family: str | None) -> Recommended:
        body: Json = {"user_id": user_id, "k": k, "family": family}
        return Recommended.model_validate(self.server.ask("POST", "/recommend", body))

    def similar_items(self, item_id: RawId, k: int, family: str | None) -> Similar:
        body: Json = {"item_id": item_id, "k": k, "family": family}
        return Similar.model_validate(self.server.ask("POST", "/similar_items", body))


def redeploy(workspace: Workspace, deployment: Deployment, timeout: float = 120) -> None:
    """Serve ``deployment`` from now on.

    First its packages are checked, loaded and asked in this process; a fault here changes nothing. Then the running
    server (if any) starts new workers on it, and when all of them report it, it is asked over HTTP. If that fails the
    earlier deployment is restored, in the workers too. Raises DeploymentError with the reason.
    """
    workspace.state.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.state / "redeploy.lock"):
        servers.must_serve_from_here(workspace)
        _rehearse(workspace, deployment)
        server = status(workspace)
        if server is None:
            servers.activate(workspace, deployment)
            return
        earlier = Deployment.read(workspace.deployment)
        try:
            _switch(workspace, server, deployment, timeout)
            smoke_test(deployment, OverHttp(server))
        except DeploymentError as error:
            _switch(workspace, server, earlier, timeout)
            raise DeploymentError(f"{deployment.bento} is not deployed, {earlier.bento} stays: {error}") from None


def smoke_test(deployment: Deployment, answers: Answers) -> None:
    """Ask every family for an unknown user and for a known item; raises DeploymentError at the first wrong answer."""
    for family, tag in deployment.families.items():
        popular = answers.recommend("nobody (smoke test)", 1, family)
        if popular.version != tag or popular.source != "popular" or not popular.items:
            raise DeploymentError(f"smoke test: family {family!r} must answer an unknown user with popular items")
        similar = answers.similar_items(popular.items[0].item_id, 1, family)
        if similar.version != tag:
            raise DeploymentError(f"smoke test: family {family!r} must serve {tag}, got {similar.version}")


def _rehearse(workspace: Workspace, deployment: Deployment) -> None:
    models = workspace.bentoml_home / "models"
    store = ArtifactStore(workspace.artifacts)
    try:
        desk = Desk.load(deployment, lambda tag: store.open(models.joinpath(*tag.split(":"))).path, HiddenUsers(None))
        smoke_test(deployment, desk)
    except LetheError as error:
        raise DeploymentError(f"{deployment.bento} is not deployed: {error}") from None


def _switch(workspace: Workspace, server: Server, deployment: Deployment, timeout: float) -> None:
    leaving = frozenset(server.worker_pids())
    servers.activate(workspace, deployment)
    # The main process keeps the socket: it starts new workers, then ends the old ones, which answer what they hold.
    os.kill(server.pid, signal.SIGHUP)
    servers.wait_until_served(server, deployment, leaving=leaving, timeout=timeout)
