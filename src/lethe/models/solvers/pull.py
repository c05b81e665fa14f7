"""Products with sparse matrices that give the same bytes in every run on a GPU: each row pulls its columns, in order.

    pull            out_r = Σ_k value_k x[c_k]                          over row r's columns c_k
    scored          out_r = Σ_k (gap_k s_k - shift) y[c_k],  s_k = x_r · y[c_k]      and two sums beside it
    sampled         out_k = x[r_k] · y[c_k]
    sum_by_owner    out_r = Σ_k x_k  over the k whose owner is r

No atomics, no library's sparse product (cuSPARSE's gives other bytes each time), no scattered sum: what a row gets
depends on that row alone, and its columns are added in their order. A row of more than ``PIECE`` columns is cut into
pieces of that size, whose sums are added in their order, so that one popular item does not keep a single core busy.

Each has two forms, ``triton`` (``solvers.kernels``, one program a piece) and ``torch`` (``segment_reduce``, any device,
memory of a vector for each column); a test holds both against a loop in float64. Models on the CPU have compiled loops
of their own beside these: ``form`` says which of the three a tensor's device means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

Form = Literal["compiled", "triton", "torch"]

PIECE = 1024
"""Most columns that one program adds up."""

_FORM: ContextVar[Form | None] = ContextVar("form", default=None)


@contextmanager
def using(form: Form) -> Iterator[None]:
    """That form on every device, for tests and benchmarks: ``triton`` on a CPU needs the interpreter."""
    token = _FORM.set(form)
    try:
        yield
    finally:
        _FORM.reset(token)


def form(x: Tensor) -> Form:
    """How sums over rows are computed where ``x`` lies."""
    chosen = _FORM.get()
    if chosen is not None:
        return chosen
    if x.device.type == "cpu":
        return "compiled"
    return "triton" if x.device.type == "cuda" and has_triton() else "torch"


@cache
def has_triton() -> bool:
    """Whether Triton is installed: torch's wheels for CUDA bring it along on Linux."""
    return find_spec("triton") is not None


