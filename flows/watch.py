"""Look for due dates that are near, while whatever else may run; where a Prefect server listens it is told."""

from __future__ import annotations

from flows.command import command
from flows.engine import flow, say, task, tell
from lethe.core.workspace import Workspace
from lethe.forgetting.standing import DueSoon, due_soon

DUE = "lethe.due-date.near"
"""What happens to the ``LEDGER`` then."""
LEDGER = "lethe.ledger"


@task(name="due dates")
def due_dates() -> DueSoon | None:
    return due_soon(Workspace.find())


@flow(name="watch")
def watch() -> None:
    """Requests that are due before the time kept in hand is over, as one event each time; see flows/alerts.py."""
    if soon := due_dates():
        say(soon)
        tell(DUE, LEDGER, {"waiting": soon.waiting, "hours_left": soon.hours_left})


if __name__ == "__main__":
    command(watch)
