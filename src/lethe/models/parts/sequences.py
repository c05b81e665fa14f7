"""Users' items in order of time, and session-parallel batches of them: many users side by side, none cut to pieces."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lethe.core.random import Stream, keyed_hash
from lethe.tables.matrix import InteractionMatrix


class Sequences(NamedTuple):
    """Everybody's items, oldest first, ragged: user u has ``items[indptr[u]:indptr[u + 1]]``.

    indptr  [num_users + 1] int64      items  [n] int64
    """

    indptr: np.ndarray
    items: np.ndarray


class SessionBatch(NamedTuple):
    """Up to T steps of W slots, each of which is at one user's sequence; slots that are idle all the time are left out.

    slots    [W] int64, increasing: which of the session-parallel slots each column is
    inputs   [T, W] int64: the item that goes in at each step; 0 where the slot is idle
    targets  [T, W] int64: the next item of the same sequence; -1 where the slot is idle
    starts   [T, W] bool: a new sequence begins here, so the slot's state is reset before this step
    """

    slots: Tensor
    inputs: Tensor
    targets: Tensor
    starts: Tensor


def by_time(data: InteractionMatrix, stream: Stream) -> Sequences:
    """The rows of each user by timestamp; rows of one moment in the order of a hash of the pair, keyed by ``stream``.

    The order of equally late rows says nothing; a hash, unlike the order of the ids, lets no item always come first.
    """
    assert data.timestamps is not None
    pairs = keyed_hash(data.users * data.num_items + data.items, stream.seed, *stream.names)
    order = np.lexsort((pairs, data.timestamps, data.users))
    return Sequences(data.indptr, data.items[order])


def older(sequences: Sequences, newest: float) -> Sequences:
    """The sequences without each one's ``newest`` share of items, whose number is rounded down."""
    counts = np.diff(sequences.indptr)
    # 0.29 * 100 is a little below 29: rounding keeps the share that was asked for.
    kept = counts - np.floor(np.round(counts * newest, 9)).astype(np.int64)
    place = np.arange(len(sequences.items)) - np.repeat(sequences.indptr[:-1], counts)
    indptr = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return Sequences(indptr, sequences.items[place < np.repeat(kept, counts)])


def latest(sequences: Sequences, rows: np.ndarray, length: int) -> np.ndarray:
    """The latest items of some sequences ``rows`` [B], at most ``length``, aligned at their ends -> [B, L] int64.

    L is that of the longest of them; before a shorter one's first item stands -1.
    """
    ends = sequences.indptr[rows + 1]
    width = min(int((ends - sequences.indptr[rows]).max(initial=0)), length)
    places = ends[:, None] + np.arange(-width, 0)
    within = places >= sequences.indptr[rows][:, None]
    return np.where(within, sequences.items[np.where(within, places, 0)], -1)


def session_batches(
    sequences: Sequences, num_slots: int, num_steps: int, generator: np.random.Generator
) -> Iterator[SessionBatch]:
    """One epoch: ``num_steps`` steps at a time of ``num_slots`` sequences side by side (Hidasi et al. 2016, §3.1.1).

    The sequences stand in random order. At each step a slot's item predicts the next one of its sequence; a slot whose
    sequence ends takes the next in the order, of slots that end together the first one first. When none is left it is
    idle. Sequences of fewer than two items predict nothing and are left out.
    """
    lengths = np.diff(sequences.indptr) - 1
    order = generator.permutation(np.flatnonzero(lengths > 0))
    places, starts = _schedule(sequences.indptr[order], lengths[order], num_slots)
    for first in range(0, len(places), num_steps):
        chunk = places[first : first + num_steps]
        slots = np.flatnonzero((chunk >= 0).any(axis=0))
        chunk = chunk[:, slots]
        inputs = np.where(chunk >= 0, sequences.items[chunk], 0)
        targets = np.where(chunk >= 0, sequences.items[chunk + 1], -1)
        begins = np.ascontiguousarray(starts[first : first + num_steps, slots])
        yield SessionBatch(*map(torch.from_numpy, (slots, inputs, targets, begins)))


def _schedule(firsts: np.ndarray, lengths: np.ndarray, num_slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Which row goes into which slot at which step, -1 where none does [steps, slots], and where a sequence begins.

    ``firsts`` and ``lengths`` are the first row and the number of inputs of each sequence, in their order.
    """
    free = [(0, slot) for slot in range(min(num_slots, len(lengths)))]
    begins = np.empty((2, len(lengths)), dtype=np.int64)
    for place, length in enumerate(lengths.tolist()):
        step, slot = free[0]
        begins[:, place] = step, slot
        heapq.heapreplace(free, (step + length, slot))
    steps = max((step for step, _ in free), default=0)
    places, starts = np.full((steps, len(free)), -1), np.zeros((steps, len(free)), dtype=bool)
    starts[begins[0], begins[1]] = True
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows, columns = np.repeat(begins[0], lengths) + within, np.repeat(begins[1], lengths)
    places[rows, columns] = np.repeat(firsts, lengths) + within
    return places, starts
