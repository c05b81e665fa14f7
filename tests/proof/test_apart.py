"""Verification from a process that didn't begin as ours do: a notebook's, whose bytes say nothing about ours."""

from __future__ import annotations

from typing import Any

import pytest

from lethe.core.workspace import NUMERIC, Workspace
from lethe.errors import LetheError, NotComparable
from lethe.proof import apart
from lethe.proof.compare import Comparison

SAID = Comparison(("shop/package", "shop/sub-model/00"), ("shop/package",), ("shop/split/train",), "a seed")


@pytest.fixture
def asked(tiny: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """The arguments of each process that is asked for, which is played here, between lines of its own."""
    arguments: list[Any] = []

    def run_module(_: Workspace, module: str, *given: str, error: type[LetheError]) -> str:
        assert module == apart.__name__
        arguments.append(given)
        with monkeypatch.context() as patched:
            patched.chdir(tiny.root)
            assert apart.main([*given]) == 0
        return f"waiting: another flow\n{capsys.readouterr().out}bye\n"

    for name, value in NUMERIC.items():
        if name.startswith(("OMP_NUM", "OPENBLAS", "MKL")):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(apart, "run_module", run_module)
    monkeypatch.setattr(apart, "verify", lambda workspace, sample=None: SAID)
    return arguments


def test_a_process_that_began_as_ours_do_verifies_itself(tiny: Workspace, asked: list[Any]) -> None:
    assert apart.verify_anywhere(tiny, 1) is SAID
    assert asked == []


@pytest.mark.parametrize(("name", "value"), [("MKL_CBWR", None), ("OMP_NUM_THREADS", "2")])
def test_another_asks_one_that_did(
    tiny: Workspace, asked: list[Any], monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    assert apart.verify_anywhere(tiny, 3) == apart.verify_anywhere(tiny) == SAID
    assert asked == [("3",), ()]


def test_what_stops_it_is_one_line(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verify(workspace: Workspace, sample: int | None = None) -> Comparison:
        raise NotComparable("not comparable: this and that")

    monkeypatch.setattr(apart, "verify", verify)
    monkeypatch.chdir(tiny.root)
    assert apart.main([]) == 1
    assert capsys.readouterr().err == "error: not comparable: this and that\n"
