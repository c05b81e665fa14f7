"""More workers are compared with one, on the same bytes."""

from __future__ import annotations

from pathlib import Path

from benchmarks import workers
from lethe.learning.runner.calling import HERE


def test_a_row_says_what_workers_gave_and_whether_the_bytes_are_the_same() -> None:
    runs = [
        {"workers": count, "seconds": seconds, "cores": 0.9 * count, "digests": ["a"]}
        for count, seconds in ((1, 8.0), (2, 4.0), (1, 9.0), (2, 5.0), (1, 10.0), (2, 4.5))
    ]
    rows = [workers._row(size, [one for one in runs if one["workers"] == size], True) for size in (1, 2)]
    assert rows[1] == {"workers": 2, "seconds": 4.5, "spread": [4.0, 5.0], "cores": 1.8, "same_bytes": True}
    _, text = workers.report(1000, rows, "command")
    assert "Two workers are 2.00 × one (goal ≥ 1.7: met)" in text
    assert "Bytes: the same for all" in text
    rows = [row | {"seconds": 6.0, "same_bytes": False} for row in rows]
    assert "Two workers are 1.00 × one (goal ≥ 1.7: not met)" in workers.report(1000, rows, "command")[1]
    assert "Bytes: DIFFERENT" in workers.report(1000, rows, "command")[1]


def test_every_shard_is_trained_where_the_runner_says(tmp_path: Path) -> None:
    workspace = workers.workspace_of(20_000, tmp_path / "w")
    digests = workers._train(workspace, HERE, sweeps=1)
    assert len(set(digests)) == workers.NUM_SHARDS
    assert workers._train(workers.workspace_of(20_000, tmp_path / "w"), HERE, sweeps=1) == digests
