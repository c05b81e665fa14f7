"""``lethe data add``: check a source, then write its section to params.yaml, comments kept."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lethe.config.dataset import Dataset
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.errors import ConfigError
from lethe.tables.interactions import Interactions

SUFFIXES = (".parquet", ".csv")


def add_dataset(
    workspace: Workspace, name: str, path: Path, columns: dict[str, str | None], separator: str = ","
) -> None:
    """Read the source once; if it can be read, add it to ``datasets`` and ``pipeline.datasets``.

    ``columns`` maps user, item, rating, timestamp to the source's columns. Raises ConfigError or DataError, and then
    params.yaml is as it was.
    """
    known = Params.read(workspace.params).datasets
    if name in known:
        raise ConfigError(f"datasets.{name}: there already; known: {', '.join(known)}")
    section = _section(workspace, path, columns, separator)
    config = Dataset.parse(section, f"datasets.{name}")
    read = sources.read(config.source, root=workspace.root, copy=workspace.source_copy(name))
    rows = Interactions.concatenate(*read.values()) if isinstance(read, dict) else read
    # Written down, not left to be told from the data: a column's kind must not change when a row is forgotten.
    section["source"]["ids"] = "text" if object in (rows.user_ids.dtype, rows.item_ids.dtype) else "integer"
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    document = yaml.load(workspace.params.read_text(encoding="utf-8"))
    document["datasets"][name] = section
    document["pipeline"]["datasets"].append(name)
    text = io.StringIO()
    yaml.dump(document, text)
    temporary = workspace.params.with_name(".params.yaml.tmp")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    try:
        Params.read(temporary)
        os.replace(temporary, workspace.params)
    finally:
        temporary.unlink(missing_ok=True)


def _section(workspace: Workspace, path: Path, columns: dict[str, str | None], separator: str) -> dict[str, Any]:
    resolved = path.resolve()
    if not resolved.exists():
        raise ConfigError(f"path: {path} does not exist")
    inside = resolved.is_relative_to(workspace.root)
    common: dict[str, Any] = {
        "path": str(resolved.relative_to(workspace.root) if inside else resolved),
        "columns": {key: value for key, value in columns.items() if value is not None},
    }
    if separator != ",":
        common["separator"] = separator
    if resolved.is_file():
        return {"source": {"kind": "table", **common}, "split": {"by": "random"}}
    parts = {part: _part(resolved, part) for part in ("train", "valid", "test")}
    for part in ("train", "test"):
        if parts[part] is None:
            raise ConfigError(f"path: {path} has no {part}.parquet or {part}.csv")
    return {
        "source": {"kind": "folder", **common, **{k: v for k, v in parts.items() if v is not None}},
        "split": {"by": "ready"},
        "duplicates": "latest",
    }


def _part(folder: Path, part: str) -> str | None:
    return next((f"{part}{suffix}" for suffix in SUFFIXES if (folder / f"{part}{suffix}").is_file()), None)
