"""Fulfil every accepted forget request: plan, remove rows, data, training, redeployment, purge, certificate."""

from __future__ import annotations

from prefect import flow, task

from flows import training
from flows.command import alone, command
from flows.deployment import deployment
from lethe.core.workspace import Workspace
from lethe.forgetting import completion, erasure
from lethe.forgetting import run as runs


@task(name="plan")
def begin(scheduled: bool) -> runs.Run | None:
    return runs.begin(Workspace.find(), scheduled=scheduled)


@task(name="remove rows")
def remove_rows(run: runs.Run) -> None:
    runs.remove_rows(Workspace.find(), run)


@task(name="confirm")
def confirm(run: runs.Run) -> None:
    runs.confirm(Workspace.find(), run)


@task(name="purge and scan")
def erase(run: runs.Run) -> runs.Run:
    return erasure.erase(Workspace.find(), run)


@task(name="certify")
def complete(run: runs.Run) -> None:
    completion.complete(Workspace.find(), run)


@flow(name="forgetting")
@alone
def forgetting(scheduled: bool = False) -> list[str]:
    """Ids of the requests that were fulfilled; an interrupted run is taken up where it stopped, then a new one begins
    over whatever waits. A ``scheduled`` run may let requests wait for others, up to the earliest due date."""
    done: list[str] = []
    while (run := begin(scheduled)) is not None:
        remove_rows(run)
        training.run(list(run.datasets))
        deployment()
        confirm(run)
        complete(erase(run))
        done += run.requests
    return done


if __name__ == "__main__":
    command(forgetting)
