"""What the service answers somebody, with the items' titles. It is asked as a shop asks it, and nothing is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lethe.build.registry import Registry
from lethe.console.asked import Asked, View
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError, RequestError
from lethe.serving import server
from lethe.serving.access import Role, own_key
from lethe.serving.answers import Similar
from lethe.serving.client import Client
from lethe.serving.features import FeatureFile
from lethe.tables.columns import read_parquet
from lethe.tables.ids import Ids

_KINDS = {"user": "recommend", "items": "similar"}


def form(asked: Asked) -> View:
    return View("try", _values(asked) | {"answer": None})


def ask(asked: Asked) -> View:
    """Items for somebody, after a history, or like other items."""
    fields, values = asked.form, _values(asked)
    kind, family, count = fields.text("kind"), fields.text("family"), fields.text("k")
    if kind not in _KINDS:
        raise RequestError(f"kind: must be one of {', '.join(_KINDS)}")
    if family not in values["families"]:
        raise RequestError("family: must be one that is served")
    most = asked.console.params.serving.max_k
    if not re.fullmatch("[0-9]{1,9}", count) or not 1 <= int(count) <= most:
        raise RequestError(f"k: must be a whole number of 1 to {most}")
    items = fields.lines("items")
    if kind == "items" and not items:
        raise RequestError("items: must name at least one, one a line")
    if kind == "user" and not fields.text("user"):
        raise RequestError("user: must be an id; for items like others choose the other question")
    with Client(_url(asked.workspace), own_key()) as service:
        answer: Similar = (
            service.recommend(fields.text("user"), k=int(count), family=family, history=items or None)
            if kind == "user"
            else service.similar_items(*items, k=int(count), family=family)
        )
    named = titles(asked, family, [item.item_id for item in answer.items])
    known = getattr(answer, "known", None) if asked.session.role == Role.OPERATOR else None
    return View("try", values | {"answer": answer, "titles": named, "known": known})


def titles(asked: Asked, family: str, items: Sequence[int | str]) -> list[str]:
    """What the items are called: by the service's table of item features, or by what ingest read of items."""
    if not items:
        return []
    version = Registry(asked.workspace).served()[family]
    field, dataset = asked.console.params.console.title, version.info.dataset
    ids = np.array(items, dtype=object) if isinstance(items[0], str) else np.array(items)
    given = os.environ.get("LETHE_ITEM_FEATURES") or asked.workspace.root / "features"
    catalogue = Ids.of(ids)
    column = FeatureFile(Path(given), dataset, catalogue).now().columns.get(field)
    if column is None:
        return _from_ingest(asked.workspace, dataset, field, items)
    return [str(column[catalogue.place(item)] or "") for item in items]


def _from_ingest(workspace: Workspace, dataset: str, field: str, items: Sequence[int | str]) -> list[str]:
    path = workspace.side(dataset) / "item_features.parquet"
    if not path.is_file():
        return [""] * len(items)
    table = read_parquet(path).to_pydict()
    rows = zip(table["item"], table["field"], table["value"], strict=True)
    named = {item: value for item, name, value in rows if name == field}
    return [named.get(item, "") for item in items]


def _values(asked: Asked) -> dict[str, list[str]]:
    return {"families": Registry(asked.workspace).families()}


def _url(workspace: Workspace) -> str:
    """Where the service is: named, or the one that runs in this workspace."""
    if named := os.environ.get("LETHE_SERVICE_URL"):
        return named
    running = server.status(workspace)
    if running is None:
        raise DeploymentError("service: none runs here; start it with lethe serve, or name one in LETHE_SERVICE_URL")
    return running.url
