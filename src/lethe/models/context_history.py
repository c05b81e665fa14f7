"""Context history: what a user took in like situations, over factors that know what they never took.

    score(u, c, v) = p_u·q_v + weight · ln(1 + Σ_r exp(sharpness · |{f : c_f = c_rf}|))

with r over u's training rows of v, c_f the value of context field f, and p, q those of WMF (a pair counts once for each
of its rows). Where people repeat themselves their own rows say most, and those in like contexts more than others; the
factors rank the rest. Someone unknown is answered by everybody's rows. Nothing but the factors is learnt. Without
contexts every row has the same vote.
"""

from __future__ import annotations

from typing import ClassVar

import numba
import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base
from lethe.models.wmf import WMF
from lethe.tables.matrix import InteractionMatrix, Shape


class ContextHistory(WMF):
    """score(u, v) takes no field to be equal: the user's own history by count."""

    optional = frozenset({"contexts"})
    accepts = frozenset({"contexts"})
    ragged = ("row_items", "row_contexts")

    class Config(WMF.Config):
        search: ClassVar[Search] = {
            "history_weight": Log(0.1, 10.0, 7, zero=True),
            "sharpness": Linear(0.0, 6.0, 7),
        }

        history_weight: float = Field(1.0, ge=0)
        """Factor of the votes beside the factors. 0: the factors alone."""
        sharpness: float = Field(2.0, ge=0, le=10)
        """What each context field that is equal adds to the logarithm of a row's vote."""

    row_indptr: Tensor
    row_items: Tensor
    row_contexts: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("row_indptr", torch.zeros(shape.num_users + 1, dtype=torch.int64))
        self.register_buffer("row_items", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("row_contexts", torch.zeros((0, 0), dtype=torch.int64))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        contexts = np.empty((len(data), 0), np.int64) if data.contexts is None else data.contexts
        parts = data.indptr, data.items, contexts
        self.row_indptr, self.row_items, self.row_contexts = (torch.from_numpy(part.copy()) for part in parts)

    def score(self, users: Tensor) -> Tensor:
        return self._score(users, torch.full((len(users), self.row_contexts.shape[1]), -1))

    def score_given(self, users: Tensor, given: base.Given) -> Tensor:
        if given.history is not None:
            return super().score_given(users, given)
        return self.score(users) if given.contexts is None else self._score(users, given.contexts)

    def _score(self, users: Tensor, contexts: Tensor) -> Tensor:
        # One more row, of zeros, is the place of -1.
        scores = functional.pad(self.users.detach(), (0, 0, 0, 1))[users] @ self.items.detach().T
        votes = torch.zeros(len(users), self.shape.num_items)
        rows = self.row_indptr, self.row_items, self.row_contexts
        _vote(*(part.cpu().numpy() for part in (*rows, users, contexts)), self.config.sharpness, votes.numpy())
        return scores + self.config.history_weight * votes.to(scores.device).log1p()

    def factors(self) -> None:  # type: ignore[override]
        """None: votes are no product of a user and an item."""
        return None


@numba.njit(nogil=True, cache=True)
def _vote(
    indptr: np.ndarray,
    items: np.ndarray,
    row_contexts: np.ndarray,
    users: np.ndarray,
    contexts: np.ndarray,
    sharpness: float,
    votes: np.ndarray,
) -> None:
    """Add each row's vote for its item to ``votes`` [B, num_items]; a context of -1 equals none."""
    for b in range(len(users)):
        user = users[b]
        first, last = (0, len(items)) if user < 0 else (indptr[user], indptr[user + 1])
        for row in range(first, last):
            equal = 0
            for field in range(contexts.shape[1]):
                equal += contexts[b, field] >= 0 and contexts[b, field] == row_contexts[row, field]
            votes[b, items[row]] += np.exp(sharpness * equal)
