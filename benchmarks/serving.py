"""What a request costs: the service beside a constant route of its own stack, interleaved; memory, start, batches.

The catalogue is made: users and items with random vectors, as a factor model would have them. Every figure of requests
is of keep-alive connections from one process of this machine, so absolute ones are those of a shared machine; the ratio
to the constant route, measured in turns of a second, is what means something.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import yaml

from benchmarks import Say, asking
from benchmarks.page import grid, page
from benchmarks.prefect_server import free_port
from benchmarks.serving_load import in_turns, request_of
from lethe.build.inputs import PackageInputs
from lethe.build.registry import Registry
from lethe.core.artifacts import ArtifactStore, Reference
from lethe.core.shipped import shipped
from lethe.core.workspace import Workspace
from lethe.learning.ensemble import FactorEnsemble
from lethe.models.parts.fold_in import SquareLossRows
from lethe.serving import deploy
from lethe.serving.deployment import Deployment
from lethe.serving.hidden import publish
from lethe.serving.package_info import PackageInfo
from lethe.serving.packing import write_package
from lethe.serving.server import Server
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

CONNECTIONS = (1, 8, 32)
DIM = 64
SEEN = 20
"""Items that a user took."""


@dataclass(frozen=True)
class Size:
    users: int
    items: int


SIZES = {"demo": Size(6040, 3706), "large": Size(1_000_000, 100_000)}


def made(folder: Path, size: Size, workers: int) -> Workspace:
    """A workspace with one promoted family of that size."""
    folder.mkdir(parents=True)
    params = {
        "pipeline": {"datasets": ["made"], "shardings": ["whole"]},
        "datasets": {"made": {"source": {"kind": "synthetic"}}},
        "shardings": {"whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"}},
        "families": {"family": {"dataset": "made", "candidates": [{"model": "wmf", "sharding": "whole"}]}},
        "serving": {"workers": workers},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "bentofile.yaml").write_bytes(shipped()["bentofile.yaml"])
    workspace = Workspace(folder)
    publish(workspace.hidden_users, [])
    deploy.redeploy(workspace, built(workspace, size, 2026))
    return workspace


def built(workspace: Workspace, size: Size, seed: int) -> Deployment:
    """The deployment of a package that is made of that seed, promoted and packed into a bento."""
    nothing = Reference("0" * 64, "0" * 64)
    info = PackageInfo(
        family="family", dataset="made", model="wmf", sharding="whole", guarantee="exact", positive=None, recipe={},
        snapshot=nothing, tables={"interactions": "made"}, ensemble=nothing, sub_models={}, rates=False,
        repeatable=True,
    )  # fmt: skip
    generator = np.random.default_rng(seed)
    users = np.repeat(np.arange(size.users), SEEN)
    rows = Interactions.of(users, (generator.random(len(users)) ** 2 * size.items).astype(np.int64))
    catalogue = Catalogue(Ids(np.arange(size.users)), Ids(np.arange(size.items)))
    left, right = (generator.normal(size=(count, DIM)).astype(np.float32) for count in (size.users, size.items))
    ensemble = FactorEnsemble(catalogue, left, right, SquareLossRows.of(right, np.full(size.items, 0.2), dropout=0.4))
    package = ArtifactStore(workspace.artifacts).make(
        "package",
        PackageInputs(info=info, code=f"{seed:064d}").plain(),
        lambda inside: write_package(inside, ensemble, rows, info),
    )
    tag = Registry(workspace).promote("family", package, reason="benchmark", metrics={})
    return deploy.shipped(workspace, deploy.build_bento(workspace, {"family": tag}))


@contextmanager
def running(workspace: Workspace) -> Iterator[tuple[Server, float]]:
    """The service, and the seconds until every worker answered."""
    began = time.perf_counter()
    server = deploy.start(workspace, port=free_port())
    try:
        yield server, time.perf_counter() - began
    finally:
        deploy.stop(workspace)


def measure(folder: Path, name: str, seconds: float, say: Say) -> dict[str, Any]:
    """All figures of one size."""
    size = SIZES[name]
    os.environ["LETHE_KEY_DIR"] = str(folder / "keys")
    figures: dict[str, Any] = {"size": name, "users": size.users, "items": size.items}
    figures["stack_mb"] = stack(folder / f"{name}-stack")
    for workers in (1, 2):
        workspace = made(folder / f"{name}-{workers}", size, workers)
        with running(workspace) as (server, started):
            loads = {str(count): compare(server, count, size, seconds) for count in CONNECTIONS}
            about = {"start_seconds": round(started, 1), "loads": loads, "memory": memory(server)}
            if workers == 1:
                about["batch_of_1000_ms"] = round(batch(server, size), 1)
                publish(workspace.hidden_users, [secrets.token_hex(32) for _ in range(100_000)])
                about["with_100k_hidden"] = compare(server, 8, size, seconds)
            figures[f"workers_{workers}"] = about
            say(f"{name}, {workers} workers: {json.dumps(about)}")
        package = next((workspace.artifacts / "package").iterdir())
        figures["package_mb"] = round(sum(p.stat().st_size for p in package.rglob("*") if p.is_file()) / 1e6, 1)
    one, two = (figures[f"workers_{n}"]["loads"]["32"]["recommend"]["per_second"] for n in (1, 2))
    figures["second_worker"] = round(two / one, 2)
    return figures


def compare(server: Server, connections: int, size: Size, seconds: float) -> dict[str, Any]:
    """Recommendations and the constant route, in turns, over so many connections."""
    generator = np.random.default_rng(connections)
    bodies = [json.dumps({"user_id": int(user), "k": 10}).encode() for user in generator.integers(0, size.users, 4096)]
    recommend = [request_of(server, "POST", "/v1/recommend", body) for body in bodies]
    constant = [request_of(server, "GET", "/", b"")]
    loads = asyncio.run(in_turns(server, connections, {"constant": constant, "recommend": recommend}, seconds))
    figures: dict[str, Any] = {name: load.figures() for name, load in loads.items()}
    figures["ratio"] = round(figures["recommend"]["per_second"] / figures["constant"]["per_second"], 3)
    return figures


def batch(server: Server, size: Size) -> float:
    """Milliseconds of a request for 1,000 users, the least of five."""
    body = {"user_ids": list(range(min(1000, size.users))), "k": 10}
    took = []
    for _ in range(5):
        began = time.perf_counter()
        server.ask("POST", "/v1/recommend/batch", body)  # type: ignore[arg-type]
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


def memory(server: Server) -> list[dict[str, float]]:
    """Megabytes of each worker: all, and those that no other process shares."""
    infos = [psutil.Process(pid).memory_full_info() for pid in sorted(server.worker_pids())]
    return [{"rss_mb": round(info.rss / 1e6, 1), "own_mb": round(info.uss / 1e6, 1)} for info in infos]


BARE = """
import bentoml
from fastapi import FastAPI

