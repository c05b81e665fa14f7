"""``lethe data add`` of a folder of ready parts: what is found holds for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe.config.params import Params
from lethe.config.reading import Reading
from lethe.core.workspace import Workspace
from lethe.data.add import add, read_new
from lethe.data.stages import build_data
from lethe.errors import ConfigError
from lethe.tables.interactions import Interactions

COLUMNS = {"user": None, "item": None, "rating": None, "timestamp": "timestamp"}


def parts(folder: Path, user: str = "{}", time: str = "17000000{:02d}", separator: str = ",") -> Path:
    folder.mkdir()
    for name, items in (("train", range(10, 18)), ("test", range(18, 20))):
        rows = [(user.format(u) if name == "test" else u, i, time.format(i)) for u in range(1, 9) for i in items]
        lines = [("user", "item", "timestamp"), *rows]
        (folder / f"{name}.csv").write_text("".join(separator.join(map(str, line)) + "\n" for line in lines))
    return folder


def added(workspace: Workspace, folder: Path) -> dict[str, Any]:
    add(workspace, "ready", folder, Reading(COLUMNS))
    params = Params.read(workspace.params)
    build_data(workspace, params, "ready", [])
    return yaml.safe_load(workspace.params.read_text())["datasets"]["ready"]["source"]


def test_ids_are_of_the_kind_that_fits_all_parts(tiny: Workspace, tmp_path: Path) -> None:
    source = added(tiny, parts(tmp_path / "parts", user="u{}", separator=";"))
    assert (source["ids"], source["item_ids"], source["separator"]) == ("text", "integer", ";")
    assert set(Interactions.read(tiny.split("ready", "test")).user_ids) == {f"u{user}" for user in range(1, 9)}


@pytest.mark.parametrize(("time", "unit"), [("17000000{:02d}", "s"), ("{:d}", "position"), ("2023-11-{:02d}", "day")])
def test_times_are_found_or_taken_as_positions(tiny: Workspace, tmp_path: Path, time: str, unit: str) -> None:
    assert added(tiny, parts(tmp_path / "parts", time=time))["timestamp_unit"] == unit
    assert len(Interactions.read(tiny.split("ready", "test"))) == 16


def test_a_folder_without_a_part_is_refused(tiny: Workspace, tmp_path: Path) -> None:
    folder = parts(tmp_path / "parts")
    (folder / "test.csv").unlink()
    with pytest.raises(ConfigError, match=r"has no test\.parquet or test\.csv, nor Parquet files"):
        added(tiny, folder)


def test_files_that_are_no_part_are_told(tiny: Workspace, tmp_path: Path) -> None:
    folder = parts(tmp_path / "parts")
    (folder / "validation.csv").write_text("user,item\n1,2\n")
    notes = read_new(tiny, "shop", folder, Reading(), seed=1).notes
    assert "parts: 2 files are read, and 1 beside them are not: validation.csv" in notes
