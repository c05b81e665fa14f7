"""The kernels of a GPU, in Triton: one program a piece of a row, its columns in their order, nothing added atomically.

``models.solvers.pull`` says what they compute, starts them and has the same in plain torch; nobody else needs them.
They are for float32 and, in the interpreter (``TRITON_INTERPRET=1``), for float64.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def pull_pieces(
    starts,
    ends,
    columns,
    values,
    x,
    out,
    width,
    COLUMNS: tl.constexpr,
    VALUES: tl.constexpr,
    SQUARES: tl.constexpr,
    ROWS: tl.constexpr,
    DIM: tl.constexpr,
):
    """out[p] = Σ_k values_k x[columns_k] (or its squares) over a piece; ROWS columns at a time."""
    piece = tl.program_id(0).to(tl.int64)
    first, last = tl.load(starts + piece), tl.load(ends + piece)
    dims, lanes = tl.arange(0, DIM), tl.arange(0, ROWS)
    total = tl.zeros([DIM], x.dtype.element_ty)
    for place in range(first, last, ROWS):
        k = place + lanes
        there = k < last
        column = k
        if COLUMNS:
            column = tl.load(columns + k, mask=there, other=0)
        cells = there[:, None] & (dims < width)[None, :]
        block = tl.load(x + column[:, None] * width + dims[None, :], mask=cells, other=0.0)
        if SQUARES:
            block = block * block
        if VALUES:
            block = block * tl.load(values + k, mask=there, other=0.0)[:, None]
        total += tl.sum(block, axis=0)
    tl.store(out + piece * width + dims, total, mask=dims < width)


@triton.jit
def scored_pieces(
    starts,
    ends,
    owners,
    columns,
    gaps,
    x,
    y,
    out,
    energy,
    value,
    width,
    shift,
    VALUE: tl.constexpr,
    ENERGY: tl.constexpr,
    ROWS: tl.constexpr,
    DIM: tl.constexpr,
):
    """With s_k = x_row · y_k: out[p] = Σ_k (gap_k s_k - shift) y_k, energy[p] = Σ_k gap_k y_k², and
    value[p] = Σ_k s_k (gap_k s_k - 2 shift)."""
    piece = tl.program_id(0).to(tl.int64)
    first, last = tl.load(starts + piece), tl.load(ends + piece)
    dims, lanes = tl.arange(0, DIM), tl.arange(0, ROWS)
    own = tl.load(x + tl.load(owners + piece) * width + dims, mask=dims < width, other=0.0)
    total, loud = tl.zeros([DIM], x.dtype.element_ty), tl.zeros([DIM], x.dtype.element_ty)
    costs = tl.zeros([ROWS], x.dtype.element_ty)
    for place in range(first, last, ROWS):
        k = place + lanes
        there = k < last
        column = tl.load(columns + k, mask=there, other=0)
        gap = tl.load(gaps + k, mask=there, other=0.0)
        cells = there[:, None] & (dims < width)[None, :]
        block = tl.load(y + column[:, None] * width + dims[None, :], mask=cells, other=0.0)
        score = tl.sum(block * own[None, :], axis=1)
        slope = gap * score - shift
        total += tl.sum(block * slope[:, None], axis=0)
        if VALUE:
            costs += score * (slope - shift)
        if ENERGY:
            loud += tl.sum(block * block * gap[:, None], axis=0)
    tl.store(out + piece * width + dims, total, mask=dims < width)
    if ENERGY:
        tl.store(energy + piece * width + dims, loud, mask=dims < width)
    if VALUE:
        tl.store(value + piece, tl.sum(costs, axis=0))


@triton.jit
def dots(rows, columns, x, y, out, count, width, ROWS: tl.constexpr, DIM: tl.constexpr):
    """out_k = x[rows_k] · y[columns_k]; ROWS of them a program."""
    k = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    dims, there = tl.arange(0, DIM), k < count
    cells = there[:, None] & (dims < width)[None, :]
    row = tl.load(rows + k, mask=there, other=0)
    column = tl.load(columns + k, mask=there, other=0)
    left = tl.load(x + row[:, None] * width + dims[None, :], mask=cells, other=0.0)
    right = tl.load(y + column[:, None] * width + dims[None, :], mask=cells, other=0.0)
    tl.store(out + k, tl.sum(left * right, axis=1), mask=there)


@triton.jit
def descend(gram, slopes, weights, moves, first, last, width, l1, l2, ROWS: tl.constexpr, LANES: tl.constexpr):
    """A pass over the items first to last, one after the other, for LANES columns of SLIM's W: each weight moves to its
    own minimum. ``weights`` [N, N] is changed, ``moves`` [last - first, N] says by how much; ``slopes`` is read."""
    own, targets = tl.arange(0, ROWS), tl.program_id(0) * LANES + tl.arange(0, LANES)
    items = (first + own).to(tl.int64)
    cells = (items < last)[:, None] & (targets < width)[None, :]
    places = items[:, None] * width + targets[None, :]
    slope = tl.load(slopes + places, mask=cells, other=0.0)
    before = tl.load(weights + places, mask=cells, other=0.0)
    weight = before
    for k in range(0, last - first):
        row = tl.load(gram + (first + k).to(tl.int64) * width + items, mask=items < last, other=0.0)
        norm = tl.sum(tl.where(own == k, row, 0.0), axis=0)
        chosen = (own == k)[:, None]
        old = tl.sum(tl.where(chosen, weight, 0.0), axis=0)
        new = tl.maximum(tl.sum(tl.where(chosen, slope, 0.0), axis=0) + norm * old - l1, 0.0)
        # Of an item that nobody has the norm may be 0, and l2 too.
        new = tl.where(targets == first + k, 0.0, new / tl.where(norm > 0, norm + l2, 1.0))
        weight = tl.where(chosen, new[None, :], weight)
        slope -= row[:, None] * (new - old)[None, :]
    tl.store(weights + places, weight, mask=cells)
    tl.store(moves + own[:, None] * width + targets[None, :], weight - before, mask=cells)


ROWS = 32
"""Columns that a program reads at once."""


def power(width: int) -> int:
    """The size of a vector of registers that holds ``width`` numbers."""
    return max(16, 1 << max(width - 1, 0).bit_length())


def start_pull(
    starts: Tensor, ends: Tensor, columns: Tensor | None, values: Tensor | None, x: Tensor, squares: bool
) -> Tensor:
    """``pull_pieces`` of contiguous ``x`` [C, d] -> [P, d]; without ``columns`` a piece's are its places."""
    out = x.new_empty(len(starts), x.shape[1])
    if out.numel():
        # What is not read still needs an address.
        pull_pieces[(len(starts),)](
            starts,
            ends,
            starts if columns is None else columns,
            x if values is None else values,
            x,
            out,
            x.shape[1],
            COLUMNS=columns is not None,
            VALUES=values is not None,
            SQUARES=squares,
            ROWS=ROWS,
            DIM=power(x.shape[1]),
        )
    return out


