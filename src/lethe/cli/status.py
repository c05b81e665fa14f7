"""``lethe status``: data, models, service and requests at a glance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.forgetting.standing import ledger
from lethe.serving import deploy
from lethe.tables.ids import Ids
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


def status_report(workspace: Workspace) -> Status:
    server = deploy.status(workspace)
    return Status(
        data={name: _data(workspace, name) for name in Params.read(workspace.params).pipeline.datasets},
        models={
            family: ModelStatus(
                version=version.tag,
                model=version.info.model,
                sharding=version.info.sharding,
                guarantee=version.info.guarantee,
                reason=version.reason,
            )
            for family, version in Registry(workspace).served().items()
        },
        service=None if server is None else ServiceStatus(url=server.url, workers=server.workers),
        requests=Counter(request.state for request in ledger(workspace).all()),
    )


def _data(workspace: Workspace, dataset: str) -> DataStatus | None:
    path = workspace.interactions(dataset)
    if not path.is_file():
        return None
    rows = Interactions.read(path)
    users, items = len(Ids.of(rows.user_ids)), len(Ids.of(rows.item_ids))
    return DataStatus(interactions=len(rows), users=users, items=items, digest=rows.digest())


def status_lines(status: Status) -> list[str]:
    """The report as text."""
    lines = ["data"]
    for name, data in status.data.items():
        text = "not built yet: lethe train"
        if data is not None:
            text = f"{data.interactions:,} interactions, {data.users:,} users, {data.items:,} items"
            text += f", digest {data.digest[:12]}"
        lines.append(f"  {name}: {text}")
    lines.append("models")
    lines += [f"  {name}: {one.model} on {one.sharding}, {one.version}" for name, one in status.models.items()]
    if not status.models:
        lines.append("  none promoted yet")
    service = status.service
    lines += ["service", f"  {service.url}, {service.workers} workers" if service else "  not running", "requests"]
    return [*lines, *([f"  {state}: {count}" for state, count in sorted(status.requests.items())] or ["  none"])]
