"""Every store of a workspace: emptied of what was forgotten, then searched for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lethe.artifacts import ArtifactStore
from lethe.unlearning.dvc_stores import DvcCache, Outputs, remotes
from lethe.unlearning.ledger import Ledger
from lethe.unlearning.scan import Needles
from lethe.unlearning.stores import Artifacts, Folder, LedgerStore, PrefectHome, Removed, Store, Versions
from lethe.workspace import Workspace


def stores(
    workspace: Workspace,
    *,
    artifacts: Mapping[str, Collection[str]],
    ledger: Ledger,
    retire_models: Callable[[], int],
    retire_bentos: Callable[[], int],
) -> list[Store]:
    """Every store of a workspace, in the order in which they are emptied (a bento refers to models: it goes first).

    ``artifacts``: keys in use of each dataset. ``retire_*``: delete all versions but those in use, return how many.
    """
    state = workspace.state
    bentos, models = workspace.bentoml_home / "bentos", workspace.bentoml_home / "models"
    own = (workspace.prefect_home, bentos, models, *ledger.files())
    return [
        Outputs(workspace),
        DvcCache(workspace),
        Artifacts(ArtifactStore(workspace.artifacts), artifacts),
        Versions("bentos", bentos, retire_bentos),
        Versions("models", models, retire_models),
        PrefectHome(workspace.prefect_home),
        Folder("reports", workspace.reports, erasable="."),
        Folder("state and logs", state, erasable=r"\.log", empty=True, skip=own),
        Folder("suppression", workspace.suppression.parent),
        Folder("certificates", workspace.certificates),
        LedgerStore(ledger),
    ]


def purge(stores: Iterable[Store], needles: Sequence[Needles]) -> list[Removed]:
    """Empty every store, in order."""
    return [store.remove(needles) for store in stores]


@dataclass(frozen=True)
class Scan:
    """Result of an absence scan: places by store, without ids of people."""

    places: Mapping[str, Sequence[str]]

    @property
    def found(self) -> int:
        return sum(len(places) for places in self.places.values())

    def to_json(self) -> dict[str, Any]:
        return {"stores": {name: list(places) for name, places in self.places.items()}, "found": self.found}


def scan(stores: Iterable[Store], needles: Sequence[Needles]) -> Scan:
    """Search every store for every needle."""
    return Scan({store.name: tuple(store.find(needles)) for store in stores})


def outside_reach(workspace: Workspace, ledger: Ledger) -> list[str]:
    """Places our own stores lead to that can be told to erase, but not searched."""
    places = [
        f"DVC remote {name}: superseded versions were deleted through DVC; the storage's own versions and backups "
        "were not searched"
        for name, url in remotes(workspace).items()
        if "://" in url
    ]
    if ledger.path is None:
        places.append("ledger: write-ahead log and backups of the PostgreSQL server were not searched")
    return places
