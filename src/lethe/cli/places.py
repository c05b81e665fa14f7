"""``lethe promote-to``: from staging to production."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lethe.cli.common import Json, show, workspace
from lethe.core.format import must_fit
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError


def promote_to(
    folder: Annotated[Path, typer.Argument(help="The other project's folder.")],
    family: Annotated[list[str] | None, typer.Option(help="Only this family; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Let another project train, from its own rows, what is promoted in this one: from staging to production.

    Its params.yaml then names each winner alone, and its next lethe train makes it. No model and no row is copied.
    Example: lethe promote-to ../production
    """
    from lethe.build.places import promote_to as run

    target = Workspace(folder.resolve())
    if not target.params.is_file():
        raise ConfigError(f"folder: no params.yaml is in {folder}; name a project's folder")
    must_fit(target)
    handed = run(workspace(), target, family or ())
    lines = [
        f"{one.family}: {one.recipe}, the same version there where the rows are the same ({one.version})"
        if not one.differs
        else f"{one.family}: {one.recipe}; of its own the other project has {', '.join(one.differs)}"
        for one in handed
    ]
    show([asdict(one) for one in handed], as_json, [*lines, "lethe train there makes it, the nightly run too"])
