"""YAML into plain values, by libyaml where PyYAML was built with it: DVC's lock is read many times a run."""

from __future__ import annotations

from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def values_of(text: str | bytes) -> Any:
    """Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)
