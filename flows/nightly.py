"""What is done every night: train on what came since, and serve what that promoted."""

from __future__ import annotations

from flows.command import alone, command
from flows.deployment import deployment
from flows.engine import flow, task
from flows.training import training
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.forgetting.rollback import take_back


@task(name="take back")
def give_up(families: list[str]) -> list[str]:
    return take_back(Workspace.find(), families)


@flow(name="nightly")
@alone
def nightly() -> str:
    """The bento that is served from now on. Where its smoke test fails, the service stays as it was, the registry goes
    back to that, and the flow fails."""
    replaced = [decision.family for decision in training() if decision.outcome == "replaced"]
    try:
        return deployment()
    except DeploymentError:
        give_up(replaced)
        raise


if __name__ == "__main__":
    command(nightly)
