"""A project as a user has it: a folder, a file of rows, and the real commands, each a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import yaml

from benchmarks import ROOT

PEOPLE = ("user", "user_id", "friend")
"""Columns of people; in users.parquet and friends.parquet it is ``id``."""
TIMEOUT = 900


class Wrong(Exception):
    """What a command or a file shows is not what it must be; the text says how."""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    error: str

    @property
    def line(self) -> str:
        """What it says last: its one line where it refuses."""
        lines = (self.error or self.out).strip().splitlines()
        return lines[-1] if lines else ""


@dataclass(frozen=True)
class Project:
    """The folder of a project, and that of its keys."""

    root: Path
    keys: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of its commands beside those that are there."""

    @classmethod
    def begin(cls, folder: Path) -> Project:
        """What the repository ships beside the code, and a params.yaml with one small generated dataset."""
        ship(folder)
        made = {"kind": "synthetic", "users": 12, "items": 20, "interactions_per_user": 8}
        params = {
            "seed": 1,
            "pipeline": {"datasets": ["made"], "shardings": ["whole"]},
            "datasets": {"made": {"source": made}},
            "shardings": {"whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"}},
            "families": {"made": {"dataset": "made", "candidates": [{"model": "mostpop", "sharding": "whole"}]}},
            "models": {"wmf": {"embedding_dim": 8, "sweeps": 3}},
        }
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        return cls(folder, folder.parent / f"{folder.name}-keys")

    def with_keys(self, folder: Path) -> Project:
        return replace(self, keys=folder)

    def run(self, *arguments: str, given: str | None = None) -> Done:
        """``lethe ARGUMENTS`` in the project's folder, with ``given`` on its standard input."""
        return self.ended(self.start(*arguments), arguments[0], given)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """``lethe ARGUMENTS`` that runs beside others, in a session of its own; see ``ended``."""
        return subprocess.Popen(
            [sys.executable, "-m", "lethe.cli", *arguments],
            cwd=self.root,
            env={**os.environ, "LETHE_KEY_DIR": str(self.keys), **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ended(self, command: subprocess.Popen[str], name: str, given: str | None = None) -> Done:
        """How a command ended that was started. Raises Wrong for a traceback."""
        try:
            out, error = command.communicate(given, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(command.pid, signal.SIGKILL)
            command.communicate()
            raise
        if "Traceback (most recent call last)" in error:
            raise Wrong(f"lethe {name}: a traceback: {error.strip().splitlines()[-1]}")
        return Done(command.returncode, out, error)

    def must(self, *arguments: str, given: str | None = None) -> Done:
        """``run``; raises Wrong where the command fails."""
        done = self.run(*arguments, given=given)
        if done.code:
            raise Wrong(f"lethe {' '.join(arguments[:2])}: {done.line}")
        return done

    def refused(self, *arguments: str) -> str:
        """The one line of a command that must be refused; before it stands at most which stages and gates began."""
        done = self.run(*arguments)
        if done.code == 0:
            raise Wrong(f"lethe {' '.join(arguments[:2])}: not refused")
        lines = [line for line in done.error.strip().splitlines() if not line.startswith(("data: ", "gates: "))]
        if len(lines) != 1 or not lines[0].startswith("error: "):
            raise Wrong(f"lethe {' '.join(arguments[:2])}: refused in {len(lines)} lines: {lines[:2]}")
        return lines[0]

    def serve_only(self, *datasets: str, model: str = "wmf") -> None:
        """params.yaml with these datasets alone, and one family for each."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params["datasets"] = {name: params["datasets"][name] for name in datasets}
        params["pipeline"]["datasets"] = list(datasets)
        candidates = [{"model": model, "sharding": "whole"}]
        params["families"] = {name: {"dataset": name, "candidates": candidates} for name in datasets}
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def add_file(self, name: str, content: str | bytes, dataset: str, *options: str) -> Done:
        """Write a source file and ``data add`` it."""
        path = self.root / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.run("data", "add", dataset, str(path), *options)

    def requests(self) -> list[dict[str, object]]:
        """What ``forget list`` says of each request."""
        listed: list[dict[str, object]] = json.loads(self.must("forget", "list", "--json").out)
        return listed

    def forget(self, user: str, *options: str) -> dict[str, object]:
        """``forget add`` and ``forget run``; the request as it is listed then."""
        self.must("forget", "add", "--user", user, *options)
        self.must("forget", "run")
        return self.requests()[-1]

    def holders(self, user: str) -> list[str]:
        """Every table below data/, artifacts/ and the store of models that holds a person, read with pyarrow alone."""
        below = (self.root / "data", self.root / "artifacts", self.root / ".lethe" / "bentoml")
        return [str(p.relative_to(self.root)) for folder in below for p in tables(folder) if user in people(p)]

    def certificates(self) -> list[Path]:
        return sorted((self.root / "certificates").glob("req-*.json"))

    def check_certificates(self) -> int:
        """How many certificates the independent program believes; raises Wrong where it refuses one."""
        for path in self.certificates():
            keys = sorted(path.parent.glob("*.pem"))
            command = [sys.executable, str(ROOT / "tools" / "check_certificate.py"), str(path), "--key", str(keys[0])]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            if done.returncode:
                raise Wrong(f"check_certificate.py refuses a certificate: {(done.stdout + done.stderr).strip()[-200:]}")
        return len(self.certificates())


def ship(folder: Path) -> None:
    """A new folder with what the repository ships beside the code, but for params.yaml."""
    folder.mkdir(parents=True)
    (folder / "suppression").mkdir()
    (folder / ".dvc").mkdir()
    for name in ("dvc.yaml", ".dvc/config", ".dvcignore", "bentofile.yaml"):
        shutil.copyfile(ROOT / name, folder / name)


def tables(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*.parquet") if path.is_file()) if folder.is_dir() else []


def people(path: Path) -> set[str]:
    """Ids, as text, in the columns of people of a Parquet file."""
    table = pq.read_table(path)
    names = (*PEOPLE, "id") if path.name in ("users.parquet", "friends.parquet") else PEOPLE
    return {str(value) for name in names if name in table.column_names for value in table[name].unique().to_pylist()}


def csv(rows: Sequence[Sequence[object]], header: Sequence[str], separator: str = ",") -> str:
    """Rows as CSV."""
    return "\n".join(separator.join(map(str, row)) for row in (header, *rows)) + "\n"


def must(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(f"not so: {what}")
