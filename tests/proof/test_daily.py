"""The audit passes on a workspace that forgot somebody, and fails with one line at each planted difference."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lethe.build.inputs import PackageInputs
from lethe.build.registry import Registry
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.errors import LetheError
from lethe.forgetting import certificate
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.standing import ledger
from lethe.proof import daily as audit
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace, taste_blocks
from tests.forgetting.certificates import content
from tests.house import ask, forget, rebuild, train

GONE, HERE = "user-004", "user-006"


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A trained workspace that forgot one user and one interaction of another."""
    rows = taste_blocks()
    workspace = make_workspace(tmp_path_factory.mktemp("audit") / "w", rows)
    train(workspace)
    forget(workspace, GONE)
    held = rows.item_ids[rows.user_ids == HERE][0]
    forget(workspace, HERE, items=(str(held),))
    return workspace


def everything(workspace: Workspace) -> None:
    audit.begin(workspace)
    results = {"requests": audit.check_requests(workspace), "log": audit.check_log(workspace)}
    results |= {"suppression": audit.check_suppression(workspace), "scan": audit.search(workspace)}
    audit.write_report(workspace, audit.Results(**results, rebuild=audit.rebuild(workspace, sample=4)))


def test_an_untouched_workspace_passes(forgetful: Workspace) -> None:
    everything(forgetful)
    report = json.loads((forgetful.reports / "audit.json").read_text())
    assert report["log"]["certificates"] == 2
    rows = int((taste_blocks().user_ids == GONE).sum())
    assert report["suppression"] == {"entries": rows + 2, "forgotten": 2, "unsaid": [], "respelt": {}}
    assert (report["scan"]["digests"], report["scan"]["found"]) == (rows + 2, 0)
    assert report["rebuild"]["result"] == "equal"
    tables = 4 + 3 + 1  # interactions and split, shards of the two shardings
    assert report["rebuild"]["compared"] == tables + 4, "and all sub-models: a sample is drawn at random"


def _leave_rows(workspace: Workspace) -> None:
    rows = taste_blocks()
    mine = rows.take(rows.user_ids == GONE)
    Interactions.of(mine.user_ids, mine.item_ids).write(workspace.root / "data" / "tiny" / "side" / "kept.parquet")


def _leave_pair(workspace: Workspace) -> None:
    rows = taste_blocks()
    held = rows.item_ids[rows.user_ids == HERE][0]
    (workspace.reports / "answers.json").write_text(json.dumps([{"user_id": HERE, "item_ids": ["x", str(held)]}]))


def _forget_list(workspace: Workspace) -> None:
    workspace.suppression.unlink()


def _change_certificate(workspace: Workspace) -> None:
    path = min(workspace.certificates.glob("req-*.json"))
    path.write_bytes(path.read_bytes().replace(b'"payload": "ey', b'"payload": "eY'))


def _lose_certificate(workspace: Workspace) -> None:
    min(workspace.certificates.glob("req-*.json")).unlink()


def _bring_another_ledgers(workspace: Workspace) -> None:
    """As in a folder whose ledger was put back from a backup, or with a certificate of another project."""
    certificate.write(content(), workspace.certificates)


def _change_log(workspace: Workspace) -> None:
    with closing(sqlite3.connect(workspace.state / "ledger.sqlite")) as connection, connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("UPDATE events SET state = 'rejected' WHERE seq = 2")


def _change_shard(workspace: Workspace) -> None:
    path = next(p for p in sorted(workspace.shards("tiny", "user-hash-3/all").glob("*.parquet")))
    rows = Interactions.read(path)
    rows.take(slice(1, None)).write(path)


def _change_served_bytes(workspace: Workspace) -> None:
    folder = Registry(workspace).folder(Registry(workspace).served()["sharded"].tag)
    path = folder / "seen.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")


