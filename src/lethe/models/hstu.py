"""HSTU: sequences by attention that is not normalised over the steps, gated by the step itself.

Zhai et al., "Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
Recommendations", ICML 2024.

    U, V, Q, K = SiLU(N(x) W_U), .. SiLU(N(x) W_K),      A_ts = SiLU(q_t·k_s + r_(t-s)) / n  for s <= t,
    x ← x + [N(A V) ⊙ U] W_o + b_o  for each block

with N a layer normalisation, r a learnt bias of each distance and head, n = ``max_length``. All else is SASRec's
(``models.sasrec``): the vectors that go in, the softmax over all items or a sample of them, h = N(x) after the last
block, the score h·e_v. What the paper has and this has not: a bias of the time between two steps, since sequences here
are orders; actions as tokens of their own; scores of unit vectors at a temperature.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Search
from lethe.models import sasrec
from lethe.models.parts.layers import dropped


class HSTU(sasrec.SASRec):
    """score(u, v) = h_u·e_v, where h_u [M, d], kept by ``finish``, is h after the last of u's items."""

    class Config(sasrec.SASRec.Config):
        solver: Literal["gradient"] = "gradient"

        search: ClassVar[Search] = {}

    def block(self) -> nn.Module:
        return _Block(self.config.embedding_dim, self.config.heads, self.config.max_length)


class _Block(nn.Module):
    """Attention by distance and likeness, gated, and added to what it was."""

    def __init__(self, d: int, heads: int, max_length: int) -> None:
        super().__init__()
        self.heads, self.max_length = heads, max_length
        self.norm, self.attended_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.gate, self.value, self.query, self.key, self.out = (nn.Parameter(torch.zeros(d, d)) for _ in range(5))
        self.distances = nn.Parameter(torch.zeros(max_length, heads))
        self.out_bias = nn.Parameter(torch.zeros(d))

    def forward(self, x: Tensor, seen: Tensor, dropout: float, generator: torch.Generator | None) -> Tensor:
        """x [B, L, d], and which steps each sees [B, L, L] -> [B, L, d]."""
        normed, steps = self.norm(x), torch.arange(x.shape[1], device=x.device)
        gate, value, query, key = (
            functional.silu(normed @ weight) for weight in (self.gate, self.value, self.query, self.key)
        )
        # [B, heads, L, d']
        split = (*x.shape[:2], self.heads, -1)
        value, query, key = (part.reshape(split).transpose(1, 2) for part in (value, query, key))
        apart = (steps[:, None] - steps).clamp_min(0)  # [L, L]
        bias = functional.embedding(apart, self.distances).permute(2, 0, 1)  # [heads, L, L]
        weights = functional.silu(query @ key.transpose(2, 3) + bias) / self.max_length
        attended = (weights.masked_fill(~seen[:, None], 0.0) @ value).transpose(1, 2).flatten(2)
        gated = dropped(self.attended_norm(attended) * gate, dropout, generator)
        return x + gated @ self.out + self.out_bias
