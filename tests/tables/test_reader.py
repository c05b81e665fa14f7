"""The reader: each table is decoded and digested once, and a file that was changed never passes for what it was."""

from __future__ import annotations

import os
import pickle
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lethe.tables.interactions import Interactions
from lethe.tables.reader import Reader
from lethe.tables.side_tables import SideTable
from tests.side import digest_beside


def rows(*items: int) -> Interactions:
    return Interactions.of(np.arange(len(items)), np.array(items))


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often tables are decoded and digested."""
    seen: Counter[str] = Counter()
    read, digest = Interactions.read, Interactions.digest
    monkeypatch.setattr(Interactions, "read", lambda path: seen.update(["read"]) or read(path))
    monkeypatch.setattr(Interactions, "digest", lambda self: seen.update(["digest"]) or digest(self))
    return seen


def test_a_table_is_read_and_digested_once(tmp_path: Path, counts: Counter[str]) -> None:
    path, reader = tmp_path / "00.parquet", Reader()
    rows(1, 2, 3).write(path)
    for _ in range(3):
        assert reader.interactions(path).item_ids.tolist() == [1, 2, 3]
        assert reader.digest(path) == reader.digest_beside(path) == rows(1, 2, 3).digest()
    assert counts == {"read": 1, "digest": 1 + 3}, "once here; the others are this test's own"
    assert reader.rows(path) == 3
    assert reader.slices(path) is None


@pytest.mark.parametrize("pause", [0, 0.05])
def test_a_changed_file_is_read_anew_however_soon(tmp_path: Path, pause: float) -> None:
    path, reader = tmp_path / "00.parquet", Reader()
    for items in ((1, 2, 3), (4, 5, 6), (7, 8, 9), (1, 2, 3)):
        rows(*items).write(path)
        time.sleep(pause)
        assert reader.interactions(path).item_ids.tolist() == list(items)
        assert reader.digest(path) == rows(*items).digest()


def test_where_times_are_whole_seconds_nothing_of_just_now_is_remembered(tmp_path: Path, counts: Counter[str]) -> None:
    path, reader = tmp_path / "00.parquet", Reader()
    rows(1).write(path)
    for seconds, reads in ((int(time.time()), 2), (int(time.time()) - 60, 1)):
        os.utime(path, (seconds, seconds))
        counts.clear()
        reader.interactions(path)
        reader.interactions(path)
        assert counts["read"] == reads


def test_files_of_the_same_bytes_are_decoded_for_their_digest_once(tmp_path: Path, counts: Counter[str]) -> None:
    today, made, other = (tmp_path / folder / "interactions.parquet" for folder in ("today", "made", "other"))
    reader = Reader()
    for path, items in ((today, (1, 2)), (made, (1, 2)), (other, (1, 3))):
        rows(*items).write(path)
    assert reader.digest_beside(today) == reader.digest_beside(made) != reader.digest_beside(other)
    assert counts == {"read": 2, "digest": 2}
    text = np.array(["1"], dtype=object)
    for path, name in ((today, "item_features"), (made, "item_features")):
        features = SideTable.of(name, item=np.array([1]), field=text, value=text, weight=np.ones(1))
        features.write(path.parent / "side" / f"{name}.parquet")
    counts.clear()
    assert reader.digest_beside(today) == reader.digest_beside(made)
    assert counts["digest"] == 1, "of the rows; what lies beside them has no count here"


def test_a_side_table_beside_it_counts(tmp_path: Path) -> None:
    path, reader = tmp_path / "interactions.parquet", Reader()
    rows(1, 2).write(path)
    alone = reader.digest_beside(path)
    text = np.array(["1"], dtype=object)
    features = SideTable.of("item_features", item=np.array([1]), field=text, value=text, weight=np.ones(1))
    features.write(tmp_path / "side" / "item_features.parquet")
    assert reader.digest_beside(path) == digest_beside(path) != alone


def test_there_is_room_for_so_many_bytes_and_digests_stay(tmp_path: Path, counts: Counter[str]) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, path in enumerate(paths):
        rows(number).write(path)
    reader = Reader(room=2 * paths[0].stat().st_size)
    for path in (*paths, *paths):
        reader.digest(path)
    assert counts["digest"] == 3
    counts.clear()
    reader.interactions(paths[2])
    reader.interactions(paths[0])
    assert counts["read"] == 1, "the one that was used longest ago made room"


def test_another_process_begins_with_an_empty_one(tmp_path: Path) -> None:
    path, reader = tmp_path / "00.parquet", Reader()
    rows(1, 2, 3).write(path)
    reader.interactions(path)
    assert len(pickle.dumps(reader)) < 200
    assert pickle.loads(pickle.dumps(reader)).interactions(path).item_ids.tolist() == [1, 2, 3]
