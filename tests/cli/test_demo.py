"""What the demo shows of the candidates is what was measured, whatever that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe.build.reports import FamilyReport, read_reports
from lethe.cli.tables import candidates_table
from lethe.core.reports import read_report
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
