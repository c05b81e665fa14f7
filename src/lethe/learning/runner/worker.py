"""What a worker of a Dask cluster does for a run: nothing, until it is sure to make the same bytes; then what it is
asked. It hands back values and faults alike, because what is raised in a worker is logged there with its text and what
it was called with."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lethe.core.canonical import Json, digest_file
from lethe.core.elsewhere import at_work, is_seen, place_on_this_machine
from lethe.core.environment import numeric_environment, whole_code_digest
from lethe.core.process import BrokeDown, place_of
from lethe.core.workspace import NUMERIC, Workspace
from lethe.errors import ConfigError, LetheError
from lethe.learning.device import pick_device, take_place

Standing = Json
"""By name what decides the bytes of a result beside its inputs."""

_AGREED: set[str] = set()
"""Runs that this process was found to agree with."""


@dataclass(frozen=True)
class Terms:
    """On which a run takes results from a worker."""

    workspace: Workspace
    run: str
    device: str
    standing: Standing

    @classmethod
    def of(cls, workspace: Workspace, run: str, device: str) -> Terms:
        return cls(workspace, run, device, standing(workspace, device))


@dataclass(frozen=True)
class Answer:
    """What a call came to."""

    value: Any = None
    fault: Exception | None = None


def standing(workspace: Workspace, device: str) -> Standing:
    """Of this process."""
    return {
        "params.yaml": digest_file(workspace.params)[:12],
        "code": whole_code_digest()[:12],
        **numeric_environment(pick_device(device).type),
    }


def refusal(terms: Terms) -> str | None:
    """Why this worker can't work for a run: field, value, rule and what to do; None where it can."""
    if not is_seen(terms.workspace, terms.run):
        return f"doesn't see the project: {terms.workspace.root} must be the same folder on every machine; share it"
    for name, wanted in NUMERIC.items():
        if os.environ.get(name) != wanted:
            return f"has {name} {_said(os.environ.get(name))}, must be {wanted!r}; start it by lethe worker"
    try:
        own = standing(terms.workspace, terms.device)
    except LetheError as error:
        return f"can't compute for this run: {error}"
    for name in {**terms.standing, **own}:
        if own.get(name) != terms.standing.get(name):
            return (
                f"has {name} {_said(own.get(name))}, must be {_said(terms.standing.get(name))} as here; {_cure(name)}"
            )
    return None


def _said(value: object) -> str:
    return "unset" if value is None else repr(value)


def _cure(name: str) -> str:
    if name == "params.yaml":
        return "let it have this project's"
    if name == "code":
        return "install the same Lethe there, and start it anew"
    return "install the same requirements.lock there, on the same kind of machine, or leave it out of this cluster"


def perform(terms: Terms, function: Callable[..., Any], *arguments: object) -> Answer:
    """Called in a worker."""
    try:
        _must_agree(terms)
        with at_work(terms.workspace, terms.run):
            return Answer(function(*arguments))
    except (LetheError, OSError, BrokeDown) as error:
        fault: Exception = error
    except Exception as error:
        fault = BrokeDown(f"{place_of(error)}; run it with training.runner: threads to see all of it")
    return Answer(fault=fault.with_traceback(None))


def _must_agree(terms: Terms) -> None:
    """A worker may have joined after the run began, when all that were there were asked."""
    if terms.run in _AGREED:
        return
    if reason := refusal(terms):
        from distributed import get_worker

        raise ConfigError(refused(get_worker().address, reason))
    if not _AGREED:
        # Processes of one machine don't know of one another, and each would take its first GPU.
        take_place(place_on_this_machine(terms.workspace))
    _AGREED.add(terms.run)


def refused(worker: str, reason: str) -> str:
    return f"training.runner: the Dask worker {worker} {reason}"


def dask_setup(worker: object) -> None:
    """Dask calls it in every worker that ``lethe worker`` starts: the digest is of the code that is loaded now, not of
    what may lie there later."""
    whole_code_digest()