def start_scored(
    starts: Tensor,
    ends: Tensor,
    owners: Tensor,
    columns: Tensor,
    gaps: Tensor,
    x: Tensor,
    y: Tensor,
    shift: float,
    energy: bool,
    value: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """``scored_pieces`` of contiguous ``x`` and ``y`` -> out [P, d], energy [P, d], value [P, 1]."""
    out = x.new_empty(len(starts), x.shape[1])
    loud, costs = (torch.empty_like(out) if energy else None), (x.new_empty(len(starts), 1) if value else None)
    if out.numel():
        scored_pieces[(len(starts),)](
            starts,
            ends,
            owners,
            columns,
            gaps,
            x,
            y,
            out,
            out if loud is None else loud,
            out if costs is None else costs,
            x.shape[1],
            shift,
            VALUE=value,
            ENERGY=energy,
            ROWS=ROWS,
            DIM=power(x.shape[1]),
        )
    return out, loud, costs


def start_dots(rows: Tensor, columns: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``dots`` of contiguous ``x`` and ``y`` -> [n]."""
    out = x.new_empty(len(rows))
    if len(rows):
        grid = ((len(rows) + ROWS - 1) // ROWS,)
        dots[grid](rows, columns, x, y, out, len(rows), x.shape[1], ROWS=ROWS, DIM=power(x.shape[1]))
    return out


def start_descend(gram: Tensor, slopes: Tensor, weights: Tensor, first: int, last: int, l1: float, l2: float) -> Tensor:
    """``descend`` of contiguous [N, N] tensors -> moves [last - first, N]."""
    moves, width = gram.new_empty(last - first, len(gram)), len(gram)
    grid = ((width + ROWS - 1) // ROWS,)
    rows = power(last - first)
    descend[grid](gram, slopes, weights, moves, first, last, width, l1, l2, ROWS=rows, LANES=ROWS)
    return moves
