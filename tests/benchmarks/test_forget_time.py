"""Where a request's time goes is measured where the flow calls its steps, and a row that is there isn't run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def row_of(rows: int, ids: str, seconds: float, reads: int = 3) -> dict[str, Any]:
    steps = {name: {"cpu_seconds": seconds} for name in ("reproduce", "validate", "erase", "sub_model", "candidate")}
    figures = {"steps": steps, "cpu_seconds": 5 * seconds, "seconds": 5 * seconds, "peak_mib": 1000}
    return {"rows": rows, "ids": ids, "reads": reads, "digests": 2, "full_training_cpu_seconds": 1, **figures} | {
        "processes": 7
    }


def test_each_goal_stands_beside_its_figure_where_the_row_tells_of_it() -> None:
    small, large = row_of(100_000, "integers", 1.0, reads=26), row_of(10_000_000, "integers", 5.5)
    text = row_of(10_000_000, "text", 11.0)
    contents, page = forget_time.report([small, large, text], "command")
    of = {(goal["goal"], goal["rows"], goal["ids"]): goal for goal in contents["goals"]}
    assert "| tables read | 100,000 integers | 26 (not met) | 25 |" in page
    assert "| tables read | 10,000,000 integers | 3 | 25 |" in page
    assert "| seconds of erasing and its scan | 10,000,000 integers | 5.5 (not met) | 5 |" in page
    ratio = of["a request's seconds over those of the training in it", 10_000_000, "integers"]
    assert (ratio["value"], ratio["most"]) == (2.5, 2.0)
    assert of["data stages of text ids over those of integers", 10_000_000, "text"]["value"] == 2.0
    assert not any(rows == 100_000 and "seconds" in goal for goal, rows, _ in of)


def test_a_goal_that_is_missed_says_so() -> None:
    row = {"command": "status", "seconds": 3.0, "goal": 1.0}
    assert "1.20 (not met)" in idle.report([row | {"cpu_seconds": 1.2}], "command")[1]
    assert "not met" not in idle.report([row | {"cpu_seconds": 0.9}], "command")[1]
