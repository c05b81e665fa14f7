"""A workspace of an older Lethe is taken over: evidence stays, results are made anew."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from lethe.build.registry import Registry
from lethe.core.canonical import canonical_json
from lethe.core.format import FORMAT, format_of, must_fit
from lethe.core.keys import fingerprint
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.errors import ConfigError, DataError, LetheError
from lethe.forgetting import upgrade as upgrades
from lethe.forgetting.intake import ledger
from lethe.forgetting.ledger.requests import Held
from lethe.forgetting.upgrade import upgrade
from lethe.proof.verification import verify
from lethe.tables.interactions import Interactions
from tests.conftest import copied
from tests.house import ask, forget, train

GONE, WAITING = "user-004", "user-009"


@pytest.fixture(scope="module")
def left(trained_once: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """As 0.1.0 left it: one user forgotten, one who waits, no format number, versions that can't be read any more."""
    workspace = copied(trained_once, tmp_path_factory.mktemp("old") / "workspace")
    forget(workspace, GONE)
    ask(workspace, WAITING)
    (workspace.state / "workspace.json").unlink()
    with sqlite3.connect(workspace.state / "ledger.sqlite") as ledger_file:
        ledger_file.execute("UPDATE requests SET held = NULL")
    entries = SuppressionList.read(workspace.suppression).entries
    lines = [f"tiny,user,{entry.digest},{entry.user_digest},1700000000" for entry in entries if entry.kind == "user"]
    workspace.suppression.write_text("\n".join(["dataset,kind,digest,user_digest,requested_at", *lines]) + "\n")
    for version in Registry(workspace).served().values():
        path = Registry(workspace).folder(version.tag) / "manifest.json"
        manifest = json.loads(path.read_bytes())
        manifest["inputs"]["info"] = {"family": "of another shape"}
        path.write_bytes(canonical_json(manifest))
    text = (workspace.root / "dvc.yaml").read_text().replace("lethe.data.run", "lethe.stages")
    (workspace.root / "dvc.yaml").write_text(text)
    workspace.hidden_users.replace(workspace.state / "suppressed-users.json")
    return workspace


@pytest.fixture
def old(left: Workspace, tmp_path: Path) -> Workspace:
    return copied(left, tmp_path / "workspace")


def evidence(workspace: Workspace) -> dict[str, bytes]:
    certificates = [path for path in workspace.certificates.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in certificates}


def test_evidence_stays_and_results_are_made_anew(old: Workspace) -> None:
    kept, requests = evidence(old), ledger(old).all()
    head = ledger(old).check_chain()
    listed = old.suppression.read_text().splitlines()[1:]
    assert kept
    done = upgrade(old)
    assert evidence(old) == kept
    assert [replace(request, held=Held()) for request in ledger(old).all()] == requests
    assert [request.held.interactions > 0 for request in ledger(old).all()] == [False, True]
    assert ledger(old).check_chain([head]) != head, "the log says what was counted, after all that it held"
    assert old.suppression.read_text().startswith(f"# lethe suppression list 2, key {fingerprint()}\n")
    digests = {entry.digest for entry in SuppressionList.read(old.suppression).entries}
    assert digests == {line.split(",")[2] for line in listed}
    assert done["ledger"] == ["requests kept: 2; the chain over them is whole"]
    assert {line.split(" made by")[0].split(" of kind ")[1].rstrip(":") for line in done["artifacts"]} == {
        "sub-model", "ensemble", "package", "snapshot"
    }  # fmt: skip
    assert any("lethe.data.run" in line for line in done["data stages"])
    assert "lethe.stages" not in (old.root / "dvc.yaml").read_text()
    assert not (old.state / "suppressed-users.json").exists()
    assert json.loads(old.hidden_users.read_bytes()), "who waits is hidden"
    assert Registry(old).served() == {}
    assert list(old.artifacts.iterdir()) == []
    assert format_of(old) == FORMAT


def test_after_it_lethe_trains_forgets_and_verifies(old: Workspace) -> None:
    upgrade(old)
    train(old)
    for user in (GONE,):
        assert user not in Interactions.read(old.interactions("tiny")).user_ids
    forget(old)
    assert WAITING not in Interactions.read(old.interactions("tiny")).user_ids
    assert verify(old).equal


def test_it_changes_nothing_the_second_time_or_in_a_new_workspace(old: Workspace, tmp_path: Path) -> None:
    assert upgrade(old)
    files = {path: path.read_bytes() for path in old.root.rglob("*") if path.is_file()}
    assert upgrade(old) == {}
    assert {path: path.read_bytes() for path in old.root.rglob("*") if path.is_file()} == files
    new = Workspace(tmp_path / "new")
    assert upgrade(new) == {}
    must_fit(new)


@pytest.mark.parametrize("after", range(len(upgrades.STEPS)))
def test_killed_after_any_step_it_is_begun_again(after: int, old: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Workspace) -> list[str]:
        raise LetheError("killed")

    steps = upgrades.STEPS
    monkeypatch.setattr(upgrades, "STEPS", (*steps[: after + 1], upgrades.Step("fault", fail)))
    kept = evidence(old)
    with pytest.raises(LetheError, match="killed"):
        upgrade(old)
    assert format_of(old) == 1
    monkeypatch.setattr(upgrades, "STEPS", steps)
    upgrade(old)
    assert evidence(old) == kept
    assert format_of(old) == FORMAT
    assert len(SuppressionList.read(old.suppression).entries) == 1


@pytest.mark.parametrize(
    "content", ["", "dataset,kind\n", "dataset,kind,digest,user_digest,requested_at\ntiny,user,ab\n"]
)
def test_a_list_that_is_no_list_stays_as_it_is(content: str, old: Workspace) -> None:
    old.suppression.write_text(content)
    with pytest.raises(DataError, match=r"list\.csv: line [12]"):
        upgrade(old)
    assert old.suppression.read_text() == content
    assert format_of(old) == 1


def test_what_would_lose_something_is_refused_before_anything_changes(
    old: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = old.suppression.read_bytes()
    (old.state / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="with the Lethe that began it"):
        upgrade(old)
    (old.state / "run.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(upgrades, "status", lambda workspace: object())
        with pytest.raises(ConfigError, match="stop it with lethe stop"):
            upgrade(old)
    (old.state / "workspace.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(ConfigError, match="of a newer Lethe"):
        upgrade(old)
    assert old.suppression.read_bytes() == listed
