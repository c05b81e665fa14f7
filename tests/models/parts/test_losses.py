"""Losses against independent forms: the naive double loop, the enumerated masks, and the other implementation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe.models.parts import losses
from lethe.models.parts.batches import RowBatch, row_batches
from lethe.models.solvers.pull import using
from lethe.tables.matrix import InteractionMatrix, Shape

ROWS, COLUMNS, DIM = 7, 9, 3
POSITIVE = 1.5


def matrix() -> InteractionMatrix:
    # Row 3 has nothing, row 5 has everything.
    filled = np.random.default_rng(0).random((ROWS, COLUMNS)) < 0.4
    filled[3], filled[5] = False, True
    return InteractionMatrix(Shape(ROWS, COLUMNS), *np.nonzero(filled))


def parameters(*shapes: tuple[int, ...], seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def naive(p: Tensor, q: Tensor, h: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for u, v in itertools.product(range(len(p)), range(len(q))):
        cost = POSITIVE if labels[u, v] else weights[v]
        total = total + cost * (labels[u, v] - (h * p[u] * q[v]).sum()) ** 2
    return total - POSITIVE * labels.sum()


WEIGHTS = {
    "flat": torch.full((COLUMNS,), 0.3, dtype=torch.float64),
    "per item": torch.linspace(0.05, 2.0, COLUMNS, dtype=torch.float64),
}


@pytest.fixture(params=["compiled", "torch"])
def implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    with using(request.param):
        yield


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS.keys())
@pytest.mark.parametrize("batch_size", [0, 4])
def test_non_sampling_is_the_full_square_loss(weights: Tensor, batch_size: int) -> None:
    data = matrix()
    labels = torch.from_numpy(data.csr().toarray()).double()
    p, q, h = parameters((ROWS, DIM), (COLUMNS, DIM), (DIM,))
    for batch in row_batches(data, batch_size, np.random.default_rng(3)):
        value = losses.non_sampling(p[batch.rows], q, batch, negative_weights=weights, positive_weight=POSITIVE, h=h)
        expected = naive(p[batch.rows], q, h, labels[batch.rows], weights)
        assert value.item() == pytest.approx(expected.item(), rel=1e-12)
        for got, wanted in zip(
            torch.autograd.grad(value, (p, q, h)), torch.autograd.grad(expected, (p, q, h)), strict=True
        ):
            assert torch.allclose(got, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("implementation")
def test_dropout_is_the_mean_over_all_masks() -> None:
    data, drop, weights = matrix(), 0.3, WEIGHTS["per item"]
    labels = torch.from_numpy(data.csr().toarray()).double()
    p, q, h = parameters((ROWS, DIM), (COLUMNS, DIM), (DIM,))
    (batch,) = row_batches(data, 0, np.random.default_rng(0))
    value = losses.non_sampling(p, q, batch, negative_weights=weights, positive_weight=POSITIVE, h=h, dropout=drop)
    # A mask of one user's row changes only that row's terms, so the same mask for all rows has the same mean.
    expected = torch.zeros((), dtype=torch.float64)
    for mask in itertools.product([0.0, 1.0], repeat=DIM):
        chance = np.prod([1 - drop if kept else drop for kept in mask])
        dropped = p * torch.tensor(mask, dtype=torch.float64) / (1 - drop)
        expected = expected + chance * naive(dropped, q, h, labels, weights)
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    for got, wanted in zip(
        torch.autograd.grad(value, (p, q, h)), torch.autograd.grad(expected, (p, q, h)), strict=True
    ):
        assert torch.allclose(got, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_single_precision_stays_close_to_double(dropout: float) -> None:
    generator = np.random.default_rng(2)
    filled = generator.random((60, 80)) < 0.2
    data = InteractionMatrix(Shape(60, 80), *np.nonzero(filled))
    (batch,) = row_batches(data, 0, generator)
    p, q = parameters((60, 16), (80, 16))
    results = []
    for kind in (torch.float32, torch.float64):
        a, b = (t.detach().to(kind).requires_grad_() for t in (p, q))
        value = losses.non_sampling(a, b, batch, negative_weights=torch.full((80,), 0.2), dropout=dropout)
        results.append((value, *torch.autograd.grad(value, (a, b))))
    for single, double in zip(*results, strict=True):
        assert (single - double).norm() <= 2e-6 * double.norm()


def test_gradient_scales_with_what_comes_after() -> None:
    (batch,) = row_batches(matrix(), 0, np.random.default_rng(0))
    p, q = parameters((ROWS, DIM), (COLUMNS, DIM))
    value = losses.non_sampling(p, q, batch, negative_weights=WEIGHTS["flat"])
    (once,) = torch.autograd.grad(value, p, retain_graph=True)
    (thrice,) = torch.autograd.grad(3.0 * value, p)
    assert torch.allclose(thrice, 3.0 * once)


def test_popularity_weights() -> None:
    counts = torch.tensor([0, 1, 4, 9])
    assert losses.negative_weights(counts, 0.2).tolist() == pytest.approx([0.2] * 4)
    aware = losses.negative_weights(counts, 12.0, 0.5)
    assert aware.tolist() == pytest.approx([0.0, 2.0, 4.0, 6.0])
    assert losses.negative_weights(torch.zeros(2, dtype=torch.int64), 12.0, 0.5).tolist() == [0.0, 0.0]


def test_bpr_is_a_sum_and_does_not_overflow() -> None:
    positive, negative = torch.tensor([0.0, 2.0, -500.0]), torch.tensor([0.0, 1.0, 500.0])
    assert losses.bpr(positive, negative).item() == pytest.approx(np.log(2) + np.log1p(np.exp(-1)) + 1000.0)


def test_columns_of_a_batch_are_the_rows_own() -> None:
    data = matrix()
    dense = data.csr().toarray()
    seen: list[int] = []
    for batch in row_batches(data, 3, np.random.default_rng(1)):
        assert isinstance(batch, RowBatch)
        for place, row in enumerate(batch.rows.tolist()):
            columns = batch.columns[batch.indptr[place] : batch.indptr[place + 1]]
            assert columns.tolist() == np.flatnonzero(dense[row]).tolist()
            seen.append(row)
    assert sorted(seen) == list(range(ROWS))
    assert seen != list(range(ROWS))


def test_sampled_softmax_is_cross_entropy_with_each_of_the_sample_standing_for_many() -> None:
    own, others = parameters((4,), (4, 6))
    stand_for = torch.tensor([1.0, 3.0, 2.5, 7.0], dtype=torch.float64)
    there = torch.ones(4, 6, dtype=torch.bool)
    there[1, 2] = there[3] = False

    def ours(own: Tensor, others: Tensor) -> Tensor:
        return losses.sampled_softmax(own, others.masked_fill(~there, -torch.inf), stand_for)

    expected = torch.zeros((), dtype=torch.float64)
    for row in range(4):
        rest = sum(stand_for[row] * torch.exp(others[row, j]) for j in range(6) if there[row, j])
        expected = expected - torch.log(torch.exp(own[row]) / (torch.exp(own[row]) + rest))
    assert torch.allclose(ours(own, others), expected, rtol=1e-12)
    assert torch.autograd.gradcheck(ours, (own, others))
    far = ours(own * 0 + 800, others - 800), ours(own * 0 - 800, others + 800)
    assert [torch.isfinite(value).item() for value in far] == [True, True]
