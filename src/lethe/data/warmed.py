"""``python -m lethe.data.warmed MODULE [ARGUMENTS]``: a module, beside a warm process that runs ours (see
``lethe.core.warm``), as flows that are commands have one (flows/command.py).

prefect.yaml has Prefect's engine started so, which runs what is scheduled.
"""

from __future__ import annotations

import runpy
import sys

from lethe.core import process
from lethe.data import stages

if __name__ == "__main__":
    del sys.argv[0]
    with process.modules_warm(stages.prepare):
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
