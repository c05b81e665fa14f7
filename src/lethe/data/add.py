"""``lethe data add``: find out how a source is written, check it, then write its section to params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lethe.config.dataset import Dataset
from lethe.config.edit import edit_params
from lethe.config.params import Params
from lethe.config.table import TableFormat
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.sources.find_file import find_file
from lethe.data.sources.find_values import find_values
from lethe.data.sources.findings import Findings
from lethe.data.sources.table import load_columns
from lethe.data.split import count_repeated
from lethe.errors import ConfigError, DataError
from lethe.tables.interactions import Interactions

SUFFIXES = (".parquet", ".csv")
_OF_DATASET = ("duplicates", "positive")
ALL = "all"
"""Of ``positive``: every row counts as a like."""


def add_dataset(
    workspace: Workspace, name: str, path: Path, columns: Mapping[str, str | None], given: Mapping[str, Any]
) -> tuple[str, ...]:
    """Read the source once; if it can be read, add it to ``datasets`` and ``pipeline.datasets``. Returns what the user
    should know of how it is read, a line each.

    ``columns`` maps user, item, rating, timestamp to the source's columns; ``given`` are options of ``TableFormat``,
    and ``duplicates`` and ``positive`` of ``Dataset``; what is not given is found out. Raises ConfigError or DataError,
    and then params.yaml is as it was.
    """
    known = Params.read(workspace.params).datasets
    if name in known:
        raise ConfigError(f"datasets.{name}: there already; known: {', '.join(known)}")
    where = f"datasets.{name}"
    how = {key: value for key, value in given.items() if key not in _OF_DATASET}
    source = _source(workspace, path)
    # Faults of what was given come before what the file says.
    Dataset.parse({"source": {**source, **how}}, where)
    names = _columns(columns, header=how.get("header", True))
    found = _find(path.resolve(), source, names, how)
    source |= {"columns": names, **how, **found.options}
    ready = source["kind"] == "folder"
    section: dict[str, Any] = {"source": source, "split": {"by": "ready" if ready else "random"}}
    duplicates = given.get("duplicates", "latest" if ready else None)
    if duplicates is not None:
        section["duplicates"] = duplicates
    positive = given.get("positive")
    if positive not in (None, ALL):
        section["positive"] = positive
    config = Dataset.parse(section, where)
    read = sources.read(config.source, root=workspace.root, copy=workspace.source_copy(name))
    rows = Interactions.concatenate(*read.values()) if isinstance(read, dict) else read
    if not ready:
        _check_repeated(rows, duplicates)
    notes = found.notes + _told_of_ratings(rows, positive)

    def add(document: Any) -> None:
        document["datasets"][name] = section
        document["pipeline"]["datasets"].append(name)

    edit_params(workspace.params, add)
    return notes


def _source(workspace: Workspace, path: Path) -> dict[str, Any]:
    """Kind and path of the source: a file, or a folder of ready parts."""
    resolved = path.resolve()
    if not resolved.exists():
        raise ConfigError(f"path: {path} does not exist")
    inside = resolved.is_relative_to(workspace.root)
    common = {"path": str(resolved.relative_to(workspace.root) if inside else resolved)}
    if resolved.is_file():
        return {"kind": "table", **common}
    parts = {part: _part(resolved, part) for part in ("train", "valid", "test")}
    for part in ("train", "test"):
        if parts[part] is None:
            raise ConfigError(f"path: {path} has no {part}.parquet or {part}.csv")
    return {"kind": "folder", **common, **{k: v for k, v in parts.items() if v is not None}}


def _part(folder: Path, part: str) -> str | None:
    return next((f"{part}{suffix}" for suffix in SUFFIXES if (folder / f"{part}{suffix}").is_file()), None)


def _columns(given: Mapping[str, str | None], *, header: bool) -> dict[str, str]:
    """Without a header user and item are the first two columns unless said otherwise."""
    default = {"user": "user", "item": "item"} if header else {"user": "1", "item": "2"}
    return default | {role: column for role, column in given.items() if column is not None}


def _find(path: Path, source: Mapping[str, Any], columns: Mapping[str, str], given: Mapping[str, Any]) -> Findings:
    """What the file or the files of a folder say that was not given."""
    files = [path] if path.is_file() else [path / source[part] for part in ("train", "valid", "test") if part in source]
    found = find_file(files[0], columns, given)
    how = TableFormat.parse({"columns": columns, **given, **found.options}, "source")
    tables = [load_columns(file, how) for file in files]
    # Kinds of ids go by all parts: in one of them all may look like integers while another has text.
    table = pa.concat_tables(tables, promote_options="permissive")
    try:
        return found | find_values(table, files[0].name, how, given)
    except DataError:
        if path.is_file() or {"timestamp_unit", "time_format"} & set(given):
            raise
        # Ready parts often number a user's interactions instead of dating them.
        position = {"timestamp_unit": "position"}
        return found | find_values(table, files[0].name, how, {**given, **position}) | Findings(position)


def _check_repeated(rows: Interactions, duplicates: str | None) -> None:
    repeated = count_repeated(rows)
    if repeated and duplicates != "latest":
        raise DataError(
            f"columns 'user', 'item': {repeated} of {len(rows)} rows repeat a pair; give --duplicates latest to keep"
            " the newest of each (of equally new ones the best rated), or make them one in the source"
        )


def _told_of_ratings(rows: Interactions, positive: str | None) -> tuple[str, ...]:
    """What counts as a like. Raises DataError where dislikes would be likes by silence."""
    if rows.ratings is None or positive is not None:
        return ()
    low, high = float(np.min(rows.ratings)), float(np.max(rows.ratings))
    disliked = int((rows.ratings <= 0).sum())
    if disliked:
        raise DataError(
            f"column 'rating': {disliked} of {len(rows)} ratings are 0 or below, which models of preferences would"
            " learn as likes; give --positive '> 0' (or another threshold) or --positive all"
        )
    if low == high:
        return ()
    return (
        f"every row counts as a like for models of preferences, whatever its rating ({low:g} to {high:g});"
        " --positive '>= 4' (or another threshold) says which do",
    )
