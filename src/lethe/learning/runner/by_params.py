"""Where sub-models, candidates and trials are made: in this process, or by the workers of a Dask cluster.

What is made is the same: a call is a function of what it is given, writes its artifacts whole into the project's
store, and returns their keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from lethe.config.params import DASK_ADDRESS, Params
from lethe.core import cores
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from lethe.learning.runner.calling import HERE, Runner

ADDRESS = "LETHE_DASK_ADDRESS"
"""Names the scheduler in place of ``training.dask_address``: what differs between machines isn't in params.yaml."""
WAITING = 64
"""Calls that wait for a cluster at once. Which of them are under way its scheduler decides, by the workers it has."""


@contextmanager
def runner(workspace: Workspace, params: Params) -> Iterator[Runner]:
    """What params.yaml names, ready; of a cluster every worker has been asked whether it computes as this process does.

    Raises ConfigError where one doesn't, Unreachable where no scheduler or worker answers.
    """
    cores.use(params.training.threads)
    if params.training.runner == "threads":
        yield HERE
        return
    from lethe.learning.runner.cluster import connected

    with connected(workspace, params.training, address(params)) as cluster:
        yield cluster


def must_answer(workspace: Workspace, params: Params) -> None:
    """Raises as ``runner`` does, before anything is begun; a local cluster is there whenever it is wanted."""
    if address(params) is not None:
        with runner(workspace, params):
            pass


def address(params: Params) -> str | None:
    """Of the scheduler that is to be asked; None where there is none, or a local one is to be started."""
    if params.training.runner == "threads":
        return None
    named = os.environ.get(ADDRESS)
    if named and not re.fullmatch(DASK_ADDRESS, named):
        raise ConfigError(f"{ADDRESS}: {named!r} must be tcp://HOST:PORT or tls://HOST:PORT")
    return named or params.training.dask_address


def calls_at_once(params: Params) -> int:
    """How many calls may wait for their results together."""
    return params.training.workers if address(params) is None else WAITING
