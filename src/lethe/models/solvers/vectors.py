"""Vectors that a solver changes in place: arrays on the CPU, tensors wherever else they lie."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Vectors = np.ndarray | Tensor
"""Arrays are solved by compiled loops, tensors where they lie, by ``solvers.als_device``."""


def laid(x: np.ndarray, device: torch.device) -> Vectors:
    """Vectors where they are to be solved: as they are on the CPU."""
    return x if device.type == "cpu" else torch.from_numpy(x).to(device)


def array(x: Vectors) -> np.ndarray:
    """Vectors as the CPU reads them."""
    return x if isinstance(x, np.ndarray) else x.cpu().numpy()


def kind_of(x: Vectors) -> type:
    """numpy's type of the entries."""
    if isinstance(x, np.ndarray):
        return x.dtype.type
    return np.float64 if x.dtype == torch.float64 else np.float32


def squared(x: Vectors) -> np.ndarray:
    """The squares of the entries [n, d] float64, or of tensors the sum of each row's [n, 1]."""
    if isinstance(x, np.ndarray):
        return np.square(x, dtype=np.float64)
    return x.double().square().sum(dim=1, keepdim=True).cpu().numpy()
