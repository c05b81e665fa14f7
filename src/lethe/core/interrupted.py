"""Ctrl-C while a process still loads what it needs, before it can say what becomes of its work."""

from __future__ import annotations

import os
import sys
from types import TracebackType

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
        print(logs.fault("interrupted; nothing was begun"), file=sys.stderr, flush=True)
        # Python would end by the signal once more, which nobody takes for Ctrl-C who waits for us.
        os._exit(INTERRUPTED)

    sys.excepthook = hook
