"""Going back to an earlier version, as far as what was forgotten since allows."""

from __future__ import annotations

from collections.abc import Iterable

from lethe.build.decision import Decisions
from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.forgetting.record import Run


def roll_back(workspace: Workspace, family: str, to: str | None = None) -> str:
    """Make an earlier version of a family current again; returns its tag. Raises DeploymentError where there is none
    that was built after the last completed forget request, or while a forget run is on its way.

    No training promotes what was rolled back from again, unless newer data or code make another version of it.
    """
    known = Registry(workspace).families()
    if family not in known:
        if not known:
            raise DeploymentError(
                "family: none was promoted yet, so none has an earlier version; run lethe train first"
            )
        raise DeploymentError(f"family: {family!r} must be one of {', '.join(known)}")
    if Run.read(workspace) is not None:
        raise DeploymentError("roll back: a forget run is on its way and replaces what is served; finish it first")
    registry = Registry(workspace)
    before = {version.tag for version in registry.history(family)}
    tag = registry.roll_back(family, to)
    left = before - {version.tag for version in registry.history(family)}
    Decisions.read(workspace).rolled_back(family, left).write(workspace)
    return tag


def take_back(workspace: Workspace, families: Iterable[str]) -> list[str]:
    """Roll families back whose new version the service refused; returns the tags. A first version has none before it,
    and stays. The next training may promote what was refused again: the fault may have been the service's."""
    registry = Registry(workspace)
    return [registry.roll_back(family) for family in families if len(registry.history(family)) > 1]
