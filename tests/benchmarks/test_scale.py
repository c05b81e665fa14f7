"""Scale's own machinery: a small log through its steps in this process, and the report of figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import scale, scale_steps
from benchmarks.scale_log import write_log
from lethe.core.workspace import Workspace
from lethe.tables.interactions import Interactions


def test_a_log_goes_through_the_steps_and_loses_one_user(tmp_path: Path) -> None:
    write_log(tmp_path / scale_steps.LOG, 3000, 300, 60)
    scale.params_of(tmp_path)
    for step in scale.DATA:
        figure = scale_steps.main(tmp_path, step)
        assert figure["rows"] == 3000
    workspace = Workspace(tmp_path)
    rows = Interactions.read(workspace.interactions(scale_steps.DATASET))
    user = rows.user_ids[0]
    forgotten = scale_steps.main(tmp_path, "forget")
    assert forgotten["touched"] == 1
    assert forgotten["held"] == forgotten["gone"] == int((rows.user_ids == user).sum())
    assert scale_steps.main(tmp_path, "ingest without")["gone"] == forgotten["gone"]
    left = Interactions.read(workspace.interactions(scale_steps.DATASET))
    assert set(left.user_ids) == set(rows.user_ids) - {user}


def test_a_step_that_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(module: str, folder: Path, step: str) -> dict[str, Any]:
        ran.append(step)
        if ran.count("gates") == 1 and step == "gates":
            raise KeyboardInterrupt
        return {"step": step, "rows": 2000, "seconds": 1.0, "clock": 1.0, "peak_mib": 100}

    monkeypatch.setattr(scale, "apart", run)
    with pytest.raises(KeyboardInterrupt):
        scale.measure(2000, tmp_path, lambda line: None)
    figures = scale.measure(2000, tmp_path, lambda line: None)
    assert [figure["step"] for figure in figures] == list(scale_steps.STEPS)
    assert sorted(set(ran)) == sorted({step for step in ran if step == "gates" or ran.count(step) == 1})


def test_the_report_says_what_is_met() -> None:
    def figures(size: int, seconds: float, peak: int) -> list[dict[str, Any]]:
        same = {"size": size, "seconds": seconds, "clock": seconds, "peak_mib": peak}
        return [{**same, "step": step} for step in scale_steps.STEPS]

    made, text = scale.report([*figures(1000, 1.0, 300), *figures(10_000, 10.0, 5000)], [], "command")
    assert made["exponents"]["data stages"] == pytest.approx(1.0)
    assert "5,000 MiB at most (goal ≤ 4,096: not met)" in text
    assert "data stages: time ∝ rows^1.00, goal ≤ 1.1: met" in text
    made, text = scale.report([*figures(1000, 1.0, 300), *figures(10_000, 20.0, 400)], [], "command")
    assert "gates: time ∝ rows^1.30, goal ≤ 1.1: not met" in text
    assert "400 MiB at most (goal ≤ 4,096: met)" in text
