"""Steps without Prefect: what ``flows.watched`` does for our flows, in this process alone and watched by nobody."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from typing import Any, Generic, ParamSpec, TypeVar

from lethe.core import logs

__all__ = [
    "PrefectFuture",
    "as_completed",
    "flow",
    "link",
    "quiet",
    "rename",
    "say",
    "server_fault",
    "table",
    "tagged",
    "task",
    "tell",
]

P = ParamSpec("P")
R = TypeVar("R")

PrefectFuture = Future
_POOLS: list[ThreadPoolExecutor] = []
"""Where steps are run that are submitted now: the last one."""


class Step(Generic[P, R]):
    """A flow or a task: a function that is called, or submitted."""

    def __init__(self, run: Callable[P, R], workers: Callable[[], int] | None = None) -> None:
        functools.update_wrapper(self, run)
        self.fn, self._workers = run, workers

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._workers is None:
            return self.fn(*args, **kwargs)
        pool = ThreadPoolExecutor(self._workers(), thread_name_prefix=self.fn.__name__)
        _POOLS.append(pool)
        try:
            return self.fn(*args, **kwargs)
        finally:
            _POOLS.remove(pool)
            # Of what went wrong the first is told; what hasn't begun is not begun.
            pool.shutdown(cancel_futures=True)

    def submit(self, *args: Any, **kwargs: Any) -> Future[R]:
        """Begin it beside others; what it is given may be futures, or hold them."""
        return _POOLS[-1].submit(lambda: self.fn(*_resolved(args), **_resolved(kwargs)))


def _resolved(given: Any) -> Any:
    # Steps are begun in the order of their submission, so those that one waits for have begun before it.
    if isinstance(given, Future):
        return given.result()
    if isinstance(given, dict):
        return {name: _resolved(value) for name, value in given.items()}
    return type(given)(map(_resolved, given)) if type(given) in (list, tuple) else given


def task(run: Callable[P, R] | None = None, **_: Any) -> Any:
    """As ``flows.watched.task``; what is only of use to a server is left out."""
    return Step if run is None else Step(run)


def flow(*, workers: Callable[[], int] | None = None, **_: Any) -> Any:
    return lambda run: Step(run, workers)


def say(line: object) -> None:
    """On standard error, because standard output is the report's of the command that called us."""
    logs.say(line)


def _nothing(*_: object) -> None:
    """Nobody watches."""


rename = table = link = tell = quiet = _nothing


def server_fault(_: Exception) -> None:
    """There is no server."""


def tagged(*_: str) -> nullcontext[None]:
    return nullcontext()
