"""A newcomer's first afternoon: the wheel alone, an empty folder, a file of their own, six commands.

init → train → serve → an answer → forget add → forget run → certificate check. Where ``init`` refuses a file, the
options that its line names are given, and nothing else is ever decided.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq

from benchmarks import ROOT, Say, asking
from benchmarks.prefect_server import free_port

TIMEOUT = 900
FOLLOWED = 3
"""Refusals in a row that are followed."""
_FLAGS = ("--no-header", "--trim", "--yes")
_OPTION = re.compile(r"(--[a-z]+(?:-[a-z]+)*)(?: ('[^']*'|\"[^\"]*\"|[^\s,;)]+))?")


class Stopped(Exception):
    """The afternoon ended before its certificate; the text says where."""


@dataclass
class Afternoon:
    """What one file came to."""

    file: str
    commands: int = 0
    refusals: list[str] = field(default_factory=list)
    """The lines of ``init``, each followed to the letter."""
    seconds: dict[str, float] = field(default_factory=dict)
    wrong: str = ""
    tracebacks: int = 0

    def to_json(self) -> dict[str, Any]:
        return self.__dict__


def build_wheel(folder: Path) -> Path:
    """The wheel of this clone, laid out as an installer lays it; returns the folder for the path of modules."""
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(folder)], check=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def made_csv(path: Path, rows: int = 50_000, users: int = 2_000, items: int = 800) -> Path:
    """Events with text ids, in which two tastes can be told apart."""
    rng = np.random.default_rng(11)
    each = rows // users
    lines = ["customer_id,sku,created_at"]
    for user in range(users):
        half = (user % 2) * (items // 2)
        for place, item in enumerate(rng.choice(items // 2, size=each, replace=False)):
            lines.append(f"cust-{user:05d},sku-{half + item:04d},{1_700_000_000 + 977 * place + user}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def afternoon(file: Path, folder: Path, site: Path, *, whole: bool = True) -> Afternoon:
    """All six commands on one file in an empty ``folder``; not ``whole``: only the first."""
    folder.mkdir(parents=True)
    done = Afternoon(file.name)
    lethe = _Lethe(folder, site, done)
    try:
        _init(lethe, file)
        if whole:
            _use(lethe)
    except Stopped as why:
        done.wrong = str(why)
    return done


@dataclass
class _Lethe:
    """The installed command, from a folder that is no clone."""

    folder: Path
    site: Path
    done: Afternoon

    @property
    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.site), "LETHE_KEY_DIR": str(self.folder / "keys")}

    def start(self, *arguments: str, within: str = "shop") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lethe.cli", *arguments]
        at = self.folder / within
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=at, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, step: str, *arguments: str, within: str = "shop") -> tuple[int, str]:
        """Exit code and last line of a command."""
        begun = time.monotonic()
        out, error = (process := self.start(*arguments, within=within)).communicate(timeout=TIMEOUT)
        self.done.seconds[step] = round(self.done.seconds.get(step, 0) + time.monotonic() - begun, 1)
        self.done.tracebacks += error.count("Traceback")
        return process.returncode, ((error if process.returncode else out).strip().splitlines() or [""])[-1]

    def must(self, step: str, *arguments: str) -> None:
        self.done.commands += 1
        code, line = self.run(step, *arguments)
        if code:
            raise Stopped(f"{step}: {line}")


def _init(lethe: _Lethe, file: Path) -> None:
    lethe.done.commands += 1
    given: list[str] = []
    for _ in range(FOLLOWED + 1):
        code, line = lethe.run("init", "init", "shop", "--csv", str(file), "--yes", *given, within=".")
        if code == 0:
            return
        if (lethe.folder / "shop").exists():
            raise Stopped("init: it refused, and left something behind")
        if not (options := named_options(line)):
            raise Stopped(f"init: its line leads nowhere: {line}")
        lethe.done.refusals.append(line)
        given += options
    raise Stopped(f"init: still refused after {FOLLOWED} lines were followed: {line}")


def named_options(line: str) -> list[str]:
    """The first option that a refusal tells to give, with its value."""
    match = _OPTION.search(line.partition("give ")[2])
    if match is None:
        return []
    option, value = match.groups()
    return [option] if option in _FLAGS or value is None else [option, value.strip("'\"")]


def _use(lethe: _Lethe) -> None:
    lethe.must("train", "train")
    ids = pq.read_table(next((lethe.folder / "shop").glob("data/*/ingested/interactions.parquet")))["user"]
    user, port = ids[len(ids) // 2].as_py(), free_port()
    lethe.done.commands += 1
    begun = time.monotonic()
    server = lethe.start("serve", "--port", str(port))
    try:
        _wait(server, port)
        lethe.done.seconds["serve"] = round(time.monotonic() - begun, 1)
        if (before := _ask(port, user))["source"] != "model" or not before["items"]:
            raise Stopped(f"answer: {before['source']}, must be the model's")
        lethe.must("forget add", "forget", "add", "--user", str(user))
        lethe.must("forget run", "forget", "run")
        if (after := _ask(port, user))["source"] != "popular":
            raise Stopped(f"answer after forgetting: {after['source']}, must be popular")
    finally:
        server.send_signal(signal.SIGINT)
        _, error = server.communicate(timeout=60)
        lethe.done.tracebacks += error.count("Traceback")
    certificates = sorted((lethe.folder / "shop" / "certificates").glob("*.json"))
    if not certificates:
        raise Stopped("certificate: none was written")
    lethe.must("certificate check", "certificate", "check", str(certificates[0]))


def _wait(server: subprocess.Popen[str], port: int) -> None:
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and server.poll() is None:
        try:
            asking.get(f"http://127.0.0.1:{port}/model", timeout=3).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise Stopped("serve: it never answered")


def _ask(port: int, user: int | str) -> dict[str, Any]:
    answer = asking.post(f"http://127.0.0.1:{port}/recommend", json={"user_id": user, "k": 5}, timeout=60)
    if answer.status_code != 200:
        raise Stopped(f"answer: status {answer.status_code}")
    return dict(answer.json())


def run(folder: Path, files: list[Path], say: Say, *, whole: bool = True) -> dict[str, Any]:
    """The afternoon of the generated file and of each of ``files``; not ``whole``: of those only the first command."""
    site = build_wheel(folder / "wheel")
    names = sorted(path.name.partition("-")[0] for path in site.iterdir())
    results = []
    for number, file in enumerate([made_csv(folder / "orders.csv"), *files]):
        result = afternoon(file, folder / f"{number:02d}", site, whole=whole or number == 0)
        say(f"{result.file}: {result.wrong or 'right'}, {result.commands} commands, {result.seconds}")
        results.append(result)
    return {
        "top-level packages": ", ".join(names),
        "files": len(results),
        "right": sum(not result.wrong for result in results),
        "most commands": max(result.commands for result in results),
        "tracebacks": sum(result.tracebacks for result in results),
        "refused, and followed": sum(bool(result.refusals) for result in results),
        "seconds of 50,000 rows": sum(results[0].seconds.values()),
        "results": [result.to_json() for result in results],
    }
