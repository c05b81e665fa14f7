"""``lethe report``: one HTML file with all that a project has recorded of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lethe.cli.common import Json, must_end_in, show, workspace
from lethe.errors import ConfigError


def report(
    out: Annotated[Path | None, typer.Option(help="The file; default: reports/report.html.")] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML file to look at: data, gates, candidates, what is served and why, forgetting, requests, proof.

    Nothing is trained or measured for it, it loads nothing from elsewhere, and it names nobody.

    Example: lethe report --out monday.html
    """
    from lethe.cli.report.facts import gather
    from lethe.cli.report.page import page
    from lethe.core.files import write_whole
    from lethe.core.reports import page_path

    here = workspace()
    target = page_path(here) if out is None else out
    if out is not None:
        must_end_in(".html", "out", out)
    if target.is_dir() or (out is not None and not target.absolute().parent.is_dir()):
        raise ConfigError(f"out: {target} must be a file in a folder that is there")
    write_whole(target, page(gather(here)))
    show({"report": str(target)}, as_json, [f"wrote {target}; open it in a browser"])
