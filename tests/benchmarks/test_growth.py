"""Growth is measured in processes of their own, and an exponent is a slope."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import growth
from benchmarks.runs import exponent


def test_the_exponent_is_the_slope_of_the_logarithms() -> None:
    sizes = (100, 1_000, 40_000)
    assert exponent(sizes, [3e-6 * n**1.07 for n in sizes]) == pytest.approx(1.07)


def test_generated_rows_are_distinct_pairs_of_every_user_and_popular_items_are_popular() -> None:
    rows = growth.generate(20_000)
    assert len(rows) == 20_000
    assert len(np.unique(rows.user_ids * growth.NUM_ITEMS + rows.item_ids)) == 20_000
    assert np.bincount(rows.user_ids).tolist() == [growth.A_USER] * 2_000
    counts = np.bincount(rows.item_ids, minlength=growth.NUM_ITEMS)
    assert counts[:30].sum() > 5 * counts[-300:].sum()


def test_a_size_is_measured_in_a_process_of_its_own_and_reported() -> None:
    lines: list[str] = []
    rows = growth.measure((1_000, 4_000), lines.append)
    assert [row["users"] for row in rows] == [100, 400]
    assert all(0 < row["libraries_mib"] <= row["peak_mib"] < 2_048 for row in rows)
    assert all({"train_seconds", "evaluate_seconds"} <= row.keys() for row in rows)
    contents, text = growth.report(rows, "python -m benchmarks growth")
    assert contents["rows"] == rows
    assert all(f"| {figure} |" in text for line in lines for figure in line.split("  "))
    assert "MiB for 4,000 interactions (goal ≤ 2,048: met)" in text
    slow = [{**row, "train_seconds": row["interactions"] ** 1.5, "peak_mib": 5_000} for row in rows]
    assert "interactions^1.50 (train; goal ≤ 1.1: not met)" in growth.report(slow, "")[1]
    assert "(goal ≤ 2,048: not met)" in growth.report(slow, "")[1]
