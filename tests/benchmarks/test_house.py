"""The measure of the house sees what it is to see, and the house as it is keeps its floors."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import house

LAYERS = """
[[tool.importlinter.contracts]]
name = "another kind"
type = "forbidden"

[[tool.importlinter.contracts]]
name = "floors"
type = "layers"
layers = ["flows", "lethe.top", "lethe.left | lethe.right", "lethe.errors"]
"""
FILES = {
    "src/lethe/__init__.py": "",
    "src/lethe/errors.py": "",
    "src/lethe/top/__init__.py": "",
    "src/lethe/top/a.py": "from lethe.top import b\nfrom lethe.left.low import thing\n",
    "src/lethe/top/b.py": "import os\nfrom .c import name\n",
    "src/lethe/top/c.py": "try:\n    from lethe.top.a import other\nexcept ImportError:\n    pass\n",
    "src/lethe/left/__init__.py": "",
    "src/lethe/left/low.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lethe.left.side import x\n",
    "src/lethe/left/side.py": "from lethe.left import low\n\ndef late() -> None:\n    from lethe.top.a import y\n",
    "src/lethe/right/__init__.py": "from lethe.left.low import thing\n",
    "flows/__init__.py": "x: dict[str, Any]\n",
    "flows/one.py": "def run(a: dict[str, Any]) -> dict[str, Any]:\n    return a\n" + "# line\n" * 299,
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text(LAYERS)
    return tmp_path


def test_circles_arrows_rooms_and_sizes_are_seen(small: Path) -> None:
    counts = {count.what: count for count in house.counted(small)}
    assert counts["rooms at the top of src/lethe"].names == ("errors.py", "left", "right", "top")
    assert counts["circles of imports"].names == ("lethe.top.a ↔ lethe.top.b ↔ lethe.top.c",)
    assert counts["circles by imports for types alone"].names == ("lethe.left.low ↔ lethe.left.side",)
    assert counts["arrows upwards"].names == ("lethe.left.side → lethe.top.a", "lethe.right → lethe.left.low")
    assert counts["files over 300 lines"].names == ("flows/one.py: 301",)
    assert (counts["dict[str, Any]"].count, counts["dict[str, Any]"].met) == (3, True)
    assert [count.what for count in counts.values() if not count.met] == [
        "circles of imports",
        "arrows upwards",
        "files over 300 lines",
    ]


def test_the_house_keeps_its_plan() -> None:
    counts = {count.what: count for count in house.counted(house.ROOT)}
    for what in ("rooms at the top of src/lethe", "circles of imports", "arrows upwards"):
        assert counts[what].met, counts[what].names
    assert counts["rooms at the top of src/lethe"].count > 10
    assert house.undocumented() == []


def test_a_request_is_counted_without_its_data_stages(tmp_path: Path) -> None:
    counts = house.fulfil(tmp_path)
    for of_kind in counts.values():
        assert 0 < sum(of_kind.values()) < 100
        assert all(caller.startswith("lethe.") for caller in of_kind)
        assert not any(caller.startswith(("lethe.data.stages", "lethe.tables")) for caller in of_kind)


def test_the_report_says_what_is_not_met() -> None:
    counts = [house.Count("kept", 2, 3), house.Count("missed", 4, 3, ("one",)), house.Count("told", 9, None)]
    contents, text = house.report(counts, "python -m benchmarks house")
    assert "| kept | 2 | 3 |" in text
    assert "| missed | 4 | 3 (not met) |" in text
    assert "| told | 9 | – |" in text
    assert [row["met"] for row in contents["rows"]] == [True, False, True]
    assert contents["rows"][1]["names"] == ("one",)
