"""The product as its users run it: the real Prefect, DVC, Great Expectations, BentoML, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import asking
from benchmarks.prefect_server import free_port
from benchmarks.prefect_server import prefect_server as started
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.errors import DataError, LetheError, Unreachable
from lethe.forgetting import certificate
from lethe.serving import deploy
from tests.conftest import make_workspace, taste_blocks

USERS = [f"user-{number:03d}" for number in range(24)]


def ended(workspace: Workspace, *arguments: str, code: int = 0, **environment: str) -> tuple[str, str]:
    """(output, standard error) of a command that must end with ``code``."""
    done = subprocess.run(
        [sys.executable, "-m", "lethe.cli", *arguments],
        cwd=workspace.root,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def lethe(workspace: Workspace, *arguments: str, code: int = 0) -> str:
    """Output of a command that must end with ``code``; of one that fails, its standard error."""
    return ended(workspace, *arguments, code=code)[0 if code == 0 else 1]


def as_json(workspace: Workspace, *arguments: str) -> Any:
    return json.loads(lethe(workspace, *arguments, "--json"))


def artifacts(workspace: Workspace) -> dict[str, str]:
    return {artifact.key: artifact.digest for artifact in ArtifactStore(workspace.artifacts).all()}


def ask(workspace: Workspace, user: str) -> dict[str, Any]:
    server = deploy.status(workspace)
    assert server is not None
    return server.ask("POST", "/recommend", {"user_id": user, "k": 3})


@pytest.fixture(scope="module", autouse=True)
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One real Prefect server for all flows of this file: each would otherwise wait for a temporary one."""
    workspace = Workspace(tmp_path_factory.mktemp("prefect"))
    with started(workspace) as url:
        os.environ["PREFECT_API_URL"] = url
        yield workspace
        del os.environ["PREFECT_API_URL"]


