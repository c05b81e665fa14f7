"""Fixtures for all tests: a small workspace with text ids, keys of its own, and nothing of the user's environment."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from hypothesis import settings
from sqlalchemy import Engine, event

from benchmarks.postgres import NoPostgres, PostgresServer, new_database
from lethe.core.format import mark
from lethe.core.workspace import NUMERIC, Workspace
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import NO_TABLES, SideTables
from tests.side import write_side

if TYPE_CHECKING:
    from tests.s3 import Server

# How long an example takes is no part of what a test says.
settings.register_profile("lethe", deadline=None)
settings.load_profile("lethe")

# From the very start, as Workspace.environment() sets them for every process of the product.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG"):
    os.environ[name] = NUMERIC[name]
# A GPU's kernels run in Triton's interpreter, which is chosen when torch or a kernel first imports it.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"

# No test takes the power away, so none in this process waits until the disk has what was written.
os.fsync = lambda _: None


@event.listens_for(Engine, "connect")
def _lazily_to_disk(connection: object, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


ROOT = Path(__file__).parent.parent
DEAREST = (
    "flows/test_whole_way.py",
    "test_laws.py",
    "flows/test_faults.py",
    "models/test_contract.py",
    "flows/test_night.py",
    "learning/test_device.py",
    "flows/test_schedules.py",
    "forgetting/stores/test_by_url.py",
    "test_traps.py",
    "data/test_blocks_of_users.py",
    "forgetting/test_upgrade.py",
    "learning/runner/test_cluster.py",
)
"""Files that are begun first, so that none keeps one process at work after the other has ended. Two that start many
processes of their own don't follow each other: that would be two at once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / "tests" / name: place for place, name in enumerate(DEAREST)}
    items.sort(key=lambda item: places.get(item.path, len(DEAREST)))


@pytest.fixture(scope="session", autouse=True)
def _own_keys(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Secrets of the test run alone; the user's key folder is never touched."""
    os.environ["LETHE_KEY_DIR"] = str(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a real PostgreSQL server, started for this session as an unprivileged user; skips where there is none."""
    try:
        server = PostgresServer.start()
    except NoPostgres as why:
        pytest.skip(str(why))
    yield server.url
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """URL of an empty database."""
    return new_database(postgres_server)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """A server of S3 (moto's), started for this session; who uses it makes buckets of a name of their own."""
    from tests.s3 import Server  # moto and boto3 are slow to import, and few tests need them

    server = Server.start()
    yield server
    server.running.stop()


def taste_blocks(users: int = 24, items: int = 20, seed: int = 0) -> Interactions:
    """Two groups of users, each mostly at home in its half of the items; ids are text, times are seconds."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        half = (user % 2) * (items // 2)
        for item in rng.choice(items // 2, size=items // 2 - 2, replace=False):
            rows.append((f"user-{user:03d}", f"item-{half + item:03d}", 1 + (user + int(item)) % 5, 1_000 + len(rows)))
    user_ids, item_ids, ratings, times = (np.array(column) for column in zip(*rows, strict=True))
    return Interactions.of(user_ids.astype(object), item_ids.astype(object), ratings, times)


def write_csv(rows: Interactions, path: Path) -> None:
    lines = ["user,item,rating,timestamp"]
    assert rows.ratings is not None
    assert rows.timestamps is not None
    for user, item, rating, time in zip(rows.user_ids, rows.item_ids, rows.ratings, rows.timestamps, strict=True):
        lines.append(f"{user},{item},{rating:g},{time}")
    path.write_text("\n".join(lines) + "\n")


SMALL = {"epochs": 4, "embedding_dim": 4}
MODEL_SETTINGS = {
    "bpr": {"epochs": 8, "embedding_dim": 8},
    "wmf": {"embedding_dim": 8},
    "enmf-u": {"epochs": 8, "embedding_dim": 8},
    "lightgcn": {"epochs": 8, "embedding_dim": 8},
    "eatnn": {"epochs": 8, "embedding_dim": 8},
    "ehcf": {"epochs": 8, "embedding_dim": 8},
    "ghcf": {"epochs": 8, "embedding_dim": 8},
    "mult-vae": {"epochs": 4, "embedding_dim": 4, "hidden": 8},
    "cfm": SMALL | {"channels": 4},
    "ripplenet": SMALL | {"memory": 4},
    "kgat": SMALL | {"layers": [4]},
    **dict.fromkeys(
        ("directau", "sasrec", "hstu", "xsimgcl", "enmf-quadratic", "fm", "nfm", "deepfm", "sbpr", "samn"), SMALL
    ),
    **dict.fromkeys(("cmf", "mc-bpr", "nmtr", "cke", "cfkg", "rating-mlp"), SMALL),
    **dict.fromkeys(
        ("enmf-i", "enmf-a", "ultragcn", "simplex", "ensfm", "jnskr", "gru4rec", "gmf", "bias-lfm", "minibatch-lfm"),
        SMALL,
    ),
}


def make_workspace(
    folder: Path, rows: Interactions, models: tuple[str, ...] = ("wmf",), tables: SideTables = NO_TABLES
) -> Workspace:
    """A workspace over CSV sources in ``folder``: shardings whole and user-hash-3, two families."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(rows, folder / "ratings.csv")
    (folder / "suppression").mkdir()
    (folder / "suppression" / "README.md").write_text("Suppression list\n")
    (folder / ".dvc").mkdir()
    for name in ("dvc.yaml", ".dvc/config", ".dvcignore", "bentofile.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    columns = {"user": "user", "item": "item", "rating": "rating", "timestamp": "timestamp"}
    params = {
        "seed": 7,
        "pipeline": {"datasets": ["tiny"], "shardings": ["whole", "user-hash-3"]},
        "datasets": {
            "tiny": {
                "source": {"kind": "table", "path": "ratings.csv", "columns": columns},
                "split": {"by": "random", "valid": 0.1, "test": 0.1},
                "rating": {"min": 1, "max": 5},
                "side": write_side(tables, folder),
            }
        },
        "shardings": {
            "whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"},
            "user-hash-3": {"partition": "user-hash", "num_shards": 3, "aggregator": "attention"},
            "mean-3": {"partition": "user-hash", "num_shards": 3, "aggregator": "mean"},
        },
        "families": {
            "sharded": {"dataset": "tiny", "candidates": [{"model": m, "sharding": "user-hash-3"} for m in models]},
            "plain": {
                "dataset": "tiny",
                "candidates": [{"model": m, "sharding": "whole"} for m in dict.fromkeys(("mostpop", *models))],
            },
        },
        "models": MODEL_SETTINGS,
        "aggregators": {"attention": {"steps": 20}},
        "serving": {"workers": 2},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    workspace = Workspace(folder)
    mark(workspace)
    return workspace


@pytest.fixture
def tiny(tmp_path: Path) -> Workspace:
    """A workspace over two blocks of taste, nothing built yet."""
    return make_workspace(tmp_path / "workspace", taste_blocks())


def copied(workspace: Workspace, folder: Path) -> Workspace:
    """A workspace of the same bytes, for a test to change."""
    return Workspace(shutil.copytree(workspace.root, folder))


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small workspace with its models built and promoted; to be copied by whoever changes it."""
    from tests import house  # it imports torch

    workspace = make_workspace(tmp_path_factory.mktemp("trained") / "workspace", taste_blocks())
    house.train(workspace)
    return workspace


@pytest.fixture
def trained(trained_once: Workspace, tmp_path: Path) -> Workspace:
    """A workspace over two blocks of taste, its models built and promoted."""
    return copied(trained_once, tmp_path / "workspace")
