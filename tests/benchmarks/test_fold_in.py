"""The comparison itself, on a table where everybody's taste is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import fold_in
from benchmarks.collaborative import Split
from benchmarks.fold_in import FAMILIES, compare, report, row_of, run
from benchmarks.table import resumed
from lethe.errors import ConfigError
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.contract import checkerboard


def split() -> Split:
    rows = checkerboard(3)
    test = np.random.default_rng(2).random(len(rows)) < 0.2
    return Split("checkerboard", rows.take(~test), rows.take(test))


@pytest.mark.parametrize(("name", "values"), [("wmf", {"embedding_dim": 4}), ("ease", {"reg": 5.0})])
def test_folded_in_and_trained_are_measured_on_the_same_people(name: str, values: dict[str, object]) -> None:
    row = compare(name, split(), values, 1).metrics
    assert row["users"] == 6
    # What is left of the own block is among the first 20 for whoever is known.
    assert row["trained"] == row["folded_in"] == 1.0
    assert row["popular"] < 1.0
    row = {"family": name, "dataset": "checkerboard"} | row
    assert f"| {name} | checkerboard | 1.0000 | 1.0000 |" in report([row], "command")[1]


def test_an_unknown_family_is_refused_before_anything_is_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ConfigError, match=r"^--family: unknown family 'x'; known families: wmf, "):
        run(["x"], tmp_path_factory.mktemp("none"), 1, None, lambda line: None)


def test_a_row_that_was_made_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = resumed(row_of("ease", split(), {"reg": 5.0}), 1, tmp_path)
    monkeypatch.setattr(fold_in, "build", None)
    assert resumed(row_of("ease", split(), {"reg": 5.0}), 1, tmp_path).metrics == made.metrics
    with pytest.raises(TypeError):
        resumed(row_of("ease", split(), {"reg": 6.0}), 1, tmp_path)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_the_table_can_fold_people_in(name: str) -> None:
    model = MODELS[name](configure(name, {}), Catalogue.of(split().train).shape)
    assert "history" in SubModel("whole", model, Catalogue.of(split().train)).accepts


def test_histories_are_in_order_of_time() -> None:
    from benchmarks.fold_in import of_each

    rows = Interactions.of(np.array([1, 1, 2, 1]), np.array([5, 6, 7, 8]), timestamps=np.array([30, 10, 5, 20]))
    assert {user: items.tolist() for user, items in of_each(rows).items()} == {1: [6, 8, 5], 2: [7]}
