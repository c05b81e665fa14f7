"""Lines for people, or objects for programs."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lethe.core import logs
from lethe.errors import ConfigError


def test_a_line_is_a_line_until_objects_are_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.say("waits", run="nightly 2026-11-26")
    assert (capsys.readouterr().err, logs.fault("no")) == ("waits\n", "error: no")
    monkeypatch.setenv(logs.VARIABLE, "json")
    logs.say("waits\nhere", run="nightly 2026-11-26")
    said = json.loads(capsys.readouterr().err)
    assert said.pop("at").endswith("+00:00")
    assert said == {"level": "info", "logger": "lethe", "run": "nightly 2026-11-26", "message": "waits\nhere"}
    assert json.loads(logs.fault("no"))["level"] == "error"


def test_another_form_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.VARIABLE, "yaml")
    with pytest.raises(ConfigError, match=r"^LETHE_LOG: 'yaml' must be text or json$"):
        logs.begin()


def test_what_is_not_an_object_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    logs.hand_on(['{"message": "kept"}\n', "a line of somebody else\n"])
    kept, made = map(json.loads, capsys.readouterr().err.splitlines())
    assert (kept["message"], made["message"], made["logger"]) == ("kept", "a line of somebody else", "bentoml")


def test_a_fault_keeps_its_kind_and_loses_its_text() -> None:
    try:
        raise KeyError("user-003")
    except KeyError:
        record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 1, "broke", (), sys.exc_info())
    line = logs.JsonLines().format(record)
    assert json.loads(line)["exception"] == "KeyError"
    assert "user-003" not in line


def test_a_command_that_fails_ends_with_an_object(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lethe.cli", "status"],
        cwd=tmp_path,
        env={**os.environ, "LETHE_LOG": "json"},
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stderr)
    assert (done.returncode, said["level"]) == (1, "error")
    assert "lethe init makes a project" in said["message"]
