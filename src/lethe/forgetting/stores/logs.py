"""Logs, and the small files of our own run-time state."""

from __future__ import annotations

from lethe.forgetting.stores.base import Folder, Site


def stores(site: Site) -> list[Folder]:
    """A log is cut, because its writer goes on; what other stores hold is left to them."""
    workspace = site.workspace
    others = (
        workspace.prefect_home,
        workspace.temporary,
        workspace.events.parent,
        workspace.bentoml_home / "bentos",
        workspace.bentoml_home / "models",
        *site.ledger.files(),
    )
    return [Folder("state and logs", workspace.state, erasable=r"\.log", empty=True, skip=others)]
