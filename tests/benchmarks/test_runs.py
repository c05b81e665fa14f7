"""How benchmarks measure: apart, and once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ROOT, runs
from benchmarks.runs import apart, kept


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path, made = tmp_path / "figures" / "train.json", iter([{"seconds": 1.5}])
    assert kept(path, lambda: next(made)) == kept(path, lambda: next(made)) == {"seconds": 1.5}


def test_what_is_not_worth_it_is_measured_again(tmp_path: Path) -> None:
    path, made = tmp_path / "case.json", iter([{"wrong": "a row is left"}, {"wrong": ""}])
    results = [kept(path, lambda: next(made), worth=lambda case: not case["wrong"]) for _ in range(3)]
    assert results == [{"wrong": "a row is left"}, {"wrong": ""}, {"wrong": ""}]


def test_without_a_path_nothing_is_kept() -> None:
    made = iter([1, 2])
    assert [kept(None, lambda: next(made)) for _ in range(2)] == [1, 2]


def ends(monkeypatch: pytest.MonkeyPatch, code: int) -> list[Any]:
    """Processes that say a word, their figures, and a complaint; returns what they are started with."""
    started: list[Any] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        started.append((command[1:], options["cwd"], options["env"]))
        return subprocess.CompletedProcess(command, code, 'loading\n{"seconds": 2}\n', "no memory\n")

    monkeypatch.setattr(runs.subprocess, "run", run)
    return started


def test_a_module_says_its_figures_last(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    started = ends(monkeypatch, 0)
    assert apart("growth", 1000, environment={"A": "b"}) == {"seconds": 2}
    assert started == [(["-m", "benchmarks.growth", "1000"], ROOT, {"A": "b"})]
    assert capsys.readouterr().err == ""


def test_of_a_module_that_fails_its_complaint_is_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(monkeypatch, 1)
    with pytest.raises(subprocess.CalledProcessError):
        apart("growth", 1000)
    assert capsys.readouterr().err == "no memory\n"
