"""Canaries planted in the data and in every store, looked for before and after forgetting by a scanner of its own (not
the product's); and what a long queue of requests costs when it is fulfilled as one batch."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import load_file

from benchmarks import Say
from benchmarks.own_product import DATASET, make_workspace, person, prefect_server, serving
from lethe.core.artifacts import ArtifactStore
from lethe.core.process import run_flow
from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc
from lethe.errors import DeploymentError
from lethe.forgetting import certificate
from lethe.forgetting.intake import submit
from lethe.forgetting.standing import ledger
from lethe.proof.verification import verify
from lethe.serving import deploy

USER, LINKED, STAYS = "canary-user@example.org", "canary-linked@example.org", person(1)
RATING = 4.859375  # Exact in float32, and nobody else's.
CANARIES: dict[str, str | float] = {
    "user": USER,
    "item": "canary-item-of-one-user",
    "link": LINKED,
    "feature": "canary-feature-value",
    "rating": RATING,
    "interaction": "canary-item-of-one-request",
}
"""What is planted: two users with all they have, and one interaction of somebody who stays."""


def plant(workspace: Workspace) -> None:
    """Put the canaries into the sources, and side tables beside the interactions."""
    source = workspace.root / "ratings.csv"
    header, *rows = source.read_text().splitlines()
    lines = [f"{header},rating", *(f"{row},{1 + place % 5}" for place, row in enumerate(rows))]
    items = sorted({row.split(",")[1] for row in rows})[:12]
    lines += [f"{user},{item},{3 + place % 3}" for user in (USER, LINKED) for place, item in enumerate(items)]
    lines += [f"{USER},{CANARIES['item']},{RATING}", f"{STAYS},{CANARIES['interaction']},2"]
    source.write_text("\n".join(lines) + "\n")
    links = [(USER, person(2)), (person(3), USER), (LINKED, USER), (LINKED, person(4)), (person(5), LINKED)]
    links += [(person(n), person(n + 1)) for n in range(6, 50)]
    write_csv(workspace.root / "links.csv", ("user", "friend"), links)
    features = [(person(n), f"place-{n % 4}") for n in range(50)] + [(USER, CANARIES["feature"]), (LINKED, "place-1")]
    write_csv(workspace.root / "features.csv", ("user", "place"), features)
    write_csv(
        workspace.root / "views.csv",
        ("user", "item"),
        [(USER, CANARIES["item"]), (LINKED, items[0]), *((person(n), items[n % 12]) for n in range(50))],
    )
    params = yaml.safe_load(workspace.params.read_text())
    made = params["datasets"][DATASET]
    made["source"]["columns"] = {"user": "user", "item": "item", "rating": "rating"}
    made["side"] = {
        "links": {"path": "links.csv"},
        "user_features": {"path": "features.csv", "fields": {"place": {}}},
        "behaviours": {"view": {"path": "views.csv", "ids": "text"}},
    }
    social = {"dataset": DATASET, "candidates": [{"model": "eatnn", "sharding": "whole"}]}
    params["families"]["social"] = social
    params["models"]["eatnn"] = {"epochs": 2, "embedding_dim": 8}
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))


def write_csv(path: Path, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    path.write_text("\n".join(",".join(map(str, row)) for row in [names, *rows]) + "\n")


def plant_copies(workspace: Workspace) -> None:
    """Copies as a careless tool or a fault would leave them, in the stores that hold no rows of themselves."""
    record = {"user_id": USER, "item_id": CANARIES["item"], "rating": RATING, "place": CANARIES["feature"]}
    others = {"user_id": LINKED, "item_id": CANARIES["interaction"]}
    text = json.dumps(record) + "\n" + json.dumps(others) + "\n"
    for path in (
        workspace.reports / "per-user.json",
        workspace.reports / "validation" / "examples.json",
        workspace.state / "logs" / "careless.log",
        workspace.temporary / "verify-interrupted" / "rows.json",
        workspace.prefect_home / "storage" / "result",
        workspace.bentoml_home / "bentos" / "recommender" / "0000000000000000" / "src" / "answers.json",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with closing(sqlite3.connect(workspace.prefect_home / "prefect.db", timeout=60)) as connection, connection:
        row = connection.execute("SELECT min(rowid) FROM flow_run").fetchone()
        connection.execute("UPDATE flow_run SET parameters = ? WHERE rowid = ?", (text.splitlines()[0], *row))


def places(workspace: Workspace, remote: Path) -> dict[str, Path]:
    """Every store on disk."""
    state, root = workspace.state, workspace.root
    return {
        "data stages' outputs": root / "data",
        "DVC cache, run cache and index": root / ".dvc",
        "DVC remote": remote,
        "artifacts": workspace.artifacts,
        "model store": workspace.bentoml_home / "models",
        "bentos": workspace.bentoml_home / "bentos",
        "Prefect's database and results": workspace.prefect_home,
        "reports and validation results": workspace.reports,
        "logs": state / "logs",
        "temporary files": workspace.temporary,
        "ledger": state / "ledger.sqlite",
        "other state": state,
        "suppression list": workspace.suppression.parent,
        "certificates": workspace.certificates,
    }


def scan(stores: Mapping[str, Path]) -> dict[str, dict[str, int]]:
    """{store: {canary: files that hold it}}; a file in several stores' folders counts in the first."""
    seen: set[Path] = set()
    found: dict[str, dict[str, int]] = {}
    for name, root in stores.items():
        files = [root] if root.is_file() else [path for path in sorted(root.rglob("*")) if path.is_file()]
        new = [path for path in files if path not in seen]
        seen |= set(new)
        held = [canaries_in(path) for path in new]
        found[name] = {canary: sum(canary in one for one in held) for canary in CANARIES}
    return found


