"""The places where forgotten data can hide: each is emptied, then searched. One file a store; docs/erasure.md has them
as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lethe.forgetting.stores import (
    artifacts,
    by_url,
    dvc_cache,
    events,
    ledger,
    logs,
    outputs,
    prefect,
    records,
    remotes,
    reports,
    service,
    temporary,
    versions,
)
from lethe.forgetting.stores.base import Site, Store

STORES: tuple[Callable[[Site], Sequence[Store]], ...] = (
    outputs.stores,
    dvc_cache.stores,
    remotes.stores,
    artifacts.stores,
    versions.stores,
    by_url.stores,
    prefect.stores,
    reports.stores,
    temporary.stores,
    events.stores,
    logs.stores,
    records.stores,
    ledger.stores,
    service.stores,
)
"""In the order in which they are emptied: a bento refers to models and goes first, what lies at a URL follows the
folder beside it, and is fetched into temporary files, as a remote is."""


def every_store(site: Site) -> list[Store]:
    """Every store of a workspace."""
    return [store for stores in STORES for store in stores(site)]
