"""A night in the life of a project, with everything that runs around it for real; see benchmarks/night.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.night import measure, report
from benchmarks.postgres import NoPostgres


def test_a_night_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "keys"))
    try:
        steps = measure(tmp_path, whole=False)
    except NoPostgres as why:
        pytest.skip(str(why))
    told = {key: value for step in steps for key, value in step.items()}
    assert told["failed"] == 0 < told["requests"], "customers were answered while replicas were renewed"
    assert told["alert"].endswith(": Failed")
    assert told["scan"]["found"] == 0 < told["scan"]["stores"]
    assert report(steps, "a command")[1].count("\n| ") == len(steps) + 2
