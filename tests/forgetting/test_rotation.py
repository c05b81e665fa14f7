"""Another key: what is known is named anew, what isn't is refused or given up, and nobody who is known comes back."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from lethe.core import keys
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.errors import ConfigError, RequestError
from lethe.forgetting.intake import submit
from lethe.forgetting.rotation import rotate
from lethe.forgetting.standing import check_list, ledger, lift, publish_hidden
from lethe.serving import hidden
from tests.forgetting.test_cases import data, of, rows, workspace_of, write
from tests.house import forget, train


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
    assert (rotated.kept, rotated.dropped) == (len(old.entries), 0)
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
