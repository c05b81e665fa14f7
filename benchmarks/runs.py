"""How a benchmark measures: in a process of its own, and not again what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks import ROOT
from lethe.core.files import write_whole

T = TypeVar("T")


def apart(module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Any:
    """What ``python -m benchmarks.MODULE ARGUMENTS`` says last, which is JSON. What it says on its standard error is
    seen where it fails, which raises CalledProcessError."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
    done.check_returncode()
    return json.loads(done.stdout.splitlines()[-1])


def kept(path: Path | None, make: Callable[[], T], worth: Callable[[T], bool] = lambda _: True) -> T:
    """What the file has, as JSON; else what is made now, which is put there where it is worth it. Without a path
    nothing is kept."""
    if path is not None and path.is_file():
        there: T = json.loads(path.read_bytes())
        return there
    made = make()
    if path is not None and worth(made):
        write_whole(path, json.dumps(made))
    return made


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log sizes, least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def peak_mib() -> int:
    """MiB that this program took at most. What getrusage says begins with the peak of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)
