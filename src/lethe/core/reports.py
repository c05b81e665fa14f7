"""Reports: what people, dashboards and DVC read under reports/. Nothing is ever computed from one.

Every report is put in place here, whole or not at all, and JSON in one form, so that equal findings have equal bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lethe.core.canonical import readable_json
from lethe.core.files import read_json, write_whole
from lethe.core.workspace import Workspace


def report_path(workspace: Workspace, name: str) -> Path:
    """reports/NAME.json; ``name`` may hold folders."""
    return workspace.reports / f"{name}.json"


def page_path(workspace: Workspace) -> Path:
    """The page of ``lethe report``. It tells of one moment: whatever changes what is served takes it away."""
    return workspace.reports / "report.html"


def write_report(workspace: Workspace, name: str, report: Any) -> None:
    """reports/NAME.json."""
    write_whole(report_path(workspace, name), readable_json(report))


def write_text(workspace: Workspace, name: str, text: str) -> None:
    """reports/NAME, for what isn't JSON."""
    write_whole(workspace.reports / name, text)


def read_report(workspace: Workspace, name: str) -> Any:
    """What reports/NAME.json holds. Raises FileNotFoundError."""
    return read_json(report_path(workspace, name), dict)


def remove_report(workspace: Workspace, name: str) -> None:
    """So that an earlier report is not taken for one of now."""
    report_path(workspace, name).unlink(missing_ok=True)
