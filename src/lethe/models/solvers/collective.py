"""Collective factorisation: the whole-matrix square loss of several matrices that share factors, solved exactly.

Each block is a weighted matrix between two tables of vectors: users x items, users x friends, items x entities. The
objective is the sum of the blocks' own (``models.solvers.als``), their dropout integrated out, and one L2:

    min Σ_b μ_b Σ_r Σ_c c_b,rc [(y_b,rc - x_r·z_c)² + ρ Σ_i (x_ri z_ci)²] + reg Σ_tables ‖·‖²

with c = c⁺ where y = 1, else c⁻, and ρ = dropout / (1 - dropout). Given all others, a table's row solves one linear
system, the sum of its systems in the blocks it is in, so alternating least squares holds as it does for one matrix.
(Singh & Gordon, "Relational Learning via Collective Matrix Factorization", KDD 2008, for the idea; its losses see the
observed cells alone.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lethe.models.solvers.als import Rows, solve_rows
from lethe.models.solvers.als_device import PlacedRows, beside
from lethe.models.solvers.vectors import Vectors, kind_of, squared
from lethe.tables.matrix import InteractionMatrix


class Block(NamedTuple):
    """One matrix of the objective.

    rows, columns     names of two different tables
    data              its positives, users being rows and items columns
    negative_weights  [number of columns] c⁻
    positive_weights  [nnz] c⁺ of each row of ``data``, or one for all
    weight            μ: of the block in the sum
    """

    rows: str
    columns: str
    data: InteractionMatrix
    negative_weights: np.ndarray
    positive_weights: np.ndarray | float = 1.0
    weight: float = 1.0


def collective(
    blocks: Sequence[Block],
    tables: Mapping[str, Vectors],
    *,
    dropout: float = 0.0,
    reg: float = 0.0,
    sweeps: int = 10,
    steps: int = 3,
) -> Iterator[float]:
    """Run ``sweeps`` sweeps over ``tables`` in their order, and yield the objective after each, less its constant.

    ``tables``: {name: [n, d] float32 or float64, contiguous}, changed in place. Each is in a block; a table's start
    values matter where one before it meets it, so put the users last. ``steps`` conjugate-gradient steps solve each
    row from its last value; d steps solve it exactly. Rows without positives in any block become zero. Two blocks may
    join the same two tables. Each row is solved by one thread: the same inputs give the same bytes.
    """
    stacks = {name: _stack(name, blocks, tables) for name in tables}
    last = list(tables)[-1]
    apart = [_stack(block.rows, [block], tables) for block in blocks if last not in (block.rows, block.columns)]
    for _ in range(sweeps):
        for stack in stacks.values():
            value = stack.solve(tables, dropout=dropout, reg=reg, steps=steps)
        # The last solve has the value of its own blocks and its own L2.
        value += sum(stack.solve(tables, dropout=dropout, reg=0.0, steps=0) for stack in apart)
        norms = (float(squared(table).sum()) for name, table in tables.items() if name != last)
        yield value + reg * sum(norms)


class _Stack(NamedTuple):
    """The linear systems of table ``name``, against the ``others`` put below one another."""

    name: str
    others: list[str]
    rows: Rows | PlacedRows

    def solve(self, tables: Mapping[str, Vectors], *, dropout: float, reg: float, steps: int) -> float:
        faced = [tables[other] for other in self.others]
        y = faced[0] if len(faced) == 1 else _below_one_another(faced)
        return solve_rows(self.rows, tables[self.name], y, dropout=dropout, reg=reg, steps=steps)


def _below_one_another(tables: list[Vectors]) -> Vectors:
    if isinstance(tables[0], Tensor):
        return torch.cat([table for table in tables if isinstance(table, Tensor)])
    return np.concatenate(tables)


class _Side(NamedTuple):
    """A block as one of its tables sees it: c⁺ are the ratings of ``data``, whose rows are that table's."""

    other: str
    data: InteractionMatrix
    row_weights: np.ndarray
    column_weights: np.ndarray

    @classmethod
    def of(cls, block: Block, name: str) -> _Side:
        assert block.rows != block.columns, "between a table and itself the systems would not be linear"
        positives = np.full(len(block.data), block.weight * block.positive_weights)
        data = InteractionMatrix(block.data.shape, block.data.users, block.data.items, positives)
        ones, negative = np.ones(data.num_users), block.weight * block.negative_weights.astype(np.float64)
        if name == block.rows:
            return cls(block.columns, data, ones, negative)
        return cls(block.rows, data.transposed, negative, ones)


def _stack(name: str, blocks: Sequence[Block], tables: Mapping[str, Vectors]) -> _Stack:
    """Sides whose rows all weigh the same share a group: their Gram matrices are added up once for all rows."""
    sides = [_Side.of(block, name) for block in blocks if name in (block.rows, block.columns)]
    kinds: list[np.ndarray] = []
    groups, column_weights, rows, columns = [], [], [], []
    offset = 0
    for _, data, row_weights, weights in sides:
        if len(row_weights) and (row_weights == row_weights[0]).all():
            row_weights, weights = np.ones(len(row_weights)), weights * row_weights[0]
        group = next((g for g, known in enumerate(kinds) if np.array_equal(known, row_weights)), len(kinds))
        kinds += [row_weights] * (group == len(kinds))
        groups.append(np.full(data.num_items, group))
        column_weights.append(weights)
        rows.append(data.users)
        columns.append(data.items + offset)
        offset += data.num_items
    order = np.argsort(np.concatenate(rows), kind="stable")
    counts = np.bincount(np.concatenate(rows), minlength=len(tables[name]))
    positives = np.concatenate([side.data.ratings for side in sides])
    kind = kind_of(tables[name])
    stacked = Rows(
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate(columns)[order],
        positives[order].astype(kind),
        np.stack(kinds, axis=1).astype(kind),
        np.concatenate(column_weights).astype(kind),
        np.concatenate(groups),
    )
    return _Stack(name, [side.other for side in sides], beside(tables[name], stacked))


def union(matrices: Sequence[tuple[InteractionMatrix, float]]) -> tuple[InteractionMatrix, np.ndarray]:
    """The cells that are in any of some matrices of one shape, and the sum of the weights of those they are in, [nnz].

    A block of it is the blocks of the matrices in one, but for negative weights: c⁻ is then for cells in none.
    """
    shape = matrices[0][0].shape
    keys = np.concatenate([data.users * shape.num_items + data.items for data, _ in matrices])
    weights = np.repeat([weight for _, weight in matrices], [len(data) for data, _ in matrices])
    cells, places = np.unique(keys, return_inverse=True)
    data = InteractionMatrix(shape, *np.divmod(cells, max(shape.num_items, 1)))
    return data, np.bincount(places, weights, minlength=len(cells))
