"""The running service as a store: every worker is heard before it is said that none holds what is forgotten."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from lethe.core.workspace import Workspace
from lethe.forgetting.stores.service import Running
from lethe.serving import deploy
from lethe.serving.server import Server

NEW, OLD = "of now", "of before"


@dataclass(frozen=True)
class TwoWorkers(Server):
    """Number 1 takes whatever comes while it is idle; number 2, which serves what was before, takes the rest."""

    deaf: bool = False
    at_work: ClassVar = threading.Lock()

    def worker_pids(self) -> set[int]:
        return {1, 2}

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 30) -> Any:
        if self.deaf or self.at_work.acquire(blocking=False):
            threading.Event().wait(0.01)
            if not self.deaf:
                self.at_work.release()
            return {"pid": 1, "families": {"family": {"data_digest": NEW, "version": "family:1"}}}
        return {"pid": 2, "families": {"family": {"data_digest": OLD, "version": "family:0"}}}


def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool) -> list[str]:
    server = TwoWorkers(0, 0.0, "127.0.0.1", 1, 2, deaf=deaf)
    monkeypatch.setattr(deploy, "status", lambda _: server)
    # The server's own clock, not everybody's: threads of other libraries look at that one.
    clock = SimpleNamespace(monotonic=iter(range(0, 1000, 20)).__next__, sleep=time.sleep)
    monkeypatch.setattr("lethe.serving.server.time", clock)
    needles = [type("Needles", (), {"digests": frozenset({OLD})})()]
    return [str(place) for place in Running(Workspace(tmp_path)).find(needles).places]


def test_who_answers_only_while_others_are_asked_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, monkeypatch, deaf=False) == ["family: superseded version"]


def test_one_that_never_answers_is_no_proof_of_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, monkeypatch, deaf=True) == ["a worker: unreadable"]
