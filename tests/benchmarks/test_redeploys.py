"""Customers and the report of redeployments, on a service of a few lines: no real one is started."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmarks import redeploys
from benchmarks.redeploys import Customers, Redeployment, measure, report
from lethe.serving.deployment import Deployment
from lethe.serving.server import Server


class Service(BaseHTTPRequestHandler):
    """Answers with the statuses that ``statuses`` gives next, then with 200; None ends the connection instead. Its two
    workers take turns to say what they serve."""

    protocol_version = "HTTP/1.1"
    statuses: ClassVar[list[int | None]] = []
    serves: ClassVar[dict[int, str]] = {}
    lock = threading.Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            status = self.statuses.pop(0) if self.statuses else 200
        if status is None:
            self.close_connection = True
            return
        self._say(status, {})

    def do_GET(self) -> None:
        with self.lock:
            pid, version = next(iter(self.serves.items()))
            self.serves[pid] = self.serves.pop(pid)
        self._say(200, {"pid": pid, "families": {"family": {"version": version}}})

    def _say(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    monkeypatch.setattr(Server, "worker_pids", lambda _: set(Service.serves))
    try:
        yield Server(0, 0, "127.0.0.1", listening.server_address[1], 2)
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def test_what_is_not_answered_is_counted_by_what_came_of_it(server: Server) -> None:
    Service.statuses = [503, None, 200, 503]
    with Customers(server.url, range(7)) as customers:
        while Service.statuses or customers.answered < 10:
            time.sleep(0.01)
    assert customers.failed == {"status 503": 2, "RemoteProtocolError": 1}
    assert customers.answered >= 10


def test_each_redeployment_is_kept_and_only_the_missing_ones_are_done(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    @contextmanager
    def running(_: object) -> Iterator[tuple[Server, float]]:
        yield server, 0.0

    def built(_: object, size: object, seed: int) -> Deployment:
        done.append(seed)
        return Deployment.parse({"bento": "b:1", "families": {"family": f"v:{seed}"}, "default": "family"}, "test")

    def redeploy(_: object, deployment: Deployment) -> None:
        Service.serves = dict.fromkeys((1, 2), deployment.families["family"])
        if deployment.families["family"] == "v:2":
            Service.serves[2] = "v:1"

    for name, stands_in in (("made", lambda *_, **__: None), ("running", running), ("built", built)):
        monkeypatch.setattr(redeploys, name, stands_in)
    monkeypatch.setattr(redeploys.deploy, "redeploy", redeploy)
    monkeypatch.setattr(redeploys, "AFTER", 0.01)
    rows = measure(tmp_path, 2, tmp_path / "kept")
    assert [(row["renewed"], row["workers"]) for row in rows] == [(True, {"v:1": 2}), (False, {"v:2": 1, "v:1": 1})]
    assert measure(tmp_path, 3, tmp_path / "kept")[:2] == rows
    assert done == [1, 2, 3]
    monkeypatch.setattr(redeploys, "whole_code_digest", lambda: "f" * 64)
    measure(tmp_path, 1, tmp_path / "kept")
    assert done == [1, 2, 3, 1]


def test_the_report_counts_failures_and_services_that_were_not_renewed() -> None:
    def row(number: int, failed: dict[str, int], renewed: bool) -> Redeployment:
        return {
            "number": number,
            "seconds": number,
            "answered": 10,
            "failed": failed,
            "workers": {},
            "renewed": renewed,
        }

    contents, text = report([row(1, {}, True), row(2, {"status 503": 2}, True), row(3, {"b:1 stays": 1}, False)], "c")
    assert (contents["failed"], contents["all_workers_on_the_new_version"]) == (3, 2)
    assert "| 3 | 2 | 30 | 3 | 3 |" in text
    assert "* 2 × status 503" in text
    assert "* 1 × b:1 stays" in text
