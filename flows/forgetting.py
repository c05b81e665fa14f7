"""Fulfil every accepted forget request: plan, remove rows, data, training, redeployment, purge, proof, certificate."""

from __future__ import annotations

from flows.command import alone, command
from flows.deployment import deployment
from flows.engine import flow, link, rename, say, table, task
from flows.training import training
from lethe.config.params import Params
from lethe.core.shipped import call_flow
from lethe.core.workspace import Workspace
from lethe.forgetting import completion, erasure
from lethe.forgetting import run as runs
from lethe.forgetting.aside import left_out
from lethe.forgetting.certificate import Verification
from lethe.forgetting.record import Run
from lethe.learning.runner.by_params import must_answer
from lethe.proof import request
from lethe.tables.reader import Reader


@task(name="plan")
def begin(scheduled: bool, reader: Reader) -> Run | None:
    return runs.begin(Workspace.find(), scheduled=scheduled, reader=reader)


@task(name="remove rows")
def remove_rows(run: Run) -> None:
    runs.remove_rows(Workspace.find(), run)


@task(name="confirm")
def confirm(run: Run, reader: Reader) -> None:
    runs.confirm(Workspace.find(), run, reader)


@task(name="purge and scan", outside=True)
def erase(run: Run, reader: Reader) -> Run:
    return erasure.erase(Workspace.find(), run, reader)


@task(name="rebuild")
def prove(run: Run, reader: Reader) -> Verification:
    return request.prove(Workspace.find(), run, reader=reader)


@task(name="certify")
def complete(run: Run, verification: Verification, reader: Reader) -> list[str]:
    return completion.complete(Workspace.find(), run, verification, reader)


@flow(name="forgetting")
@alone
def forgetting(scheduled: bool = False) -> list[str]:
    """Ids of the requests that were fulfilled; an interrupted run is taken up where it stopped, then a new one begins
    over whatever waits. A ``scheduled`` run may let requests wait for others, up to the earliest due date."""
    done, reader, workspace = list[str](), Reader(), Workspace.find()
    must_answer(workspace, Params.read(workspace.params))
    while (run := begin(scheduled, reader)) is not None:
        _show(run, done)
        remove_rows(run)
        call_flow(training, list(run.datasets))
        call_flow(deployment, limited=False)
        confirm(run, reader)
        run = erase(run, reader)
        done += complete(run, prove(run, reader), reader)
        _link(run)
    for line in left_out(workspace):
        say(line)
    return done


def _show(run: Run, done: list[str]) -> None:
    """The requests that are on their way, and what they touch."""
    rename(f"forget {run.requests[0]} ({len(done) + len(run.requests)})")
    say(f"forgetting {', '.join(run.requests)}")
    rows = [{"family": one.family, "dataset": one.dataset, "shards": ", ".join(one.touched)} for one in run.plan]
    table("plan", rows, "Shards that are trained anew")


def _link(run: Run) -> None:
    folder = Workspace.find().certificates
    for path in (path for id in run.requests if (path := folder / f"{id}.json").is_file()):
        link("certificate", path.as_uri(), path.name)


if __name__ == "__main__":
    command(forgetting)
