"""Rows that leave our own files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.forgetting import removal
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.tables.interactions import Interactions
from tests.data.test_blocks_of_users import params_of


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_a_file_that_no_stage_makes_is_written_anew_without_whom_a_request_is_about(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", at_once)
    workspace = Workspace(tmp_path)
    workspace.params.write_text(yaml.safe_dump(params_of({"kind": "table", "path": "rows.csv"}, {"by": "random"})))
    users = np.array([f"user-{n // 5}" for n in range(50)], dtype=object)
    said = np.array([["home", "user-3"][n % 9 == 0] for n in range(50)], dtype=object)
    rows = Interactions.of(users, np.arange(50), np.arange(50.0), contexts={"seller": said})
    folder = tmp_path / "data" / "made" / "gone"
    rows.write(folder / "00.parquet")
    rows.take(np.arange(50) > 45).write(folder / "01.parquet")
    other = (folder / "01.parquet").stat()
    request = ForgetRequest.new("made", "user-3", now=datetime.now(UTC), datasets=["made"], also_item=True)
    removal.rewrite_what_no_stage_makes(workspace, Params.read(workspace.params), "made", [request])
    left = rows.take(rows.user_ids != "user-3")
    left.without_contexts({"seller": left.contexts["seller"] == "user-3"}).write(tmp_path / "expected.parquet")
    assert (folder / "00.parquet").read_bytes() == (tmp_path / "expected.parquet").read_bytes()
    assert (folder / "01.parquet").stat().st_ino == other.st_ino, "nobody of the request is in it"
