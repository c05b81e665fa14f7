"""Deploy what is promoted: build the bento, bring it to the running service, test it, go back if it fails."""

from __future__ import annotations

from flows.command import alone, command
from flows.engine import flow, link, say, task
from lethe.build.registry import tags_to_deploy
from lethe.core.workspace import Workspace
from lethe.forgetting.standing import publish_hidden
from lethe.serving.deploy import build_bento, redeploy, shipped, status


@task(name="current models")
def current_models() -> dict[str, str]:
    return tags_to_deploy(Workspace.find())


@task(name="build")
def build(tags: dict[str, str]) -> str:
    """The bento of these models."""
    return build_bento(Workspace.find(), tags)


@task(name="deploy", outside=True)
def deploy(bento: str, limited: bool = True) -> None:
    """Redeploy with smoke test, comparison with what is served, and roll-back."""
    workspace = Workspace.find()
    publish_hidden(workspace)
    compared = redeploy(workspace, shipped(workspace, bento), limited=limited)
    if compared:
        figures = "; ".join(f"{family}: {figures.line()}" for family, figures in compared.items())
        say(f"beside what was served: {figures}")


@flow(name="deployment")
@alone
def deployment(limited: bool = True) -> str:
    """Current models → bento → redeploy and smoke test; returns the bento's tag. What is not ``limited`` is deployed
    whatever ``serving.shadow`` says: what forgets, and what goes back."""
    bento = build(current_models())
    deploy(bento, limited)
    if server := status(Workspace.find()):
        link("service", server.url, bento)
    return bento


if __name__ == "__main__":
    command(deployment)
