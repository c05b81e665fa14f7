"""The sets with side data, made small: what is read of them, what is held out, and what the rules count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import collaborative, ensfm_frappe, side_data
from benchmarks.table import Table, run_table
from lethe.errors import DataError


def write(folder: Path, part: str, **columns: object) -> None:
    folder.mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(folder / f"{part}.parquet")


def frappe_part(rows: list[tuple[int, int, int]]) -> dict[str, object]:
    """(user, context, item): the context is that of the first field; all others are equal."""
    users, contexts, items = (list(part) for part in zip(*rows, strict=True))
    fields = {f"ctx{place}": contexts if place == 1 else [9] * len(rows) for place in range(1, 8)}
    return {"user": users, **fields, "item": items, "f_item": [item % 2 for item in items]}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    # User 0 takes item 0 twice in context 0 and 1, and item 1 once; item 2 is what most others take.
    train = [(0, 0, 0), (0, 1, 0), (0, 1, 1), (1, 0, 2), (2, 0, 2), (3, 0, 2), (3, 1, 2), (1, 1, 3), (0, 2, 4)]
    write(tmp_path / "frappe-ensfm", "train", **frappe_part(train))
    write(tmp_path / "frappe-ensfm", "test", **frappe_part([(0, 2, 0), (1, 1, 2)]))
    write(tmp_path / "ml-1m-ensfm", "train", user=[1, 1, 2, 2], item=[5, 6, 5, 7], f_gender=[3, 3, 4, 4], f_age=8)
    write(tmp_path / "book-crossing-kg", "interactions", user=[0, 0, 1], item=[1, 2, 2], label=[1, 0, 1])
    write(tmp_path / "book-crossing-kg", "kg", head=[1, 20000, 20000], relation=[7, 7, 7], tail=[20001, 2, 20002])
    return tmp_path


def test_frappe_has_contexts_and_features(data_dir: Path) -> None:
    split = side_data.frappe(data_dir)
    assert list(split.train.contexts) == side_data.FRAPPE_FIELDS
    assert split.catalogue.shape.num_contexts == 3 + 6
    assert split.catalogue.shape.num_item_features == 2


def test_frappe_holds_out_one_row_of_combinations_that_keep_another(data_dir: Path) -> None:
    rows, held = side_data.frappe_rows(data_dir, "frappe-ensfm")
    # Only user 0 in context 1 has two rows.
    assert len(held) == 1
    assert (held.user_ids[0], held.contexts["ctx1"][0]) == (0, 1)
    assert len(rows) == 8


def test_own_history_counts_a_users_rows_in_other_contexts(data_dir: Path) -> None:
    split = side_data.frappe(data_dir)
    users = ensfm_frappe.own_history(split).run(1).users
    # User 0: item 0 was taken twice, item 4 is masked. User 1: item 3 is masked, item 2 is theirs.
    assert users["ndcg@5"].tolist() == [1.0, 1.0]
    floor = collaborative.model_row("MostPop", "mostpop", split, cutoffs=(1,), metrics=("hr",)).run(1).users
    assert floor["hr@1"].tolist() == [0.0, 1.0]


def test_context_models_are_asked_in_the_contexts_of_the_held_out_row(data_dir: Path) -> None:
    split = side_data.frappe(data_dir)
    asked: list[np.ndarray] = []

    def scores(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
        asked.append(contexts["ctx1"])
        return np.zeros((len(users), len(split.catalogue.items)), np.float32)

    collaborative.ranked(split, scores, cutoffs=(5,), metrics=("hr",))
    assert np.concatenate(asked).tolist() == [2, 1]


def test_the_newest_row_of_each_user_is_held_out(data_dir: Path) -> None:
    write(data_dir / "ml-1m-ensfm", "test", user=[1], item=[7], f_gender=[3], f_age=8)
    for part in ("train", "test"):
        path = data_dir / "ml-1m-ensfm" / f"{part}.parquet"
        pd.read_parquet(path).assign(f_occupation=1, f_genre=2).to_parquet(path)
    write(data_dir / "ml-1m", "interactions", user=[1, 1, 1, 2, 2], item=[5, 6, 7, 5, 7], pos=[1, 0, 2, 0, 1])
    rows, held = side_data.newest_rows(data_dir, "ml-1m-ensfm")
    assert list(zip(held.user_ids, held.item_ids, strict=True)) == [(1, 5), (2, 7)]
    assert list(zip(rows.user_ids, rows.item_ids, strict=True)) == [(1, 6), (2, 5)]


def test_only_real_rows_and_triples_that_name_a_book_are_read(data_dir: Path) -> None:
    split = side_data.book_crossing(data_dir)
    parts = [part for part in (split.train, split.valid, split.test) if part is not None]
    assert sum(len(part) for part in parts) == 2
    triples = split.tables.tables["triples"]
    found = list(zip(triples["item"], triples["relation"], triples["entity"], strict=True))
    assert found == [(1, "7", 20001), (2, "of 7", 20000)]


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"frappe-ensfm/train\.parquet is not there"):
        side_data.frappe(tmp_path)


def test_the_frappe_table_runs_its_counted_rows(data_dir: Path) -> None:
    table = Table.load("ensfm-frappe", data_dir).only(["MostPop", "Own history"])
    results = run_table(table, 1, None, lambda line: None)
    assert results["Own history"][0].metrics["hr@5"] == 1.0
    assert ensfm_frappe.PUBLISHED["ENSFM"]["hr@10"] == 0.7118


def test_ciao_is_split_anew_one_row_out_of_three_and_more(tmp_path: Path) -> None:
    # Users 0 to 19 have three rows, 20 to 29 two.
    pairs = [(user, item) for user in range(30) for item in range(3 if user < 20 else 2)]
    for part, own in (("train", pairs[::2]), ("valid", pairs[1::4]), ("test", pairs[3::4])):
        write(tmp_path / "ciao-eatnn", part, user=[u for u, _ in own], item=[i for _, i in own])
    split = side_data.ciao_one_out(tmp_path)
    assert split.valid is not None
    held = [list(part.user_ids) for part in (split.test, split.valid)]
    assert held == [list(range(20))] * 2
    parts = [set(zip(part.user_ids, part.item_ids, strict=True)) for part in (split.train, split.valid, split.test)]
    assert set.union(*parts) == set(pairs)
    assert sum(map(len, parts)) == len(pairs)
    # By key, not always the first or the last.
    assert len(set(split.test.item_ids)) == 3


def test_anime_ratings_are_tuned_on_a_part_of_what_the_table_learns_from(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    pairs = np.argwhere(generator.random((40, 20)) < 0.5)
    write(
        tmp_path / "anime-5k",
        "ratings",
        user=pairs[:, 0],
        item=pairs[:, 1],
        rating=generator.integers(1, 11, len(pairs)),
    )
    learnt = side_data.anime_ratings(tmp_path)["train"]
    rows, valid = side_data.anime_rows(tmp_path, "anime-5k")
    assert len(rows) + len(valid) == len(learnt) < len(pairs)
    (result,) = run_table(Table.load("anime", tmp_path).only(["LFM, defaults"]), 1, None, lambda line: None).values()
    metrics = result[0].metrics
    assert metrics["rmse"] ** 2 == pytest.approx(metrics["mse"])
    # It has learnt of these.
    assert metrics["mse on train"] < metrics["mse"]


def test_baselines_whose_settings_were_never_searched_have_no_row(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collaborative, "tuned", lambda dataset, model: {"reg": 0.1} if model == "fm" else {})
    labels = [row.model for row in Table.load("ensfm-frappe", data_dir).rows]
    assert "FM" in labels
    assert not {"NFM", "DeepFM", "CFM", "ONCF"} & set(labels)
