"""Answers of a service that a demo left ready: whether anybody is offered what they have, and whether all are known.

    make demo && python -m benchmarks answers --json --commit

Every user of every family's data is asked for, for lists of several lengths, by HTTP and with the default switches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks import Say, asking
from benchmarks.page import grid, page
from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.serving import access, deploy
from lethe.tables.interactions import Interactions

LENGTHS = (5, 10, 50, 100)


def measure(folder: Path, say: Say) -> dict[str, dict[str, Any]]:
    """By family: answers, places, places that hold what the user has, and answers by what they come from."""
    workspace = Workspace(folder)
    server = deploy.status(workspace)
    assert server is not None, "no service runs here: lethe deploy"
    figures = {}
    # Whether somebody is known is told to operators alone.
    headers = {"Authorization": f"Bearer {key}"} if (key := access.own_key()) else {}
    with asking.client(base_url=server.url, headers=headers, timeout=60) as client:
        for family, version in Registry(workspace).served().items():
            say(family)
            figures[family] = _asked(client, family, Interactions.read(workspace.interactions(version.recipe.dataset)))
    return figures


def _asked(client: httpx.Client, family: str, rows: Interactions) -> dict[str, Any]:
    owned: dict[Any, set[Any]] = {}
    for user, item in zip(rows.user_ids.tolist(), rows.item_ids.tolist(), strict=True):
        owned.setdefault(user, set()).add(item)
    sources, places, seen, strangers = Counter[str](), 0, 0, 0
    for user, own in owned.items():
        for length in LENGTHS:
            body = {"family": family, "user_id": user, "k": length}
            given = client.post("/v1/recommend", json=body).raise_for_status().json()
            items = [place["item_id"] for place in given["items"]]
            sources[given["source"]] += 1
            strangers += not given["known"]
            places += len(items)
            seen += sum(item in own for item in items)
    return {
        "users": len(owned),
        "answers": sources.total(),
        "places": places,
        "seen": seen,
        "unknown": strangers,
        "sources": dict(sources),
    }


def report(figures: dict[str, dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    names = ("users", "answers", "places", "seen", "unknown")
    total = {name: sum(row[name] for row in figures.values()) for name in names}
    said = (
        f"Every user of the data is asked for, for lists of {', '.join(map(str, LENGTHS))}. Seen: places that hold an"
        " item which the user has. Unknown: answers that say the user isn't known."
    )
    rows = [
        *([family, *_counts(row, names), ", ".join(sorted(row["sources"]))] for family, row in figures.items()),
        ["all", *_counts(total, names), ""],
    ]
    text = page("answers", f"`{command}`", said, grid(["family", *names, "from"], rows))
    return {"table": "answers", "command": command, **total, "rows": figures}, text


def _counts(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    return [f"{row[name]:,}" for name in names]
