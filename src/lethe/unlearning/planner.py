"""What requests will touch: shards, rows, the earliest due date, and what can be promised under each sharding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lethe.config import Sharding
from lethe.partition import frozen
from lethe.unlearning.requests import ForgetRequest
from lethe.workspace import Workspace


def guarantee(sharding: Sharding) -> str:
    """What the certificate promises under this sharding."""
    if not frozen(sharding):
        return "unconditional: equal to never having had the data"
    return "given the frozen assignment: equal to the pipeline run with that assignment and without the data"


def residues(sharding: Sharding) -> list[str]:
    """What forgotten data may still have decided, each with when that ends."""
    choices = [
        "the kind of model and its hyper-parameters were chosen on this epoch's data; "
        "ends when the choice is made anew in the next epoch"
    ]
    if not frozen(sharding):
        return choices
    assigned = (
        "the shards and slices that other rows lie in were assigned while the data were there; "
        "ends when the next epoch begins with a new partition"
    )
    return [assigned, *choices]


@dataclass(frozen=True)
class Served:
    """A served family and how its rows are laid out: ``sharding`` is the name of ``layout`` in params.yaml."""

    family: str
    dataset: str
    sharding: str
    layout: Sharding


@dataclass(frozen=True)
class FamilyPlan:
    """What the requests touch in one served family. ``rows`` counts training rows."""

    served: Served
    shards: tuple[str, ...]
    touched: tuple[str, ...]
    rows: int

    def to_json(self) -> dict[str, Any]:
        return {
            "family": self.served.family,
            "dataset": self.served.dataset,
            "sharding": self.served.sharding,
            "partition": self.served.layout.partition,
            "shards": len(self.shards),
            "shards_touched": list(self.touched),
            "rows": self.rows,
            "guarantee": guarantee(self.served.layout),
            "residues": residues(self.served.layout),
        }


@dataclass(frozen=True)
class Plan:
    """A batch of requests fulfilled together: each touched shard is rebuilt once."""

    requests: tuple[ForgetRequest, ...]
    families: tuple[FamilyPlan, ...]

    @property
    def due(self) -> datetime | None:
        """The earliest due date."""
        return min((request.due for request in self.requests), default=None)

    def to_json(self) -> dict[str, Any]:
        """Without ids of people."""
        return {
            "requests": [
                {"id": r.id, "dataset": r.dataset, "kind": r.kind, "state": r.state, "due": r.due.isoformat()}
                for r in self.requests
            ],
            "families": [family.to_json() for family in self.families],
            "due": self.due.isoformat() if self.due else None,
        }


def plan(workspace: Workspace, requests: Sequence[ForgetRequest], served: Sequence[Served]) -> Plan:
    """Look the subjects up in the shard tables of every served family of their datasets.

    A user whose rows are all in validation or test touches no shard; what is made of them is rebuilt all the same.
    """
    touching = {request.dataset for request in requests}
    families = [_family(workspace, requests, one) for one in served if one.dataset in touching]
    return Plan(tuple(requests), tuple(families))


def _family(workspace: Workspace, requests: Sequence[ForgetRequest], served: Served) -> FamilyPlan:
    tables = sorted(workspace.shards(served.dataset, served.sharding).glob("*.parquet"))
    mine = [request for request in requests if request.dataset == served.dataset]
    held = {path.stem: _held(path, mine) for path in tables}
    return FamilyPlan(
        served,
        shards=tuple(held),
        touched=tuple(shard for shard, rows in held.items() if rows),
        rows=sum(held.values()),
    )


def _held(path: Path, requests: Sequence[ForgetRequest]) -> int:
    table = pq.read_table(path, columns=["user", "item"])
    users, items = (table[name].to_numpy() for name in ("user", "item"))
    # Two requests may be about the same row: it leaves once.
    return int(np.any([request.covers(users, items) for request in requests], axis=0).sum())
