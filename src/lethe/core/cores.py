"""The cores of a process shared out: work that falls into pieces of a fixed size, several at once.

Pieces hang on the work alone, and what they come to is put together in their order, so the bytes are those of one
thread whatever the number. All that a process computes at a time waits for the same few threads: sub-models that are
trained side by side share the cores, and neither gets more than there are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class _Cores:
    """Of this process: how many may compute, and their threads once some were needed."""

    def __init__(self) -> None:
        self.count = 1
        self.threads: ThreadPoolExecutor | None = None
        self.lock = threading.Lock()
        self.inside = threading.local()


_own = _Cores()


def available() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use(count: int | None) -> None:
    """How many cores may compute from now on; None: all that are available. A process begins with one."""
    count = available() if count is None else count
    with _own.lock:
        if count != _own.count:
            # Whoever waits for the old threads still gets what was asked of them.
            _own.count, _own.threads = count, None


def in_pieces(count: int, size: int, work: Callable[[int, int], T]) -> list[T]:
    """``work(first, end)`` of each stretch of ``size`` of ``count``, the last one shorter; in their order.

    ``work`` may write what is its stretch's alone. Several cores are of use where it lets go of the interpreter.
    """
    starts = range(0, count, size)
    threads = _threads() if len(starts) > 1 else None
    if threads is None:
        return [work(first, min(first + size, count)) for first in starts]

    def one(first: int) -> T:
        # What asks for pieces inside of a piece waits for nobody: all threads might do so at once.
        _own.inside.now = True
        return work(first, min(first + size, count))

    return list(threads.map(one, starts))


def _threads() -> ThreadPoolExecutor | None:
    if getattr(_own.inside, "now", False):
        return None
    with _own.lock:
        if _own.count > 1 and _own.threads is None:
            _own.threads = ThreadPoolExecutor(_own.count, thread_name_prefix="cores")
        return _own.threads


def _after_fork() -> None:
    """A process that was forked off has none of the threads, and may have got the lock while it was held."""
    _own.lock, _own.threads = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
