"""Sums over rows in both forms against the loop in float64; and the kernels through Triton's compiler."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe.models.solvers import pull
from lethe.models.solvers.pull import Ragged, has_triton, using

COLUMNS, DIM = 11, 5
LENGTHS = [0, 3, 20, 8, 1, 0, 33, 16, 0]
"""Rows without columns, in one piece, in whole pieces of 8 and in broken ones."""
INDPTR = np.concatenate([[0], np.cumsum(LENGTHS)])
SHIFT = 0.7

interpreted = has_triton() and os.environ.get("TRITON_INTERPRET") == "1"
FORMS = [
    "torch",
    pytest.param("triton", marks=pytest.mark.skipif(not interpreted, reason="no Triton, or one for a GPU")),
]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(pull, "PIECE", 8)
    with using(request.param):
        yield request.param


@pytest.fixture
def numbers() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "columns": generator.integers(0, COLUMNS, INDPTR[-1]),
        "values": generator.normal(size=INDPTR[-1]),
        "x": generator.normal(size=(len(LENGTHS), DIM)),
        "y": generator.normal(size=(COLUMNS, DIM)),
    }


def ragged(numbers: dict[str, np.ndarray]) -> Ragged:
    return Ragged.of(torch.from_numpy(INDPTR), torch.from_numpy(numbers["columns"]))


def cells(numbers: dict[str, np.ndarray]) -> Iterator[tuple[int, int]]:
    """Each (row, place of a column) in order."""
    for row, (first, last) in enumerate(itertools.pairwise(INDPTR)):
        yield from ((row, place) for place in range(first, last))


def close(ours: Tensor | None, loop: np.ndarray) -> None:
    assert ours is not None
    assert ours.numpy() == pytest.approx(loop, rel=1e-5, abs=2e-5)


@pytest.mark.usefixtures("form")
def test_a_pull_is_the_double_loop(numbers: dict[str, np.ndarray]) -> None:
    plain, squares = np.zeros((len(LENGTHS), DIM)), np.zeros((len(LENGTHS), DIM))
    for row, place in cells(numbers):
        taken = numbers["y"][numbers["columns"][place]]
        plain[row] += taken
        squares[row] += numbers["values"][place] * taken**2
    y, values = (torch.from_numpy(numbers[name]).float() for name in ("y", "values"))
    close(pull.pull(ragged(numbers), None, y), plain)
    close(pull.pull(ragged(numbers), values, y, squares=True), squares)


@pytest.mark.usefixtures("form")
def test_scores_are_weighed_and_pulled_in_one_pass(numbers: dict[str, np.ndarray]) -> None:
    out, energy = np.zeros((len(LENGTHS), DIM)), np.zeros((len(LENGTHS), DIM))
    value = np.zeros(len(LENGTHS))
    for row, place in cells(numbers):
        taken, gap = numbers["y"][numbers["columns"][place]], numbers["values"][place]
        score = numbers["x"][row] @ taken
        out[row] += (gap * score - SHIFT) * taken
        energy[row] += gap * taken**2
        value[row] += score * (gap * score - 2 * SHIFT)
    gaps, x, y = (torch.from_numpy(numbers[name]).float() for name in ("values", "x", "y"))
    made = pull.scored(ragged(numbers), gaps, x, y, shift=SHIFT, energy=True, value=True)
    for ours, loop in zip((made.out, made.energy, made.value), (out, energy, value), strict=True):
        close(ours, loop)
    bare = pull.scored(ragged(numbers), gaps, x, y, shift=SHIFT)
    assert torch.equal(bare.out, made.out)
    assert bare.energy is bare.value is None


@pytest.mark.usefixtures("form")
def test_gradients_go_back_by_the_transpose(numbers: dict[str, np.ndarray]) -> None:
    """Of a whole row's values and of x, against autograd through the dense matrix."""
    columns = torch.from_numpy(numbers["columns"])
    y, values = (torch.from_numpy(numbers[name]).requires_grad_() for name in ("y", "values"))
    slope = torch.from_numpy(numbers["x"])
    rows = pull.owners_of(torch.from_numpy(INDPTR), len(columns))
    dense = torch.zeros(len(LENGTHS), COLUMNS, dtype=y.dtype).index_put((rows, columns), values, accumulate=True)
    pulled = pull.bag(torch.from_numpy(INDPTR), columns, y, values)
    assert torch.allclose(pulled, dense @ y)
    ours, theirs = (torch.autograd.grad(out, (y, values), slope) for out in (pulled, dense @ y))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("shape", [(40, DIM), (40,)], ids=str)
def test_sums_by_owner_are_those_of_index_add(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(shape, generator=generator).requires_grad_()
    owners = torch.randint(7, (40,), generator=generator)  # The last of 8 owns nothing.
    slope = torch.randn((8, *shape[1:]), generator=generator)
    ours = pull.sum_by_owner(x, owners, 8)
    theirs = x.new_zeros((8, *shape[1:])).index_add(0, owners, x)
    assert torch.allclose(ours, theirs, atol=1e-6)
    for one, other in zip(*(torch.autograd.grad(out, x, slope) for out in (ours, theirs)), strict=True):
        assert torch.equal(one, other)


@pytest.mark.usefixtures("form")
def test_nothing_to_pull_is_zero() -> None:
    none = torch.empty(0, dtype=torch.int64)
    y = torch.ones(COLUMNS, DIM)
    assert pull.pull(Ragged.of(torch.zeros(4, dtype=torch.int64), none), None, y).tolist() == [[0.0] * DIM] * 3
    assert pull.pull(Ragged.of(torch.zeros(1, dtype=torch.int64), none), None, y).shape == (0, DIM)


def test_pieces_cover_each_row_once_and_no_more_than_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "PIECE", 8)
    made = Ragged.of(torch.from_numpy(INDPTR), torch.zeros(INDPTR[-1], dtype=torch.int64))
    covered = [
        (owner, place)
        for start, end, owner in zip(made.starts.tolist(), made.ends.tolist(), made.owners.tolist(), strict=True)
        for place in range(start, end)
    ]
    assert covered == list(cells({}))
    assert int((made.ends - made.starts).max()) == 8
