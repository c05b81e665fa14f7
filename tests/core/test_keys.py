"""The keys: one fingerprint, read once, kept and put back."""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from lethe.core import keys
from lethe.core.workspace import Workspace
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "keys"))
    return tmp_path / "keys"


def test_digests_hang_on_the_key_and_on_every_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {
        keys.subject_digest("d", 7),
        keys.subject_digest("d", 7, 1),
        keys.subject_digest("e", 7),
        keys.row_digest("d", "interactions", 7, 1, None),
        keys.row_digest("d", "interactions", 7, 1, 5),
        keys.row_digest("d", "behaviour.view", 7, 1, 5),
    }
    assert len(digests) == 6
    assert keys.subject_digest("d", "7") == keys.subject_digest("d", 7)
    first = keys.fingerprint()
    assert first == keys.fingerprint()
    assert len(first) == 16
    monkeypatch.setenv("LETHE_KEY_DIR", str(folder.with_name("other")))
    assert keys.fingerprint() != first
    assert keys.subject_digest("d", 7) not in digests


def test_what_the_disk_refuses_names_the_file_that_was_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.fingerprint()
    keys.secret("signing.key")

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "another name")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Read-only") as refused:
        keys.backup(tmp_path / "backup.json", "the list")
    assert refused.value.filename == str(tmp_path / "backup.json")


def test_a_backup_brings_the_keys_back_and_keeps_those_that_stood_there(folder: Path, tmp_path: Path) -> None:
    fingerprint, digest = keys.fingerprint(), keys.subject_digest("d", 7)
    signing = keys.secret("signing.key")
    backup = tmp_path / "backup.json"
    assert keys.backup(backup, "the list") == fingerprint
    assert backup.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match="is there already"):
        keys.backup(backup)
    other = keys.replace(b"another key of thirty-two bytes!")
    assert other != fingerprint
    assert keys.subject_digest("d", 7) != digest
    assert keys.restore(backup) == (fingerprint, "the list")
    assert keys.subject_digest("d", 7) == digest
    assert keys.secret("signing.key") == signing
    assert (folder / f"hmac-{other}.key").read_bytes() == b"another key of thirty-two bytes!"
    assert keys.restore(backup) == (fingerprint, "the list"), "safe to repeat"


@pytest.mark.parametrize(
    "content", ["", "{}", json.dumps({"hmac.key": "AAAA", "signing.key": "AAAA", "fingerprint": "0" * 16}), "[]"]
)
def test_what_is_no_backup_is_refused_and_changes_nothing(folder: Path, tmp_path: Path, content: str) -> None:
    fingerprint = keys.fingerprint()
    path = tmp_path / "backup.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="must be a file that lethe keys backup wrote"):
        keys.restore(path)
    with pytest.raises(ConfigError, match="No such file"):
        keys.restore(tmp_path / "none")
    assert keys.fingerprint() == fingerprint


def test_the_commands_keep_and_restore_keys_and_list(
    folder: Path, tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.root)
    told = CliRunner().invoke(app, ["keys", "show"])
    assert "no key yet" in told.output
    assert not folder.exists(), "looking makes none"
    SuppressionList(tiny.suppression).add([Suppressed.user("tiny", "u")])
    backup = str(tmp_path / "backup.json")
    assert CliRunner().invoke(app, ["keys", "backup", backup]).exit_code == 0
    listed = tiny.suppression.read_bytes()
    tiny.suppression.unlink()
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "elsewhere"))
    told = CliRunner().invoke(app, ["keys", "restore", backup])
    assert told.exit_code == 0, told.output
    assert "what was forgotten since is missing from it" in told.output
    assert tiny.suppression.read_bytes() == listed
    assert Suppressed.user("tiny", "u") in SuppressionList.read(tiny.suppression)
    again = json.loads(CliRunner().invoke(app, ["keys", "restore", backup, "--json"]).output)
    assert again == {
        "folder": str(tmp_path / "elsewhere"),
        "fingerprint": keys.fingerprint(),
        "suppression_put_back": False,
    }


def test_a_key_of_the_api_is_reported_to_programs(
    folder: Path, tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.root)
    made = json.loads(CliRunner().invoke(app, ["keys", "api", "web", "--json"]).output)
    assert (made["name"], made["role"]) == ("web", "reader")
    assert len(made["key"]) > 20
    assert made["key"] not in (folder / "api-keys.json").read_text()
    plain = CliRunner().invoke(app, ["--quiet", "keys", "api", "other"])
    assert len(plain.output.strip()) == len(made["key"])
    gone = json.loads(CliRunner().invoke(app, ["keys", "api", "web", "--remove", "--json"]).output)
    assert gone == {"name": "web", "removed": True}


@pytest.mark.parametrize("user", [7, "7", "o'neil", 'a"b', "\\", "\n", "é", "人"])
def test_digests_are_hmac_of_the_whole_name_one_by_one_or_many_at_once(user: object) -> None:
    dataset = "it's"
    named = repr((dataset, str(user), None)).encode()
    expected = hmac.new(keys.secret(keys.HMAC), named, hashlib.sha256).hexdigest()
    assert keys.subject_digest(dataset, user) == expected
    assert keys.subject_digests(dataset, [1, user]) == [keys.subject_digest(dataset, 1), expected]
