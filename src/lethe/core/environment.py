"""What besides inputs decides the bytes of a result: the code, and the numeric environment."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

ROOT = Path(__file__).parents[1]

TABLES = ("lethe.models", "lethe.learning.aggregation", "lethe.data.partition")
"""Packages whose __init__ lists everything of a kind. An entry of such a table is named in the inputs where it counts,
and the others must not matter: adding a model retrains no other one."""


@cache
def code_digest(*modules: str) -> str:
    """SHA-256 of the source of these modules of ours and of all modules of ours that they import, however deep."""
    state = hashlib.sha256()
    for name in sorted(_closure(modules)):
        state.update(f"{name}:".encode() + hashlib.sha256(_file(name).read_bytes()).digest())
    return state.hexdigest()


def _closure(modules: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in TABLES:
            found.add(name)
            waiting += _imports(name)
    return found


_PARSING = Lock()
"""CPython 3.11 counts the depth of all threads' parsing as one, and fails where two do it at once."""


def _imports(name: str) -> Iterator[str]:
    with _PARSING:
        tree = ast.parse(_file(name).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _ours(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _file(inner).is_file() else node.module


def _ours(name: str) -> bool:
    return name.split(".")[0] == "lethe" and _file(name).is_file()


def _file(name: str) -> Path:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def whole_code_digest() -> str:
    """SHA-256 of all source files of the package: what a certificate names."""
    state = hashlib.sha256()
    for path in sorted(ROOT.rglob("*.py")):
        state.update(f"{path.relative_to(ROOT)}:".encode() + hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


@cache
def numeric_environment(device: str) -> dict[str, Any]:
    """Builds of the numeric libraries, instruction set, kind of device, threads: digests compare only within one."""
    import llvmlite.binding as llvm
    import torch

    environment: dict[str, Any] = {name: version(name) for name in ("torch", "numpy", "scipy", "numba", "pyarrow")}
    environment |= {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": llvm.get_host_cpu_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu" if device == "cpu" else torch.cuda.get_device_name(),
        "threads": 1,
        "mkl": os.environ.get("MKL_CBWR", "any"),
    }
    if device != "cpu":
        # The order of some of a GPU's sums is its libraries' own.
        environment["repeatable"] = False
    return environment
