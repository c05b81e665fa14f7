"""A source that somebody names: where it lies, at hand as a file, and what that says of how it is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from lethe.config.source import SqlSource
from lethe.config.table import TableFormat
from lethe.core.canonical import Json
from lethe.core.workspace import Workspace
from lethe.data.sources import sql
from lethe.data.sources.find_file import find_file
from lethe.data.sources.find_values import find_values
from lethe.data.sources.findings import Findings
from lethe.data.sources.parquet import other_files, parquet_files
from lethe.data.sources.place import Place
from lethe.data.sources.table import load_columns
from lethe.data.sources.url import fetched
from lethe.errors import ConfigError, DataError

_SUFFIXES = (".parquet", ".csv")
_FEW = 5
"""Files that are named of many."""


def path_below(workspace: Workspace, path: Path) -> str:
    """Below the workspace, or absolute."""
    return str(path.relative_to(workspace.root) if path.is_relative_to(workspace.root) else path)


def must_be_elsewhere(workspace: Workspace, name: str, *paths: str) -> None:
    """Raises ConfigError for files that lie where Lethe itself writes and deletes: they would go, or
    be found as copies that still hold who is forgotten."""
    mine = [workspace.artifacts, workspace.reports, workspace.certificates, workspace.suppression.parent]
    mine += [workspace.state, workspace.root / ".dvc", workspace.root / "data" / name]
    for path in (workspace.root / given for given in paths):
        for folder in (folder for folder in mine if path.is_relative_to(folder)):
            where = folder.relative_to(workspace.root)
            raise ConfigError(f"path: {path.name} lies in {where}, where Lethe writes and deletes; move it elsewhere")


@contextmanager
def at_hand(workspace: Workspace, source: Mapping[str, Any]) -> Iterator[Path]:
    """A file or folder that shows how the source is written; what was fetched for that is gone afterwards."""
    place = Place(workspace.root, workspace.root)
    if source["kind"] == "url":
        with fetched(source["url"], place) as file:
            yield file
    elif source["kind"] == "sql":
        with sql.answered(SqlSource.parse(source, "source"), place) as file:
            yield file
    else:
        yield workspace.root / source["path"]


def source_of(workspace: Workspace, path: str, query: str | None) -> Json:
    """Kind and place of the source: one table, a folder of ready parts, a URL, a database."""
    if query is not None:
        if not path.startswith("env:"):
            raise ConfigError(
                "path: a database's URL has a secret, so it is never written down: set an environment variable to it,"
                " and give env: and the variable's name"
            )
        return {"kind": "sql", "url_env": path.removeprefix("env:"), "query": query}
    if path.startswith("env:"):
        raise ConfigError("query: missing; a database needs --query 'SELECT ...'")
    if "://" in path:
        return {"kind": "url", "url": path}
    if re.search("[\0-\x1f\ud800-\udfff]", path):
        raise ConfigError("path: its name has signs that are no text; rename the file")
    try:
        resolved = Path(path).resolve()
    except RuntimeError:  # A link to itself.
        resolved = Path(path)
    if not os.path.exists(resolved):
        raise ConfigError(f"path: {path} does not exist")
    if not resolved.is_file() and not resolved.is_dir():
        raise ConfigError(f"path: {path} is no file and no folder; save what it gives as a file")
    common: Json = {"path": path_below(workspace, resolved)}
    if resolved.is_file():
        return {"kind": "table", **common}
    parts = {part: _part(resolved, part) for part in ("train", "valid", "test")}
    if not any(parts.values()) and parquet_files(resolved):
        return {"kind": "table", **common}
    for part in ("train", "test"):
        if parts[part] is None:
            raise ConfigError(
                f"path: {path} has no {part}.parquet or {part}.csv, nor Parquet files that are one table; give one file"
            )
    return {"kind": "folder", **common, **{k: v for k, v in parts.items() if v is not None}}


def link_told(path: str | Path) -> Iterator[str]:
    """That a link was given, as exports have one to the newest of them, and what it leads to is read for good."""
    if Path(path).is_symlink():
        name = Path(path).name
        yield (
            f"{name}: is a link to {Path(path).resolve().name}, which is read from now on, wherever the link leads"
            " later; write the link's own path to source.path in params.yaml to follow it"
        )


def _part(folder: Path, part: str) -> str | None:
    return next((f"{part}{suffix}" for suffix in _SUFFIXES if (folder / f"{part}{suffix}").is_file()), None)


def _beside(folder: Path, read: Sequence[Path]) -> Iterator[str]:
    """What lies in the folder that nobody reads: it may well be rows."""
    if others := other_files(folder, read):
        named = ", ".join(others[:_FEW]) + (f" and {len(others) - _FEW} more" if len(others) > _FEW else "")
        yield f"{folder.name}: {len(read)} files are read, and {len(others)} beside them are not: {named}"


def found_in(path: Path, source: Mapping[str, Any], columns: Mapping[str, Any], given: Mapping[str, Any]) -> Findings:
    """What the file or the files of a folder say that was not given."""
    ready = source["kind"] == "folder"
    files = [path / source[part] for part in ("train", "valid", "test") if part in source] if ready else [path]
    found = find_file(files[0], columns, given)
    for file in files[1:]:  # What is no table in them is told as it is in the first.
        find_file(file, columns, {**given, **found.options})
    how = TableFormat.parse({"columns": columns, **given, **found.options}, "source")
    tables = [load_columns(file, how) for file in files]
    if path.is_dir():
        found |= Findings(notes=tuple(_beside(path, files if ready else parquet_files(path))))
    # Kinds of ids go by all parts: in one of them all may look like integers while another has text.
    table = pa.concat_tables(tables, promote_options="permissive")
    try:
        return found | find_values(table, files[0].name, how, given)
    except DataError:
        if not ready or {"timestamp_unit", "time_format"} & set(given):
            raise
        # Ready parts often number a user's interactions instead of dating them.
        position = {"timestamp_unit": "position"}
        return found | find_values(table, files[0].name, how, {**given, **position}) | Findings(position)
