"""The compiled side of a factorisation machine against its portable form and finite differences."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from lethe.models.parts.feature_tower import Bag, from_sums, sums, tower

BAG = Bag.of(sp.csr_array(np.array([[1, 0, 2, 0], [0, 0, 0, 0], [0, -1, 0.5, 3], [0, 0, 1, 0]], np.float32)))
"""Row 1 has nothing."""


def parameters() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = (4, 4), (3,)
    table, h = (torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes)
    return table, h


def test_compiled_and_portable_are_the_same() -> None:
    table, h = parameters()
    compiled, portable = tower(table, h, BAG), from_sums(sums(table, BAG), h)
    assert torch.allclose(compiled, portable, rtol=1e-12)
    slope = torch.randn(compiled.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    grads = (torch.autograd.grad(out, (table, h), slope) for out in (compiled, portable))
    for got, wanted in zip(*grads, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    table, h = parameters()
    assert torch.autograd.gradcheck(lambda t, x: tower(t, x, BAG), (table, h))


def test_sums_add_up_over_parts_of_a_row() -> None:
    table, h = parameters()
    both, first, second = (
        Bag.of(sp.csr_array(np.array([row], np.float32))) for row in ([1, 2, 3, 0], [1, 0, 0, 0], [0, 2, 3, 0])
    )
    parts = sums(table, first) + sums(table, second)
    assert torch.allclose(from_sums(parts, h), tower(table, h, both), rtol=1e-12)
