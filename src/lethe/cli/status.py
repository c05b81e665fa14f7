"""``lethe status``: data, models, service and requests at a glance."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from lethe.build.decision import Decision, Decisions
from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.cli.tables import table
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.forgetting.standing import ledger
from lethe.serving import server as servers
from lethe.tables.columns import read_parquet
from lethe.tables.interactions import Interactions


@dataclass(frozen=True)
class DataStatus:
    """A dataset as the data stages left it."""

    interactions: int
    users: int
    items: int
    digest: str


@dataclass(frozen=True)
class ModelStatus:
    """What a family serves."""

    version: str
    model: str
    sharding: str
    guarantee: str
    reason: str
    rows: str
    """Whether it learnt all rows, or those of training alone."""
    age_days: float
    """Since it was last what the newest data give."""
    too_old: bool
    """Whether that is more than promotion.max_age_days."""
    last: Decision | None
    """What the last training came to: kept or replaced, both values, and why."""


@dataclass(frozen=True)
class ServiceStatus:
    url: str
    workers: int


@dataclass(frozen=True)
class Status:
    """Everything at a glance; nothing in it names a person."""

    data: dict[str, DataStatus | None]
    """None where it is not built yet."""
    models: dict[str, ModelStatus]
    service: ServiceStatus | None
    requests: dict[str, int]
    """Their number in each state."""

    def plain(self) -> dict[str, Any]:
        """As --json prints it."""
        last = {name: None if one.last is None else one.last.plain() for name, one in self.models.items()}
        models = {name: {**asdict(one), "last": last[name]} for name, one in self.models.items()}
        return {**asdict(self), "models": models}


def status_report(workspace: Workspace) -> Status:
    server, params = servers.status(workspace), Params.read(workspace.params)
    decisions = Decisions.read(workspace)
    return Status(
        data={name: data_status(workspace, name) for name in params.pipeline.datasets},
        models={
            family: _model(version, decisions, family, params.promotion.max_age_days)
            for family, version in Registry(workspace).served().items()
        },
        service=None if server is None else ServiceStatus(url=server.url, workers=server.workers),
        requests=dict(Counter(request.state for request in ledger(workspace).all())),
    )


def _model(version: Version, decisions: Decisions, family: str, limit: float) -> ModelStatus:
    age, last = decisions.age_days(version), decisions.last.get(family)
    return ModelStatus(
        version=version.tag,
        model=version.info.model,
        sharding=version.info.sharding,
        guarantee=version.info.guarantee,
        reason=version.reason,
        rows=version.recipe.rows,
        age_days=round(age, 2),
        too_old=age > limit,
        last=last,
    )


def data_status(workspace: Workspace, dataset: str) -> DataStatus | None:
    """None where it is not built yet."""
    path = workspace.interactions(dataset)
    if not path.is_file():
        return None
    # As Arrow has it: nothing is looked at row by row.
    rows = read_parquet(path)
    users, items = len(rows["user"].unique()), len(rows["item"].unique())
    return DataStatus(interactions=len(rows), users=users, items=items, digest=Interactions.digest_of(rows))


def status_tables(status: Status) -> list[Table]:
    """Data and models, for people."""
    unbuilt = ["not built yet: lethe train", "", "", ""]
    data = [[name, *(unbuilt if one is None else _counted(one))] for name, one in status.data.items()]
    models = [
        [
            name,
            f"{one.model} on {one.sharding}",
            one.version,
            f"{one.age_days:.1f}",
            "" if one.last is None else f"{one.last.outcome}: {one.last.why}",
        ]
        for name, one in status.models.items()
    ]
    made = [table(None, ("dataset", ">interactions", ">users", ">items", "digest"), data)]
    columns = ("family", "serves", "version", ">days old", "last training")
    return [*made, table(None, columns, models)] if models else made


def _counted(data: DataStatus) -> list[str]:
    return [f"{data.interactions:,}", f"{data.users:,}", f"{data.items:,}", data.digest[:12]]


def status_lines(status: Status) -> list[str]:
    """All else, for people."""
    lines = [] if status.models else ["models: none promoted yet"]
    for name, one in status.models.items():
        if one.too_old:
            lines.append(f"{name}: older than promotion.max_age_days: run lethe train, which will replace it")
    service = status.service
    lines.append(f"service: {service.url}, {service.workers} workers" if service else "service: not running")
    states = ", ".join(f"{count} {state}" for state, count in sorted(status.requests.items()))
    return [*lines, f"requests: {states or 'none'}"]
