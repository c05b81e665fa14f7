from __future__ import annotations

import pytest

from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.serving import deploy
from lethe.serving.bentos import bento_folder
from lethe.serving.deployment import Deployment
from tests.serving.conftest import promote


def test_a_bento_holds_code_and_pinned_tags_but_no_model(workspace: Workspace) -> None:
    tags = {"a": promote(workspace, "a", 0)}
    bento = deploy.build_bento(workspace, tags)
    folder = bento_folder(workspace, bento)
    assert deploy.shipped(workspace, bento) == deploy.deployment_of(workspace, tags)
    assert deploy.shipped(workspace, bento).bento == bento
    assert tags["a"] in (folder / "bento.yaml").read_text()
    assert (folder / "src" / "lethe" / "serving" / "service.py").is_file()
    assert not list(folder.rglob("*.safetensors"))
    assert not list(workspace.state.glob("build-*"))
    made = (folder / "bento.yaml").stat().st_mtime_ns
    assert deploy.build_bento(workspace, tags) == bento
    assert (folder / "bento.yaml").stat().st_mtime_ns == made
    # As a kill leaves it while BentoML copies: the newest file is not there yet.
    for file in (folder / ".whole", folder / "src" / "lethe" / "serving" / "service.py"):
        file.unlink()
    (folder.parent / "latest").write_text("")
    assert deploy.build_bento(workspace, tags) == bento
    assert (folder / "src" / "lethe" / "serving" / "service.py").is_file()


def test_the_bento_is_named_by_what_it_serves(workspace: Workspace) -> None:
    one, other = {"a": "lethe-a:1"}, {"a": "lethe-a:2"}
    assert deploy.deployment_of(workspace, one) == deploy.deployment_of(workspace, one)
    assert deploy.deployment_of(workspace, one).bento != deploy.deployment_of(workspace, other).bento
    before = deploy.deployment_of(workspace, one).bento
    template = workspace.root / "bentofile.yaml"
    template.write_text(template.read_text() + "\n# changed\n")
    assert deploy.deployment_of(workspace, one).bento != before


def test_a_build_that_fails_is_one_line_and_leaves_nothing(workspace: Workspace) -> None:
    with pytest.raises(DeploymentError, match=r"bentoml build failed: .*lethe-a:0000") as caught:
        deploy.build_bento(workspace, {"a": "lethe-a:0000"})
    assert "\n" not in str(caught.value)
    assert not list((workspace.bentoml_home / "bentos").glob("*/*"))
    assert not list(workspace.state.glob("build-*"))


def test_what_is_missing_is_said(workspace: Workspace) -> None:
    with pytest.raises(DeploymentError, match="none has a promoted model"):
        deploy.deployment_of(workspace, {})
    with pytest.raises(DeploymentError, match="nothing is deployed yet"):
        deploy.start(workspace)
    tags = {"a": promote(workspace, "a", 0)}
    with pytest.raises(DeploymentError, match="not in the bento store"):
        deploy.shipped(workspace, "recommender:1")
    with pytest.raises(DeploymentError, match="not in the bento store"):
        deploy.redeploy(workspace, deploy.deployment_of(workspace, tags))
    (workspace.root / "bentofile.yaml").unlink()
    with pytest.raises(DeploymentError, match=r"bentofile\.yaml: must be beside"):
        deploy.build_bento(workspace, tags)


def test_the_deployed_bento_is_not_retired(workspace: Workspace) -> None:
    for version in "abc":
        bento_folder(workspace, f"recommender:{version}").mkdir(parents=True)
    Deployment(bento="recommender:a", families={"a": "lethe-a:1"}, default="a").write(workspace.deployment)
    assert deploy.retire_bentos(workspace, keep=["recommender:b"]) == ["recommender:c"]
    assert deploy.retire_bentos(workspace, keep=[]) == ["recommender:b"]
    assert bento_folder(workspace, "recommender:a").is_dir()
