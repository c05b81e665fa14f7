"""Reports: one form, put in place whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from lethe.core import files
from lethe.core.reports import read_report, remove_report, write_report, write_text
from lethe.core.workspace import Workspace


def test_equal_findings_have_equal_bytes(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_report(workspace, "one", {"b": 1, "a": {"d": "Ä", "c": [0.5]}})
    write_report(workspace, "folder/two", {"a": {"c": [0.5], "d": "Ä"}, "b": 1})
    content = (tmp_path / "reports" / "one.json").read_bytes()
    assert content == (tmp_path / "reports" / "folder" / "two.json").read_bytes()
    assert content.decode().startswith('{\n "a": {\n')
    assert content.endswith(b"}\n")
    assert read_report(workspace, "one") == {"a": {"c": [0.5], "d": "Ä"}, "b": 1}


def test_a_report_that_fails_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    write_report(workspace, "one", {"a": 1})
    write_text(workspace, "one.txt", "first")
    with pytest.raises(ValueError, match="JSON"):
        write_report(workspace, "one", {"a": float("nan")})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    for write in (lambda: write_report(workspace, "one", {"a": 2}), lambda: write_text(workspace, "one.txt", "second")):
        with pytest.raises(OSError, match="No space left"):
            write()
    assert read_report(workspace, "one") == {"a": 1}
    assert (tmp_path / "reports" / "one.txt").read_text() == "first"
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["one.json", "one.txt"]


def test_an_earlier_report_can_be_removed_whether_there_is_one_or_not(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_report(workspace, "audit", {})
    for _ in range(2):
        remove_report(workspace, "audit")
        with pytest.raises(FileNotFoundError):
            read_report(workspace, "audit")
