"""The cases of the promise: one is done here by the real commands, and one that is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import promise
from benchmarks.project import Project, Wrong
from benchmarks.promise_cases import CASES


def test_a_case_is_done_by_the_real_commands_and_not_done_again(tmp_path: Path) -> None:
    lines: list[str] = []
    for folder in ("first", "again"):
        (result,) = promise.run_cases(["ids-nan"], tmp_path / folder, tmp_path / "kept", lines.append)
        assert result["wrong"] == ""
    assert lines[0].startswith("ids-nan: right")
    assert not (tmp_path / "again").exists()


def test_what_is_not_as_promised_is_wrong_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def case(project: Project) -> None:
        project.refused("status")

    monkeypatch.setitem(CASES, "wrong", case)
    (result,) = promise.run_cases(["wrong"], tmp_path)
    assert result["wrong"] == "lethe status: not refused"


def test_a_refusal_must_be_one_line(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="not refused"):
        Project.begin(tmp_path / "project").refused("--help")
