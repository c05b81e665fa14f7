"""Lethe: recommender systems that can forget, exactly and with proof.

>>> import lethe, pandas as pd
>>> frame = pd.DataFrame({"user": [1, 1, 2, 2, 3], "item": ["a", "b", "b", "c", "a"]})
>>> lethe.recommender("item-knn").fit(frame).recommend([3], k=1)[["user", "item", "source"]].to_dict("records")
[{'user': 3, 'item': 'b', 'source': 'model'}]

``lethe.WMF(embedding_dim=64)`` is ``lethe.recommender("wmf", embedding_dim=64)``, and so for every model.
``lethe.open("shop")`` is the project in a folder; ``lethe.client("http://127.0.0.1:3000")`` asks a running service.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lethe.cli.opened import Project
    from lethe.learning.alone import Recommender
    from lethe.serving.client import Client

__version__ = "0.1.0"


def open(path: str | Path = ".") -> Project:
    """The project in a folder, or in one above it. Raises ConfigError where there is none."""
    from lethe.cli.opened import Project

    _let_compile()
    return Project.open(path)


def client(url: str, key: str | None = None, **options: Any) -> Client:
    """A typed client of a running service; options as of ``lethe.serving.client.Client``."""
    from lethe.serving.client import Client

    return Client(url, key, **options)


def recommender(name: str, **settings: Any) -> Recommender:
    """A model by itself, by its name and options as in params.yaml: ``.fit(frame).recommend(users, k)``."""
    _let_compile()
    from lethe.learning.alone import Recommender

    return Recommender.of(name, **settings)


def __getattr__(name: str) -> Any:
    """Models by the names of their classes. Nothing heavy is loaded before one is asked for."""
    if not name.startswith("_") and name[:1].isupper():
        from functools import partial

        from lethe.models import MODELS

        for key, kind in MODELS.classes().items():
            if kind == name:
                return partial(recommender, key)
    raise AttributeError(f"module 'lethe' has no attribute {name!r}")


def _let_compile() -> None:
    """Numba reads where to keep what it compiles when it is loaded: with the first model."""
    import os

    from lethe.core.compiled import cache_of_compiled

    os.environ.update(cache_of_compiled(os.environ))
