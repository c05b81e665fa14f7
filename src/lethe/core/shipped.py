"""What every project has of Lethe itself: flows, data stages, the templates of its bento and of its schedules.

In a clone they are the repository's own files; a wheel carries the same files as data below lethe/project.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from lethe.core.environment import PROJECT
from lethe.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")

FILES = (
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "bentofile.yaml",
    "dvc.yaml",
    "prefect.yaml",
    "suppression/README.md",
)


def shipped_root() -> Path:
    """The folder that holds them; ``flows`` can be imported from it."""
    return PROJECT if PROJECT.is_dir() else PROJECT.parents[2]


def shipped() -> dict[str, bytes]:
    """Their content by path below a project."""
    root = shipped_root()
    names = [*FILES, *(f"flows/{path.name}" for path in (root / "flows").glob("*.py"))]
    return {name: (root / name).read_bytes() for name in sorted(names)}


def call_flow(flow: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Call one flow from another. A project may have changed the file of either, and then keeps it when the others are
    renewed around it. Raises ConfigError, before anything is done, where it can't be called so any more."""
    body = inspect.unwrap(flow)
    try:
        inspect.signature(body).bind(*arguments, **named)
    except TypeError:
        file = Path(inspect.getfile(body))
        shipped_file = shipped_root() / "flows" / file.name
        wanted = _parameters(shipped_file, body.__name__)
        raise ConfigError(
            f"{file}: {body.__name__}() must accept {wanted}, which other flows give it;"
            f" lethe upgrade kept this file because it was changed: copy {shipped_file} over it and put your changes in"
            " again"
        ) from None
    return flow(*arguments, **named)


def _parameters(file: Path, name: str) -> str:
    """The parameters of a function, as the file has them."""
    body = ast.parse(file.read_bytes()).body if file.is_file() else []
    found = (node for node in body if isinstance(node, ast.FunctionDef) and node.name == name)
    return next((f"({ast.unparse(node.args)})" for node in found), "what it is called with")
