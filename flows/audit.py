"""What must hold on any day is looked at: an audit that finds a difference fails, with one line that says which."""

from __future__ import annotations

from typing import Any

from prefect import flow, task

from flows.command import alone, command
from lethe.core.workspace import Workspace
from lethe.proof import daily as checks


@task(name="requests")
def requests() -> dict[str, Any]:
    return checks.check_requests(Workspace.find())


@task(name="log and certificates")
def log() -> dict[str, Any]:
    return checks.check_log(Workspace.find())


@task(name="suppression list")
def suppression() -> dict[str, Any]:
    return checks.check_suppression(Workspace.find())


@task(name="search every store")
def search() -> dict[str, Any]:
    return checks.search(Workspace.find())


@task(name="sampled rebuild")
def rebuild() -> dict[str, Any]:
    return checks.rebuild(Workspace.find())


@flow(name="audit")
@alone
def audit() -> None:
    """Requests, log, suppression list, absence scan, sampled rebuild; reports/audit.json where all of it holds."""
    checks.begin(Workspace.find())
    results = {"requests": requests(), "log": log(), "suppression": suppression()}
    checks.write_report(Workspace.find(), **results, scan=search(), rebuild=rebuild())


if __name__ == "__main__":
    command(audit)
