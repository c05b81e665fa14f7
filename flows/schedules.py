"""Put everything that is scheduled onto a Prefect server: the work pool, prefect.yaml's deployments, the alerts.

``python -m flows.schedules``; again after a change, or an upgrade. Nothing has to be there before, and what is there
stays: a pool with its settings, runs, and alerts where no webhook is named.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress

from flows.command import command
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, LetheError

POOL = "lethe"
"""As prefect.yaml calls it."""
LONGEST = 120
"""Seconds that a server may take to answer."""


def schedules(wait: bool = False) -> None:
    """``wait``: until the server answers, for a while.

    Raises ConfigError where no server is named, LetheError where it can't be reached or refuses.
    """
    if not os.environ.get("PREFECT_API_URL", "").startswith(("http://", "https://")):
        raise ConfigError("PREFECT_API_URL: must be the address of a Prefect server, such as http://127.0.0.1:4200/api")
    if wait:
        _wait_for_server()
    from httpx import HTTPError

    from flows import alerts  # these import Prefect, which takes a while

    try:
        _make_pool()
        _deploy_all()
        calls_webhook = alerts.install()
    except HTTPError as error:
        raise LetheError(f"PREFECT_API_URL: no answer from the server ({type(error).__name__})") from None
    whom = "LETHE_WEBHOOK_URL is called" if calls_webhook else "nobody is told, because LETHE_WEBHOOK_URL is not set"
    print(f"deployed; of failed runs and near due dates {whom}")


def _wait_for_server() -> None:
    """Its first start makes a database, which takes a while; what then doesn't answer is said by the next question."""
    import httpx

    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{os.environ['PREFECT_API_URL']}/health", timeout=5).is_success:
                return
        time.sleep(1)


def _make_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))


def _deploy_all() -> None:
    workspace = Workspace.find()
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=workspace.root,
        env=workspace.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise LetheError(f"prefect deploy --all: {said[-1]}")


if __name__ == "__main__":
    command(lambda: schedules(wait="--wait" in sys.argv[1:]))
