"""The tasks of the flow one after the other, without Prefect; serving has its own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import flows.deployment
from flows.deployment import build, current_models, deploy
from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.serving.bentos import bento_folder, deployment_of
from lethe.serving.deployment import Deployment


def promote(workspace: Workspace, family: str, content: str) -> str:
    registry = Registry(workspace)
    package = registry.artifacts.make("package", {"of": content}, lambda folder: _write(folder / "weights", content))
    return registry.promote(family, package, reason="test", metrics={})


def _write(path: Path, content: str) -> None:
    path.write_text(content)


def test_the_current_version_of_every_family_of_the_parameters_is_built_and_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    monkeypatch.setattr(flows.deployment, "redeploy", lambda _, deployment: deployed.append(deployment))

    promote(workspace, "first", "old")
    tags = {"first": promote(workspace, "first", "new"), "second": promote(workspace, "second", "new")}
    promote(workspace, "dropped-from-params", "new")
    assert current_models.fn() == tags
    bento = build.fn(tags)
    deploy.fn(bento)

    assert built == [tags]
    assert [(d.bento, d.families, d.default) for d in deployed] == [(bento, tags, "second")]
