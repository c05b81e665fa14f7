"""``lethe serve`` answers from what is registered: what isn't deployed yet is deployed first, and nothing else is."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import lethe.cli
from lethe.build.registry import Registry
from lethe.build.reports import read_reports
from lethe.cli.tables import candidates_table
from lethe.core.workspace import Workspace
from lethe.serving import deploy
from lethe.serving.deployment import Deployment
from tests import house


@pytest.fixture
def trained(tiny: Workspace) -> Workspace:
    params = yaml.safe_load(tiny.params.read_text())
    params["families"] = {"plain": {"dataset": "tiny", "candidates": [{"model": "mostpop", "sharding": "whole"}]}}
    params["pipeline"]["shardings"] = ["whole"]
    tiny.params.write_text(yaml.safe_dump(params))
    house.train(tiny)
    return tiny


def test_it_deploys_only_what_is_registered_and_not_deployed(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows: list[str] = []

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(trained.root)
    monkeypatch.setattr(lethe.cli, "run_flow", flows.append)
    monkeypatch.setattr(deploy, "start", stopped)

    def flows_of_serve() -> list[str]:
        flows.clear()
        CliRunner().invoke(lethe.cli.app, ["serve"])
        return list(flows)

    assert flows_of_serve() == ["deployment"]
    tags = {family: version.tag for family, version in Registry(trained).served().items()}
    Deployment(bento="recommender:a", families=tags, default="plain").write(trained.deployment)
    assert flows_of_serve() == []
    Deployment(bento="recommender:a", families={"plain": "lethe-plain:old"}, default="plain").write(trained.deployment)
    assert flows_of_serve() == ["deployment"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("asked", [lambda *_: None, signal.SIG_IGN], ids=["heard", "ignored"])
def test_it_leaves_no_service_however_it_is_ended(
    number: signal.Signals, asked: Any, tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[Path] = []
    server = SimpleNamespace(url="http://127.0.0.1:3000", process=lambda: None)

    def starting(*_: Any) -> Any:
        signal.raise_signal(number)  # while the service starts
        return server

    monkeypatch.chdir(tiny.root)
    monkeypatch.setattr(lethe.cli, "_is_deployed", lambda _: True)
    monkeypatch.setattr(deploy, "start", starting)
    monkeypatch.setattr(deploy, "stop", lambda here: stopped.append(here.root))
    before = signal.signal(number, asked)
    try:
        CliRunner().invoke(lethe.cli.app, ["serve"])
        assert signal.getsignal(number) is asked
    finally:
        signal.signal(number, before)
    # Under nohup it goes on when its terminal is closed.
    assert stopped == ([] if asked is signal.SIG_IGN else [tiny.root])


def test_a_training_of_no_family_says_so(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.root)
    monkeypatch.setattr(lethe.cli, "run_flow", lambda _: None)
    tiny.params.write_text(yaml.safe_dump(yaml.safe_load(tiny.params.read_text()) | {"families": {}}))
    said = CliRunner().invoke(lethe.cli.app, ["train"]).output
    assert said == "families: params.yaml names none, so nothing was trained; lethe data add makes one\n"


def test_what_learnt_all_rows_has_a_row_without_figures(trained: Workspace) -> None:
    house.forget(trained, "user-003")
    (report,) = read_reports(trained)
    unmeasured = report.candidates[0].model_copy(update={"metrics": {}, "valid": {}})
    table = candidates_table(report.model_copy(update={"candidates": (unmeasured,)}))
    assert [list(column.cells) for column in table.columns][2] == ["-"]
