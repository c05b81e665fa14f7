"""The tasks of the flow one after the other, without Prefect; serving has its own tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import flows.deployment
import flows.forgetting
import flows.nightly
import flows.rollback
from flows.deployment import build, current_models, deploy
from lethe.build.decision import Decision
from lethe.build.registry import Registry
from lethe.core.artifacts import ArtifactStore
from lethe.core.format import mark
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.serving.bentos import bento_folder, deployment_of
from lethe.serving.deployment import Deployment
from lethe.serving.shadow import Compared
from tests.conftest import ROOT


def promote(workspace: Workspace, family: str, content: str) -> str:
    registry = Registry(workspace)
    package = ArtifactStore(registry.workspace.artifacts).make(
        "package", {"of": content}, lambda folder: _write(folder / "weights", content)
    )
    return registry.promote(family, package, reason="test", metrics={})


def _write(path: Path, content: str) -> None:
    path.write_text(content)


def test_the_current_version_of_every_family_of_the_parameters_is_built_and_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    family = {"dataset": "tiny", "candidates": [{"model": "wmf", "sharding": "whole"}]}
    params = {
        "pipeline": {"datasets": ["tiny"], "shardings": ["whole"]},
        "datasets": {"tiny": {"source": {"kind": "synthetic"}}},
        "shardings": {"whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"}},
        "families": {"second": family, "first": family, "untrained": family},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "bentofile.yaml").write_text("service: x\n")
    workspace = Workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    built: list[dict[str, str]] = []
    deployed: list[Deployment] = []

    def build_bento(workspace: Workspace, tags: dict[str, str]) -> str:
        built.append(tags)
        deployment = deployment_of(workspace, tags)
        deployment.write(bento_folder(workspace, deployment.bento) / "src" / "deployment.json")
        return deployment.bento

    monkeypatch.setattr(flows.deployment, "build_bento", build_bento)
    limits: list[bool] = []

    def redeploy(_: Workspace, deployment: Deployment, *, limited: bool) -> dict[str, Compared]:
        deployed.append(deployment)
        limits.append(limited)
        return {"first": Compared(users=9, items=2, overlap=0.5, empty=0, popular=0, lost=0)}

    monkeypatch.setattr(flows.deployment, "redeploy", redeploy)

    promote(workspace, "first", "old")
    tags = {"first": promote(workspace, "first", "new"), "second": promote(workspace, "second", "new")}
    promote(workspace, "dropped-from-params", "new")
    assert current_models.fn() == tags
    bento = build.fn(tags)
    deploy.fn(bento)
    assert capsys.readouterr().err == (
        "beside what was served: first: overlap@2 0.500 of 9 users, empty 0.000, only popular 0.000\n"
    )
    deploy.fn(bento, limited=False)

    assert built == [tags]
    assert limits == [True, False]
    assert deployed[0] == deployed[1]
    assert [(d.bento, d.families, d.default) for d in deployed[:1]] == [(bento, tags, "second")]


@pytest.mark.parametrize("refused", [False, True])
def test_the_nightly_flow_deploys_and_goes_back_where_the_service_refuses(
    refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text("{}")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    workspace = Workspace(tmp_path)
    mark(workspace)
    monkeypatch.chdir(tmp_path)
    before = {family: promote(workspace, family, "old") for family in ("kept", "renewed")}

    def train() -> list[Decision]:
        after = {"kept": before["kept"], "renewed": promote(workspace, "renewed", "new"), "first": ""}
        after["first"] = promote(workspace, "first", "new")
        return [
            Decision(
                family=family,
                outcome="kept" if family == "kept" else "replaced",
                why="test",
                metric="ndcg@10",
                version=tag,
            )
            for family, tag in after.items()
        ]

    def deploy_all() -> str:
        if refused:
            raise DeploymentError("smoke test: no answer")
        return "recommender:new"

    monkeypatch.setattr(flows.nightly, "training", train)
    monkeypatch.setattr(flows.nightly, "deployment", deploy_all)
    monkeypatch.setattr(flows.nightly, "give_up", flows.nightly.give_up.fn)
    if refused:
        with pytest.raises(DeploymentError, match=r"^smoke test: no answer$"):
            flows.nightly.nightly.fn()
    else:
        assert flows.nightly.nightly.fn() == "recommender:new"
    tags = {family: version.tag for family, version in Registry(workspace).served().items()}
    assert tags["kept"] == before["kept"]
    assert (tags["renewed"] == before["renewed"]) == refused
    assert "first" in tags, "there is nothing before it"


def test_what_forgets_and_what_goes_back_is_deployed_without_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    mark(Workspace(tmp_path))
    monkeypatch.chdir(tmp_path)
    limits: list[bool] = []

    def deployment(limited: bool = True) -> str:
        limits.append(limited)
        return "recommender:1"

    run = SimpleNamespace(requests=("req-1",), datasets=("tiny",), plan=())
    runs = iter([run, None])
    steps = ("remove_rows", "training", "confirm", "prove", "_show", "_link")
    for name in steps:
        monkeypatch.setattr(flows.forgetting, name, lambda *_: None)
    monkeypatch.setattr(flows.forgetting, "begin", lambda *_: next(runs))
    monkeypatch.setattr(flows.forgetting, "erase", lambda run, _: run)
    monkeypatch.setattr(flows.forgetting, "complete", lambda run, *_: list(run.requests))
    monkeypatch.setattr(flows.forgetting, "left_out", lambda _: [])
    monkeypatch.setattr(flows.rollback, "roll_back", lambda *_: "lethe-family:1")
    for flow in (flows.forgetting, flows.rollback):
        monkeypatch.setattr(flow, "deployment", deployment)
    assert flows.forgetting.forgetting.fn() == ["req-1"]
    assert flows.rollback.rollback.fn("family") == "lethe-family:1"
    assert limits == [False, False]
