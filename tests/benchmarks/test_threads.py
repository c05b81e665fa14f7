"""The benchmark of threads, small: every kind of work runs with one and with two, and ends in the same bytes."""

from __future__ import annotations

from benchmarks import threads


def test_every_kind_of_work_ends_in_the_same_bytes() -> None:
    rows = threads.measure(1_000, 1, lambda line: None)
    assert [row["work"].split(",")[0] for row in rows] == ["wmf", "expomf", "als", "slim", "evaluation"]
    assert all(row["same_bytes"] for row in rows)
    contents, text = threads.report([rows[0] | {"ratio": 1.6}, rows[1] | {"same_bytes": False}], "command")
    assert "1.7 (not met)" in text
    assert "**different**" in text
    assert len(contents["rows"]) == 2
