"""Steps without Prefect: what its decorators, futures and runner do for our flows, in this process alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

__all__ = ["PrefectFuture", "ThreadPoolTaskRunner", "as_completed", "flow", "task"]

P = ParamSpec("P")
R = TypeVar("R")

PrefectFuture = Future
_POOLS: list[ThreadPoolExecutor] = []
"""Where steps are run that are submitted now: the last one."""


@dataclass(frozen=True)
class ThreadPoolTaskRunner:
    max_workers: int | None = None


class Step(Generic[P, R]):
    """A flow or a task: a function that is called, or submitted."""

    def __init__(self, run: Callable[P, R], runner: ThreadPoolTaskRunner | None = None) -> None:
        functools.update_wrapper(self, run)
        self.fn, self._runner = run, runner

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._runner is None:
            return self.fn(*args, **kwargs)
        pool = ThreadPoolExecutor(self._runner.max_workers, thread_name_prefix=self.fn.__name__)
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

    def with_options(self, *, task_runner: ThreadPoolTaskRunner) -> Step[P, R]:
        """The same, whose steps are submitted to such a runner."""
        return Step(self.fn, task_runner)


def _resolved(given: Any) -> Any:
    # Steps are begun in the order of their submission, so those that one waits for have begun before it.
    if isinstance(given, Future):
        return given.result()
    if isinstance(given, dict):
        return {name: _resolved(value) for name, value in given.items()}
    return type(given)(map(_resolved, given)) if type(given) in (list, tuple) else given


def task(run: Callable[P, R] | None = None, **_: Any) -> Any:
    """As ``prefect.task``; what is only of use to its server is left out."""
    return Step if run is None else Step(run)


flow = task
