"""A Dask cluster as a runner: the scheduler that is named, or a local one of as many processes as there are workers.

A worker that goes away loses nothing: its call is made again by another, from the checkpoint it left. Keys of Dask's
tasks are a function's name, the run and a number, so that nothing of a person is in its logs or pages.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from lethe.config.params import Training
from lethe.core.elsewhere import sent_out
from lethe.core.workspace import NUMERIC, Workspace
from lethe.errors import ConfigError, Unreachable
from lethe.learning.runner.worker import Answer, Terms, perform, refusal, refused

if TYPE_CHECKING:
    from distributed import Client, Future

R = TypeVar("R")

ANSWERS_IN = 15.0
"""Seconds that a scheduler has to answer, and a cluster to have its first worker."""
LOOK = 2.0
"""Seconds between two looks at whether the cluster is still there."""
PATIENCE = 60.0
"""Seconds that a cluster may be without any worker: one that was killed is started again in a few."""
UNABLE = "can't run this Lethe's code; install the same version there, and start it anew"
"""What is said of a worker that can't even load what it is asked."""
RESUME = "what was made is kept, and the next run resumes there"


class Cluster:
    """Calls are made by the workers of a cluster, each by the one that is free."""

    def __init__(self, client: Client, terms: Terms, name: str) -> None:
        self._client, self._terms, self._name = client, terms, name
        self._numbers = itertools.count()

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        key = f"{function.__name__}-{self._terms.run}-{next(self._numbers)}"
        # Retries are for calls that raise, which ``perform`` never does.
        future = self._client.submit(perform, self._terms, function, *arguments, key=key, pure=False)
        answer = self._answer(future)
        if answer.fault is not None:
            raise answer.fault
        value: R = answer.value
        return value

    def _answer(self, future: Future) -> Answer:
        from distributed.scheduler import KilledWorker

        seen = time.monotonic()
        while True:
            try:
                answer: Answer = future.result(timeout=LOOK)
                return answer
            except TimeoutError:
                seen = time.monotonic() if self._has_workers() else seen
            except CancelledError:
                raise self._gone() from None
            except KilledWorker as error:
                raise ConfigError(
                    f"training.runner: {error.allowed_failures + 1} Dask workers in turn died of one call, perhaps for"
                    f" want of memory; give each more of it, or lay more shards; {RESUME}"
                ) from None
            except Exception:
                raise ConfigError(refused("that was asked", UNABLE)) from None
            if time.monotonic() - seen > PATIENCE:
                raise Unreachable(f"{self._name}: has no worker any more; {RESUME}")

    def _has_workers(self) -> bool:
        if self._client.status != "running":
            raise self._gone()
        return bool(self._client.scheduler_info(n_workers=-1)["workers"])

    def _gone(self) -> Unreachable:
        return Unreachable(f"{self._name}: the scheduler went away; {RESUME}")


@contextmanager
def connected(workspace: Workspace, training: Training, address: str | None) -> Iterator[Cluster]:
    """A cluster whose workers were asked whether they compute as this process does. Raises ConfigError where one
    doesn't, or Dask isn't installed; Unreachable where no scheduler or worker answers."""
    name = f"the Dask cluster {address}" if address else "the local Dask cluster"
    with sent_out(workspace) as run, _client(workspace, training, address) as client:
        terms = Terms.of(workspace, run, training.device)
        _must_agree(client, terms, name)
        yield Cluster(client, terms, name)


@contextmanager
def _client(workspace: Workspace, training: Training, address: str | None) -> Iterator[Client]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigError("training.runner: 'dask' needs the package distributed; install lethe-recsys[dask]") from None
    _quiet()
    if address is not None:
        try:
            client = Client(address, timeout=ANSWERS_IN, set_as_default=False)
        except OSError:
            raise Unreachable(
                f"training.dask_address: no scheduler answers at {address} within {ANSWERS_IN:.0f} s; start it (dask"
                " scheduler), name another, or set training.runner: threads"
            ) from None
        with client:
            yield client
        return
    with (
        _settings(),
        LocalCluster(
            n_workers=training.workers,
            threads_per_worker=1,
            # As for threads: what is too much for the machine is refused before it begins.
            memory_limit=0,
            host="127.0.0.1",
            # Whoever else is on this machine can't send it calls.
            security=True,
            scheduler_kwargs={"dashboard": False},
            # It listens in any case: on a free port, for nothing (see ``_settings``).
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            local_directory=str(workspace.temporary),
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _settings() -> Any:
    """What Dask has no argument for: the environment of its processes from their very beginning, when it still counts;
    and pages for nobody."""
    import dask

    pages: dict[str, list[str]] = {f"distributed.{node}.http.routes": [] for node in ("scheduler", "worker")}
    return dask.config.set({"distributed.nanny.pre-spawn-environ": NUMERIC, **pages})


def _quiet() -> None:
    """What Dask says of a cluster that goes away stands in our one line."""
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _must_agree(client: Client, terms: Terms, name: str) -> None:
    try:
        client.wait_for_workers(1, timeout=ANSWERS_IN)
    except TimeoutError:
        raise Unreachable(f"{name}: has no worker; start one on each machine (lethe worker ADDRESS)") from None
    said: dict[str, str | Exception | None] = client.run(refusal, terms, on_error="return")
    for worker, reason in sorted(said.items()):
        if reason is not None:
            raise ConfigError(refused(worker, UNABLE if isinstance(reason, Exception) else reason))
