"""What besides inputs decides the bytes of a result: the code, and the numeric environment."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any


@cache
def code_digest(*parts: str) -> str:
    """SHA-256 of our own source files that ``parts`` name, each a module file or a package below src/lethe."""
    root = Path(__file__).parent
    state = hashlib.sha256()
    for part in sorted(parts):
        path = root / part
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            state.update(f"{file.relative_to(root)}:".encode() + hashlib.sha256(file.read_bytes()).digest())
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
    }
    return environment
