"""The readers of the sets with social links and behaviours, and the rule's row, on small made files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.multibehaviour import rule_row
from benchmarks.side_data import ciao, purchase_rows, purchases


def write(folder: Path, **parts: list[tuple[int, int]]) -> None:
    folder.mkdir(parents=True)
    for name, pairs in parts.items():
        users, others = (np.array(column) for column in zip(*pairs, strict=True))
        pq.write_table(
            pa.table({"user": users, "friend" if name == "trust" else "item": others}), folder / f"{name}.parquet"
        )


def pairs(users: np.ndarray, items: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(users.tolist(), items.tolist(), strict=True))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three users; user 1's test purchase 5 was viewed and carted, their validation purchase 2 viewed."""
    write(
        tmp_path / "taobao-mb",
        buy_train=[(1, 1), (1, 2), (2, 1), (2, 3), (3, 3), (3, 1)],
        buy_valid=[(1, 2), (2, 3), (3, 1)],
        buy_test=[(1, 5), (2, 4), (3, 2)],
        view=[(1, 1), (1, 2), (1, 5), (1, 6), (2, 1), (3, 3)],
        cart=[(1, 5), (2, 6)],
    )
    return tmp_path


def test_validation_purchases_leave_train(shop: Path) -> None:
    train, valid = purchase_rows(shop, "taobao-mb")
    assert pairs(train.user_ids, train.item_ids) == [(1, 1), (2, 1), (3, 3)]
    assert pairs(valid.user_ids, valid.item_ids) == [(1, 2), (2, 3), (3, 1)]


def test_without_a_file_validation_is_the_last_purchase_of_who_has_two(tmp_path: Path) -> None:
    write(tmp_path / "beibei-buy-cart", buy_train=[(0, 5), (1, 7), (0, 2), (0, 9)], buy_test=[(0, 1)], cart=[(0, 1)])
    train, valid = purchase_rows(tmp_path, "beibei-buy-cart")
    assert pairs(train.user_ids, train.item_ids) == [(0, 2), (0, 5), (1, 7)]
    assert pairs(valid.user_ids, valid.item_ids) == [(0, 9)]


def test_clean_leaves_held_out_pairs_out_of_the_other_behaviours(shop: Path) -> None:
    published, clean = (purchases(shop, name).tables.behaviours for name in ("taobao-mb", "taobao-mb-clean"))
    assert len(published["view"]) == 6
    assert pairs(clean["view"].user_ids, clean["view"].item_ids) == [(1, 1), (1, 6), (2, 1), (3, 3)]
    assert pairs(clean["cart"].user_ids, clean["cart"].item_ids) == [(2, 6)]


def test_the_rule_puts_carts_before_views_before_what_is_popular(shop: Path) -> None:
    """User 1 carted item 5; item 4, which user 2 bought, is unknown to all; user 3 did nothing but buy."""
    metrics = rule_row(purchases(shop, "taobao-mb")).run(1).users
    assert metrics["hr@10"].tolist() == [1.0, 0.0, 1.0]
    assert metrics["ndcg@10"][0] == 1.0
    # Of the items user 3 has not bought, item 2 alone was bought by others.
    assert metrics["ndcg@10"][2] == 1.0
    leaky = rule_row(purchases(shop, "taobao-mb-clean")).run(1).users
    assert leaky["ndcg@10"][0] == 0.0


def test_links_to_oneself_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path / "ciao-eatnn", train=[(0, 1), (1, 1)], test=[(0, 2)], valid=[(1, 2)], trust=[(0, 0), (0, 1), (0, 1)]
    )
    links = ciao(tmp_path).tables.tables["links"]
    assert pairs(links["user"], links["friend"]) == [(0, 1)]