@dataclass(frozen=True)
class Ragged:
    """The places of a sparse matrix's values, by rows, and the pieces that the rows are cut into.

    indptr  [R + 1] int64     columns  [nnz] int64     starts, ends, owners  [P] int64: piece p has the columns from
    starts[p] to ends[p], of row owners[p]     bounds  [R + 1] int64, row r has the pieces bounds[r] to bounds[r + 1];
    None where every row is one piece
    """

    indptr: Tensor
    columns: Tensor
    starts: Tensor
    ends: Tensor
    owners: Tensor
    bounds: Tensor | None

    @property
    def num_rows(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, indptr: Tensor, columns: Tensor) -> Ragged:
        """Cut rows into pieces where they are, without waiting for the device: how many there are is bounded by R +
        nnz / PIECE, and those beyond the last one are empty."""
        rows, count = len(indptr) - 1, len(columns)
        everyone = torch.arange(rows, device=indptr.device)
        if count <= PIECE:
            return cls(indptr, columns, indptr[:-1], indptr[1:], everyone, None)
        lengths = indptr.diff()
        bounds = functional.pad(((lengths + PIECE - 1) // PIECE).clamp_min(1).cumsum(0), (1, 0))
        pieces = torch.arange(rows + count // PIECE, device=indptr.device)
        owners = torch.searchsorted(bounds[1:], pieces, right=True)
        there = owners < rows
        owners = owners.clamp_max(rows - 1)
        starts = indptr[owners] + (pieces - bounds[owners]) * PIECE
        ends = torch.minimum(starts + PIECE, indptr[owners + 1])
        return cls(indptr, columns, starts.where(there, count), ends.where(there, count), owners, bounds)

    def transposed(self, num_columns: int) -> tuple[Ragged, Tensor]:
        """By columns: (ragged rows of them, where each of their values stands in this one's order [nnz] int64)."""
        rows = owners_of(self.indptr, len(self.columns))
        # By the narrowest type that holds them, which is what a radix sort's time depends on.
        narrow = self.columns.short() if num_columns <= torch.iinfo(torch.int16).max else self.columns.int()
        order = torch.argsort(narrow, stable=True)
        ends = torch.searchsorted(
            narrow[order], torch.arange(num_columns, device=rows.device, dtype=narrow.dtype), right=True
        )
        return Ragged.of(functional.pad(ends, (1, 0)), rows.index_select(0, order)), order


def owners_of(indptr: Tensor, count: int) -> Tensor:
    """The row of each of ``count`` columns -> [count] int64."""
    return torch.repeat_interleave(indptr.diff(), output_size=count)


def pull(rows: Ragged, values: Tensor | None, x: Tensor, *, squares: bool = False) -> Tensor:
    """out_r = Σ_k value_k x[c_k] -> [R, d]; ``values`` [nnz], None for ones; ``x`` [C, d], or its squares."""
    x = x.contiguous()
    if form(x) == "triton":
        from lethe.models.solvers import kernels

        parts = kernels.start_pull(rows.starts, rows.ends, rows.columns, values, x, squares)
    else:
        taken = x.index_select(0, rows.columns)
        taken = taken.square() if squares else taken
        parts = _segments(rows, taken if values is None else taken * values[:, None])
    return _joined(rows, parts)


@dataclass(frozen=True)
class Scored:
    """What ``scored`` gives: out [R, d], energy [R, d] and value [R] where they were asked for."""

    out: Tensor
    energy: Tensor | None
    value: Tensor | None


def scored(
    rows: Ragged,
    gaps: Tensor,
    x: Tensor,
    y: Tensor,
    *,
    shift: float = 0.0,
    energy: bool = False,
    value: bool = False,
) -> Scored:
    """One pass over the columns of each row, s_k = x_r · y[c_k] with ``x`` [R, d] and ``y`` [C, d]:

    out_r = Σ_k (gap_k s_k - shift) y[c_k],   energy_r = Σ_k gap_k y[c_k]²,   value_r = Σ_k s_k (gap_k s_k - 2 shift)
    """
    x, y = x.contiguous(), y.contiguous()
    if form(x) == "triton":
        from lethe.models.solvers import kernels

        pieces = rows.starts, rows.ends, rows.owners, rows.columns
        out, loud, costs = kernels.start_scored(*pieces, gaps, x, y, shift, energy, value)
    else:
        taken = y.index_select(0, rows.columns)
        scores = (taken * x.index_select(0, owners_of(rows.indptr, len(rows.columns)))).sum(dim=1)
        slopes = gaps * scores - shift
        out = _segments(rows, taken * slopes[:, None])
        loud = _segments(rows, taken.square() * gaps[:, None]) if energy else None
        costs = _segments(rows, (scores * (slopes - shift))[:, None]) if value else None
    return Scored(
        _joined(rows, out),
        None if loud is None else _joined(rows, loud),
        None if costs is None else _joined(rows, costs)[:, 0],
    )


def sampled(rows: Tensor, columns: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """out_k = x[rows_k] · y[columns_k] -> [n]."""
    x, y = x.contiguous(), y.contiguous()
    if form(x) != "triton":
        return (x.index_select(0, rows) * y.index_select(0, columns)).sum(dim=1)
    from lethe.models.solvers import kernels

    return kernels.start_dots(rows, columns, x, y)


class _Pulled(torch.autograd.Function):
    """``pull``, and back by its transpose: the gradient of x is a pull by columns, that of a value a dot product."""

    @staticmethod
    def forward(context: Any, values: Tensor | None, x: Tensor, rows: Ragged) -> Tensor:
        context.save_for_backward(values, x)
        context.rows = rows
        return pull(rows, values, x)

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (values, x), rows = context.saved_tensors, context.rows
        to_values = to_x = None
        if context.needs_input_grad[1]:
            by_column, order = rows.transposed(len(x))
            to_x = pull(by_column, None if values is None else values.index_select(0, order), grad)
        if values is not None and context.needs_input_grad[0]:
            to_values = sampled(owners_of(rows.indptr, len(rows.columns)), rows.columns, grad, x)
        return to_values, to_x, None


def bag(indptr: Tensor, columns: Tensor, x: Tensor, values: Tensor | None = None, *, mean: bool = False) -> Tensor:
    """``embedding_bag``: out_r = Σ_k value_k x[c_k] -> [R, d], or their mean, 0 of nothing; differentiable once in
    ``values`` and ``x``."""
    if form(x) == "compiled":
        return functional.embedding_bag(
            columns, x, indptr, mode="mean" if mean else "sum", per_sample_weights=values, include_last_offset=True
        )
    pulled: Tensor = _Pulled.apply(values, x, Ragged.of(indptr, columns))  # type: ignore[no-untyped-call]
    return pulled / indptr.diff().clamp_min(1)[:, None] if mean else pulled


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, owners: Tensor, count: int) -> Tensor:
        context.save_for_backward(owners)
        order = torch.argsort(owners, stable=True)
        ends = torch.searchsorted(owners[order], torch.arange(count, device=x.device), right=True)
        return pull(Ragged.of(functional.pad(ends, (1, 0)), order), None, x)

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (owners,) = context.saved_tensors
        return grad.index_select(0, owners), None, None


def sum_by_owner(x: Tensor, owners: Tensor, count: int) -> Tensor:
    """out_r = Σ_k x_k over the k that r owns -> [count, d], or [count] of ``x`` [n]; ``owners`` [n] int64.
    Differentiable once in ``x``."""
    if form(x) == "compiled":
        return x.new_zeros(count, *x.shape[1:]).index_add(0, owners, x)
    flat = x if x.dim() == 2 else x[:, None]
    summed: Tensor = _Summed.apply(flat, owners, count)  # type: ignore[no-untyped-call]
    return summed if x.dim() == 2 else summed[:, 0]


def _segments(rows: Ragged, parts: Tensor) -> Tensor:
    """The sums of a value for each column [nnz, d] over the pieces -> [P, d]."""
    if not len(rows.starts):
        return parts.new_zeros(0, parts.shape[1])
    # Pieces lie side by side, the empty ones at the end.
    offsets = functional.pad(rows.starts, (0, 1), value=len(rows.columns))
    return torch.segment_reduce(parts, "sum", offsets=offsets, axis=0, unsafe=True, initial=0.0)


def _joined(rows: Ragged, parts: Tensor) -> Tensor:
    """Each row's pieces [P, d], added in their order -> [R, d]."""
    if rows.bounds is None:
        return parts
    if form(parts) == "triton":
        from lethe.models.solvers import kernels

        return kernels.start_pull(rows.bounds[:-1], rows.bounds[1:], None, None, parts, squares=False)
    # Pieces beyond the last row's belong to nobody.
    lengths = rows.bounds.diff()
    rest = len(parts) - rows.bounds[-1:]
    return torch.segment_reduce(parts, "sum", lengths=torch.cat([lengths, rest]), axis=0, unsafe=True, initial=0.0)[:-1]
