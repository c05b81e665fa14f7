"""The collective solver against dense systems in float64 and the double sum over every block's cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lethe.models.solvers.als import als
from lethe.models.solvers.collective import Block, collective, union
from lethe.tables.matrix import InteractionMatrix, Shape

SIZES = {"entities": 6, "items": 9, "friends": 7, "users": 12}
DIM = 4
Tables = dict[str, np.ndarray]


def matrix(rows: str, columns: str, seed: int) -> InteractionMatrix:
    # Row 2 and column 5 have nothing.
    filled = np.random.default_rng(seed).random((SIZES[rows], SIZES[columns])) < 0.4
    filled[2], filled[:, 5] = False, False
    return InteractionMatrix(Shape(*filled.shape), *np.nonzero(filled))


def blocks() -> list[Block]:
    """All kinds at once: weights flat and not, positives weighted one by one, two blocks between two tables."""
    views = matrix("users", "items", 4)
    weighted = np.random.default_rng(9).uniform(0.5, 2.0, len(views))
    return [
        Block("users", "items", matrix("users", "items", 1), np.linspace(0.1, 0.9, SIZES["items"])),
        Block("users", "friends", matrix("users", "friends", 2), np.full(SIZES["friends"], 0.2), 1.5, 0.3),
        Block("items", "entities", matrix("items", "entities", 3), np.linspace(0.3, 0.1, SIZES["entities"]), 2.0, 0.6),
        Block("users", "items", views, np.full(SIZES["items"], 0.05), weighted, 0.7),
    ]


def start(kind: type = np.float64) -> Tables:
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=(size, DIM)).astype(kind) for name, size in SIZES.items()}


def costs(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """μ c of every cell, and which are positive."""
    filled = block.data.csr().toarray() > 0
    cost = np.tile(block.negative_weights, (len(filled), 1))
    cost[filled] = block.positive_weights
    return block.weight * cost, filled


def naive(tables: Tables, dropout: float, reg: float) -> float:
    total = reg * sum(float((table**2).sum()) for table in tables.values())
    for block in blocks():
        cost, filled = costs(block)
        for r, c in itertools.product(*map(range, cost.shape)):
            product = tables[block.rows][r] * tables[block.columns][c]
            error = (float(filled[r, c]) - product.sum()) ** 2 + dropout / (1 - dropout) * (product**2).sum()
            total += cost[r, c] * error
        total -= cost[filled].sum()
    return total


def dense_sweep(tables: Tables, dropout: float, reg: float) -> None:
    """Each table's rows by dense linear algebra, in order."""
    for name, table in tables.items():
        for row in range(len(table)):
            a, b = reg * np.eye(DIM), np.zeros(DIM)
            for block in blocks():
                if name not in (block.rows, block.columns):
                    continue
                cost, filled = costs(block)
                if name == block.columns:
                    cost, filled = cost.T, filled.T
                other = tables[block.columns if name == block.rows else block.rows]
                gram = other.T @ (cost[row][:, None] * other)
                a += gram + dropout / (1 - dropout) * np.diag(np.diag(gram))
                b += other.T @ (cost[row] * filled[row])
            table[row] = np.linalg.solve(a, b)


@pytest.mark.parametrize(("dropout", "reg"), [(0.0, 0.1), (0.3, 0.0), (0.5, 0.2)])
def test_sweeps_are_dense_solves_and_yield_the_double_sum(dropout: float, reg: float) -> None:
    ours, expected = start(), start()
    for value in collective(blocks(), ours, dropout=dropout, reg=reg, sweeps=3, steps=3 * DIM):
        dense_sweep(expected, dropout, reg)
        for name, table in expected.items():
            assert ours[name] == pytest.approx(table, abs=1e-8)
        assert value == pytest.approx(naive(expected, dropout, reg), rel=1e-9)


def test_few_steps_descend_and_single_precision_agrees() -> None:
    ends = []
    for kind in (np.float32, np.float64):
        tables = start(kind)
        history = list(collective(blocks(), tables, dropout=0.3, reg=0.1, sweeps=8))
        assert all(later <= earlier + 1e-4 for earlier, later in itertools.pairwise(history))
        ends.append(tables["users"] @ tables["items"].T)
    assert ends[0] == pytest.approx(ends[1], abs=1e-3)


def test_one_block_has_the_bytes_of_als() -> None:
    data, weights = matrix("users", "items", 1), np.linspace(0.1, 0.9, SIZES["items"])
    ours, plain = start(np.float32), start(np.float32)
    tables = {name: ours[name] for name in ("items", "users")}
    history = list(collective([Block("users", "items", data, weights)], tables, dropout=0.3, reg=0.1, sweeps=4))
    users, items = plain["users"], plain["items"]
    assert history == list(als(data, users, items, negative_weights=weights, dropout=0.3, reg=0.1, sweeps=4))
    assert users.tobytes() == ours["users"].tobytes()
    assert items.tobytes() == ours["items"].tobytes()


def test_a_row_learns_from_any_block_and_is_zero_without_one() -> None:
    shape = Shape(3, 2)
    bought = InteractionMatrix(shape, np.array([0, 0]), np.array([0, 1]))
    linked = InteractionMatrix(shape, np.array([0, 1]), np.array([1, 1]))
    tables = {name: np.random.default_rng(1).normal(size=(n, 2)) for name, n in (("x", 2), ("z", 2), ("users", 3))}
    weights = np.full(2, 0.1)
    list(collective([Block("users", "x", bought, weights), Block("users", "z", linked, weights)], tables, reg=0.1))
    assert tables["users"][1].any()
    assert not tables["users"][2].any()
    assert not tables["z"][0].any()


def test_an_empty_block_is_no_block() -> None:
    data, nothing = matrix("users", "items", 1), InteractionMatrix(Shape(12, 0), *np.empty((2, 0), np.int64))
    weights = np.full(SIZES["items"], 0.2)
    ends = []
    for more in ([], [Block("users", "friends", nothing, np.empty(0))]):
        tables = start()
        chosen = {"items": tables["items"], "friends": np.empty((0, DIM)), "users": tables["users"]}
        if not more:
            del chosen["friends"]
        ends.append(list(collective([Block("users", "items", data, weights), *more], chosen, reg=0.1, sweeps=3)))
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)


def test_union_adds_the_weights_of_cells_in_several() -> None:
    shape = Shape(2, 3)
    one = InteractionMatrix(shape, np.array([0, 1]), np.array([2, 0]))
    other = InteractionMatrix(shape, np.array([0, 0]), np.array([1, 2]))
    data, weights = union([(one, 1.0), (other, 0.5)])
    assert list(zip(data.users.tolist(), data.items.tolist(), weights.tolist(), strict=True)) == [
        (0, 1, 0.5),
        (0, 2, 1.5),
        (1, 0, 1.0),
    ]
