"""Every store of a workspace: emptied of what was forgotten, then searched for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.stores.dvc_stores import DvcCache, Outputs
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.prefect_store import PrefectHome
from lethe.forgetting.stores.remotes import Remote, remotes
from lethe.forgetting.stores.stores import Artifacts, Folder, LedgerStore, Place, Removed, Store, Temporary, Versions


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
    own = (workspace.prefect_home, workspace.temporary, bentos, models, *ledger.files())
    return [
        Outputs(workspace),
        DvcCache(workspace),
        *(Remote(workspace, name) for name in remotes(workspace)),
        Artifacts(ArtifactStore(workspace.artifacts), artifacts),
        Versions("bentos", bentos, retire_bentos),
        Versions("models", models, retire_models),
        PrefectHome(workspace.prefect_home),
        Folder("reports", workspace.reports, erasable=".", digests_as_text=True),
        Temporary(workspace.temporary),
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

    places: Mapping[str, Sequence[Place]]

    @property
    def found(self) -> int:
        return sum(len(places) for places in self.places.values())

    def to_json(self) -> dict[str, Any]:
        stores = {name: [str(place) for place in places] for name, places in self.places.items()}
        return {"stores": stores, "found": self.found}


def scan(stores: Iterable[Store], needles: Sequence[Needles]) -> Scan:
    """Search every store for every needle."""
    return Scan({store.name: tuple(store.find(needles)) for store in stores})


def outside_reach(workspace: Workspace, ledger: Ledger) -> list[str]:
    """Places our own stores lead to that can't be searched from here, and backups that others may have made."""
    places = [
        f"DVC remote {name}: its objects were searched; versions and backups that its storage keeps were not"
        for name, url in remotes(workspace).items()
        if "://" in url
    ]
    places += [
        f"DVC remote {name}: nothing is at its folder now; if it was only away, lethe audit run looks when it is back"
        for name, url in remotes(workspace).items()
        if "://" not in url and not (workspace.root / ".dvc" / url).is_dir()
    ]
    if ledger.path is None:
        places.append("ledger: write-ahead log and backups of the PostgreSQL server were not searched")
    if os.environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL") or os.environ.get("PREFECT_API_URL"):
        places.append("Prefect server elsewhere: it is given names and digests only; its database was not searched")
    places.append(
        "backups and snapshots of this machine and its disks: not searched; their owner has to let them expire"
    )
    return places
