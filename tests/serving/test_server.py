"""The real server: workers, sockets, signals. One server for the whole file, started by its first test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from benchmarks import asking
from benchmarks.prefect_server import free_port
from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.serving import deploy
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers
from lethe.serving.server import Server
from lethe.serving.smoke import Answers
from tests.serving.conftest import make_workspace, promote


def _host() -> str:
    """IPv6's own machine, whose address has colons, where there is one."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return "::1"
    except OSError:
        return "127.0.0.1"


HOST = _host()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return _listening(make_workspace(tmp_path_factory.mktemp("server") / "workspace"))


def _listening(workspace: Workspace) -> Workspace:
    params = yaml.safe_load(workspace.params.read_text())
    params["serving"] = params.get("serving", {}) | {"host": HOST}
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return workspace


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[Server]:
    released(workspace, {"a": 0, "b": 0})
    try:
        yield deploy.start(workspace, port=free_port())
    finally:
        deploy.stop(workspace)


def released(workspace: Workspace, seeds: dict[str, int]) -> Deployment:
    """Promote, build and deploy packages of these seeds."""
    tags = {family: promote(workspace, family, seed) for family, seed in seeds.items()}
    deployment = deploy.shipped(workspace, deploy.build_bento(workspace, tags))
    assert deployment.families == tags
    deploy.redeploy(workspace, deployment)
    return deployment


def figures(server: Server) -> str:
    return asking.get(f"{server.url}/metrics").text


def test_workers_are_counted_together_and_no_path_is_kept(server: Server) -> None:
    """On fresh connections both workers answer; whichever is asked for the figures tells of both."""
    for number in range(20):
        asking.post(f"{server.url}/recommend", json={"user_id": "user-003"})
        asking.get(f"{server.url}/users/user-{number:03d}")
    told = [figures(server) for _ in range(5)]
    assert all('lethe_request_seconds_count{route="other",status="404"} 20.0' in text for text in told)
    assert not any("user-0" in text for text in told)
    assert all('lethe_model_age_seconds{family="a"}' in text for text in told)
    assert all("lethe_hidden_users 0.0" in text and "lethe_ledger_up 0.0" in text for text in told)


class Customers:
    """Threads that ask the service over fresh connections for as long as the block lasts, and count what fails."""

    def __init__(self, server: Server) -> None:
        self.url = f"{server.url}/recommend"
        self.done = threading.Event()
        self.answers: list[Any] = []
        self.threads = [threading.Thread(target=self._ask) for _ in range(3)]

    def _ask(self) -> None:
        while not self.done.wait(0.01):
            try:
                answer = asking.post(self.url, json={"user_id": "user-003"}, timeout=60)
                self.answers.append(answer.status_code)
            except httpx.HTTPError as error:
                self.answers.append(error)

    def __enter__(self) -> Customers:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        for thread in self.threads:
            thread.join()


def versions(server: Server) -> dict[str, str]:
    return {family: about["version"] for family, about in server.ask("GET", "/model")["families"].items()}


def test_the_default_family_is_the_first_of_the_parameters(server: Server) -> None:
    assert server.ask("POST", "/recommend", {"user_id": "user-003"})["family"] == "b"


def test_starting_again_keeps_the_running_server(workspace: Workspace, server: Server) -> None:
    assert deploy.start(workspace, port=server.port) == server
    assert deploy.status(workspace) == server
    with pytest.raises(DeploymentError, match=f"already runs on {server.port}"):
        deploy.start(workspace, port=free_port())


def with_models(workspace: Workspace, seed: int) -> Deployment:
    """What is deployed, with other models: no bento has to be built for it."""
    tags = {family: promote(workspace, family, seed) for family in "ab"}
    return Deployment.read(workspace.deployment).model_copy(update={"families": tags})


def test_redeploying_under_load_fails_no_request(workspace: Workspace, server: Server) -> None:
    before = Deployment.read(workspace.deployment)
    with Customers(server) as customers:
        after = released(workspace, {"a": 1, "b": 1})
    assert set(customers.answers) == {200}
    assert after.bento != before.bento
    assert versions(server) == after.families
    assert deploy.retire_bentos(workspace, keep=[]) == [before.bento]


def test_a_failed_smoke_test_brings_the_earlier_version_back(
    workspace: Workspace, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = workspace.deployment.read_bytes()
    families = versions(server)
    asked: list[Deployment] = []

    def second_fails(desk: Desk, answers: Answers, hidden: HiddenUsers) -> None:
        asked.append(desk.deployment)
        if len(asked) == 2:
            assert versions(server) == desk.deployment.families
            raise DeploymentError("smoke test: no")

    monkeypatch.setattr(deploy, "smoke_test", second_fails)
    with Customers(server) as customers, pytest.raises(DeploymentError, match="stays: smoke test: no"):
        deploy.redeploy(workspace, with_models(workspace, 2))
    assert set(customers.answers) == {200}
    assert workspace.deployment.read_bytes() == before
    assert [versions(server) for _ in range(8)] == [families] * 8


def test_a_corrupt_model_never_reaches_the_server(workspace: Workspace, server: Server) -> None:
    before, workers = workspace.deployment.read_bytes(), server.worker_pids()
    deployment = with_models(workspace, 3)
    (Registry(workspace).folder(deployment.families["a"]) / "seen.safetensors").write_bytes(b"damaged")
    with pytest.raises(DeploymentError, match=r"'seen\.safetensors' is corrupt"):
        deploy.redeploy(workspace, deployment)
    assert (workspace.deployment.read_bytes(), server.worker_pids()) == (before, workers)


def test_a_port_in_use_is_named_before_anything_starts(workspace: Workspace, server: Server, tmp_path: Path) -> None:
    other = _listening(make_workspace(tmp_path / "other"))
    Deployment.read(workspace.deployment).write(other.deployment)
    with pytest.raises(DeploymentError, match=rf"port: {server.port} on {HOST} is already in use"):
        deploy.start(other, port=server.port)
    assert not other.server.exists()
    assert not (other.state / "logs").exists()


def test_stopping_ends_every_process_and_may_be_repeated(workspace: Workspace, server: Server) -> None:
    assert server.worker_pids()
    assert deploy.stop(workspace)
    assert server.process() is None
    assert deploy.status(workspace) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))
    assert not deploy.stop(workspace)
    assert "user-003" not in (workspace.state / "logs" / "server.log").read_text()
