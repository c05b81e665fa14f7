"""The project of benchmarks/night.py: its rows, its params, and the request that comes in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml

from benchmarks import asking
from benchmarks.place import OFFICER_KEY, Place
from benchmarks.project import must
from lethe.core.format import mark
from lethe.core.shipped import shipped, shipped_root
from lethe.core.workspace import Workspace

BUCKET = "shop"


@dataclass(frozen=True)
class Size:
    users: int
    items: int
    each: int
    """Items that each user took."""


SMALL, WHOLE = Size(24, 20, 8), Size(2000, 400, 30)


def project(folder: Path, size: Size) -> Workspace:
    """A project whose rows lie in a file, with everything that every project has; trained on a Dask cluster."""
    folder.mkdir(parents=True)
    for name, content in shipped().items():
        if not name.startswith("flows/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    (folder / "flows").symlink_to(shipped_root() / "flows")
    columns = {"user": "user", "item": "item", "rating": "rating", "timestamp": "timestamp"}
    source = {"kind": "table", "path": "ratings.csv", "columns": columns}
    sharded = {"partition": "user-hash", "num_shards": 3, "aggregator": "mean"}
    params = {
        "seed": 7,
        "pipeline": {"datasets": ["shop"], "shardings": ["user-hash-3"]},
        "datasets": {"shop": {"source": source, "split": {"by": "random", "valid": 0.1, "test": 0.1}}},
        "shardings": {"user-hash-3": sharded},
        "families": {"shop": {"dataset": "shop", "candidates": [{"model": "wmf", "sharding": "user-hash-3"}]}},
        "models": {"wmf": {"embedding_dim": 8}},
        "training": {"runner": "dask"},
        # Whether the newer model is served is not what the night is about, and two dozen people say little of it.
        "promotion": {"tolerance": 0.9},
        "serving": {"workers": 1},
        "stores": {kind: f"s3://{BUCKET}/{kind}" for kind in ("artifacts", "models", "certificates")},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating,timestamp", *_rows(size)]) + "\n")
    workspace = Workspace(folder)
    mark(workspace)
    return workspace


def _rows(size: Size) -> list[str]:
    """Two groups of users, each at home in its half of the items."""
    rng, half, rows = np.random.default_rng(0), size.items // 2, list[str]()
    for user in range(size.users):
        for item in rng.choice(half, size=size.each, replace=False):
            rows.append(f"user-{user:04d},item-{item + user % 2 * half:04d},{1 + user % 5},{1000 + len(rows)}")
    return rows


def bucket(place: Place) -> Any:
    """In which the project keeps artifacts, models and certificates too."""
    import boto3

    names = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.resource("s3", endpoint_url=place.address("s3"), **names).Bucket(BUCKET)


def enter_request(place: Place, user: str) -> str:
    """The night's request comes in by the form of the console, as somebody types it who is logged in; its id."""
    with asking.client(base_url=place.address("console"), follow_redirects=True) as browser:
        sent = {"token": _token(browser.get("/ui/login")), "key": OFFICER_KEY}
        token = _token(browser.post("/ui/login", data=sent))
        shown = browser.post("/ui/requests/new", data={"token": token, "user": user})
    entered = re.search(r"/ui/requests/(req-[0-9a-f]+)$", shown.url.path)
    must(shown.status_code == 200 and entered is not None, "the console takes the request")
    assert entered is not None
    return entered[1]


def _token(page: httpx.Response) -> str:
    """What a form of this page carries."""
    found = re.search(r'name="token" value="([0-9a-f]+)"', page.raise_for_status().text)
    must(found is not None, "a page of the console has a form")
    assert found is not None
    return found[1]
