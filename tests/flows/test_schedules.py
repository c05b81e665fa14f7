"""Everything that is scheduled, on a real Prefect server (on PostgreSQL, where there is one), and who is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks import asking
from benchmarks.postgres import NoPostgres, PostgresServer, new_database
from benchmarks.prefect_server import prefect_server
from benchmarks.receiver import Receiver
from lethe.core.workspace import Workspace
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.standing import DueSoon, due_soon, ledger
from tests.conftest import ROOT, make_workspace, taste_blocks

NOW = datetime.now(UTC)
FLOWS = ("nightly", "forgetting", "audit", "watch", "epoch")
SECRET = "a-token-of-the-chat-service"


@pytest.fixture(scope="module")
def database() -> Iterator[str | None]:
    """URL of a PostgreSQL database for Prefect; None where there is no such server."""
    try:
        server = PostgresServer.start()
    except NoPostgres:
        yield None
        return
    yield new_database(server.url)
    server.stop()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = make_workspace(tmp_path_factory.mktemp("scheduled") / "workspace", taste_blocks())
    (made.root / "flows").symlink_to(ROOT / "flows")
    (made.root / "prefect.yaml").write_bytes((ROOT / "prefect.yaml").read_bytes())
    return made


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def api(
    workspace: Workspace, receiver: Receiver, database: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a server onto which everything was put, and what is ours once more."""
    place, environment = Workspace(tmp_path_factory.mktemp("prefect")), {"PREFECT_UI_URL": "https://flows.example"}
    if database:
        environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database.replace(
            "postgresql://", "postgresql+asyncpg://"
        )
    with prefect_server(place, **environment) as url:
        hook = {"LETHE_WEBHOOK_URL": f"{receiver.url}/hook"}
        run(workspace, url, "-m", "flows.schedules", **hook)
        again = "from flows import alerts, schedules; schedules._make_pool(); alerts.install()"
        run(workspace, url, "-c", again, **hook)
        yield url


