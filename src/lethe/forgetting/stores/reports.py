"""Reports, learning curves and validation results: one that holds a needle goes, the others are written anew."""

from __future__ import annotations

from lethe.forgetting.stores.base import Folder, Site


def stores(site: Site) -> list[Folder]:
    return [Folder("reports", site.workspace.reports, erasable=".", digests_as_text=True)]
