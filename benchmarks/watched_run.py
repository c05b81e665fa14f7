"""What a run takes while it is watched from its own process: seconds of the processor, what it starts, memory."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil


def cpu_seconds() -> float:
    """Seconds of this process, of all that it waited for, and of what it started that is still there (the warm process,
    which waits for its own)."""
    here = psutil.Process()
    total = 0.0
    for process in (here, *here.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


@contextmanager
def processes() -> Iterator[Counter[str]]:
    """Counts what is started: commands here, modules in the warm process, and the stages that DVC says it ran."""
    from unittest.mock import patch

    from lethe.core import process, warm
    from lethe.data import dvc

    started: Counter[str] = Counter()
    ask, popen, run = warm.ask, subprocess.Popen, dvc.run_module

    def asked(module: str, *args: Any, **kwargs: Any) -> Any:
        job = ask(module, *args, **kwargs)
        started["modules"] += job is not None
        return job

    def opened(*args: Any, **kwargs: Any) -> Any:
        started["commands"] += 1
        return popen(*args, **kwargs)

    def said(*args: Any, **kwargs: Any) -> str:
        output = run(*args, **kwargs)
        started["stages"] += output.count("Running stage ")
        return output

    with (
        patch.object(process.warm, "ask", asked),
        patch.object(process.subprocess, "Popen", opened),
        patch.object(dvc, "run_module", said),
    ):
        yield started


@contextmanager
def peak() -> Iterator[dict[str, float]]:
    highest, done = {"bytes": 0.0}, threading.Event()

    def watch() -> None:
        here = psutil.Process()
        while not done.wait(0.05):
            for process in (here, *here.children(recursive=True)):
                try:
                    highest["bytes"] = max(highest["bytes"], process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield highest
    finally:
        done.set()
        thread.join()
