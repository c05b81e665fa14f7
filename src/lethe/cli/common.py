"""What every command shares: the workspace, flows as processes, --json."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lethe.core.format import must_fit
from lethe.core.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def workspace() -> Workspace:
    """The workspace around the current folder. Raises ConfigError if it is of an older Lethe."""
    here = Workspace.find()
    must_fit(here)
    return here


def run_flow(name: str, *arguments: str) -> None:
    """Run a flow in a process of its own; its one error line and exit code become ours."""
    from lethe.core.process import run_flow as run

    if code := run(workspace(), name, *arguments):
        raise SystemExit(code)


def show(value: Any, as_json: bool, lines: list[str]) -> None:
    typer.echo(json.dumps(value, indent=1, sort_keys=True) if as_json else "\n".join(lines))
