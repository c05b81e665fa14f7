"""Ctrl-C while a process still loads what it needs, before it can say what becomes of its work."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NoReturn

from lethe.core import logs

INTERRUPTED = 130
"""Exit code of a process that was stopped by Ctrl-C, as a shell has it."""


def in_one_line() -> None:
    """From now on Ctrl-C that nobody takes ends in one line; Python would show what was being loaded."""
    others = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            others(kind, error, trace)
            return
        end("interrupted; nothing was begun")

    sys.excepthook = hook


def by_ctrl_c(number: int, frame: FrameType | None) -> NoReturn:
    """A handler for other signals that mean the same: SIGTERM of a supervisor, SIGHUP of a terminal that is closed."""
    raise KeyboardInterrupt


@contextmanager
def however_it_ends() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP are taken as Ctrl-C is, but for one that whoever started us had us ignore (nohup)."""
    ours = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, by_ctrl_c) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def while_loading() -> Iterator[None]:
    """Until all is loaded Ctrl-C ends in one line, at once. Whoever started us not to hear of it isn't told here."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: end("interrupted; nothing was begun"))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def without_more() -> Iterator[None]:
    """What ends by Ctrl-C says so in one line, unless it has, and while it ends one more is not heard."""
    try:
        yield
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if _by_ctrl_c(ended):
                print(logs.fault("interrupted"), file=sys.stderr, flush=True)
        raise


def _by_ctrl_c(error: BaseException) -> bool:
    before = error.__cause__ or error.__context__
    return before is not None and (isinstance(before, KeyboardInterrupt) or _by_ctrl_c(before))


def end(line: str) -> None:
    """End this process as one that was stopped by Ctrl-C, however often it comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Not by print: the signal may have come while something is written.
    os.write(2, f"{logs.fault(line)}\n".encode(errors="backslashreplace"))
    # Python would end by the signal once more, which nobody takes for Ctrl-C who waits for us.
    os._exit(INTERRUPTED)
