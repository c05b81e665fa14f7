"""``lethe status``: data, models, service and requests at a glance."""

from __future__ import annotations

from typing import Any

from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.forgetting.standing import ledger
from lethe.serving import deploy
from lethe.tables.interactions import Interactions


def status_report(workspace: Workspace) -> dict[str, Any]:
    """JSON-able report; nothing in it names a person."""
    params = Params.read(workspace.params)
    data: dict[str, Any] = {}
    for dataset in params.pipeline.datasets:
        path = workspace.interactions(dataset)
        if path.is_file():
            rows = Interactions.read(path)
            users, items = len(set(rows.user_ids.tolist())), len(set(rows.item_ids.tolist()))
            data[dataset] = {"interactions": len(rows), "users": users, "items": items, "digest": rows.digest()}
        else:
            data[dataset] = None
    models = {
        family: {
            "version": version.tag,
            "model": version.info.model,
            "sharding": version.info.sharding,
            "guarantee": version.info.guarantee,
            "reason": version.reason,
        }
        for family, version in Registry(workspace).served().items()
    }
    server = deploy.status(workspace)
    requests = ledger(workspace).all()
    states: dict[str, int] = {}
    for request in requests:
        states[request.state] = states.get(request.state, 0) + 1
    return {
        "data": data,
        "models": models,
        "service": None if server is None else {"url": server.url, "workers": server.workers},
        "requests": states,
    }


def status_lines(report: dict[str, Any]) -> list[str]:
    """The report as text."""
    lines = ["data"]
    for name, found in report["data"].items():
        text = (
            "not built yet: lethe train"
            if found is None
            else (
                f"{found['interactions']:,} interactions, {found['users']:,} users, {found['items']:,} items, "
                f"digest {found['digest'][:12]}"
            )
        )
        lines.append(f"  {name}: {text}")
    lines.append("models")
    for family, model in report["models"].items():
        lines.append(f"  {family}: {model['model']} on {model['sharding']}, {model['version']}")
    if not report["models"]:
        lines.append("  none promoted yet")
    service = report["service"]
    lines.append("service")
    lines.append(f"  {service['url']}, {service['workers']} workers" if service else "  not running")
    lines.append("requests")
    lines += [f"  {state}: {count}" for state, count in sorted(report["requests"].items())] or ["  none"]
    return lines
