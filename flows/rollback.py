"""Serve an earlier version of a family again. ``python -m flows.rollback FAMILY [TAG]``."""

from __future__ import annotations

import sys

from flows.command import alone, command
from flows.deployment import deployment
from flows.engine import flow, task
from lethe.core.shipped import call_flow
from lethe.core.workspace import Workspace
from lethe.forgetting import rollback as versions


@task(name="roll back")
def roll_back(family: str, to: str | None) -> str:
    return versions.roll_back(Workspace.find(), family, to)


@flow(name="rollback", called="rollback {family}")
@alone
def rollback(family: str, to: str | None = None) -> str:
    """The earlier version becomes current, then it is deployed; returns its tag."""
    tag = roll_back(family, to)
    call_flow(deployment, limited=False)
    return tag


if __name__ == "__main__":
    command(lambda: rollback(*sys.argv[1:]))
