"""Where do I add a source? Its section in config/source, one file below data/sources/, one entry in ``SOURCES``."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from lethe.config.params import Params
from lethe.config.section import Section
from lethe.config.source import SourcePath
from lethe.core.canonical import digest_file
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.sources import Reader
from lethe.data.sources.place import Place
from lethe.data.stages import build_data
from lethe.errors import DataError
from lethe.forgetting import run as runs
from lethe.tables.interactions import Interactions

# --- the source: its section, and what would stand in src/lethe/data/sources/baskets.py --------------------------


class BasketsSource(Section):
    """A text file of baskets: a line is a user, then the items they bought."""

    kind: Literal["baskets"]
    path: SourcePath
    """The file, below the workspace or by an absolute path."""


def read(source: BasketsSource, place: Place) -> Interactions:
    pairs = []
    for number, line in enumerate((place.root / source.path).read_text(encoding="utf-8").splitlines(), start=1):
        user, *items = line.split()
        if not items:
            raise DataError(f"{source.path}: line {number} must be a user and their items, got 1 word")
        pairs += [(user, item) for item in items]
    users, items = np.array(pairs, dtype=object).T
    return Interactions.of(users, items)


def digest(source: BasketsSource, place: Place) -> str:
    return digest_file(place.root / source.path)


# --- what then holds ---------------------------------------------------------------------------------------------


@pytest.fixture
def params(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.setitem(sources.SOURCES, "baskets", Reader(read, digest, "outside"))
    lines = [f"user-{u:02d} " + " ".join(f"item-{i:02d}" for i in range(12) if (u + i) % 3) for u in range(12)]
    (tiny.root / "baskets.txt").write_text("\n".join(lines) + "\n")
    params = Params.read(tiny.params)
    source = BasketsSource(kind="baskets", path="baskets.txt")
    dataset = params.datasets["tiny"].model_copy(update={"source": source})
    return params.model_copy(update={"datasets": {"tiny": dataset}})


def test_its_rows_become_the_dataset_and_a_forgotten_user_never_comes_back(tiny: Workspace, params: Params) -> None:
    build_data(tiny, params, "tiny", ["mean-3"])
    rows = Interactions.read(tiny.interactions("tiny"))
    assert len(rows) == 12 * 8
    assert sorted(set(rows.user_ids)) == [f"user-{u:02d}" for u in range(12)]
    runs.suppress(tiny, "tiny", [("user-07", ())])
    build_data(tiny, params, "tiny", ["mean-3"])
    left = Interactions.read(tiny.interactions("tiny"))
    assert set(rows.user_ids) - set(left.user_ids) == {"user-07"}
    for shard in tiny.shards("tiny", "mean-3").glob("*.parquet"):
        assert "user-07" not in Interactions.read(shard).user_ids


def test_a_change_of_the_file_is_a_change_of_the_source(tiny: Workspace, params: Params) -> None:
    build_data(tiny, params, "tiny", [])
    before = tiny.source_digest("tiny").read_bytes()
    with (tiny.root / "baskets.txt").open("a") as file:
        file.write("user-90 item-01\n")
    build_data(tiny, params, "tiny", [])
    assert tiny.source_digest("tiny").read_bytes() != before


def test_a_fault_is_one_line_without_an_id(tiny: Workspace, params: Params) -> None:
    (tiny.root / "baskets.txt").write_text("user-01 item-01\nuser-02\n")
    with pytest.raises(DataError, match=r"^baskets\.txt: line 2 must be a user and their items, got 1 word$"):
        build_data(tiny, params, "tiny", [])
