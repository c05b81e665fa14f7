"""``lethe console``: pages for people, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from lethe.cli.common import PORTS, workspace


def console(
    host: Annotated[
        str | None, typer.Option(envvar="LETHE_CONSOLE_HOST", help="Address to listen on; default from params.yaml.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(**PORTS, envvar="LETHE_CONSOLE_PORT", help="Port; default from params.yaml.")
    ] = None,
) -> None:
    """Serve the console: requests, plan and run, certificates, models, drift, and a page where the service is tried.

    People log in with a key of the service (lethe keys api NAME --role operator, or privacy-officer).
    """
    from lethe.console.serving import serve

    serve(workspace(), host, port, typer.echo)
