"""From a source to the rows that may be learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.ingest import ingest
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import DataError
from lethe.tables.interactions import Interactions

ROWS = "user,item\n1,7\n2,8\nanna,9\n"


def ingested(folder: Path, rows: str, forgotten: str, **kinds: str) -> Interactions:
    workspace = Workspace(folder)
    (folder / "rows.csv").write_text(rows)
    source: dict[str, Any] = {"kind": "table", "path": "rows.csv", **kinds}
    params = {
        "pipeline": {"datasets": ["shop"], "shardings": ["whole"]},
        "datasets": {"shop": {"source": source}},
        "shardings": {"whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"}},
        "families": {"shop": {"dataset": "shop", "candidates": [{"model": "mostpop", "sharding": "whole"}]}},
    }
    workspace.params.write_text(yaml.safe_dump(params))
    SuppressionList.read(workspace.suppression).add([Suppressed.user("shop", forgotten)])
    ingest(workspace, Params.read(workspace.params), "shop")
    return Interactions.read(workspace.interactions("shop"))


def test_that_ids_are_text_is_nothing_that_the_forgotten_leave_behind(tmp_path: Path) -> None:
    """From a source that never had anna, auto builds integers."""
    with pytest.raises(DataError, match=r"its users were read as text .* write ids: text and item_ids: integer below"):
        ingested(tmp_path, ROWS, "anna")
    named = ingested(tmp_path, ROWS, "anna", ids="text", item_ids="integer")
    assert (list(named.user_ids), list(named.item_ids)) == (["1", "2"], [7, 8])


@pytest.mark.parametrize(
    ("rows", "forgotten"), [(ROWS, "1"), (f"{ROWS}007,9\n", "anna"), ("user,item\n1,7\n2,8\n", "2")]
)
def test_where_others_ids_say_the_same_nothing_has_to_be_named(tmp_path: Path, rows: str, forgotten: str) -> None:
    assert forgotten not in [str(user) for user in ingested(tmp_path, rows, forgotten).user_ids]
