"""Drift: worked by hand, held against scipy's own test on the rows themselves, and forgetting as never having had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from lethe.tables import blocks, drift
from lethe.tables.blocks import Source, in_steps
from lethe.tables.drift import Counts, Moved, Shape, Tally, less, moved
from lethe.tables.interactions import Interactions
from tests.conftest import taste_blocks


def tally_of(rows: Source, *, timed: bool) -> Tally:
    """A table, counted."""
    tally = Tally(timed)
    in_steps(lambda block, _: tally.add(block), rows, begin=tally.clear)
    return tally


def of(then: Counts, now: Counts, psi: float = 0.25, ks: float = 0.2) -> Moved:
    (only,) = moved({"ratings": then}, {"ratings": now}, psi=psi, ks=ks)
    return only


def test_by_hand() -> None:
    """Shares .5, .5 become .25, .75: PSI = (.25 - .5) ln .5 + (.75 - .5) ln 1.5 = .25 ln 3; KS = .25."""
    found = of({1.0: 50, 5.0: 50}, {1.0: 25, 5.0: 75})
    assert found.psi == pytest.approx(0.25 * math.log(3))
    assert found.ks == pytest.approx(0.25)
    assert str(found) == "ratings: PSI 0.275, KS 0.250"


def test_a_bin_that_was_empty_counts_as_one_in_ten_thousand() -> None:
    found = of({1.0: 10}, {2.0: 10})
    assert found.psi == pytest.approx(2 * (1 - 1e-4) * math.log(1e4))
    assert found.ks == 1


@pytest.mark.parametrize(
    ("psi", "ks", "above"), [(0.28, 0.26, False), (0.27, 0.26, True), (0.28, 0.24, True)], ids=["none", "psi", "ks"]
)
def test_a_limit_is_passed_by_either(psi: float, ks: float, above: bool) -> None:
    assert of({1.0: 50, 5.0: 50}, {1.0: 25, 5.0: 75}, psi, ks).above is above


COUNTS = st.dictionaries(st.integers(0, 8).map(float), st.integers(2, 30), min_size=1)


@given(COUNTS, COUNTS)
def test_ks_is_that_of_scipy_on_the_rows(then: Counts, now: Counts) -> None:
    rows = [np.repeat(list(counts), list(counts.values())) for counts in (then, now)]
    expected = ks_2samp(*rows, method="asymp")
    found = of(then, now)
    assert found.ks == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.psi >= 0
    assert of(then, then).psi == of(then, then).ks == 0


def test_what_is_counted() -> None:
    """Users have 1, 2 and 5 rows; of the items one has 6 and two have 1."""
    users = np.array(["a", "b", "b", "c", "c", "c", "c", "c"], dtype=object)
    items = np.array([1, 1, 2, 1, 1, 1, 1, 3])
    ratings = np.array([1, 4.5, 4.5, 0.123, 5, 5, 5, 5])
    hour = 3600
    times = np.array([0, hour, 25 * hour, hour - 1, -1, 2 * hour, 2 * hour, 2 * hour])
    contexts = {"turn": np.arange(8)}
    rows = Interactions.of(users, items, ratings, times, contexts)
    assert tally_of(rows, timed=True).shape == {
        "rows per user": {1: 1, 2: 1, 4: 1},
        "rows per item": {1: 2, 4: 1},
        "ratings": {0.12: 1, 1: 1, 4.5: 2, 5: 4},
        "hours": {0: 2, 1: 2, 2: 3, 23: 1},
    }
    assert "hours" not in tally_of(rows, timed=False).shape
    assert set(tally_of(Interactions.of(users, items, contexts=contexts), timed=True).shape) == {
        "rows per user",
        "rows per item",
    }


@pytest.mark.parametrize("text", [False, True])
def test_a_file_is_counted_as_its_table(text: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is read in many steps, and an item is in each."""
    rows = taste_blocks()
    if not text:
        numbers = (np.unique(ids, return_inverse=True)[1] for ids in (rows.user_ids, rows.item_ids))
        rows = Interactions.of(*numbers, rows.ratings, rows.timestamps)
    rows.write(tmp_path / "rows.parquet")
    once = tally_of(tmp_path / "rows.parquet", timed=True).shape
    monkeypatch.setattr(blocks, "AT_ONCE", 7)
    assert once == tally_of(tmp_path / "rows.parquet", timed=True).shape == tally_of(rows, timed=True).shape


@pytest.mark.parametrize("parts", [((0, 3),), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3))], ids=len)
def test_items_that_no_row_names_count_for_nothing(
    parts: Sequence[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a part of a table the distinct texts are the whole table's, with what stands in no row of the part."""
    monkeypatch.setattr(drift, "AT_ONCE", 1)
    items = pa.DictionaryArray.from_arrays(pa.array([1, 1, 2, 3], pa.int32()), pa.array(["cup", "mug", "pot", "zip"]))
    tally = Tally(timed=False)
    for first, end in parts:
        tally.add({"user": np.arange(first, end), "item": pa.chunked_array([items.slice(first, end - first)])})
    assert tally.shape == {"rows per user": {1: 3}, "rows per item": {1: 1, 2: 1}}


def test_what_is_forgotten_is_taken_out_as_if_it_had_never_been_counted() -> None:
    rows = taste_blocks()
    remaining = rows.take(rows.user_ids != "user-003")
    then, without = (tally_of(table, timed=True).shape for table in (rows, remaining))
    assert less(then, then, without) == without
    assert sum(without["ratings"].values()) == len(remaining)


def test_nothing_goes_below_none() -> None:
    then: Shape = {"rows per user": {1: 1, 2: 3}}
    now: Shape = {"rows per user": {2: 1, 4: 3}}
    assert less(then, now, {"rows per user": {4: 3}}) == {"rows per user": {1: 1, 2: 2}}
    assert less(then, {"rows per user": {1: 5}}, {}) == {"rows per user": {2: 3}}
