"""Ctrl-C while a command loads, and once more while it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import typer

from lethe.core.interrupted import INTERRUPTED, while_loading, without_more


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    # A shell may have told what it runs in the background not to hear of it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_while_it_loads_it_is_one_line_and_one_more_is_not_heard(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def leave(code: int) -> None:
        signal.raise_signal(signal.SIGINT)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(SystemExit) as ended, while_loading():
        signal.raise_signal(signal.SIGINT)
    assert ended.value.code == INTERRUPTED
    assert capfd.readouterr().err == "error: interrupted; nothing was begun\n"


def test_what_is_loaded_hears_of_it_again() -> None:
    with while_loading():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_who_was_started_not_to_hear_of_it_does_not() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with while_loading():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_command_ends_in_one_line_and_a_flow_that_has_said_its_own_says_no_more(
    capfd: pytest.CaptureFixture[str],
) -> None:
    app = typer.Typer()

    @app.command()
    def wait(by: str) -> None:
        if by == "signal":
            signal.raise_signal(signal.SIGINT)
        raise SystemExit(INTERRUPTED)

    for by, said in (("signal", "error: interrupted\n"), ("flow", "")):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(SystemExit) as ended, without_more():
            app([by])
        signal.raise_signal(signal.SIGINT)
        assert ended.value.code == INTERRUPTED
        assert capfd.readouterr().err == said
