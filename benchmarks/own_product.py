"""A small product of one's own to storm: a workspace on made rows, Prefect's server, the service and who asks it."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.prefect_server import free_port
from benchmarks.prefect_server import prefect_server as started
from benchmarks.project import ship
from lethe.config.source import SyntheticSource
from lethe.core.process import run_flow
from lethe.core.workspace import Workspace
from lethe.data.sources import synthetic
from lethe.errors import DeploymentError
from lethe.serving import deploy

DATASET = "made"


def person(number: int) -> str:
    """Raw id of a user: long enough to be looked for in every byte."""
    return f"person-{number:05d}@example.org"


def make_workspace(folder: Path, users: int = 60, items: int = 40, each: int = 12) -> Workspace:
    """A workspace over a CSV file of generated rows, its users called ``person(n)``; one sharded family, one whole."""
    ship(folder)
    rows, _ = synthetic.generate(
        SyntheticSource(kind="synthetic", users=users, items=items, interactions_per_user=each, seed=1)
    )
    lines = [f"{person(int(u))},item-{int(i):04d}" for u, i in zip(rows.user_ids, rows.item_ids, strict=True)]
    (folder / "ratings.csv").write_text("\n".join(["user,item", *lines]) + "\n")
    source = {"kind": "table", "path": "ratings.csv", "ids": "text"}
    whole = {"partition": "whole", "num_shards": 1, "aggregator": "identity"}
    sharded = {"partition": "user-hash", "num_shards": 3, "aggregator": "stacked"}
    params = {
        "seed": 1,
        "pipeline": {"datasets": [DATASET], "shardings": ["whole", "user-hash-3"]},
        "datasets": {DATASET: {"source": source, "split": {"by": "random", "valid": 0.1, "test": 0.1}}},
        "shardings": {"whole": whole, "user-hash-3": sharded},
        "families": {
            "sharded": {"dataset": DATASET, "candidates": [{"model": "wmf", "sharding": "user-hash-3"}]},
            "plain": {"dataset": DATASET, "candidates": [{"model": "wmf", "sharding": "whole"}]},
        },
        "models": {"wmf": {"embedding_dim": 8}},
        "serving": {"port": free_port(), "workers": 2},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return Workspace(folder)


@contextmanager
def prefect_server(of: Workspace | None = None) -> Iterator[None]:
    """One real Prefect server for all flows; its database is in a workspace, or in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="lethe-prefect-") as folder, started(of or Workspace(Path(folder))) as url:
        os.environ["PREFECT_API_URL"] = url
        try:
            yield
        finally:
            os.environ.pop("PREFECT_API_URL", None)


@contextmanager
def serving(workspace: Workspace) -> Iterator[None]:
    """Trained, deployed, and answering until the end of the block."""
    for flow in ("training", "deployment"):
        if run_flow(workspace, flow):
            raise DeploymentError(f"{flow} failed in the benchmark's workspace")
    deploy.start(workspace)
    try:
        yield
    finally:
        deploy.stop(workspace)


@dataclass
class Watch:
    """Asks the service all the time for a user whose erasure was accepted, and for somebody else."""

    workspace: Workspace
    hidden: str
    other: str
    answers: int = 0
    failed: int = 0
    from_forgotten: int = 0
    faults: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        server = deploy.status(self.workspace)
        assert server is not None
        while not self._stop.is_set():
            for user in (self.hidden, self.other):
                try:
                    answer = server.ask("POST", "/recommend", {"user_id": user, "k": 3})
                    self.answers += 1
                    self.from_forgotten += user == self.hidden and answer["source"] != "popular"
                except DeploymentError as error:
                    self.failed += 1
                    self.faults.append(str(error))
            time.sleep(0.05)
