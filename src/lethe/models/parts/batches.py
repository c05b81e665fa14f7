"""What one step of learning sees: rows with all their columns, (user, positive, negative) triples, or labelled pairs.

Everything is drawn from the generator handed in and from the data handed in, so a shard's batches are its own. Pairs
in ``data`` are taken to be distinct, which ``ingest`` guarantees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lethe.models.parts.layers import rows_at
from lethe.models.parts.placed import Placed, RowBatch, place
from lethe.models.parts.ragged import entries_of
from lethe.tables.matrix import InteractionMatrix

__all__ = [
    "Labelled",
    "Pairs",
    "RowBatch",
    "Triples",
    "choosers",
    "labelled_batches",
    "negatives",
    "pair_batches",
    "row_batches",
    "rows_of",
    "triple_batches",
]


class Triples(NamedTuple):
    """Users, an item of each and an item each does not have: three aligned tensors [B] int64."""

    users: Tensor
    positives: Tensor
    negatives: Tensor

    def scores(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """p_u·q_i and p_u·q_j of vectors of users [M, d] and items [N, d] -> two tensors [B]."""
        user, positive, negative = (
            rows_at(table, places) for table, places in zip((users, items, items), self, strict=True)
        )
        return (user * positive).sum(dim=1), (user * negative).sum(dim=1)


class Pairs(NamedTuple):
    """Interactions: users [B] int64 and items [B] int64."""

    users: Tensor
    items: Tensor


class Labelled(NamedTuple):
    """Pairs, of which some occur: users [B] int64, items [B] int64, labels [B] float32, 1 where the pair occurs."""

    users: Tensor
    items: Tensor
    labels: Tensor


DRAWN = 1 << 22
"""Pairs that are drawn on a GPU at once."""


def row_batches(data: InteractionMatrix, batch_size: int, generator: np.random.Generator) -> Iterator[RowBatch]:
    """Every row (user) once, in random order, ``batch_size`` at a time; the last batch may be smaller.

    A batch size of 0, or one that covers all rows, gives a single batch in the data's own order. For batches of items
    pass ``data.transposed``.
    """
    if data.num_users == 0:
        return
    placed = place(data)
    if batch_size == 0 or batch_size >= data.num_users:
        yield (
            placed.whole
            if placed
            else RowBatch(*map(torch.from_numpy, (np.arange(data.num_users), data.indptr, data.items)))
        )
        return
    order = generator.permutation(data.num_users)
    for start in range(0, data.num_users, batch_size):
        yield rows_of(data, order[start : start + batch_size])


def rows_of(data: InteractionMatrix, rows: np.ndarray) -> RowBatch:
    """Some rows [B] int64 of ``data``, in the order given."""
    placed = place(data)
    if placed:
        return placed.rows(rows)
    chosen = torch.from_numpy(rows)
    indptr, places = entries_of(torch.from_numpy(data.indptr), chosen)
    return RowBatch(chosen, indptr, torch.from_numpy(data.items[places.numpy()]))


def triple_batches(data: InteractionMatrix, batch_size: int, generator: np.random.Generator) -> Iterator[Triples]:
    """As many triples as there are interactions: a uniform user, a uniform item of theirs, a uniform other item.

    Users who have every item, or none, are never drawn. A batch size of 0 gives all triples at once.
    """
    users = choosers(data)
    if len(users) == 0:
        return
    placed, step = place(data), batch_size or len(data)
    if placed:
        yield from _placed_triples(placed, users, step, generator)
        return
    for start in range(0, len(data), step):
        drawn = generator.choice(users, min(step, len(data) - start))
        counts = data.indptr[drawn + 1] - data.indptr[drawn]
        positives = data.items[data.indptr[drawn] + generator.integers(0, counts)]
        yield Triples(*map(torch.from_numpy, (drawn, positives, negatives(data, drawn, generator))))


def pair_batches(data: InteractionMatrix, batch_size: int, generator: np.random.Generator) -> Iterator[Pairs]:
    """Every interaction once, in random order, ``batch_size`` at a time. A batch size of 0 gives all at once."""
    placed, step = place(data), batch_size or max(len(data), 1)
    if placed:
        shuffled = torch.randperm(len(data), generator=placed.generator(generator), device=placed.device)
        for start in range(0, len(data), step):
            own = shuffled[start : start + step]
            yield Pairs(placed.users[own], placed.items[own])
        return
    order = generator.permutation(len(data))
    for start in range(0, len(data), step):
        rows = order[start : start + step]
        yield Pairs(torch.from_numpy(data.users[rows]), torch.from_numpy(data.items[rows]))


def labelled_batches(
    data: InteractionMatrix, batch_size: int, num_negatives: int, generator: np.random.Generator
) -> Iterator[Labelled]:
    """Every interaction once, in random order, ``batch_size`` at a time, each followed by ``num_negatives`` of its user
    with uniform items they lack.

    Users who have every item are left out. A batch size of 0 gives all at once.
    """
    kept = np.flatnonzero(np.isin(data.users, choosers(data)))
    placed, step = place(data), batch_size or max(len(kept), 1)
    if placed:
        yield from _placed_labels(placed, kept, step, num_negatives, generator)
        return
    rows = generator.permutation(kept)
    for start in range(0, len(rows), step):
        users, items = data.users[rows[start : start + step]], data.items[rows[start : start + step]]
        others = np.repeat(users, num_negatives)
        labels = (np.arange(len(users) + len(others)) < len(users)).astype(np.float32)
        pairs = np.concatenate([users, others]), np.concatenate([items, negatives(data, others, generator)])
        yield Labelled(*map(torch.from_numpy, (*pairs, labels)))


def choosers(data: InteractionMatrix) -> np.ndarray:
    """[n] int64, increasing: users who have an item and lack one, so that there is something to compare."""
    counts = np.diff(data.indptr)
    return np.flatnonzero((counts > 0) & (counts < data.num_items))


def negatives(data: InteractionMatrix, users: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """For each of ``users`` [B], who all lack an item, a uniform item they lack -> [B] int64.

    Without rejection: a rank r among the lacked items is the item r + k, k being how many of the user's own items
    have at most r lacked ones before them.
    """
    counts = data.indptr[users + 1] - data.indptr[users]
    ranks = generator.integers(0, data.num_items - counts)
    places = np.searchsorted(data.lacked_before, users * (data.num_items + 1) + ranks, side="right")
    return ranks + places - data.indptr[users]


def _placed_triples(placed: Placed, users: np.ndarray, step: int, generator: np.random.Generator) -> Iterator[Triples]:
    """``triple_batches`` where the data are, many at a time."""
    drawing, known = placed.generator(generator), placed.tensor("choosers", users)
    total = len(placed.data)
    several = max(DRAWN // step, 1) * step
    for start in range(0, total, several):
        count = min(several, total - start)
        drawn = known[torch.randint(len(known), (count,), generator=drawing, device=placed.device)]
        triples = Triples(drawn, placed.owned(drawn, drawing), placed.lacked(drawn, drawing))
        for first in range(0, count, step):
            yield Triples(*(part[first : first + step] for part in triples))


def _placed_labels(
    placed: Placed, kept: np.ndarray, step: int, num_negatives: int, generator: np.random.Generator
) -> Iterator[Labelled]:
    """``labelled_batches`` where the data are, many at a time."""
    drawing, rows = placed.generator(generator), placed.tensor("labelled", kept)
    rows = rows[torch.randperm(len(rows), generator=drawing, device=placed.device)]
    several = max(DRAWN // (step * (1 + num_negatives)), 1) * step
    for start in range(0, len(rows), several):
        chosen = rows[start : start + several]
        users, items = placed.users[chosen], placed.items[chosen]
        others = users.repeat_interleave(num_negatives)
        lacked = placed.lacked(others, drawing)
        for first in range(0, len(chosen), step):
            own, more = slice(first, first + step), slice(first * num_negatives, (first + step) * num_negatives)
            right, wrong = users[own], others[more]
            labels = torch.cat(
                [torch.ones_like(right, dtype=torch.float32), torch.zeros_like(wrong, dtype=torch.float32)]
            )
            yield Labelled(torch.cat([right, wrong]), torch.cat([items[own], lacked[more]]), labels)
