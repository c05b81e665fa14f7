"""Every kernel goes through Triton's compiler to the machine code of a card, which needs no card."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lethe.models.solvers.pull import has_triton

PROGRAM = r"""
import re
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lethe.models.solvers import kernels

TYPES = dict.fromkeys(("starts", "ends", "owners", "columns", "rows"), "*i64")
TYPES |= dict.fromkeys(("width", "count", "first", "last"), "i32") | dict.fromkeys(("shift", "l1", "l2"), "fp32")
SIZES = {"ROWS": 32, "DIM": 64, "LANES": 32}
made = {name: one for name, one in vars(kernels).items() if isinstance(one, triton.JITFunction)}
for name, kernel in made.items():
    constants = {a: SIZES.get(a, True) for a in kernel.arg_names if a.isupper()}
    types = {a: "constexpr" if a in constants else TYPES.get(a, "*fp32") for a in kernel.arg_names}
    built = triton.compile(ASTSource(kernel, types, constants), target=GPUTarget("cuda", 90, 32))
    assert built.asm["cubin"]
    assert not re.search(r"\b(atom|red)\.|tf32", built.asm["ptx"]), name
print(len(made))
"""


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
def test_kernels_compile_without_atomics_or_reduced_precision() -> None:
    # In a process of its own: elsewhere in the tests they are made for the interpreter.
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == 4
