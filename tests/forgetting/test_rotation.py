"""Another key: what is known is named anew, what isn't is refused or given up, and nobody who is known comes back."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from lethe.core import keys
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.errors import ConfigError, LetheError, RequestError
from lethe.forgetting import certificate
from lethe.forgetting import run as runs
from lethe.forgetting.aside import set_aside
from lethe.forgetting.intake import retry, submit
from lethe.forgetting.rotation import rotate
from lethe.forgetting.standing import check_list, ledger, lift, publish_hidden
from lethe.serving import hidden
from tests.forgetting.test_cases import data, of, rows, workspace_of, write
from tests.house import forget, fulfil, rebuild, train

REFUSED = "keys: a forget run was interrupted; finish it first (lethe forget run), then rotate"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Of a key of its own: 21 is forgotten, of 9 one interaction, and 8 waits."""
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "keys"))
    made = workspace_of(tmp_path / "w", rows())
    train(made)
    item = next(str(row[1]) for row in rows() if row[0] == 9)
    forget(made, "21")
    forget(made, "9", items=(item,))
    submit(made, None, "8")
    return made


def test_everybody_who_is_known_is_named_anew(workspace: Workspace, tmp_path: Path) -> None:
    before, old = keys.fingerprint(), SuppressionList.read(workspace.suppression)
    left = of(data(workspace), 9)
    rotated = rotate(workspace, tmp_path / "before.json")
    now = SuppressionList.read(workspace.suppression)
    assert rotated.fingerprint == keys.fingerprint() != before
    assert (rotated.kept, rotated.dropped, rotated.open) == (len(old.entries), 0, 1)
    assert not {entry.digest for entry in old.entries} & {entry.digest for entry in now.entries}
    (waiting,) = ledger(workspace).pending()
    assert waiting.user_digest == keys.subject_digest("tiny", 8)
    assert hidden.read(workspace.hidden_users) == {waiting.user_digest}
    assert submit(workspace, None, "8").id == waiting.id
    assert check_list(workspace) == 2
    ledger(workspace).check_chain()
    again = data(workspace)
    assert of(again, 21) == 0
    assert of(again, 9) == left
    rotate(workspace, tmp_path / "again.json")
    assert check_list(workspace) == 2, "digests of two keys ago are followed"
    assert lift(workspace, None, "21") == 1
    assert of(data(workspace), 21) == 0, "what was removed stays out under the new key too"


def test_who_is_known_to_nobody_is_refused_or_given_up(workspace: Workspace, tmp_path: Path) -> None:
    write(workspace.root / "ratings.csv", [row for row in rows() if row[0] != 21])
    listed, fingerprint = workspace.suppression.read_bytes(), keys.fingerprint()
    with pytest.raises(
        RequestError, match=r"keys: 7 of 8 lines of the suppression list name somebody .*--drop-unknown"
    ):
        rotate(workspace, tmp_path / "before.json")
    assert workspace.suppression.read_bytes() == listed
    assert keys.fingerprint() == fingerprint
    assert not (tmp_path / "before.json").exists()
    rotated = rotate(workspace, tmp_path / "before.json", drop_unknown=True)
    assert (rotated.kept, rotated.dropped) == (1, 7)
    assert check_list(workspace) == 1


def test_the_backup_leads_back(workspace: Workspace, tmp_path: Path) -> None:
    fingerprint, listed = keys.fingerprint(), workspace.suppression.read_text()
    rotate(workspace, tmp_path / "before.json")
    assert keys.restore(tmp_path / "before.json") == (fingerprint, listed)
    with pytest.raises(ConfigError, match=rf"but .*keys holds {fingerprint}; restore"):
        ledger(workspace)


def test_another_key_in_a_ledger_that_names_none_is_told_where_requests_wait(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an older Lethe left it: the key of the next change would become the ledger's."""
    path = ledger(workspace).path
    assert path is not None
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM settings")
    (waiting,) = ledger(workspace).pending()
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "other"))
    with pytest.raises(ConfigError, match=r"^key: 1 open requests were made under another key than that in .*restore"):
        ledger(workspace).hold(waiting.id, True)
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "keys"))
    assert ledger(workspace).hold(waiting.id, True).on_hold


def test_a_lost_ledger_under_another_key_is_told_where_somebody_is_hidden(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ledger(workspace).files():
        path.unlink()
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "other"))
    with pytest.raises(ConfigError, match="ledger: is empty, but 1 users are hidden for open requests; restore it"):
        ledger(workspace)


def test_where_nothing_was_keyed_any_key_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = workspace_of(tmp_path / "w", rows())
    for name in ("one", "two"):
        monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / name))
        data(made)
        publish_hidden(made)
    assert submit(made, None, "8").state == "accepted"


@pytest.mark.parametrize("removed", [False, True], ids=["begun", "rows gone"])
def test_a_run_that_was_interrupted_is_finished_under_the_key_it_began_with(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    (waiting,), before = ledger(workspace).pending(), keys.fingerprint()
    if removed:
        rebuild(workspace)
    else:
        assert runs.begin(workspace) is not None
    monkeypatch.chdir(workspace.root)
    refused = CliRunner().invoke(app, ["keys", "rotate", str(tmp_path / "before.json")])
    assert (refused.exit_code, str(refused.exception)) == (1, REFUSED)
    assert (keys.fingerprint(), (tmp_path / "before.json").exists()) == (before, False)
    fulfil(workspace)
    assert ledger(workspace).get(waiting.id).state == "completed"
    done = CliRunner().invoke(app, ["keys", "rotate", str(tmp_path / "before.json")])
    assert done.exit_code == 0
    assert check_list(workspace) == 3


def test_what_was_set_aside_under_the_key_of_before_is_completed(workspace: Workspace, tmp_path: Path) -> None:
    """That the subject was among the users of then can't be shown under another key, and is not claimed."""
    (waiting,) = ledger(workspace).pending()
    run = rebuild(workspace)
    with pytest.raises(LetheError, match="set aside as failed"):
        set_aside(workspace, run, [waiting.id], "still-found", "for a test")
    rotate(workspace, tmp_path / "before.json")
    retry(workspace, waiting.id)
    fulfil(workspace)
    assert ledger(workspace).get(waiting.id).state == "completed"
    content = certificate.check(workspace.certificates / f"{waiting.id}.json").content
    assert isinstance(content, certificate.Erasure)
    assert content.users is not None
    assert content.users.before is None
    assert content.rows.removed["interactions"] == 6
    assert check_list(workspace) == 3
    assert of(data(workspace), 8) == 0
