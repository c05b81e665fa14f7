"""Scores of users without a request, where a device computes them: what rankings are made of."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from lethe.learning.ensemble import Ensemble
from lethe.learning.weighted import WeightedEnsemble

Score = Callable[[np.ndarray], "np.ndarray | Tensor"]


def scoring(ensemble: Ensemble, device: torch.device) -> Score:
    """``ensemble.score`` of users alone; elsewhere than on the CPU the scores are made on the device and stay there."""
    if device.type == "cpu":
        return ensemble.score
    if isinstance(ensemble, WeightedEnsemble):
        return _weighted(ensemble, device)
    factors = ensemble.factors()
    assert factors is not None
    users, items = (torch.from_numpy(np.ascontiguousarray(tower)).to(device) for tower in factors)
    return lambda rows: users[torch.from_numpy(rows).to(device)] @ items.T


def _weighted(ensemble: WeightedEnsemble, device: torch.device) -> Score:
    """``WeightedEnsemble.score`` in the same steps."""

    def there(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    models = [deepcopy(member.model).to(device) for member in ensemble.members]
    items = [there(places) for _, places in ensemble.places]
    shares = there(ensemble.counts / max(ensemble.counts.max(initial=1), 1)).float()

    @torch.no_grad()
    def score(users: np.ndarray) -> Tensor:
        total = torch.zeros(len(users), len(shares), device=device)
        holders = torch.zeros_like(total)
        for weight, model, (own_users, _), columns in zip(
            ensemble.weights.tolist(), models, ensemble.places, items, strict=True
        ):
            own = own_users[users]
            rows = np.flatnonzero(own >= 0)
            cells = there(rows)[:, None], columns
            total[cells] = total[cells] + weight * model.score(there(own[rows]))
            holders[cells] = holders[cells] + 1
        held = holders > 0
        scores = total / holders.clamp_min(1)
        worst = torch.where(held, scores, torch.inf).amin(dim=1, keepdim=True)
        worst = torch.where(held.any(dim=1, keepdim=True), worst, 0.0)
        return torch.where(held, scores, worst - worst.abs().clamp_min(1) * (2 - shares))

    return score
