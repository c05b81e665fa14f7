"""YAML into plain values, by libyaml where PyYAML was built with it: DVC's lock is read many times a run."""

from __future__ import annotations

from typing import Any

import yaml


class RepeatedKey(yaml.constructor.ConstructorError):
    """A key that a mapping has twice: YAML forbids it, and PyYAML would take the last without a word."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key, _ in node.value:
            # Those that are merged (<<) may be said again.
            if isinstance(key, yaml.ScalarNode) and key.value in keys and key.tag != "tag:yaml.org,2002:merge":
                raise RepeatedKey(None, None, f"key {key.value!r} is there twice", key.start_mark)
            keys.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        values: dict[Any, Any] = super().construct_mapping(node, deep)
        return values


def values_of(text: str | bytes) -> Any:
    """Raises yaml.YAMLError; ValueError for a date that there isn't."""
    return yaml.load(text, Loader=_Loader)
