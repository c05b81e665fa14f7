"""YAML into plain values, by libyaml where PyYAML was built with it: DVC's lock is read many times a run."""

from __future__ import annotations

import re
from typing import Any

import yaml


class RepeatedKey(yaml.constructor.ConstructorError):
    """A key that a mapping has twice: YAML forbids it, and PyYAML would take the last without a word."""


class UnclearNumber(yaml.constructor.ConstructorError):
    """0123 or 12:30: octal and base sixty to PyYAML, a number of base ten and a text to what DVC reads by."""


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

    def construct_clear_number(self, node: yaml.ScalarNode) -> Any:
        text = node.value.lstrip("+-").replace("_", "")
        if ":" in text or re.fullmatch("0[0-9]+", text):
            problem = f"{node.value} is one number to some readers and another to others"
            raise UnclearNumber(None, None, problem, node.start_mark)
        return self.construct_yaml_int(node) if node.tag.endswith("int") else self.construct_yaml_float(node)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_clear_number)


def values_of(text: str | bytes) -> Any:
    """Raises yaml.YAMLError; ValueError for a date that there isn't."""
    return yaml.load(text, Loader=_Loader)
