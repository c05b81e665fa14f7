"""One file, one model, one name. ``MODELS`` is the whole list."""

from __future__ import annotations

from typing import Any

from lethe.errors import ConfigError
from lethe.models.base import Config, Model
from lethe.models.bpr import BPR
from lethe.models.enmf import ENMFU
from lethe.models.lightgcn import LightGCN
from lethe.models.mostpop import MostPop
from lethe.models.wmf import WMF

MODELS: dict[str, type[Model]] = {
    "mostpop": MostPop,
    "bpr": BPR,
    "wmf": WMF,
    "enmf-u": ENMFU,
    "lightgcn": LightGCN,
}


def configure(name: str, values: dict[str, Any], where: str = "models") -> Config:
    """The checked Config of a model by name; raises ConfigError for an unknown model or key."""
    if name not in MODELS:
        raise ConfigError(f"{where}: unknown model {name!r}; known models: {', '.join(MODELS)}")
    return MODELS[name].Config.parse(values, f"{where}.{name}")