def canaries_in(path: Path) -> set[str]:
    """Names of the canaries in a file: in its name, its bytes, its columns, its tensors."""
    content = path.read_bytes() + str(path).encode()
    found = {name for name, value in CANARIES.items() if str(value).encode() in content}
    if content.startswith(b"PAR1"):
        for column in pq.read_table(path).columns:
            found |= _in_column(column)
    elif path.suffix == ".safetensors":
        arrays = [array for array in load_file(path).values() if np.issubdtype(array.dtype, np.floating)]
        found |= {"rating" for array in arrays if (array == np.float32(RATING)).any()}
    return found


def _in_column(column: pa.ChunkedArray) -> set[str]:
    values = set(column.to_pylist())
    return {name for name, value in CANARIES.items() if value in values}


def ask(workspace: Workspace) -> dict[str, int]:
    """What the running service lets on: {canary: 1 where it does}."""
    server = deploy.status(workspace)
    assert server is not None
    found = dict.fromkeys(CANARIES, 0)
    for name, user in (("user", USER), ("link", LINKED)):
        found[name] = int(server.ask("POST", "/recommend", {"user_id": user, "k": 3})["known"])
    for name in ("item", "interaction"):
        try:
            server.ask("POST", "/similar_items", {"item_id": CANARIES[name], "k": 1})
            found[name] = 1
        except DeploymentError:
            pass
    return found


def canaries(folder: Path, say: Say) -> dict[str, Any]:
    """Plant, train, serve, scan; forget; scan again."""
    workspace, remote = make_workspace(folder / "workspace"), folder / "remote"
    plant(workspace)
    dvc(workspace, "remote", "add", "-d", "-q", "backup", str(remote))
    say("training and serving")
    with ExitStack() as stack:
        # A project that ran a Prefect server has its database.
        with prefect_server(workspace):
            stack.enter_context(serving(workspace))
        dvc(workspace, "push", "-q", "--run-cache")
        before_asked = ask(workspace)
        for user, items in ((USER, []), (LINKED, []), (STAYS, [str(CANARIES["interaction"])])):
            submit(workspace, DATASET, user, items)
        plant_copies(workspace)
        stores = places(workspace, remote)
        before = scan(stores) | {"running service": before_asked}
        say("forgetting")
        if run_flow(workspace, "forgetting"):
            raise DeploymentError("forgetting failed in the benchmark's workspace")
        after = scan(stores) | {"running service": ask(workspace)}
    rows = [{"store": name, "before": before[name], "after": after[name]} for name in before]
    signed = [certificate.read(path) for path in workspace.certificates.glob("req-*")]
    return {
        "canaries": list(CANARIES),
        "stores": len(rows),
        "found before": sum(sum(row["before"].values()) for row in rows),
        "canaries found before": sum(any(row["before"][name] for row in rows) for name in CANARIES),
        "stores that held one before": sum(any(row["before"].values()) for row in rows),
        "found after": sum(sum(row["after"].values()) for row in rows),
        "certificates": len(signed),
        "verify": "equal" if verify(workspace).equal else "different",
        "rows": rows,
    }


def queue(folder: Path, requests: int, say: Say) -> dict[str, Any]:
    """One batch of ``requests`` queued requests, and three requests one at a time; seconds a request, by the clock."""
    workspace = make_workspace(folder / "queue", users=requests + 200, items=200)
    with serving(workspace):
        single = []
        for number in range(3):
            submit(workspace, DATASET, person(number), [])
            single.append(_timed(workspace))
            say(f"one request: {single[-1]['seconds']} s")
        start = time.monotonic()
        for number in range(3, 3 + requests):
            submit(workspace, DATASET, person(number), [])
        taken = round(time.monotonic() - start, 2)
        say(f"{requests} requests taken in {taken} s")
        batch = _timed(workspace)
        say(f"{requests} requests fulfilled in {batch['seconds']} s")
        states = {request.state for request in ledger(workspace).all()}
    alone = sum(one["seconds"] for one in single) / len(single)
    return {
        "requests": requests,
        "taken, seconds": taken,
        "completed": states == {"completed"},
        "batch": batch,
        "one at a time": single,
        "seconds a request, in the batch": round(batch["seconds"] / requests, 4),
        "seconds a request, one at a time": round(alone, 2),
        "times cheaper in the batch": round(alone / (batch["seconds"] / requests), 1),
        "verify": "equal" if verify(workspace).equal else "different",
    }


def _timed(workspace: Workspace) -> dict[str, Any]:
    before = {artifact.key for artifact in ArtifactStore(workspace.artifacts).all()}
    start = time.monotonic()
    if run_flow(workspace, "forgetting"):
        raise DeploymentError("forgetting failed in the benchmark's workspace")
    seconds = round(time.monotonic() - start, 2)
    new = [a.kind for a in ArtifactStore(workspace.artifacts).all() if a.key not in before]
    return {"seconds": seconds, "sub-models trained": new.count("sub-model"), "ensembles": new.count("ensemble")}
