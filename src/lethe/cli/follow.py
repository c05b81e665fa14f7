"""``lethe follow``: the service in the foreground, for containers and supervisors."""

from __future__ import annotations

from typing import Annotated

import typer

from lethe.cli.common import PORTS, workspace
from lethe.core import logs


def follow(
    host: Annotated[
        str | None, typer.Option(envvar="LETHE_HOST", help="Address to listen on; default from params.yaml.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(**PORTS, envvar="LETHE_PORT", help="Port; default from params.yaml.")
    ] = None,
) -> None:
    """Serve what this project deploys, now and later, in the foreground: for containers, systemd, honcho."""
    from lethe.serving.following import follow as serve

    raise typer.Exit(serve(workspace(), host, port, logs.say))
