"""Where a request's time goes is measured where the flow calls its steps, and a row that is there isn't run again."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import forget_time, idle


def test_a_request_is_measured_step_by_step_and_a_finished_row_is_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    (row,) = forget_time.measure([400], ["text"], tmp_path, lines.append)
    steps = row["steps"]
    assert set(steps) >= {"add", "begin", "reproduce", "validate", "sub_model", "promote", "build", "erase", "complete"}
    assert all(figures["seconds"] >= 0 for figures in steps.values())
    assert 0 < sum(figures["cpu_seconds"] for figures in steps.values()) <= row["cpu_seconds"] + 5
    assert row["processes"] >= 5, "dvc twice, its stages, the gates, the bento"
    assert 0 < row["reads"] <= 40
    assert row["peak_mib"] > 100
    kept = tmp_path / "400-text.json"
    kept.write_text(json.dumps(row | {"rows": 4000, "cpu_seconds": 10 * row["cpu_seconds"]}))
    (again,) = forget_time.measure([400], ["text"], tmp_path, lines.append)
    assert again["rows"] == 4000, "what is there is taken"
    contents, text = forget_time.report([row, again], "command")
    assert contents["exponents"] == {"text": 1.0}
    assert "| erase |" in text


def test_a_goal_that_is_missed_says_so() -> None:
    row = {"command": "status", "seconds": 3.0, "goal": 1.0}
    assert "1.20 (not met)" in idle.report([row | {"cpu_seconds": 1.2}], "command")[1]
    assert "not met" not in idle.report([row | {"cpu_seconds": 0.9}], "command")[1]
