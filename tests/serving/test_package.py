from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.core.random import Stream
from lethe.errors import ArtifactError, DataError
from lethe.learning.aggregation import AGGREGATORS, mean
from lethe.learning.ensemble import NOTHING, Asked, Engine, FactorEnsemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.serving.package import Package
from lethe.serving.packing import write_package
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.contract import BLOCK_ITEMS, checkerboard, table
from tests.serving.conftest import package_info


@dataclass
class Fixed:
    """An ensemble whose scores the test chooses."""

    catalogue: Catalogue
    scores: np.ndarray
    item_factors: np.ndarray | None = None

    accepts: frozenset[str] = frozenset()
    ordered: bool = False
    engine: Engine = "numpy"

    def score(self, users: np.ndarray, asked: Asked = NOTHING) -> np.ndarray:
        return self.scores[users]

    def factors(self) -> tuple[np.ndarray, np.ndarray] | None:
        return None if self.item_factors is None else (np.zeros((1, 1)), self.item_factors)

    def shares(self, own: np.ndarray, item: int) -> None:
        return None


def package(seen: Interactions, scores: np.ndarray, item_factors: np.ndarray | None = None) -> Package:
    ensemble: Any = Fixed(Catalogue.of(seen), scores, item_factors)
    matrix = ensemble.catalogue.encode(seen)
    return Package(ensemble, matrix.indptr, matrix.items, matrix.item_counts, package_info())


SEEN = Interactions.of(np.array([1, 1, 2, 2, 3, 4]), np.array([10, 20, 10, 30, 10, 40]))


def text(rows: Interactions) -> Interactions:
    return Interactions.of(rows.user_ids.astype(str).astype(object), rows.item_ids.astype(str).astype(object))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), k=st.integers(1, 12))
def test_the_best_unseen_items_in_order_of_score_then_id(data: st.DataObject, k: int) -> None:
    pairs = data.draw(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1))
    users, items = (np.array(column) for column in zip(*pairs, strict=True))
    seen = Interactions.of(users, items)
    shape = Catalogue.of(seen).shape
    flat = data.draw(st.lists(st.integers(-3, 3), min_size=50, max_size=50))
    scores = np.array(flat, dtype=np.float32).reshape(5, 10)[: shape.num_users, : shape.num_items]
    served = package(seen, scores)
    for row, user in enumerate(np.unique(users)):
        all_items = np.unique(items)
        unseen = [(-scores[row, i], item) for i, item in enumerate(all_items) if (user, item) not in pairs]
        expected = [(int(item), float(-score)) for score, item in sorted(unseen)[:k]]
        answer = served.recommend(int(user), k)
        assert answer.items == expected
        assert answer.source == "model"


def test_a_large_batch_is_scored_in_parts_and_answered_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    served = package(SEEN, np.arange(16, dtype=np.float32).reshape(4, 4))
    users, parts = [4, 99, 1, 2, 3, 1], []
    whole = served.recommend_many(users, 3)
    score = Fixed.score
    monkeypatch.setattr(Fixed, "score", lambda self, rows: (parts.append(len(rows)), score(self, rows))[1])
    monkeypatch.setattr("lethe.serving.package.AT_ONCE", 8)
    assert served.recommend_many(users, 3) == whole
    assert parts == [2, 2, 1]
    monkeypatch.setattr("lethe.serving.package.AT_ONCE", 1)
    assert served.recommend_many(users, 3) == whole


def test_an_unknown_user_gets_the_popular_items() -> None:
    answer = package(SEEN, np.zeros((4, 4), np.float32)).recommend(99, 2)
    assert answer.source == "popular"
    assert answer.items == [(10, 3.0), (20, 1.0)]


def test_many_users_are_answered_as_each_alone_and_scored_once() -> None:
    rng = np.random.default_rng(3)
    ensemble = FactorEnsemble(Catalogue.of(SEEN), *rng.normal(size=(2, 4, 5)).astype(np.float32))
    matrix = ensemble.catalogue.encode(SEEN)
    served = Package(ensemble, matrix.indptr, matrix.items, matrix.item_counts, {})
    asked = [4, 99, 1, "2", 1]
    with patch.object(FactorEnsemble, "score", autospec=True, side_effect=FactorEnsemble.score) as score:
        answers = served.recommend_many(asked, 3)
        assert score.call_count == 1
    for user_id, answer in zip(asked, answers, strict=True):
        alone = served.recommend(user_id, 3)
        assert answer.source == alone.source
        assert [item for item, _ in answer.items] == [item for item, _ in alone.items]
        assert [score for _, score in answer.items] == pytest.approx([score for _, score in alone.items], rel=1e-6)
    assert served.recommend_many([], 3) == []
    assert [answer.source for answer in served.recommend_many([98, 99], 3)] == ["popular", "popular"]


