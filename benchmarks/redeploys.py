"""Redeployments while customers ask: what fails, and whether every worker serves the new version afterwards.

Half of the customers open a connection for each question, half keep theirs. A redeployment that was done is kept, so
that a run that was stopped resumes, until the code changes.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import httpx

from benchmarks import Say, asking
from benchmarks.page import bullets, grid, page
from benchmarks.serving import Size, built, made, running
from lethe.core.environment import whole_code_digest
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.serving import deploy
from lethe.serving.server import Server

SIZE = Size(6040, 3706)
CUSTOMERS = 4
BETWEEN = 0.05
"""Seconds from an answer to a customer's next question."""
AFTER = 1.0
"""Seconds that customers go on asking when the redeployment is done."""


class Redeployment(TypedDict):
    """``failed``: how many questions by what came of them, beside the ``answered`` ones. ``workers``: by the version
    that each serves afterwards."""

    number: int
    seconds: float
    answered: int
    failed: dict[str, int]
    workers: dict[str, int]
    renewed: bool


class Customers:
    """Threads that ask for as long as the block lasts, and count what came of it."""

    def __init__(self, url: str, ids: Sequence[int | str], count: int = CUSTOMERS) -> None:
        self.url, self.ids = f"{url}/v1/recommend", ids
        self.answered, self.failed = 0, Counter[str]()
        self._done, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(n, n % 2 == 1)) for n in range(count)]

    def _ask(self, number: int, keeps: bool) -> None:
        client, asked = self._client(), number
        while not self._done.wait(BETWEEN):
            body = {"user_id": self.ids[asked * 31 % len(self.ids)], "k": 10}
            asked += CUSTOMERS
            try:
                status = client.post(self.url, json=body).status_code
                came = "" if status == 200 else f"status {status}"
            except httpx.HTTPError as error:
                came = type(error).__name__
            with self._lock:
                self.answered += not came
                self.failed.update([came] if came else [])
            if came or not keeps:
                client.close()
                client = self._client()
        client.close()

    def _client(self) -> httpx.Client:
        return asking.client(timeout=60)

    def __enter__(self) -> Customers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


def measure(folder: Path, times: int, kept: Path, say: Say = lambda _: None, size: Size = SIZE) -> list[Redeployment]:
    """So many redeployments of a service with two workers; those that ``kept`` has of this code are not done again."""
    kept = kept / whole_code_digest()[:16]
    paths = [kept / f"{number:03d}.json" for number in range(1, times + 1)]
    missing = [number for number, path in enumerate(paths, start=1) if not path.is_file()]
    if missing:
        workspace = made(folder / "workspace", size, workers=2)
        with running(workspace) as (server, _):
            for number in missing:
                row = _redeploy(workspace, server, number, size)
                write_whole(paths[number - 1], json.dumps(row))
                say(f"{number} of {times}: {json.dumps(row)}")
    return [json.loads(path.read_bytes()) for path in paths]


def _redeploy(workspace: Workspace, server: Server, number: int, size: Size) -> Redeployment:
    deployment = built(workspace, size, number)
    began, refused = time.perf_counter(), Counter[str]()
    with Customers(server.url, range(size.users)) as customers:
        try:
            deploy.redeploy(workspace, deployment)
        except DeploymentError as error:
            refused[str(error)] += 1
        seconds = time.perf_counter() - began
        time.sleep(AFTER)
    workers = _workers(server)
    return {
        "number": number,
        "seconds": round(seconds, 2),
        "answered": customers.answered,
        "failed": dict(customers.failed + refused),
        "workers": workers,
        "renewed": workers == {deployment.families["family"]: server.workers},
    }


def _workers(server: Server) -> dict[str, int]:
    """How many of the workers that live serve each version; one that never answers is under "none"."""
    serves = {pid: about["families"]["family"]["version"] for pid, about in server.ask_each("/model").items()}
    return dict(Counter(serves.get(pid, "none") for pid in sorted(server.worker_pids() | set(serves))))


def report(rows: list[Redeployment], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    failed = sum((Counter(row["failed"]) for row in rows), Counter[str]())
    totals = {
        "redeployments": len(rows),
        "all_workers_on_the_new_version": sum(row["renewed"] for row in rows),
        "answered": sum(row["answered"] for row in rows),
        "failed": failed.total(),
    }
    said = (
        f"{CUSTOMERS} customers ask without a pause while a service of two workers ({SIZE.users:,} users,"
        f" {SIZE.items:,} items) is redeployed, half of them over a new connection each time."
    )
    head = ("redeployments", "all workers on the new version", "requests answered", "failed", "seconds each, at most")
    sums = grid(head, [(*totals.values(), max(row["seconds"] for row in rows))])
    faults = bullets(f"{count} × {what}" for what, count in failed.most_common())
    text = page("redeploys", f"`{command}`", said, sums, faults)
    return {"table": "redeploys", "command": command, **totals, "rows": rows}, text