def run(workspace: Workspace, api: str, *arguments: str, **environment: str) -> None:
    around = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "PREFECT_API_URL": api,
        "LETHE_WEBHOOK_TOKEN": SECRET,
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=workspace.root, env=around | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def kept(api: str, what: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = asking.post(f"{api}/{what}/filter", json={}).raise_for_status().json()
    return rows


def test_nothing_has_to_be_there_before_and_twice_is_once(api: str) -> None:
    assert {(one["name"], one["entrypoint"], tuple(one["tags"])) for one in kept(api, "deployments")} == {
        (name, f"flows/{name}.py:{name}", ("lethe", name)) for name in FLOWS
    }
    assert [pool["name"] for pool in kept(api, "work_pools")] == ["lethe"]
    assert sorted(one["name"] for one in kept(api, "automations")) == [
        "Lethe: a due date is near",
        "Lethe: a run failed",
        "Lethe: a run is gone",
    ]
    blocks = kept(api, "block_documents")
    assert SECRET not in json.dumps(blocks)
    assert [block["data"]["url"] for block in blocks if block["name"] == "lethe-alerts"] == ["********"]


def test_what_is_there_already_is_not_put_there_again(api: str, workspace: Workspace, receiver: Receiver) -> None:
    """The server would forget which runs it waits to hear from."""
    before = {one["name"]: one["trigger"]["id"] for one in kept(api, "automations")}
    run(workspace, api, "-c", "from flows import alerts; alerts.install()", LETHE_WEBHOOK_URL=f"{receiver.url}/hook")
    assert {one["name"]: one["trigger"]["id"] for one in kept(api, "automations")} == before


def test_whoever_waits_is_told_of_a_scheduled_run_that_failed(api: str, receiver: Receiver) -> None:
    (nightly,) = (one for one in kept(api, "deployments") if one["name"] == "nightly")
    begun = asking.post(f"{api}/deployments/{nightly['id']}/create_flow_run", json={"name": "nightly 'one'"})
    failed = {"type": "FAILED", "name": "Failed", "message": "user-003 is in the text"}
    called = f"{api}/flow_runs/{begun.raise_for_status().json()['id']}/set_state"
    asking.post(called, json={"state": failed, "force": True}).raise_for_status()
    call = receiver.called()
    headers, told = call.headers, call.json
    url = told.pop("url")
    assert url.startswith("https://flows.example/")
    assert begun.json()["id"] in url
    assert told == {
        "text": "nightly 'one': Failed",
        "alert": "run-failed",
        "flow": "nightly",
        "run": "nightly 'one'",
        "state": "Failed",
    }
    assert (headers["Content-Type"], headers["Authorization"]) == ("application/json", f"Bearer {SECRET}")


def test_a_run_that_is_not_heard_of_any_more_gives_its_place_free(
    api: str, workspace: Workspace, receiver: Receiver
) -> None:
    """As where the machine of a worker goes away: the server hears that it runs, and then nothing."""
    soon = "from datetime import timedelta; from flows import alerts; alerts.GONE_AFTER = timedelta(seconds=10)"
    run(workspace, api, "-c", f"{soon}; alerts.install()")
    (audit,) = (one for one in kept(api, "deployments") if one["name"] == "audit")

    def asked(path: str, body: Any) -> Any:
        return asking.post(f"{api}/{path}", json=body).raise_for_status().json()

    def begin() -> tuple[str, str]:
        """A further run, and what the server lets it be."""
        id = asked(f"deployments/{audit['id']}/create_flow_run", {})["id"]
        return id, asked(f"flow_runs/{id}/set_state", {"state": {"type": "PENDING"}})["state"]["name"]

    gone, state = begin()
    assert state == "Pending"
    asked(f"flow_runs/{gone}/set_state", {"state": {"type": "RUNNING"}})
    assert begin()[1] == "AwaitingConcurrencySlot", "one run at a time"
    call = receiver.called(timeout=60)
    assert (call.json["alert"], call.json["flow"], call.json["state"]) == ("run-failed", "audit", "Crashed")
    run(workspace, api, "-c", "from flows import alerts; alerts.install()")
    after, state = begin()
    assert state == "Pending", "the next one can begin"
    asked(f"flow_runs/{after}/set_state", {"state": {"type": "COMPLETED"}})


def test_whoever_waits_is_told_of_a_due_date_that_is_near(api: str, workspace: Workspace, receiver: Receiver) -> None:
    ask(workspace, "user-003", days=30)
    run(workspace, api, "-m", "flows.watch")
    with pytest.raises(Empty):
        receiver.called(timeout=3)
    ask(workspace, "user-004", days=1, now=datetime.now(UTC))
    ask(workspace, "user-005", days=1, now=datetime.now(UTC))
    run(workspace, api, "-m", "flows.watch")
    told = receiver.called().json
    assert told.pop("hours_left") == pytest.approx(24, abs=0.3)
    assert told.pop("text").startswith("2 forget request(s) due soon, hours left: 2")
    assert told == {"alert": "due-date-near", "waiting": 2}


def ask(workspace: Workspace, user: str, days: int, now: datetime = NOW) -> None:
    ledger(workspace).take([ForgetRequest.new("tiny", user, now=now, datasets=["tiny"], due_days=days)])


def test_prefect_keeps_its_runs_in_postgresql(api: str, database: str | None) -> None:
    if database is None:
        pytest.skip("no PostgreSQL server on this machine")
    engine = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM deployment").scalar_one() == len(FLOWS)


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("", "error: PREFECT_API_URL: must be the address of a Prefect server, such as http://127.0.0.1:4200/api"),
        (
            "127.0.0.1:4200/api",
            "error: PREFECT_API_URL: must be the address of a Prefect server, such as http://127.0.0.1:4200/api",
        ),
        ("http://127.0.0.1:1/api", "error: PREFECT_API_URL: no answer from the server (ConnectError)"),
    ],
)
def test_without_a_server_it_is_one_line(address: str, line: str, workspace: Workspace) -> None:
    around = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PREFECT_API_URL": address}
    done = subprocess.run(
        [sys.executable, "-m", "flows.schedules"], cwd=workspace.root, env=around, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, f"{line}\n")


def test_what_is_due_soon(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace", taste_blocks())
    assert due_soon(workspace) is None
    ask(workspace, "user-003", days=3)
    assert due_soon(workspace, NOW) is None
    assert (
        str(due_soon(workspace, NOW + timedelta(days=2, hours=6))) == "1 forget request is due soon, the first in 18 h"
    )
    ask(workspace, "user-004", days=3)
    overdue = due_soon(workspace, NOW + timedelta(days=4))
    assert overdue == DueSoon(2, -24.0)
    assert str(overdue) == "2 forget requests are due soon, the first since 24 h"
