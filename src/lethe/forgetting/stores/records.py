"""The suppression list and the certificates: kept for good, so only searched."""

from __future__ import annotations

from lethe.forgetting.stores.base import Folder, Site


def stores(site: Site) -> list[Folder]:
    workspace = site.workspace
    return [Folder("suppression", workspace.suppression.parent), Folder("certificates", workspace.certificates)]