api = FastAPI()


@api.get("/")
def constant() -> dict[str, bool]:
    return {"alive": True}


@bentoml.service(workers=2, logging={"access": {"enabled": False}}, metrics={"enabled": False})
@bentoml.asgi_app(api)
class Bare:
    pass
"""


def stack(folder: Path) -> float:
    """Megabytes of a worker's own where BentoML and FastAPI answer a constant, and nothing of ours is loaded."""
    folder.mkdir(parents=True)
    (folder / "bare.py").write_text(BARE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", "bare:Bare", "--port", str(port)]
    environment = {**os.environ, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml")}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            _until_it_answers(f"http://127.0.0.1:{port}/")
            own = [child.memory_full_info().uss for child in psutil.Process(process.pid).children()]
        finally:
            process.terminate()
    return round(max(own) / 1e6, 1)


def _until_it_answers(url: str, patience: float = 120) -> None:
    began = time.monotonic()
    while time.monotonic() - began < patience:
        try:
            asking.get(url)
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"{url}: no answer in {patience:.0f} s")


def report(figures: list[dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    said = (
        "Requests a second and milliseconds at 1, 8 and 32 keep-alive connections, beside a constant route of the same"
        " stack in turns of a second. Own: memory that no other process shares, after the requests; of the stack,"
        " that of a worker that answers a constant and loads nothing of ours."
    )
    loads = [
        (size["size"], workers, count, *_load(load))
        for size in figures
        for workers in (1, 2)
        for count, load in size[f"workers_{workers}"]["loads"].items()
    ]
    text = page("serving", f"`{command}`", said, grid(LOADS, loads), grid(SERVICE, map(_service, figures)))
    return {"table": "serving", "command": command, "sizes": figures}, text


LOADS = ("size", "workers", "connections", "recommend/s", "constant/s", "ratio", "p50 ms", "p99 ms")
SERVICE = (
    *("size", "package MB", "own MB a worker", "own MB of the stack"),
    *("start s", "1,000 users ms", "ratio, 100 k hidden", "2nd worker"),
)


def _load(load: dict[str, Any]) -> tuple[str, ...]:
    ours, constant = load["recommend"], load["constant"]
    rates = (f"{ours['per_second']:.0f}", f"{constant['per_second']:.0f}", f"{load['ratio']:.2f}")
    return (*rates, f"{ours['p50_ms']:.1f}", f"{ours['p99_ms']:.1f}")


def _service(size: dict[str, Any]) -> tuple[object, ...]:
    one, own = size["workers_1"], max(part["own_mb"] for part in size["workers_2"]["memory"])
    memory = (size["package_mb"], own, size["stack_mb"])
    times = (one["start_seconds"], one["batch_of_1000_ms"], f"{one['with_100k_hidden']['ratio']:.2f}")
    return (size["size"], *memory, *times, f"{size['second_worker']:.2f} ×")
