"""Bring a deployment to the running service without a failed request, and back if it doesn't answer well."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from lethe.config.params import Params
from lethe.core.artifacts import ArtifactStore
from lethe.core.reports import write_report
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError, LetheError
from lethe.serving import server as servers
from lethe.serving.bentos import build_bento, deployment_of, retire_bentos, shipped
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers
from lethe.serving.package import Package
from lethe.serving.server import Server, start, status, stop
from lethe.serving.shadow import Compared, compare, keep_limits
from lethe.serving.smoke import OverHttp, smoke_test

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


def redeploy(
    workspace: Workspace, deployment: Deployment, timeout: float = 120, *, limited: bool = True
) -> dict[str, Compared]:
    """Serve ``deployment`` from now on; returns how the families that it changes answer beside what was served.

    First its packages are checked, loaded, asked and compared in this process; a fault here changes nothing, and
    neither does a comparison beyond ``serving.shadow``, unless the deployment is not ``limited``. Then the running
    server (if any) starts new workers on it, and when all of them report it, it is asked over HTTP. If that fails the
    earlier deployment is restored, in the workers too. Raises DeploymentError with the reason.
    """
    workspace.state.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.state / "redeploy.lock"):
        servers.must_serve_from_here(workspace)
        hidden = HiddenUsers(workspace.hidden_users)
        desk = _rehearse(workspace, deployment, hidden)
        compared = _shadow(workspace, desk, hidden, limited)
        server = status(workspace)
        if server is None:
            servers.activate(workspace, deployment)
        else:
            _bring(workspace, server, desk, hidden, timeout)
    # What was forgotten since has a part in the figures of a deployment without limits, which forgetting is.
    figures = {family: figures.plain() for family, figures in compared.items()} if limited else {}
    record = {"bento": deployment.bento, "families": deployment.families, "shadow": figures}
    write_report(workspace, "deployment", record)
    return compared


def _rehearse(workspace: Workspace, deployment: Deployment, hidden: HiddenUsers) -> Desk:
    """The deployment's desk, whose packages are whole and which answers well."""
    store = ArtifactStore(workspace.artifacts)
    try:
        desk = Desk.load(deployment, lambda tag: store.open(_folder(workspace, tag)).path, HiddenUsers(None))
        smoke_test(desk, desk, hidden)
    except LetheError as error:
        raise DeploymentError(f"{deployment.bento} is not deployed: {error}") from None
    return desk


def _shadow(workspace: Workspace, desk: Desk, hidden: HiddenUsers, limited: bool) -> dict[str, Compared]:
    settings = Params.read(workspace.params).serving.shadow
    compared = compare(_served(workspace, desk.deployment), desk.packages, settings, hidden) if settings.users else {}
    if limited:
        try:
            keep_limits(compared, settings)
        except DeploymentError as error:
            raise DeploymentError(f"{desk.deployment.bento} is not deployed: {error}") from None
    return compared


def _served(workspace: Workspace, deployment: Deployment) -> Mapping[str, Package]:
    """The packages, by family, that ``deployment`` would replace by others; one that can't be read hinders nothing."""
    packages: dict[str, Package] = {}
    try:
        tags = Deployment.read(workspace.deployment).families
    except LetheError:
        return packages
    for family, tag in tags.items():
        if tag != deployment.families.get(family, tag):
            try:
                packages[family] = Package.load(_folder(workspace, tag))
            except LetheError:
                continue
    return packages


def _folder(workspace: Workspace, tag: str) -> Path:
    return workspace.bentoml_home.joinpath("models", *tag.split(":"))


def _bring(workspace: Workspace, server: Server, desk: Desk, hidden: HiddenUsers, timeout: float) -> None:
    """Have the running server serve it, or what it served before."""
    deployment, earlier = desk.deployment, Deployment.read(workspace.deployment)
    try:
        _switch(workspace, server, deployment, timeout)
        smoke_test(desk, OverHttp(server), hidden)
    except DeploymentError as error:
        _switch(workspace, server, earlier, timeout)
        raise type(error)(f"{deployment.bento} is not deployed, {earlier.bento} stays: {error}") from None


def _switch(workspace: Workspace, server: Server, deployment: Deployment, timeout: float) -> None:
    leaving = frozenset(server.worker_pids())
    servers.activate(workspace, deployment)
    # The main process keeps the socket: it starts new workers, then ends the old ones, which answer what they hold.
    os.kill(server.pid, signal.SIGHUP)
    servers.wait_until_served(server, deployment, leaving=leaving, timeout=timeout)
