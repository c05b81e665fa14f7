"""A clone on a machine that has nothing yet: how long until ``make demo`` says its first word."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks import ROOT

GOAL = 90.0
"""Seconds to the first line."""
TIMEOUT = 900
_OWN = ("VIRTUAL_ENV", "PYTHONPATH", "UV_CACHE_DIR", "PIP_CACHE_DIR")
"""Of who runs this: a newcomer has none of them."""


def start(folder: Path) -> dict[str, Any]:
    """Clone what is committed, install with empty caches, run the demo until its first line, then end it."""
    clone, caches = folder / "clone", folder / "caches"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
    environment = {name: value for name, value in os.environ.items() if name not in _OWN}
    environment |= {"UV_CACHE_DIR": str(caches / "uv"), "PIP_CACHE_DIR": str(caches / "pip")}
    environment |= {"LETHE_KEY_DIR": str(folder / "keys")}
    begun, wall = time.monotonic(), time.time()
    process = subprocess.Popen(
        ["make", "--silent", "demo"],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        line, seconds = _first_line(process, clone / ".venv" / ".ready"), time.monotonic() - begun
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    installed = (clone / ".venv" / ".ready").stat().st_mtime - wall
    by = "uv" if any((caches / "uv").glob("*")) else "pip"
    return {
        "installed by": by,
        "seconds to install": round(installed, 1),
        "seconds to the first line": round(seconds, 1),
        "goal": GOAL,
        "met": seconds <= GOAL,
        "first line": line,
        "processors": os.cpu_count(),
        "load before": round(os.getloadavg()[2], 1),
    }


def _first_line(process: subprocess.Popen[str], ready: Path) -> str:
    """Of the demo: what is said before all is installed is the installer's."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        if line.strip():
            said.append(line.strip())
            if ready.is_file():
                return said[-1]
    raise AssertionError(f"make demo ended before its first line: {' / '.join(said[-3:])}")
