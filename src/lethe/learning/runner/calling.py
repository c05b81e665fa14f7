"""Who makes a call: this process, or somebody else whom ``runner`` finds. That one reads params.yaml; what stands here
is in keys, and must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

R = TypeVar("R")


class Runner(Protocol):
    def call(self, function: Callable[..., R], *arguments: object) -> R:
        """What the function returns. It may be called from many threads."""


class Here:
    """In the thread that asks."""

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        return function(*arguments)


HERE = Here()
