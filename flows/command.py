"""How a flow runs: alone in its workspace, and as a command whose errors are one line."""

from __future__ import annotations

import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, ParamSpec, TextIO, TypeVar

from flows.engine import quiet, server_fault, tagged
from lethe.core import logs, process
from lethe.core.format import must_fit
from lethe.core.interrupted import INTERRUPTED
from lethe.core.workspace import Workspace
from lethe.data import stages
from lethe.errors import LetheError

P = ParamSpec("P")
R = TypeVar("R")


def alone(run: Callable[P, R]) -> Callable[P, R]:
    """Run while no other flow does; a flow that another one calls shares its lock (see lethe.core.process)."""

    @functools.wraps(run)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
        workspace = Workspace.find()
        must_fit(workspace)
        logs.begin()
        with process.alone(workspace):
            return run(*args, **kwargs)

    return waiting


def command(run: Callable[[], object]) -> None:
    """Run a flow; an error a user can mend, such as a full disk or a server that is away, is one line on standard error
    and exit code 1. So is Ctrl-C, with 130; nothing we started is left then, and what was under way the next run
    resumes."""
    quiet()
    sys.stdout, sys.stderr = Unbroken(sys.stdout), Unbroken(sys.stderr)
    try:
        logs.begin()
        with process.modules_warm(stages.prepare), tagged("command"):
            signal.signal(signal.SIGINT, _interrupted)
            run()
    except (LetheError, OSError) as error:
        sys.exit(logs.fault(error))
    except Exception as error:
        if line := server_fault(error):
            sys.exit(logs.fault(line))
        raise


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """End at once, as a kill would: Prefect would wait for models in training, and ask a server that is gone."""
    signal.signal(signal.SIGINT, _interrupted_again)
    process.end_children()
    _end()


def _interrupted_again(number: int, frame: FrameType | None) -> NoReturn:
    """A second Ctrl-C doesn't wait for children either."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.kill_children()
    _end()


def _end() -> NoReturn:
    with suppress(OSError):
        line = logs.fault("interrupted; the next run resumes what was under way")
        os.write(sys.stderr.fileno(), f"{line}\n".encode())
    os._exit(INTERRUPTED)


class Unbroken(io.TextIOBase):
    """A stream whose reader may go away (``| head``, a pager, a connection): what is then written goes nowhere, and the
    flow goes on. A progress bar that can't write would hold its lock, and the flow with it, for good."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._unbroken():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._unbroken():
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
