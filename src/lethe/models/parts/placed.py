"""Interactions on the device that learns from them: put there once, and batches made of them there.

Models ask ``models.parts.batches`` for batches of an ``InteractionMatrix`` and don't know where it lies. Inside
``placing(device)``, which training opens on a GPU, each matrix gets a copy there at the first batch and keeps it as
long as it lives. Batches of rows are those of the CPU; pairs are drawn by the device's own generator, seeded by the
same name, so they are other ones than the CPU's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lethe.models.parts.layers import rows_at
from lethe.models.parts.ragged import placed_entries
from lethe.models.solvers.pull import Ragged
from lethe.tables.matrix import InteractionMatrix

_DEVICE: ContextVar[torch.device | None] = ContextVar("device", default=None)


@contextmanager
def placing(device: torch.device) -> Iterator[None]:
    """Make batches on that device."""
    token = _DEVICE.set(device)
    try:
        yield
    finally:
        _DEVICE.reset(token)


class _Rows(NamedTuple):
    rows: Tensor
    indptr: Tensor
    columns: Tensor


class RowBatch(_Rows):
    """Some rows with all their columns, ragged: row ``rows[b]`` has ``columns[indptr[b]:indptr[b + 1]]``.

    rows  [B] int64      indptr  [B + 1] int64      columns  [nnz] int64

    What is derived from them for a GPU's kernels is kept with the batch.
    """

    is_whole = False
    """Whether these are all rows in their own order and on a GPU, where looking them up can be spared."""

    @cached_property
    def host_rows(self) -> np.ndarray:
        """``rows`` where the CPU can read them: given on a GPU, so that nobody waits for it."""
        return self.rows.cpu().numpy()

    @cached_property
    def by_row(self) -> Ragged:
        return Ragged.of(self.indptr, self.columns)

    def of(self, table: Tensor) -> Tensor:
        """``table[rows]`` -> [B, d]."""
        return table if self.is_whole else rows_at(table, self.rows)

    def by_column(self, num_columns: int) -> tuple[Ragged, Tensor]:
        """``by_row`` transposed, and where each value stands in the order of the rows."""
        key = f"by column of {num_columns}"
        if key not in self.__dict__:
            self.__dict__[key] = self.by_row.transposed(num_columns)
        turned: tuple[Ragged, Tensor] = self.__dict__[key]
        return turned


class Placed:
    """A matrix on a device. Every tensor is made when it is first asked for."""

    def __init__(self, data: InteractionMatrix, device: torch.device) -> None:
        self.data = data
        self.device = device

    def tensor(self, name: str, values: np.ndarray) -> Tensor:
        """The values on the device, kept under that name."""
        if name not in self.__dict__:
            self.__dict__[name] = torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        kept: Tensor = self.__dict__[name]
        return kept

    @property
    def users(self) -> Tensor:
        return self.tensor("_users", self.data.users)

    @property
    def items(self) -> Tensor:
        return self.tensor("_items", self.data.items)

    @property
    def indptr(self) -> Tensor:
        return self.tensor("_indptr", self.data.indptr)

    @cached_property
    def whole(self) -> RowBatch:
        """All rows in their own order."""
        batch = self._batch(np.arange(self.data.num_users), self.indptr, self.items)
        batch.is_whole = True
        return batch

    def rows(self, rows: np.ndarray) -> RowBatch:
        """Some rows [B] int64, in the order given."""
        indptr, places = placed_entries(self.data.indptr, self.indptr, rows)
        return self._batch(rows, indptr, self.items.index_select(0, places))

    def _batch(self, rows: np.ndarray, indptr: Tensor, columns: Tensor) -> RowBatch:
        batch = RowBatch(torch.from_numpy(rows).to(self.device), indptr, columns)
        batch.__dict__["host_rows"] = rows
        return batch

    def generator(self, of: np.random.Generator) -> torch.Generator:
        """The device's own, whose numbers follow from the state of another one."""
        return torch.Generator(self.device).manual_seed(int(of.integers(2**63)))

    def owned(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """For each of ``users`` [B], who all have an item, a uniform one of theirs -> [B]."""
        starts = self.indptr[users]
        return self.items[starts + _below(self.indptr[users + 1] - starts, generator)]

    def lacked(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """For each of ``users`` [B], who all lack an item, one they lack -> [B]; see ``batches.negatives``."""
        starts, width = self.indptr[users], self.data.num_items
        ranks = _below(width - (self.indptr[users + 1] - starts), generator)
        before = self.tensor("_lacked_before", self.data.lacked_before)
        return ranks + torch.searchsorted(before, users * (width + 1) + ranks, right=True) - starts


def place(data: InteractionMatrix) -> Placed | None:
    """The matrix on the device of ``placing``, kept with it; None where batches are made on the CPU."""
    device = _DEVICE.get()
    if device is None:
        return None
    # As cached_property keeps what it made: a frozen class's instance has a dictionary all the same.
    kept = data.__dict__.get("_placed")
    if not isinstance(kept, Placed) or kept.device != device:
        kept = data.__dict__["_placed"] = Placed(data, device)
    return kept


def _below(counts: Tensor, generator: torch.Generator) -> Tensor:
    """A uniform integer from 0 to below each of ``counts`` [n] int64 -> [n]."""
    drawn = torch.rand(len(counts), generator=generator, device=counts.device, dtype=torch.float64)
    return torch.minimum((drawn * counts).long(), counts - 1)
