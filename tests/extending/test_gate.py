"""Where do I add a gate? One function that yields reports, one entry in ``GATES``: then no training begins past it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.gates.__main__ import judge
from lethe.data.gates.engine import Rule
from lethe.data.gates.report import Report
from lethe.data.gates.table import GATES, Judged
from lethe.data.stages import build_data
from lethe.errors import ValidationError
from lethe.tables.interactions import Interactions

# --- the gate: what would stand in src/lethe/data/gates/ ---------------------------------------------------------

MOST = 8


def no_robots(judged: Judged) -> Iterator[Report]:
    """Nobody has more rows than a person could make: counts reach the engine, ids don't."""
    counts = np.unique(Interactions.read(judged.rows("all")).user_ids, return_counts=True)[1]
    rule = Rule("ExpectColumnValuesToBeBetween", f"be at most {MOST}", "rows of a user", {"max_value": MOST})
    yield judged.engine.judge("robots", pd.DataFrame({"rows of a user": counts}), [rule])


# --- what then holds ---------------------------------------------------------------------------------------------


def test_it_judges_with_the_others_and_stops_a_training(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GATES, "robots", no_robots)
    params = Params.read(tiny.params)
    build_data(tiny, params, "tiny", list(params.pipeline.shardings))
    assert "robots" in [report.suite for report in judge(tiny, params, "tiny")]
    written = (tiny.root / "ratings.csv").read_text().splitlines()
    robot = [f"user-000,item-{item:03d},3,5000" for item in range(20)]
    kept = [line for line in written if not line.startswith("user-000,")]
    (tiny.root / "ratings.csv").write_text("\n".join([*kept, *robot]) + "\n")
    build_data(tiny, params, "tiny", list(params.pipeline.shardings))
    words = r"^robots: column 'rows of a user' must be at most 8; 1 row breaks this rule$"
    with pytest.raises(ValidationError, match=words):
        judge(tiny, params, "tiny")
    page = (tiny.reports / "validation" / "tiny.txt").read_text()
    assert "FAIL  column 'rows of a user' must be at most 8" in page
    assert "user-000" not in page
