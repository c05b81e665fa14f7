"""Whether the promise holds on real input: each case by the real commands, and requests on generated datasets."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TypedDict

from benchmarks import Say
from benchmarks.project import Project, Wrong
from benchmarks.promise_cases import CASES
from benchmarks.runs import kept
from lethe.core.canonical import digest_json
from lethe.core.environment import whole_code_digest


class CaseResult(TypedDict):
    """``wrong`` is empty where the case is right."""

    case: str
    wrong: str
    seconds: float


def run_cases(
    names: Iterable[str], folder: Path, done: Path | None = None, say: Say = lambda _: None
) -> list[CaseResult]:
    """Each case in a project of its own below ``folder``; what ``done`` holds of the same code is not done again."""
    results = []
    for name in names:
        path = None if done is None else done / f"{digest_json([name, whole_code_digest()])}.json"
        run = partial(_run, name, folder / f"case-{len(results):02d}")
        result = kept(path, run, worth=lambda result: not result["wrong"])
        say(f"{name}: {result['wrong'] or 'right'} ({result['seconds']:.0f} s)")
        results.append(result)
    return results


def _run(name: str, folder: Path) -> CaseResult:
    begun, wrong = time.monotonic(), ""
    project = Project.begin(folder)
    try:
        CASES[name](project)
    except Wrong as why:
        wrong = str(why)
    except subprocess.TimeoutExpired as hung:
        wrong = f"a command did not end within {hung.timeout:.0f} s"
    finally:
        project.run("stop")
    return {"case": name, "wrong": wrong, "seconds": round(time.monotonic() - begun, 1)}
