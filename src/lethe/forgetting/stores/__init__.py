"""The places where forgotten data can hide: each is emptied, then searched. One file a store; docs/erasure.md has them
as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lethe.forgetting.stores import (
    artifacts,
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
    prefect.stores,
    reports.stores,
    temporary.stores,
    events.stores,
    logs.stores,
    records.stores,
    ledger.stores,
    service.stores,
)
"""In the order in which they are emptied: a bento refers to models and goes first, a remote is fetched into temporary
files."""


def every_store(site: Site) -> list[Store]:
    """Every store of a workspace."""
    return [store for stores in STORES for store in stores(site)]
