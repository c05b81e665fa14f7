"""Attention by groups of users, on small made data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import eatnn_attention
from benchmarks.table import Table, run_table


def test_thirds_keep_equal_counts_together_and_nothing_apart() -> None:
    counts = np.array([0, 1, 1, 2, 5, 9, 0, 9, 30])
    assert eatnn_attention.thirds(counts).tolist() == [-1, 0, 0, 0, 1, 1, -1, 1, 2]
    assert eatnn_attention.thirds(np.zeros(3)).tolist() == [-1] * 3


def test_groups_tell_of_the_users_of_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eatnn_attention, "tuned", lambda dataset, model: {"epochs": 2, "embedding_dim": 4})
    folder, generator = tmp_path / "ciao-eatnn", np.random.default_rng(2)
    folder.mkdir()
    pairs = np.argwhere(generator.random((30, 12)) < np.linspace(0.2, 0.9, 30)[:, None])
    held = np.arange(len(pairs)) % 4 == 0
    for part, own in (("train", pairs[~held]), ("test", pairs[held])):
        pd.DataFrame({"user": own[:, 0], "item": own[:, 1]}).to_parquet(folder / f"{part}.parquet")
    friends = np.argwhere(generator.random((30, 30)) < np.where(np.arange(30) < 10, 0, 0.3)[:, None])
    pd.DataFrame({"user": friends[:, 0], "friend": friends[:, 1]}).to_parquet(folder / "trust.parquet")
    results = run_table(Table.load("eatnn-attention", tmp_path), 1, None, lambda line: None)
    metrics = {name: runs[0].metrics for name, runs in results.items()}
    people = np.intersect1d(pairs[held][:, 0], pairs[~held][:, 0])
    for by in ("train rows", "links"):
        assert sum(figures["users"] for name, figures in metrics.items() if name.endswith(by)) == len(people)
    assert metrics["no links"]["users"] == (people < 10).sum()
    assert all(0 < figures["common, of items"] < 1 for figures in metrics.values())
