"""Deploy what is promoted: build the bento, bring it to the running service, test it, go back if it fails."""

from __future__ import annotations

from flows.command import alone, command
from flows.engine import flow, task
from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.forgetting.standing import publish_hidden
from lethe.serving.deploy import build_bento, redeploy, shipped


@task
def current_models() -> dict[str, str]:
    """Tag of the current version of every family of params.yaml."""
    workspace = Workspace.find()
    registry = Registry(workspace)
    versions = {family: registry.current(family) for family in Params.read(workspace.params).families}
    return {family: version.tag for family, version in versions.items() if version}


@task
def build(tags: dict[str, str]) -> str:
    """The bento of these models."""
    return build_bento(Workspace.find(), tags)


@task
def deploy(bento: str) -> None:
    """Redeploy with smoke test and roll-back."""
    workspace = Workspace.find()
    publish_hidden(workspace)
    redeploy(workspace, shipped(workspace, bento))


@flow(name="deployment")
@alone
def deployment() -> str:
    """Current models → bento → redeploy and smoke test; returns the bento's tag."""
    bento = build(current_models())
    deploy(bento)
    return bento


if __name__ == "__main__":
    command(deployment)