@pytest.mark.parametrize("spelling", ["042", " 42", "+42", "42.0", "-0", "4²", "--5", "9" * 25, 10**30, "", "x"])
def test_only_the_plain_spelling_of_an_integer_id_is_known(spelling: int | str) -> None:
    seen = Interactions.of(np.array([0, 5, 42]), np.array([1, 2, 3]))
    served = package(seen, np.zeros((3, 3), np.float32))
    assert served.recommend(spelling, 1).source == "popular"
    assert served.recommend("42", 1) == served.recommend(42, 1)
    assert served.recommend("42", 1).source == "model"


def test_text_ids_are_found_by_text_or_by_the_number_they_spell() -> None:
    served = package(text(SEEN), np.eye(4, dtype=np.float32))
    assert served.recommend(2, 1) == served.recommend("2", 1)
    assert served.recommend("2", 1).items == [("20", 1.0)]


def test_similarity_is_the_cosine_of_item_factors() -> None:
    factors = np.array([[1, 0], [3, 3], [0, 2], [0, 0]], dtype=np.float32)
    similar = package(SEEN, np.zeros((4, 4), np.float32), factors).similar_items(10, 3)
    assert [item for item, _ in similar] == [20, 30, 40]
    assert [score for _, score in similar] == pytest.approx([0.5**0.5, 0, 0])


def test_similarity_without_factors_is_the_cosine_of_who_saw_both() -> None:
    # Item 10 was seen by users 1, 2, 3; items 20 and 30 by one of them each; item 40 by none.
    similar = package(SEEN, np.zeros((4, 4), np.float32)).similar_items("10", 5)
    assert [item for item, _ in similar] == [20, 30, 40]
    assert [score for _, score in similar] == pytest.approx([3**-0.5, 3**-0.5, 0])


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("rows", [SEEN, text(SEEN)], ids=["integer ids", "text ids"])
def test_a_package_is_read_as_it_was_written_and_its_bytes_are_its_content(tmp_path: Path, rows: Interactions) -> None:
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(2, 4, 3)).astype(np.float32)
    ensemble = FactorEnsemble(Catalogue.of(rows), users, items)
    for name in ("one", "two"):
        write_package(tmp_path / name, ensemble, rows, package_info())
    assert files(tmp_path / "one") == files(tmp_path / "two")
    loaded = Package.load(tmp_path / "one")
    known = Package(
        ensemble, np.array([0, 2, 4, 5, 6]), np.array([0, 1, 0, 2, 0, 3]), np.array([3, 1, 1, 1]), package_info()
    )
    assert loaded.info == known.info == package_info()
    for user in (1, 2, 3, 4, 9):
        assert loaded.recommend(user, 3) == known.recommend(user, 3)
    assert loaded.similar_items(30, 3) == known.similar_items(30, 3)
    assert loaded.popular(4) == known.popular(4)


def test_a_pair_seen_twice_counts_twice_but_is_one_seen_item(tmp_path: Path) -> None:
    rows = Interactions.of(np.array([1, 1, 2]), np.array([10, 10, 20]))
    ensemble = FactorEnsemble(Catalogue.of(rows), np.ones((2, 1), np.float32), np.ones((2, 1), np.float32))
    write_package(tmp_path, ensemble, rows, package_info())
    loaded = Package.load(tmp_path)
    assert loaded.popular(2).items == [(10, 2.0), (20, 1.0)]
    assert loaded.items.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["seen.safetensors", "info.json", "ensemble/ensemble.json"])
def test_a_missing_or_foreign_file_is_one_line(tmp_path: Path, name: str) -> None:
    ensemble = FactorEnsemble(Catalogue.of(SEEN), np.ones((4, 1), np.float32), np.ones((4, 1), np.float32))
    write_package(tmp_path, ensemble, SEEN, package_info())
    (tmp_path / name).write_bytes(b"foreign")
    with pytest.raises(ArtifactError, match="not a"):
        Package.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match="not a"):
        Package.load(tmp_path)


def test_an_unknown_item_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="item_id: 11 must be"):
        package(SEEN, np.zeros((4, 4), np.float32)).similar_items(11, 5)


