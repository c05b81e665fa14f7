"""What besides inputs decides the bytes of a result: the code that runs, and the numeric environment."""

from __future__ import annotations

import ast
import ctypes
import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from lethe.core.canonical import Json

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "project"
"""Where a wheel carries what is copied into projects: files of theirs, no code of the package (lethe.core.shipped)."""

TABLES = ("lethe.models", "lethe.learning.aggregation", "lethe.data.partition")
"""Packages whose __init__ lists everything of a kind. Whoever runs an entry of such a table gives it to
``code_digest``, and the others must not matter: adding a model retrains no other one."""


def code_digest(*what: Any) -> str:
    """SHA-256 of the code that these functions and classes run: of the modules that define them, and of all modules of
    ours that those import, however deep. Comments, blank lines and docstrings don't count.

    A module stands for all that it defines. What is defined outside Lethe (a model of a plug-in) is followed through
    its own package too.
    """
    state = hashlib.sha256()
    for name in sorted(closure(*what)):
        state.update(f"{name}:{_module(name).digest}\n".encode())
    return state.hexdigest()


def closure(*what: Any) -> frozenset[str]:
    """Names of the modules whose code decides what these functions and classes do."""
    names: set[str] = set()
    waiting = [_name(thing) for thing in what]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += _module(name).imports
    return frozenset(names)


def _name(thing: Any) -> str:
    name: str = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    # ``python -m module`` gives the module another name, and its code must not get another digest by that.
    spec = sys.modules["__main__"].__spec__ if name == "__main__" else None
    return name if spec is None else spec.name


@dataclass(frozen=True)
class _Module:
    """A module of ours as far as keys go: what its code is, and which modules of ours that code needs."""

    digest: str
    imports: tuple[str, ...]


_PARSING = Lock()
"""CPython 3.11 counts the depth of all threads' parsing as one, and fails where two do it at once."""


@cache
def _module(name: str) -> _Module:
    # Of a table only the functions count: its list must not, and so neither must the imports that fill it.
    table = name in TABLES
    tree = _parsed(name)
    if table:
        tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    imports = () if table else tuple(sorted(set(_imports(name, tree))))
    return _Module(hashlib.sha256(ast.dump(_Undocumented().visit(tree)).encode()).hexdigest(), imports)


def _parsed(name: str) -> ast.Module:
    source = _source(name)
    with _PARSING:
        return ast.parse(source)


def _source(name: str) -> bytes:
    return _file(name).read_bytes()


class _Undocumented(ast.NodeTransformer):
    """Takes out docstrings, those of attributes too: every string that is a statement of its own."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _imports(name: str, tree: ast.AST) -> Iterator[str]:
    own = name.partition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _ours(alias.name, own))
        elif isinstance(node, ast.ImportFrom) and _ours(module := _imported(name, node), own):
            for alias in node.names:
                yield from _defining(module, alias.name)


def _imported(name: str, node: ast.ImportFrom) -> str:
    """The module that ``from ... import`` in the module ``name`` names, relative or not."""
    if node.level == 0:
        return node.module or ""
    folder = name if _file(name).name == "__init__.py" else name.rpartition(".")[0]
    parts = folder.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _defining(module: str, name: str) -> Iterator[str]:
    """Modules that ``from module import name`` needs: what a table only hands on is followed to where it is defined."""
    if _file(f"{module}.{name}").is_file():
        yield f"{module}.{name}"
        return
    yield module
    if module in TABLES:
        for node in _parsed(module).body:
            if isinstance(node, ast.ImportFrom) and name in (alias.asname or alias.name for alias in node.names):
                yield from _defining(_imported(module, node), name)


def _ours(name: str, own: str) -> bool:
    return name.partition(".")[0] in ("lethe", own) and _file(name).is_file()


def _file(name: str) -> Path:
    top, *inner = name.split(".")
    path = _home(top).joinpath(*inner)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _home(top: str) -> Path:
    """The folder of a package at the top, or a module that stands alone."""
    if top == "lethe":
        return ROOT
    module = sys.modules[top]
    return Path(next(iter(module.__path__), "") if hasattr(module, "__path__") else str(module.__file__))


@cache
def whole_code_digest() -> str:
    """SHA-256 of all source files of the package: what a certificate names."""
    state = hashlib.sha256()
    for path in sorted(path for path in ROOT.rglob("*.py") if not path.is_relative_to(PROJECT)):
        state.update(f"{path.relative_to(ROOT)}:".encode() + hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


@cache
def numeric_environment(device: str, repeatable: bool = True) -> Json:
    """Builds of the numeric libraries, instruction set, device, threads: digests compare only within one.

    ``device`` is "cpu" or "cuda". "repeatable" is in it, and false, where not even such a one gives the same bytes.
    """
    import llvmlite.binding as llvm
    import torch

    environment: Json = {name: version(name) for name in ("torch", "numpy", "scipy", "numba", "pyarrow")}
    environment |= {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": llvm.get_host_cpu_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
        "threads": 1,
        "mkl": os.environ.get("MKL_CBWR", "any"),
    }
    if device == "cpu":
        return environment
    environment |= _card()
    return environment if repeatable else environment | {"repeatable": False}


def kind_of_card(number: int) -> Json:
    """What of a GPU decides the bytes of its results, beside the software: the same for all of one model."""
    import torch

    card = torch.cuda.get_device_properties(number)
    return {
        "device": card.name,
        "capability": f"{card.major}.{card.minor}",
        "processors": card.multi_processor_count,
    }


def _card() -> Json:
    """What decides the bytes of a GPU's results. The first one stands for all that are used (``learning.device``)."""
    import torch

    return {
        **kind_of_card(0),
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cublas": _installed("nvidia-cublas", "nvidia-cublas-cu13", "nvidia-cublas-cu12"),
        "triton": _installed("triton"),
    }


def _driver(stated: Path = Path("/proc/driver/nvidia/version")) -> str:
    """The NVIDIA driver's version, or where it does not say so the CUDA version that it is for."""
    words = stated.read_text().split() if stated.is_file() else []
    number = next((word for word in words if word[:1].isdigit() and word.count(".") >= 1), None)
    return number or f"CUDA {_cuda_version(ctypes.CDLL('libcuda.so.1'))}"


def _cuda_version(driver: Any) -> str:
    """The newest CUDA that a driver's library runs: it gives 13000 for 13.0."""
    number = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(number))
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _installed(*names: str) -> str:
    """The version of the first of these packages that is installed; "bundled" where none is, torch having its own."""
    there = {one.metadata["Name"].lower(): one.version for one in distributions()}
    return next((there[name] for name in names if name in there), "bundled")


@cache
def packages_digest() -> str:
    """SHA-256 of the names and versions of all installed packages, a line each, sorted."""
    # Each property reads and parses the whole file of the package.
    there = (one.metadata for one in distributions())
    lines = sorted({f"{about['Name'].lower()}=={about['Version']}\n" for about in there})
    return hashlib.sha256("".join(lines).encode()).hexdigest()
