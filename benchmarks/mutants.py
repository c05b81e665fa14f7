"""Hand-made faults: each mutation of tests/mutants.yaml is made in a copy of the project, and the tests that cover it
must see it. A mutant that every named test survives is a promise that nobody holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Literal

import yaml

from benchmarks import ROOT, Say
from lethe.errors import ConfigError

LIST = ROOT / "tests" / "mutants.yaml"
COPIED = ("src", "flows", "tests", "benchmarks", "tools", "docs", "params", ".dvc", "suppression")
TIMEOUT = 600
"""Seconds a mutant's tests may take: one that hangs is seen as well."""

Outcome = Literal["killed", "survived", "stale"]


@dataclass(frozen=True)
class Mutant:
    """``before`` occurs once in ``file``; ``after`` stands there instead; ``tests`` (pytest's names) must see it."""

    name: str
    law: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """The list. Raises ConfigError where an entry is not a mutant, or two have one name."""
    mutants = []
    for number, entry in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")), start=1):
        try:
            mutants.append(Mutant(**{**entry, "tests": tuple(entry["tests"])}))
        except (TypeError, KeyError):
            fields = ", ".join(Mutant.__dataclass_fields__)
            raise ConfigError(f"{path.name}: entry {number} must have exactly {fields}") from None
    names = [mutant.name for mutant in mutants]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{path.name}: name {repeated[0]!r} must stand once")
    return mutants


def is_stale(mutant: Mutant, root: Path = ROOT) -> bool:
    """Whether the text to be changed no longer stands in the file exactly once."""
    path = root / mutant.file
    return not path.is_file() or path.read_text(encoding="utf-8").count(mutant.before) != 1


def run_mutants(
    mutants: Iterable[Mutant], folder: Path, say: Say = lambda _: None, workers: int = 1
) -> dict[str, Outcome]:
    """The outcome of each mutant, in a copy of the project below ``folder`` for each of the ``workers``.

    Raises ConfigError where a named test fails on the code as it is: it would seem to see every mutant."""
    mutants, copies = list(mutants), Queue[Path]()
    for number in range(workers):
        copies.put(_copy(folder / str(number)))

    def outcome(mutant: Mutant) -> Outcome:
        copy = copies.get()
        try:
            result = _outcome(mutant, copy)
        finally:
            copies.put(copy)
        say(f"{result:<8} {mutant.name}")
        return result

    with ThreadPoolExecutor(workers) as pool:
        seen = {mutant.name: pool.submit(outcome, mutant) for mutant in mutants}
        try:
            _must_pass(sorted({test for mutant in mutants for test in mutant.tests}), _copy(folder / "as it is"))
        except ConfigError:
            pool.shutdown(cancel_futures=True)
            raise
        return {name: result.result() for name, result in seen.items()}


def _copy(copy: Path) -> Path:
    copy.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            skip = shutil.ignore_patterns("__pycache__", "work", "results", "cache", "tmp", "site-cache")
            shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copyfile(path, copy / path.name)
    return copy


def _outcome(mutant: Mutant, copy: Path) -> Outcome:
    if is_stale(mutant, copy):
        return "stale"
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant.before, mutant.after), encoding="utf-8")
    try:
        return "survived" if _tests_pass(mutant.tests, copy) else "killed"
    finally:
        path.write_text(text, encoding="utf-8")


def _must_pass(tests: Sequence[str], copy: Path) -> None:
    done = _pytest(tests, copy)
    if done.returncode != 0:
        failed = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("FAILED", "ERROR"))]
        raise ConfigError(f"tests: must pass on the code as it is; {(failed or [_last_line(done)])[0]}")


def _tests_pass(tests: Sequence[str], copy: Path) -> bool:
    try:
        done = _pytest(tests, copy, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode in (4, 5):
        # Pytest found no test of that name: that sees nothing.
        raise ConfigError(f"tests {' '.join(tests)}: {_last_line(done)}")
    return done.returncode == 0


def _pytest(tests: Sequence[str], copy: Path, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    # Bytecode of the text before could be taken for that of the mutant: both may be written within one second.
    environment = {**os.environ, "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=timeout)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout + done.stderr).strip().splitlines()[-1]
