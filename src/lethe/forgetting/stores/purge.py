"""Emptying stores of what was forgotten, then searching them for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from lethe.config.promise import Lasting
from lethe.config.stores import buckets
from lethe.core.canonical import Json
from lethe.core.project import RECORD
from lethe.core.shipped import FILES
from lethe.core.workspace import Workspace
from lethe.data.dvc_objects import cache_folder, is_own, remotes, settle
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.stores.base import Place, Removed, Store
from lethe.forgetting.stores.needles import Needles


def purge(workspace: Workspace, stores: Iterable[Store], needles: Sequence[Needles]) -> list[Removed]:
    """Empty every store, in order."""
    removed = [store.remove(needles) for store in stores]
    settle(workspace)
    return removed


@dataclass(frozen=True)
class Scan:
    """Result of an absence scan, by store and without ids of people.

    ``not_searched``: what by design was not opened, and why. ``subjects``: how many people and interactions were looked
    for; ``typed_only``: how many of those only where ids stand, because files hold such a text by chance.
    """

    places: Mapping[str, Sequence[Place]]
    not_searched: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    subjects: int = 0
    typed_only: int = 0

    @property
    def found(self) -> int:
        return sum(len(places) for places in self.places.values())

    def to_json(self) -> Json:
        def by_store(places: Mapping[str, Sequence[Place]]) -> Json:
            return {name: [str(place) for place in some] for name, some in places.items()}

        return {
            "stores": by_store(self.places),
            "found": self.found,
            "not_searched": by_store({name: places for name, places in self.not_searched.items() if places}),
            "subjects": self.subjects,
            "typed_only": self.typed_only,
        }


def scan(stores: Iterable[Store], needles: Sequence[Needles]) -> Scan:
    """Search every store for every needle."""
    found = {store.name: store.find(needles) for store in stores}
    return Scan(
        {name: one.places for name, one in found.items()},
        {name: one.not_searched for name, one in found.items()},
        sum(n.subjects for n in needles),
        sum(n.subjects - len(n.users - n.typed_only) for n in needles),
    )


def outside_reach(workspace: Workspace, ledger: Ledger) -> list[Lasting]:
    """Places our own stores lead to that can't be searched from here, and backups that others may have made."""
    cache = cache_folder(workspace)
    places = [
        Lasting(
            what=f"DVC remote {name}: its objects were searched; versions and backups that its storage keeps were not",
            until="its storage lets them expire",
        )
        for name, remote in remotes(workspace).items()
        if "://" in remote.url
    ]
    places += [
        Lasting(
            what=f"DVC remote {name}: nothing is at its folder now, it was not searched",
            until="it is back, and lethe audit run looks through it",
        )
        for name, remote in remotes(workspace).items()
        if remote.is_away
    ]
    for bucket in buckets(workspace).values():
        what = f"{bucket.url}: caches of it on other machines, replicas and backups of its storage were not searched"
        places.append(Lasting(what=what, until="those machines' next command, and its storage lets them expire"))
    if not is_own(workspace, cache):
        what = "DVC cache outside the project: objects of other projects in it were not searched"
        places.append(Lasting(what=what, until="those projects remove them"))
    if ledger.path is None:
        what = "ledger: write-ahead log, server log and backups of the PostgreSQL server were not searched"
        places.append(Lasting(what=what, until="the server overwrites the first and lets the others expire"))
    if os.environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL") or os.environ.get("PREFECT_API_URL"):
        what = "Prefect server elsewhere: it is given names and digests only; its database was not searched"
        places.append(Lasting(what=what, until="that server deletes its old runs"))
    if count := _of_others(workspace):
        what = f"other files and folders in the project's folder than Lethe's data and settings: {count}, not searched"
        places.append(Lasting(what=what, until="their owner removes the rows there"))
    what = "backups and snapshots of this machine and its disks: not searched"
    return [*places, Lasting(what=what, until="their owner lets them expire")]


def _of_others(workspace: Workspace) -> int:
    """How many things whoever works here keeps beside ours: notebooks, exports, version control. Their names may be
    people's, so they are counted only."""
    searched = (
        cache_folder(workspace),
        *(Path(one.url) for one in remotes(workspace).values() if "://" not in one.url),
    )
    inside = [path.resolve() for path in searched if is_own(workspace, path)]
    ours = {name for path in inside for name in path.relative_to(workspace.root.resolve()).parts[:1]}
    ours |= {PurePath(name).parts[0] for name in (*FILES, RECORD)}
    ours |= {one.name for one in (workspace.state, workspace.artifacts, workspace.reports, workspace.certificates)}
    ours |= {workspace.params.name, workspace.lock.name, "data", "params", "flows", "README.md", "dvc.lock"}
    return sum(path.name not in ours for path in workspace.root.iterdir())
