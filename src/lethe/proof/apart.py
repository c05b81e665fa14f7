"""``python -m lethe.proof.apart [SAMPLE]``: verification for a process that didn't begin as ours do, a notebook's say.

Numeric libraries read the environment when they are loaded: what such a process builds is another environment's.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from lethe.core.process import FAULT, run_module
from lethe.core.workspace import NUMERIC, Workspace
from lethe.errors import LetheError
from lethe.proof.compare import Comparison
from lethe.proof.verification import verify

_DECIDE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MKL_CBWR")
"""What of our environment decides the bytes that a processor computes."""


def verify_anywhere(workspace: Workspace, sample: int | None = None) -> Comparison:
    """``verify`` here, if this process began as ours do, else in one that does. Raises LetheError."""
    if all(os.environ.get(name) == NUMERIC[name] for name in _DECIDE):
        return verify(workspace, sample=sample)
    arguments = [] if sample is None else [str(sample)]
    said = run_module(workspace, "lethe.proof.apart", *arguments, error=LetheError)
    values = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    names = {field: tuple(values[field]) for field in ("compared", "differing", "left_out")}
    return Comparison(**names, seed=values["seed"])


def main(arguments: list[str]) -> int:
    """Verify the workspace around the current folder; the comparison is one line of JSON."""
    try:
        comparison = verify(Workspace.find(), sample=int(arguments[0]) if arguments else None)
    except LetheError as error:
        print(f"{FAULT}{error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(comparison)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
