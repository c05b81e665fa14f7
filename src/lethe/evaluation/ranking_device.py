"""Ranks of held-out items on the device that made the scores: the same ranks as ``ranking``'s loop, ties included."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Ragged = tuple[np.ndarray, np.ndarray]
"""indptr and items, as ``ranking`` has them."""

CELLS = 1 << 26
"""Scores that are compared at once."""


def mark_there(scores: Tensor, rows: np.ndarray, masked: Ragged, tests: Ragged, hits: np.ndarray) -> bool:
    """``ranking._mark_block`` of ``scores`` [B, N] on a device, which are overwritten: an item ranks after all greater
    scores and after equal ones of smaller index. False if a score is not finite."""
    if not bool(torch.isfinite(scores).all()):
        return False
    at, items = _cells(rows, *masked)
    scores[_there(at, scores), _there(items, scores)] = -torch.inf
    length, step = hits.shape[1], at_once(scores.shape[1])
    places = torch.arange(scores.shape[1], device=scores.device)
    at, items = _cells(rows, *tests)
    lines, held_out = _inside(scores, _there(at, scores), _there(items, scores), length)
    for start in range(0, len(lines), step):
        line, item = lines[start : start + step], held_out[start : start + step, None]
        against = scores[line]
        own = against.gather(1, item)
        ranks = ((against > own) | ((against == own) & (places < item))).sum(dim=1)
        inside = ranks < length
        hits[rows[line[inside].cpu().numpy()], ranks[inside].cpu().numpy()] = True
    return True


def at_once(num_items: int) -> int:
    """Rows of scores that are compared at once."""
    return max(CELLS // max(num_items, 1), 1)


def _inside(scores: Tensor, at: Tensor, items: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Those of the cells that can be on a list: not masked, and not below the row's last score that is."""
    own = scores[at, items]
    if length < scores.shape[1]:
        last = scores.topk(length, dim=1).values[:, -1]
        kept = (own >= last[at]) & (own > -torch.inf)
    else:
        kept = own > -torch.inf
    return at[kept], items[kept]


def best_there(scores: Tensor, length: int) -> np.ndarray:
    """``lists.best_of`` of scores [B, N] on a device, where what is no candidate is -inf -> [B, length] int64."""
    length = min(length, scores.shape[1])
    best = scores.topk(length, dim=1)
    last = best.values[:, -1:]
    if bool(((scores >= last).sum(dim=1) == length).all()):
        items = best.indices.sort(dim=1).values
    else:
        above, equal = scores > last, scores == last
        # Of those that equal the last one as many as there is room for, those of smaller index first.
        room = length - above.sum(dim=1, keepdim=True)
        items = (above | (equal & (equal.cumsum(dim=1) <= room))).nonzero()[:, 1].view(len(scores), length)
    own = scores.gather(1, items)
    places = own.argsort(dim=1, descending=True, stable=True)
    listed = items.masked_fill(own == -torch.inf, -1).gather(1, places)
    return listed.cpu().numpy()


def _cells(rows: np.ndarray, indptr: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place among ``rows`` of each of their items, and the items."""
    lengths = indptr[rows + 1] - indptr[rows]
    own = np.repeat(np.arange(len(rows)), lengths)
    shifts = indptr[rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(rows) else lengths
    return own, items[np.arange(len(own)) + np.repeat(shifts, lengths)]


def _there(values: np.ndarray, beside: Tensor) -> Tensor:
    return torch.from_numpy(values).to(beside.device)
