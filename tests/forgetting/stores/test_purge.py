"""The purge on a real DVC repository: a planted person is found in every store before, in none after."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from lethe.config.tuned import tuned_file
from lethe.core.artifacts import ArtifactStore
from lethe.core.canonical import digest_file
from lethe.core.project import write_project
from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.result import NOTHING_WAS_HELD, Result
from lethe.forgetting.stores import every_store
from lethe.forgetting.stores.base import Site, Store
from lethe.forgetting.stores.held import StillHeld
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.purge import outside_reach, purge, scan
from lethe.forgetting.stores.versions import Versions
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.forgetting.stores.test_ledger_store import taken
from tests.warm import keep_warm

CANARY = "canary-person@example.org"
DATASETS = ("ml", "other")

STAGE = """
import sys
from pathlib import Path
import pandas as pd
from lethe.tables.interactions import Interactions
dataset = sys.argv[1]
rows = pd.read_csv(f"{dataset}.csv", dtype=str)
folder = Path("data", dataset, "ingested")
Interactions.of(rows["user"].to_numpy(object), rows["item"].to_numpy(object)).write(folder / "interactions.parquet")
"""


def write_source(workspace: Workspace, dataset: str, users: list[str]) -> None:
    lines = [f"{user},{item}" for user in users for item in ("7", "8")]
    (workspace.root / f"{dataset}.csv").write_text("\n".join(["user,item", *lines]) + "\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "workspace")
    made.root.mkdir()
    (made.root / "stage.py").write_text(STAGE)
    stages = {
        f"ingest-{dataset}": {
            "cmd": f"python stage.py {dataset}",
            "deps": [f"{dataset}.csv"],
            "outs": [f"data/{dataset}/ingested"],
        }
        for dataset in DATASETS
    }
    (made.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    dvc(keep_warm(made), "init", "--no-scm", "-q")
    config = "[core]\nno_scm = true\nanalytics = false\nsite_cache_dir = site-cache\n"
    (made.root / ".dvc" / "config").write_text(config)
    dvc(made, "remote", "add", "-d", "-q", "backup", str(tmp_path / "remote"))
    for dataset in DATASETS:
        # Both hold the canary, and 42, who can't be searched as text; only one dataset is to forget them.
        write_source(made, dataset, ["1", "42", CANARY, f"only-in-{dataset}"])
    dvc(made, "repro", "-q")
    dvc(made, "push", "-q")
    return made


def rows_of(workspace: Workspace, dataset: str) -> Interactions:
    return Interactions.read(workspace.interactions(dataset))


def artifact_of(workspace: Workspace, dataset: str) -> str:
    rows = rows_of(workspace, dataset)
    made = ArtifactStore(workspace.artifacts).make("sub-model", {"data": rows.digest()}, Catalogue.of(rows).write)
    return made.key


def register(workspace: Workspace, dataset: str, version: str) -> Path:
    folder = workspace.bentoml_home / "models" / dataset / version
    Catalogue.of(rows_of(workspace, dataset)).write(folder / "ensemble")
    (folder / "info.json").write_text(json.dumps({"dataset": dataset, "data": rows_of(workspace, dataset).digest()}))
    (folder / "ensemble" / "info.json").write_text('{"aggregator": "mean"}')
    return folder


def plant_copies(workspace: Workspace) -> None:
    for path in (
        workspace.reports / "per-user.json",
        workspace.temporary / "verify-interrupted" / "rows.json",
        workspace.prefect_home / "storage" / "result",
        workspace.state / "logs" / "server.log",
        workspace.bentoml_home / "bentos" / "recommender" / "old" / "src" / "answers.json",
    ):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"user_id": "42"}) + "\n" + json.dumps({"note": CANARY}))
    (workspace.reports / "metrics.json").write_text('{"ndcg@10": 0.1}')
    with closing(sqlite3.connect(workspace.prefect_home / "prefect.db")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE flow_run (id TEXT, parameters JSON)")
        rows = [("fault", json.dumps({"user": 42})), ("run", json.dumps({"datasets": ["ml"]}))]
        connection.executemany("INSERT INTO flow_run VALUES (?, ?)", rows)


def test_a_planted_person_is_found_before_and_not_after(workspace: Workspace) -> None:
    ledger = Ledger(workspace.ledger_url)
    both = [taken(ledger, CANARY), taken(ledger, "42")]
    old = {rows_of(workspace, "ml").digest(), digest_file(workspace.interactions("ml")), _md5(workspace, "ml")}
    live = {dataset: {artifact_of(workspace, dataset)} for dataset in DATASETS}
    old |= live["ml"]
    old_version, other_version = register(workspace, "ml", "v1"), register(workspace, "other", "v1")
    plant_copies(workspace)
    abandoned = workspace.artifacts / "sub-model" / ".building-x"
    abandoned.mkdir()
    checkpoint = workspace.artifacts / "checkpoint" / f"{artifact_of(workspace, 'other')}.safetensors"
    checkpoint.parent.mkdir()
    save_file({"model/users": np.zeros((2, 1), np.float32)}, checkpoint)
    (workspace.root / "data" / "ml" / ".interactions.parquet.tmp").write_text(CANARY)
    bento = workspace.bentoml_home / "bentos" / "recommender" / "old"

    def retire_models() -> int:
        shutil.rmtree(old_version, ignore_errors=True)
        return 1

    def retire_bentos() -> int:
        shutil.rmtree(bento, ignore_errors=True)
        return 1

    def places() -> list[Store]:
        retire = {"models": retire_models, "bentos": retire_bentos}
        every = every_store(Site(workspace, ledger, live))
        return [replace(one, retire=retire[one.name]) if isinstance(one, Versions) else one for one in every]

    write_source(workspace, "ml", ["1", "only-in-ml"])
    dvc(workspace, "repro", "-q")
    live["ml"] = {artifact_of(workspace, "ml")}
    register(workspace, "ml", "v2")
    needles = [Needles.of("ml", both, digests=old, held=StillHeld.of(items=frozenset({"7", "8"})))]

    found = scan(places(), needles)
    assert {name for name, where in found.places.items() if where} == {
        "data",
        "dvc",
        "dvc remote backup",
        "artifacts",
        "bentos",
        "models",
        "prefect",
        "temporary files",
        "reports",
        "state and logs",
    }
    assert CANARY not in json.dumps(found.to_json())

    removed = {one.store: one for one in purge(workspace, places(), needles)}
    for name in ("data", "bentos", "models", "prefect", "temporary files", "reports", "state and logs"):
        assert removed[name].entries == (2 if name == "prefect" else 1), name
        assert removed[name].bytes > 0, name
    for one in both:
        for state in ("planned", "executing", "verified"):
            ledger.advance(one.id, state)
        ledger.erase([one.id])
    after = scan(places(), needles)
    assert after.found == 0, after.to_json()
    assert set(after.places) == set(removed)

    assert not abandoned.exists()
    assert not checkpoint.exists(), "not even one of what is in use"
    with closing(sqlite3.connect(workspace.prefect_home / "prefect.db")) as connection:
        assert connection.execute("SELECT id FROM flow_run").fetchall() == [("run",)]
    assert (workspace.reports / "metrics.json").is_file()
    assert (workspace.state / "logs" / "server.log").read_bytes() == b""
    assert other_version.is_dir()
    assert "up to date" in dvc(workspace, "status"), "what is in use is whole"
    assert CANARY.encode() in dvc_objects(workspace), "the other dataset keeps its own"


def dvc_objects(workspace: Workspace) -> bytes:
    cached = [path for path in (workspace.root / ".dvc" / "cache").rglob("*") if path.is_file()]
    tables = [Interactions.read(path) for path in cached if path.read_bytes().startswith(b"PAR1")]
    return b" ".join(str(user).encode() for table in tables for user in table.user_ids)


def _md5(workspace: Workspace, dataset: str) -> str:
    lock = yaml.safe_load((workspace.root / "dvc.lock").read_text())
    return lock["stages"][f"ingest-{dataset}"]["outs"][0]["md5"].removesuffix(".dir")


def test_no_superseded_version_is_left_in_cache_or_remote(workspace: Workspace, tmp_path: Path) -> None:
    old = _md5(workspace, "ml")
    old_objects = [workspace.root / ".dvc" / "cache", tmp_path / "remote"]
    old_objects = [root / "files" / "md5" / old[:2] / f"{old[2:]}.dir" for root in old_objects]
    needles = [Needles("ml", digests=frozenset({old, rows_of(workspace, "ml").digest()}), texts=frozenset({CANARY}))]
    write_source(workspace, "ml", ["1"])
    dvc(workspace, "repro", "-q")
    assert all(path.is_file() for path in old_objects)
    (cache,) = [s for s in _stores(workspace) if s.name == "dvc"]
    (remote,) = [s for s in _stores(workspace) if s.name == "dvc remote backup"]
    places = cache.find(needles).places
    assert "digest" in {place.kind for place in places}
    assert any("cache/runs" in place.where for place in places), "the run cache names the old hash"
    assert [place.kind for place in remote.find(needles).places].count("digest") >= 1
    for store in (cache, remote):
        held = store.size()
        removed = store.remove(needles)
        assert removed.entries >= 2
        assert removed.bytes == held - store.size()
        assert store.find(needles).places == ()
        assert store.remove(needles).entries == 0, "safe to repeat"
    assert not any(path.exists() for path in old_objects)
    assert "up to date" in dvc(workspace, "status")


def _stores(workspace: Workspace) -> list[Store]:
    every = every_store(Site(workspace, Ledger(workspace.ledger_url)))
    return [replace(one, retire=lambda: 0) if isinstance(one, Versions) else one for one in every]


def test_stores_that_are_not_there_yet_are_empty(tmp_path: Path) -> None:
    made = Workspace(tmp_path)
    places = [store for store in _stores(made) if store.name != "dvc"]
    needles = [Needles("ml", users=frozenset({"42"}), texts=frozenset({CANARY}))]
    assert [one.entries for one in purge(made, places, needles)] == [0] * len(places)
    assert scan(places, needles).found == 0


def test_a_subject_that_a_request_under_way_needs_is_no_finding_but_one_left_in_the_file_is(tmp_path: Path) -> None:
    made = Workspace(tmp_path)
    ledger = Ledger(made.ledger_url)
    needles = [Needles("ml", texts=frozenset({CANARY}))]
    (store,) = [s for s in _stores(made) if s.name == "ledger"]
    request = taken(ledger, CANARY)
    assert store.find(needles).places == ()
    ledger.nothing_held(request.id, Result(NOTHING_WAS_HELD))
    assert store.find(needles).places == ()
    made.state.joinpath("ledger.sqlite-journal-copy").write_text(CANARY)
    assert [str(place) for place in store.find(needles).places] == ["ledger: text"]


def test_what_others_keep_in_the_projects_folder_is_counted_without_its_names(tmp_path: Path) -> None:
    made = Workspace(tmp_path / "shop")
    write_project(made.root, {"params.yaml": "", "README.md": ""})
    ledger = Ledger(made.ledger_url)
    tuned = tuned_file(made, "shop", "wmf").parent
    for folder in (made.artifacts, made.reports, made.certificates, made.ingested("shop"), tuned):
        folder.mkdir(parents=True)
    (backups,) = outside_reach(made, ledger)
    (made.root / f"{CANARY}.csv").touch()
    (made.root / ".git").mkdir()
    others, same = outside_reach(made, ledger)
    assert others.what.startswith("other files and folders in the project's folder than Lethe's data and settings: 2, ")
    assert same == backups


def test_what_can_only_be_told_to_erase_is_named(tmp_path: Path) -> None:
    made = Workspace(tmp_path)
    ledger = Ledger(made.ledger_url)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("['remote \"disk\"']\n    url = ../disk\n")
    away, backups = outside_reach(made, ledger)
    assert backups.what.startswith("backups and snapshots")
    assert away.what.startswith("DVC remote disk: nothing is at its folder now")
    (tmp_path / "disk").mkdir()
    assert outside_reach(made, ledger) == [backups]
    (tmp_path / ".dvc" / "config.local").write_text("['remote \"cloud\"']\n    url = s3://bucket/folder\n")
    place, _ = outside_reach(made, ledger)
    assert place.what.startswith("DVC remote cloud: ")
