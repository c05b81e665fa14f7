"""What a data stage costs before it does anything: each is a process of its own."""

from __future__ import annotations

import subprocess
import sys


def test_data_stages_start_without_torch() -> None:
    said = "import sys, lethe.data.one_stage, lethe.data.gates.__main__; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
