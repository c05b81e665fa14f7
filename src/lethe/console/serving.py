"""The console as a process: one worker in the foreground."""

from __future__ import annotations

from collections.abc import Callable

from lethe.config.params import Params
from lethe.console.app import application
from lethe.core.logs import log_as_json
from lethe.core.workspace import Workspace
from lethe.serving.listening import check_may_listen, url_of


def serve(workspace: Workspace, host: str | None, port: int | None, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises DeploymentError where nothing may listen, or the port is in use."""
    import uvicorn

    settings = Params.read(workspace.params).console
    host, port = host or settings.host, settings.port if port is None else port
    check_may_listen(host, port)
    log_as_json()
    app = application(workspace)
    say(f"console on {url_of(host, port)}/ui (Ctrl-C stops it)")
    # Its own lines have paths as they came, and what an error says.
    uvicorn.run(app, host=host, port=port, access_log=False, log_level="critical", server_header=False)