def shown(what: str) -> list[dict[str, Any]]:
    """What Prefect's server has of a kind, the first first."""
    order = {"logs": "TIMESTAMP_ASC", "artifacts": "CREATED_DESC"}.get(what)
    url = f"{os.environ['PREFECT_API_URL']}/{what}/filter"
    answer = asking.post(url, json={"sort": order} if order else {})
    rows: list[dict[str, Any]] = answer.raise_for_status().json()
    return rows


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A trained workspace in a folder without git, its winners served."""
    workspace = make_workspace(tmp_path_factory.mktemp("whole-way") / "w", taste_blocks())
    params = yaml.safe_load(workspace.params.read_text())
    params["serving"]["port"] = free_port()
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    lethe(workspace, "train")
    lethe(workspace, "deploy")
    yield workspace
    deploy.stop(workspace)


def test_training_again_makes_nothing_anew(running: Workspace) -> None:
    before, stamps = artifacts(running), {p: p.stat().st_mtime_ns for p in running.artifacts.rglob("*")}
    registered = (running.state / "registry.json").read_bytes()
    lethe(running, "train")
    assert artifacts(running) == before
    assert {p: p.stat().st_mtime_ns for p in running.artifacts.rglob("*")} == stamps
    assert (running.state / "registry.json").read_bytes() == registered


def test_reports_are_what_dvc_shows(running: Workspace) -> None:
    environment = running.environment()
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "metrics", "show", "--json"],
        cwd=running.root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    files = json.loads(shown.stdout)[""]["data"]
    assert {"reports/metrics/tiny/plain/mostpop-whole.json", "reports/metrics/tiny/plain/wmf-whole.json"} <= set(files)
    assert 0 < files["reports/metrics/tiny/sharded/wmf-user-hash-3.json"]["data"]["ndcg@10"] <= 1
    plots = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", "show", "--json"],
        cwd=running.root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "learning_curves/tiny/plain/wmf-whole.csv" in plots.stdout


def test_a_user_is_forgotten(running: Workspace) -> None:
    user = USERS[4]
    before = ask(running, user)
    assert (before["source"], before["known"]) == ("model", True)
    request = as_json(running, "forget", "add", "--user", user)
    assert request["state"] == "accepted"
    assert ask(running, user)["source"] == "popular", "accepted, so no answer comes from the data any more"
    plan = as_json(running, "forget", "plan")
    planned = {f"{family['family']}/{shard}" for family in plan["families"] for shard in family["shards_touched"]}
    assert len(planned) == 2, "one shard of the sharded family, the only one of the other"

    kept = artifacts(running)
    output, said = ended(running, "forget", "run", "--json", LETHE_LOG="json")
    (done,) = json.loads(output)
    assert done["state"] == "completed"
    lines = [json.loads(line) for line in said.splitlines()]
    of_the_run = {line["message"] for line in lines if line.get("run", "").startswith("forget")}
    assert f"forgetting {request['id']}" in of_the_run
    assert user not in said
    result = done["result"]
    assert set(result["shards_touched"]) == set(result["shards_retrained"]) == planned
    assert len(result["shards_reused"]) == 2
    assert set(kept) & set(artifacts(running)), "untouched sub-models are the same artifacts"
    assert result["scan"]["found"] == 0
    after = ask(running, user)
    assert (after["source"], after["known"]) == ("popular", False)
    assert ask(running, USERS[5])["source"] == "model"

    held = [path for path in running.root.rglob("*") if path.is_file() and user.encode() in path.read_bytes()]
    assert held == [running.root / "ratings.csv"], "only the source, which is not ours, still names him"
    path = running.root / result["certificate"]
    signed = certificate.read(path)
    assert signed.request.id == request["id"]
    assert signed.verification.result == "equal", "rebuilt inside the request"
    assert any("source of tiny" in place.what for place in signed.outside_reach)
    assert as_json(running, "verify")["result"] == "equal"

    again = as_json(running, "forget", "add", "--user", user)
    assert (again["state"], again["result"]["outcome"]) == ("completed", "nothing held")


def test_what_saw_the_forgotten_can_not_be_served_again(running: Workspace) -> None:
    said = lethe(running, "rollback", "sharded", code=1)
    assert said.startswith("error: family 'sharded' has no earlier version to roll back to; 1 older ones were built be")
    assert said.count("\n") == 1


def test_prefect_shows_what_was_done_and_about_which_requests(running: Workspace) -> None:
    (request,) = (one["id"] for one in as_json(running, "forget", "list") if one["result"]["outcome"] == "forgotten")
    runs = {run["name"]: run for run in shown("flow_runs")}
    assert {re.sub(r" \d{4}-\d\d-\d\d$", " DAY", name) for name in runs} == {
        "training DAY",
        "data DAY",
        "deployment DAY",
        "rollback sharded",
        f"forget {request} (1)",
    }
    assert all(run["tags"] == ["command"] for run in runs.values())
    said = {log["message"] for log in shown("logs") if log["flow_run_id"] == runs[f"forget {request} (1)"]["id"]}
    assert f"forgetting {request}" in said
    tables = {one["key"]: one for one in shown("artifacts") if one["key"]}
    assert tables.keys() == {"candidates", "promotions", "plan", "certificate", "service", "drift"}
    assert {row["family"] for row in json.loads(tables["plan"]["data"])} == {"sharded", "plain"}
    assert f"{request}.json" in tables["certificate"]["data"]
    assert "sub-model 00 of tiny/wmf-user-hash-3, all rows" in {run["name"] for run in shown("task_runs")}


def test_what_may_pass_is_tried_again_and_the_text_of_a_bug_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.context import FlowRunContext

    from flows import watched

    monkeypatch.setattr(watched, "DELAYS", (0.1, 0.1))
    tried: list[str] = []

    @watched.task(name="flaky", outside=True)
    def flaky(fault: LetheError) -> str:
        tried.append(str(fault))
        if tried.count(str(fault)) < 3:
            raise fault
        return "there"

    @watched.task(name="buggy")
    def buggy() -> None:
        try:
            raise KeyError(USERS[0])
        except KeyError:
            raise ValueError(USERS[1])  # noqa: B904

    @watched.flow(name="tried", workers=lambda: 3)
    def attempts() -> None:
        assert FlowRunContext.get().task_runner._max_workers == 3, "whoever begins it"
        assert flaky(Unreachable("the source: not reachable")) == "there"
        with pytest.raises(DataError):
            flaky(DataError("column: is missing"))
        buggy()

    with pytest.raises(watched.BrokeDown, match=r"^broke down with ValueError at line \d+ of test_whole_way.py; "):
        attempts()
    assert tried == [*["the source: not reachable"] * 3, "column: is missing"]


def test_a_dry_run_tells_bytes_and_does_nothing(running: Workspace) -> None:
    as_json(running, "forget", "add", "--user", USERS[9])
    before = artifacts(running)
    told = as_json(running, "forget", "run", "--dry-run")
    assert {one["store"] for one in told["stores"]} >= {"data", "dvc", "artifacts", "models", "service", "prefect"}
    assert all(one["removed"] <= one["bytes"] for one in told["stores"])
    assert told["families"][0]["shards_touched"]
    assert artifacts(running) == before
    assert as_json(running, "forget", "list")[-1]["state"] == "accepted"


def test_the_audit_passes_and_a_difference_fails_it_with_one_line(running: Workspace) -> None:
    report = as_json(running, "audit", "run")
    assert (report["scan"]["found"], report["rebuild"]["result"]) == (0, "equal")
    assert report["log"]["certificates"] == 2, "of who was forgotten, and of nothing held when they asked again"
    kept = running.reports / "answers.json"
    kept.write_text(json.dumps({"user_id": USERS[4]}))
    said = lethe(running, "audit", "run", code=1)
    kept.unlink()
    assert said == (
        "error: scan: 1 places still hold forgotten data, there must be none; first: reports: answers.json: user id\n"
    )


def test_no_id_of_a_person_is_where_it_has_no_business(running: Workspace, prefect_server: Workspace) -> None:
    """After training, serving, asking, forgetting and failing: logs, parameters, labels, reports, file names."""
    server = deploy.status(running)
    assert server is not None
    person = re.compile(rb"user-\d{3}")
    assert ask(running, USERS[11])["known"]
    asking.post(f"{server.url}/recommend", json={"user_id": USERS[11], "k": 0})
    asking.post(f"{server.url}/recommend", json={"user_id": [USERS[11]]})
    labels = asking.get(f"{server.url}/metrics")
    assert labels.status_code == 200
    assert b"/recommend" in labels.content
    assert not person.search(labels.content)
    for root in (running.state / "logs", running.reports, running.certificates, prefect_server.prefect_home):
        files = [path for path in root.rglob("*") if path.is_file()]
        assert files, root
        assert [path.name for path in files if person.search(path.read_bytes())] == []
    named = [path for path in running.root.rglob("*") if person.search(path.name.encode())]
    assert named == []
    for path in (running.deployment, running.state / "registry.json", running.hidden_users, running.suppression):
        assert not person.search(path.read_bytes()), path.name


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("forget", "add", "--user", " "), "error: user: an id must not be empty"),
        (("forget", "add", "--user", "user-001", "--dataset", "nope"), "error: dataset: unknown 'nope'; known: tiny"),
        (("data", "add", "tiny", "ratings.csv"), "error: datasets.tiny: there already; known: tiny"),
        (("data", "add", "more", "absent.csv"), "error: path: absent.csv does not exist"),
        (("data", "add", "more", "ratings.csv", "--user-column", "who"), "column 'who'"),
        (("certificate", "check", "params.yaml"), "error: "),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(running: Workspace, arguments: tuple[str, ...], line: str) -> None:
    before = {p: p.read_bytes() for p in (running.params, running.state / "registry.json")}
    said = lethe(running, *arguments, code=1)
    assert line in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert {p: p.read_bytes() for p in before} == before


def test_a_failed_gate_stops_the_flow_with_one_line(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    source = workspace.root / "ratings.csv"
    source.write_text(source.read_text() + "user-000,item-canary,77,1\n")
    said = lethe(workspace, "data", "repro", code=1)
    *before, fault = said.splitlines()
    assert before == ["data: stages of tiny", "gates: tiny"]
    assert fault.startswith("error: ")
    assert "rating" in fault
    assert "user-000" not in said
    assert "item-canary" not in said


def test_a_corrupt_artifact_is_named(running: Workspace) -> None:
    artifact = next(a for a in ArtifactStore(running.artifacts).all() if a.kind == "sub-model")
    weights = artifact.file("weights.safetensors")
    good = weights.read_bytes()
    try:
        weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        said = lethe(running, "train", code=1)
    finally:
        weights.write_bytes(good)
    assert "weights.safetensors" in said.strip().splitlines()[-1]
    assert said.strip().splitlines()[-1].startswith("error: artifact sub-model/")