@pytest.mark.parametrize(
    ("name", "values"),
    [("gru4rec", {}), ("ra-lst", {"theta": 0.9, "long": {"embedding_dim": 3, "init_std": 0.3, "epochs": 5}})],
)
def test_a_stranger_is_answered_by_what_follows_their_history(
    name: str, values: dict[str, Any], tmp_path: Path
) -> None:
    """Everybody goes around a ring of 12 films; two shards know half of them each."""
    users, places = np.repeat(np.arange(60), 6), np.tile(np.arange(6), 60)
    films = np.array([f"film-{place:02d}" for place in range(12)], dtype=object)
    rows = Interactions.of(users, films[(users + places) % 12], timestamps=places)
    config = configure(
        name, values | {"embedding_dim": 16, "learning_rate": 0.02, "epochs": 40, "batch_size": 8, "num_negatives": 0}
    )
    sub_models = []
    for shard in range(2):
        own = rows.take(rows.user_ids // 12 % 2 == shard)
        catalogue = Catalogue.of(own)
        model = MODELS[name](config, catalogue.shape)
        train(model, catalogue.encode(own), Stream(shard))
        sub_models.append(SubModel(f"shard-{shard}", model, catalogue))
    ensemble, _ = mean.fit(sub_models, rows, mean.Config(), Stream(1))
    write_package(tmp_path, ensemble, rows, package_info(model=name))
    served = Package.load(tmp_path)
    for start in (0, 5, 10):
        history = [films[(start + step) % 12] for step in range(4)]
        answer = served.recommend("nobody", 12, history=["film-unheard-of", *history])
        assert answer.source == "model"
        assert answer.items[0][0] == films[(start + 4) % 12]
        assert not {item for item, _ in answer.items} & set(history)
    assert served.recommend(0, 1, history=list(films[5:9])).items[0][0] == "film-09"  # who is in one shard alone
    assert served.recommend("nobody", 1, history=["film-unheard-of"]).source == "popular"


def fitted(name: str, values: dict[str, Any], rows: Interactions, folder: Path) -> Package:
    """A model of one shard, packaged and read again."""
    catalogue = Catalogue.of(rows)
    model = MODELS[name](configure(name, values), catalogue.shape)
    train(model, catalogue.encode(rows), Stream(1))
    ensemble, _ = AGGREGATORS["identity"].fit(
        [SubModel("whole", model, catalogue)], rows, AGGREGATORS["identity"].Config(), Stream(1)
    )
    write_package(folder, ensemble, rows, package_info(model=name))
    return Package.load(folder)


@pytest.mark.parametrize(
    ("name", "values", "source"),
    [
        ("wmf", {"embedding_dim": 4}, "model"),
        ("ease", {"reg": 5.0}, "model"),
        ("als", {"embedding_dim": 2}, "model"),
        ("bias-lfm", {"embedding_dim": 2}, "model"),
        ("mostpop", {}, "similar"),
        ("neumf", {"epochs": 1}, "similar"),
    ],
)
def test_somebody_new_is_answered_by_their_history_whatever_the_family(
    name: str, values: dict[str, Any], source: str, tmp_path: Path
) -> None:
    rows = table(name)
    served = fitted(name, values, rows, tmp_path)
    items = served.ensemble.catalogue.items.values.tolist()
    history, block = items[: BLOCK_ITEMS // 2], set(items[:BLOCK_ITEMS])
    answer = served.recommend("nobody", 4, history=["never heard of", *history], ratings=[1.0] + [5.0] * len(history))
    assert answer.source == source
    assert {item for item, _ in answer.items} <= block - set(history)
    assert served.recommend("nobody", 4, history=["never heard of"]) == served.recommend("nobody", 4)


def test_what_a_known_user_took_since_is_added_to_what_the_model_knows(tmp_path: Path) -> None:
    rows = checkerboard()
    served = fitted("wmf", {"embedding_dim": 4}, rows, tmp_path)
    items, user = served.ensemble.catalogue.items.values.tolist(), int(rows.user_ids[0])
    since = items[BLOCK_ITEMS:]
    before, after = served.recommend(user, 4), served.recommend(user, 4, history=since[:8])
    assert {item for item, _ in before.items} <= set(items[:BLOCK_ITEMS])
    own = served.seen(served.ensemble.catalogue.users.place(user))
    both = [*served.ensemble.catalogue.items.decode(own).tolist(), *since[:8]]
    assert after.items == served.recommend("nobody", 4, history=both).items
    rated = fitted("als", {"embedding_dim": 2}, table("als"), tmp_path)
    assert rated.recommend(3, 40, history=[]).source == "model"
    left = {item for item, _ in rated.recommend(3, 40).items}
    assert {item for item, _ in rated.recommend(3, 40, history=list(left)[:1]).items} == left - set(list(left)[:1])
