"""RA_LST with the exact factorisation as its long part: WMF of all cells in place of an LFM of sampled ones.

Ours, not the paper's. The weighing, its scales and θ are those of ``ra_lst``; a long part that ranks better by itself
leaves θ more to weigh.
"""

from __future__ import annotations

from typing import Literal

from lethe.models.ra_lst import RALST, WeighedConfig
from lethe.models.wmf import WMF


class Exact(WMF.Config):
    """WMF's, by its exact solver alone: the long part has no epochs of gradients."""

    solver: Literal["als"] = "als"


class RALSTExact(RALST):
    """score(u, v) = θ x₁ + (1 - θ) x₂, x₂ a WMF's."""

    class Config(WeighedConfig):
        long: Exact = Exact()

    Long = WMF
