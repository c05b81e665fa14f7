"""A server in the foreground follows what is deployed, as a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks import asking
from benchmarks.prefect_server import free_port
from benchmarks.receiver import Receiver
from lethe.core.format import mark
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.standing import ledger
from lethe.serving import deploy, following
from tests.conftest import ROOT
from tests.serving.conftest import make_workspace
from tests.serving.test_hidden_ledger import complete
from tests.serving.test_server import released

KEY = "a-key-of-a-reader-of-thirty"
LONG = 90


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = make_workspace(tmp_path_factory.mktemp("followed") / "workspace")
    mark(made)
    params = yaml.safe_load(made.params.read_text())
    params["serving"] = {"workers": 1}
    made.params.write_text(yaml.safe_dump(params))
    return made


def start(workspace: Workspace, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    around = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **environment}
    command = [sys.executable, "-m", "lethe.cli", "follow", *arguments]
    return subprocess.Popen(command, cwd=workspace.root, env=around, text=True, stdout=-1, stderr=-1)


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    """Who is sent traces."""
    with Receiver() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def replicas(workspace: Workspace, collector: Receiver) -> Iterator[dict[int, subprocess.Popen[str]]]:
    """{port: process} of a replica, started while nothing is deployed yet; it says objects, and sends traces."""
    ledger(workspace)
    otlp = {"protocol": "http", "endpoint": f"{collector.url}/v1/traces"}
    # BentoML's own spans hold paths: even who asks for them gets none.
    tracing = {"exporter_type": "otlp", "sample_rate": 1.0, "otlp": otlp, "excluded_urls": "/livez"}
    settings = workspace.root / "bentoml.yaml"
    settings.write_text(yaml.safe_dump({"version": 2, "services": {"Recommender": {"tracing": tracing}}}))
    around = {"LETHE_API_KEYS": f"operator:{KEY}", "LETHE_LOG": "json", "BENTOML_CONFIG": str(settings)}
    ports = [free_port()]
    started = {port: start(workspace, LETHE_PORT=str(port), LETHE_HOST="0.0.0.0", **around) for port in ports}
    yield started
    for process in started.values():
        process.terminate()
        process.wait(LONG)


def ask(port: int, path: str, body: Any = None) -> Any:
    url, headers = f"http://127.0.0.1:{port}{path}", {"X-API-Key": KEY}
    answer = asking.request("POST" if body else "GET", url, json=body, headers=headers, timeout=LONG)
    return answer.raise_for_status().json()


def wait_until_served(port: int, process: subprocess.Popen[str], version: str) -> None:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr
        try:
            if ask(port, "/model")["families"]["a"]["version"] == version:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{version} was never served")


def test_replicas_follow_each_deployment_and_who_is_hidden(
    workspace: Workspace, replicas: dict[int, subprocess.Popen[str]], collector: Receiver
) -> None:
    for seed in (0, 1):
        deployment = released(workspace, {"a": seed})
        for port, process in replicas.items():
            wait_until_served(port, process, deployment.families["a"])
    figures = workspace.bentoml_home / "prometheus_multiproc_dir"
    assert not figures.exists(), "each replica counts for itself, and empties nobody's figures"
    assert deploy.status(workspace) is None, "a follower is nobody's server in the background"
    for port in replicas:
        assert ask(port, "/recommend", {"user_id": "user-003"})["source"] == "model"
        headers = {"X-API-Key": KEY}
        told = asking.get(f"http://127.0.0.1:{port}/metrics", headers=headers).text
        assert 'lethe_answers_total{family="a",source="model"} 1.0' in told
        assert "lethe_ledger_up 1.0" in told
    book = ledger(workspace)
    request = ForgetRequest.new("tiny", "user-003", now=book._clock(), datasets=["tiny"])
    complete(book, book.take([request])[0][0].id)
    time.sleep(1.0)
    for port in replicas:
        assert ask(port, "/recommend", {"user_id": "user-003"})["source"] == "popular", "until a lift"
        asking.get(f"http://127.0.0.1:{port}/users/user-003?name=user-003", headers=headers)
    for process in replicas.values():
        process.send_signal(signal.SIGTERM)
    for process in replicas.values():
        said, fault = process.communicate(timeout=LONG)
        assert process.returncode == 0, fault
        lines = [json.loads(line) for line in (said + fault).splitlines()]
        assert {"a new deployment: new workers begin"} <= {line.get("message") for line in lines}
        assert ("/recommend", 200) in {(line.get("route"), line.get("status")) for line in lines}
        assert "user-003" not in said + fault
    spans = traced(collector)
    assert {"POST /recommend", "GET other"} <= {span.name for span in spans}
    assert {pair.key for span in spans for pair in span.attributes} == {
        *("http.request.method", "http.route", "http.response.status_code")
    }
    assert "user-003" not in str(spans)


def traced(collector: Receiver) -> list[Span]:
    """All spans that were sent."""
    requests = [ExportTraceServiceRequest.FromString(call.body) for call in list(collector.calls.queue)]
    return [
        span
        for request in requests
        for of in request.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]


def test_a_place_where_it_may_not_listen_is_one_line(workspace: Workspace, tmp_path: Path) -> None:
    process = start(workspace, "--host", "0.0.0.0", LETHE_KEY_DIR=str(tmp_path))
    _, fault = process.communicate(timeout=LONG)
    line = "error: host: 0.0.0.0 is open to other machines, which needs keys; make one with lethe keys api, or serve on"
    assert (process.returncode, fault) == (1, f"{line} 127.0.0.1\n")


def test_a_server_that_ends_by_itself_ends_the_follower(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    mark(workspace)
    workspace.deployment.parent.mkdir(parents=True, exist_ok=True)
    workspace.deployment.write_text("{}")
    process = start(workspace, "--port", str(free_port()))
    _, fault = process.communicate(timeout=LONG)
    assert process.returncode == 1
    assert fault.splitlines()[-1].startswith("error: the server ended by itself, with code ")


def test_a_damaged_deployment_ends_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told = tmp_path / "deployment.json", list[str]()
    whole = json.dumps({"bento": "b:1", "families": {"f": "t:1"}, "default": "f"})
    contents = iter(["{", '{"bento": "b:1"}', whole])

    class Stub:
        returncode = 0

        def poll(self) -> int | None:
            following_content = next(contents, None)
            if following_content is None:
                return 0
            path.write_text(following_content)
            return None

        def send_signal(self, number: int) -> None:
            told.append(signal.Signals(number).name)

    monkeypatch.setattr(following, "EVERY", 0.0)
    with pytest.raises(DeploymentError, match="ended by itself"):
        following._watch(Stub(), path, b"", told.append)  # type: ignore[arg-type]
    assert [line.partition(";")[2] or line for line in told] == [
        " run lethe deploy again; what is served stays",
        " what is served stays",
        "SIGHUP",
        "a new deployment: new workers begin",
    ]