def _serve_other_weights(workspace: Workspace) -> None:
    """As whoever trained on something else would: a whole package, consistent in itself."""
    version = Registry(workspace).served()["plain"]
    store = ArtifactStore(workspace.artifacts)
    inputs = PackageInputs.of(version.artifact)
    info = inputs.info.model_copy(update={"sub_models": {"00": "f" * 64}})
    inputs = inputs.model_copy(update={"info": info})

    def copy(folder: Path) -> None:
        for name in version.artifact.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(version.artifact.file(name).read_bytes())

    Registry(workspace).promote("plain", store.make("package", inputs.plain(), copy), reason="planted", metrics={})


PLANTED: dict[Callable[[Workspace], None], str] = {
    _leave_rows: "scan: 1 places still hold forgotten data, there must be none; first: data: tiny/side/kept.parquet",
    _leave_pair: "scan: 1 places still hold forgotten data, there must be none; first: reports: answers.json",
    _forget_list: "suppression list: 2 of 2 that the ledger says are forgotten are not on it",
    _change_certificate: "audit: the certificate of req-",
    _lose_certificate: "audit: the certificate of req-",
    _bring_another_ledgers: "ledger: 1 hashes that certificates or the witness name are not in the log",
    _change_log: "ledger: event 2 was changed",
    _change_shard: "audit: 1 digests differ from a rebuild; first: tiny/user-hash-3/all/shard/00",
    _change_served_bytes: "'seen.safetensors' is corrupt",
    _serve_other_weights: "audit: 1 digests differ from a rebuild; first: plain/sub-model/00",
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__.strip("_"))
def test_the_first_difference_is_one_line(
    plant: Callable[[Workspace], None], forgetful: Workspace, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "w")
    shutil.copytree(forgetful.root, workspace.root, symlinks=True)
    plant(workspace)
    with pytest.raises(LetheError) as caught:
        everything(workspace)
    assert PLANTED[plant] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert GONE not in str(caught.value)
    assert HERE not in str(caught.value)
    assert not (workspace.reports / "audit.json").exists()


def test_a_run_left_halfway_and_an_overdue_request_are_told(trained: Workspace) -> None:
    ask(trained, GONE)
    assert audit.check_requests(trained) == {"waiting": 1}
    long_ago = ledger(trained).pending()[0].received - timedelta(days=40)
    late = ForgetRequest.new("tiny", HERE, now=long_ago, datasets=["tiny"])
    ledger(trained).take([late], accept=False)
    with pytest.raises(LetheError, match="audit: 1 requests are past their due date, the first is req-"):
        audit.check_requests(trained)
    rebuild(trained)
    with pytest.raises(LetheError, match="a forget run was interrupted"):
        audit.check_requests(trained)


def test_a_removed_row_of_somebody_who_may_be_known_again_is_found_and_a_new_one_is_not(trained: Workspace) -> None:
    forget(trained, GONE)
    SuppressionList.read(trained.suppression).lift("tiny", GONE)
    old = taste_blocks()
    old = old.take(old.user_ids == GONE)
    assert old.timestamps is not None
    assert (audit.search(trained)["rows"], audit.search(trained)["not_searched"]) == (
        len(old),
        [audit.ROWS_NOT_SEARCHED],
    )
    kept = trained.root / "data" / "tiny" / "side" / "kept.parquet"
    replace(old, timestamps=old.timestamps + 9_999).write(kept)
    assert audit.search(trained)["found"] == 0, "the same items at another time are new rows"
    old.take(slice(0, 1)).write(kept)
    with pytest.raises(LetheError, match=r"first: data: tiny/side/kept\.parquet: removed row"):
        audit.search(trained)


def test_who_came_back_is_no_finding(trained: Workspace) -> None:
    forget(trained, GONE)
    source = trained.root / "ratings.csv"
    source.write_text(source.read_text() + f"{GONE},item-000,3,5000\n")
    train(trained)
    assert GONE not in set(Interactions.read(trained.interactions("tiny")).user_ids), "suppressed until lifted"
    SuppressionList.read(trained.suppression).lift("tiny", GONE, since=5000)
    train(trained)
    back = Interactions.read(trained.interactions("tiny"))
    assert back.timestamps is not None
    assert back.timestamps[back.user_ids == GONE].tolist() == [5000]
    assert audit.search(trained)["found"] == 0
