"""What must hold on any day is looked at: an audit that finds a difference fails, with one line that says which."""

from __future__ import annotations

import sys

from flows.command import alone, command
from flows.engine import flow, task
from lethe.core.canonical import Json
from lethe.core.workspace import Workspace
from lethe.proof import daily as checks


@task(name="requests")
def requests() -> checks.Requests:
    return checks.check_requests(Workspace.find())


@task(name="log and certificates")
def log() -> checks.Log:
    return checks.check_log(Workspace.find())


@task(name="suppression list")
def suppression() -> checks.Listed:
    return checks.check_suppression(Workspace.find())


@task(name="search every store", outside=True)
def search() -> checks.Searched:
    return checks.search(Workspace.find())


@task(name="sampled rebuild")
def rebuild(seed: str | None) -> Json:
    return checks.rebuild(Workspace.find(), seed=seed)


@flow(name="audit")
@alone
def audit(seed: str | None = None) -> None:
    """Requests, log, suppression list, absence scan, sampled rebuild (``seed`` draws the sample; random without one);
    reports/audit.json where all of it holds."""
    checks.begin(Workspace.find())
    results = checks.Results(
        requests=requests(), log=log(), suppression=suppression(), scan=search(), rebuild=rebuild(seed)
    )
    checks.write_report(Workspace.find(), results)


if __name__ == "__main__":
    command(lambda: audit(*sys.argv[1:]))
