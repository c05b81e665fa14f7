"""What the demo shows of the candidates is what was measured, whatever that is."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe.build.reports import FamilyReport, read_reports
from lethe.cli.demo import Built, Forgotten, Report
from lethe.cli.status import data_status
from lethe.cli.tables import candidates_table
from lethe.core.reports import read_report
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.ledger.result import Removed, Result, Work
from lethe.serving.answers import Recommended
from tests import house
from tests.conftest import make_workspace, taste_blocks

RATINGS = {"dataset": "tiny", "candidates": [{"model": "lfm", "sharding": "whole"}]}
RANKINGS = {"dataset": "tiny", "candidates": [{"model": m, "sharding": "whole"} for m in ("mostpop", "wmf")]}


def columns(reports: list[FamilyReport], family: str) -> dict[str, list[str]]:
    (report,) = (report for report in reports if report.family == family)
    table = candidates_table(report)
    return {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}


@pytest.mark.parametrize("families", [{"stars": RATINGS, "lists": RANKINGS}, {"lists": RANKINGS, "stars": RATINGS}])
def test_ratings_first_and_other_cutoffs(families: dict[str, Any], tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    params = yaml.safe_load(workspace.params.read_text())
    params |= {"families": families, "evaluation": {"cutoffs": [3, 7]}, "training": {"metric": "recall@7"}}
    params["models"] |= {"lfm": {"epochs": 2}}
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    house.train(workspace)
    training, reports = read_report(workspace, "training"), read_reports(workspace)

    lists = columns(reports, "lists")
    assert set(lists) > {"valid recall@7", "recall@7"}
    winner = training["winners"]["lists"]["model"]
    assert [model.endswith(" *") for model in lists["model"]] == [model.startswith(winner) for model in lists["model"]]
    for row, shown in zip(_of(training, "lists"), lists["recall@7"], strict=True):
        assert shown == f"{row['metrics']['recall@7']:.4f}"

    stars = columns(reports, "stars")
    (only,) = _of(training, "stars")
    assert (stars["valid rmse"], stars["rmse"]) == (
        [f"{only['valid']['rmse']:.4f}"],
        [f"{only['metrics']['rmse']:.4f}"],
    )
    assert stars["model"] == ["lfm *"]
    assert not [column for column in (*stars, *lists) if column.startswith("cold_")]


def _of(training: dict[str, Any], family: str) -> list[dict[str, Any]]:
    return [row for row in training["candidates"] if row["family"] == family]


def test_the_report_says_what_was_built_forgotten_and_verified(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    house.train(workspace)
    data = data_status(workspace, "tiny")
    assert data is not None
    answer = Recommended(items=[], family="plain", version="plain:1", source="popular")
    request = ForgetRequest.new("tiny", "1", now=datetime.now(UTC), datasets=["tiny"])
    work = Work(("plain/00",), ("plain/00",), (), (Removed("artifacts", 2),), 14, 0, {"total": 4.0, "training": 0.5})
    done = replace(request, state="completed", result=Result("forgotten", (), "certificates/x.json", "ab", work))
    built = Built("tiny", data, {"train": 3}, tuple(read_reports(workspace)), there=1, made=7)
    forgotten = Forgotten(done, work, answer, answer, answer)
    report = Report(built, forgotten, equal=True, walls={"build": 8.0, "forget": 4.0}).plain()

    assert report == json.loads(json.dumps(report)), "plain JSON"
    assert set(report) >= {"candidates", "winners", "before", "accepted", "after", "purged", "scan", "certificate"}
    assert report["dataset"] == {"name": "tiny", "split": {"train": 3}, **asdict(data)}
    assert report["request"] == {
        "id": request.id,
        "subject_digest": request.subject_digest,
        "state": "completed",
        "shards_touched": ["plain/00"],
        "shards_retrained": ["plain/00"],
        "shards_reused": [],
    }
    assert report["seconds"] == {"build": 8.0, "forget": 4.0, "training": built.training, "retraining": 0.5}
    assert report["ratio"] == {"build to forget": 2.0, "training to retraining": round(built.training / 0.5, 2)}
    assert (report["verify"], report["artifacts"]) == ("equal", {"there": 1, "made": 7})
