from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lethe.build.registry import Registry
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, DeploymentError


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(Workspace(tmp_path / "workspace"))


def package(registry: Registry, content: str) -> Artifact:
    def write(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "weights").write_text(content)

    return ArtifactStore(registry.workspace.artifacts).make("package", {"content": content}, write)


def promote(registry: Registry, content: str, family: str = "plain") -> str:
    return registry.promote(family, package(registry, content), reason=f"for {content}", metrics={"ndcg@10": 0.25})


def test_a_version_is_the_whole_artifact_named_by_its_digest(registry: Registry) -> None:
    artifact = package(registry, "a")
    tag = promote(registry, "a")
    assert tag == f"lethe-plain:{artifact.digest[:16]}"
    current = registry.current("plain")
    assert current is not None
    assert (current.tag, current.digest, current.key) == (tag, artifact.digest, artifact.key)
    assert (current.reason, current.metrics) == ("for a", {"ndcg@10": 0.25})
    assert registry.open(tag).file("inner/weights").read_text() == "a"


def test_bentoml_finds_the_version_and_its_metadata(registry: Registry) -> None:
    tag = promote(registry, "a")
    from bentoml._internal.models import ModelStore

    model = ModelStore(registry.workspace.bentoml_home / "models").get(tag)
    assert Path(model.path) == registry.folder(tag)
    assert model.info.metadata["family"] == "plain"


def test_nothing_of_the_process_is_changed_and_nothing_written_at_home(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from tests.build.test_registry import *\n"
        "before = dict(os.environ)\n"
        "for name in 'ab':\n"
        "    registry = Registry(Workspace(Path(sys.argv[1]) / name))\n"
        "    print(registry.version(promote(registry, name)).reason)\n"
        "assert dict(os.environ) == before\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENTOML")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "for a\nfor b\n", done.stderr
    assert not any("bento" in path.name for path in home.rglob("*"))


def test_promoting_the_same_again_changes_nothing(registry: Registry) -> None:
    promote(registry, "a")
    tag = promote(registry, "b")
    before = registry.pointer.read_bytes(), [(v.tag, v.digest) for v in registry.versions("plain")]
    assert promote(registry, "b") == tag
    assert (registry.pointer.read_bytes(), [(v.tag, v.digest) for v in registry.versions("plain")]) == before
    registry.roll_back("plain")
    with pytest.raises(DeploymentError, match="no earlier version"):
        registry.roll_back("plain")


def test_nothing_of_a_package_is_left_outside_the_workspace(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    promote(registry, "a")
    assert list((tmp_path / "temporary").rglob("*")) == []


def test_roll_back_goes_to_the_version_before_and_skips_retired_ones(registry: Registry) -> None:
    first, second = promote(registry, "a"), promote(registry, "b")
    third = promote(registry, "c")
    registry.retire(second)
    assert registry.roll_back("plain") == first
    current = registry.current("plain")
    assert current is not None
    assert current.tag == first
    assert {v.tag for v in registry.versions("plain")} == {first, third}


def test_the_current_version_is_not_retired(registry: Registry) -> None:
    first, second = promote(registry, "a"), promote(registry, "b")
    with pytest.raises(DeploymentError, match="is current"):
        registry.retire(second)
    registry.retire(first)
    assert not registry.folder(first).exists()
    with pytest.raises(DeploymentError, match="not in the model store"):
        registry.retire(first)
    with pytest.raises(DeploymentError, match="no earlier version"):
        registry.roll_back("plain")


def test_a_retired_version_is_a_tombstone(registry: Registry) -> None:
    old, older = promote(registry, "old"), promote(registry, "older")
    assert registry.roll_back("plain") == old
    promote(registry, "new")
    registry.retire(old)
    registry.retire(older)
    for refused in (lambda: registry.roll_back("plain", old), lambda: promote(registry, "old")):
        with pytest.raises(DeploymentError, match="were built before the last completed forget request"):
            refused()
    with pytest.raises(DeploymentError, match="no earlier version to roll back to; 2 older ones were built before"):
        registry.roll_back("plain")
    assert old not in {version.tag for version in registry.versions("plain")}
    with pytest.raises(DeploymentError, match=r"'lethe-plain:\.\./x' is no earlier version of family 'plain'"):
        registry.roll_back("plain", "lethe-plain:../x")


def test_roll_back_to_a_named_version_forgets_those_after_it(registry: Registry) -> None:
    tags = [promote(registry, content) for content in "abcd"]
    assert registry.roll_back("plain", tags[1]) == tags[1]
    assert registry.roll_back("plain") == tags[0]


def test_what_an_interrupted_promotion_left_can_be_discarded(registry: Registry) -> None:
    whole, unfinished = promote(registry, "a"), promote(registry, "b")
    (registry.folder(unfinished) / "manifest.json").unlink()
    assert registry.discard_unfinished() == 1
    assert not registry.folder(unfinished).exists()
    assert registry.folder(whole).is_dir()
    assert registry.discard_unfinished() == 0


def test_a_first_promotion_that_was_killed_before_it_counted_is_discarded_whole(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(Registry, "_write", raised(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promote(registry, "a")
    (stored,) = registry.versions("plain")
    assert registry.current("plain") is None
    assert registry.discard_unfinished() == 1
    assert not registry.folder(stored.tag).exists()
    assert promote(registry, "a") == stored.tag, "the next one makes it again"
    assert registry.discard_unfinished() == 0


def raised(error: type[BaseException]) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_retiring_between_two_promotions_of_the_same_leaves_no_step_back(registry: Registry) -> None:
    first = promote(registry, "a")
    between = promote(registry, "b")
    assert promote(registry, "a") == first
    registry.retire(between)
    with pytest.raises(DeploymentError, match="no earlier version"):
        registry.roll_back("plain")


def test_families_are_apart(registry: Registry) -> None:
    promote(registry, "a", "plain")
    promote(registry, "b", "sharded")
    assert registry.families() == ["plain", "sharded"]
    registry.drop("plain")
    assert registry.families() == ["sharded"]
    assert registry.current("plain") is None
    assert registry.versions("plain") == []
    assert len(registry.versions("sharded")) == 1


def test_an_unfinished_or_damaged_copy_is_not_a_version_and_is_replaced(registry: Registry) -> None:
    first, second = promote(registry, "a"), promote(registry, "b")
    (registry.folder(first) / "manifest.json").unlink()
    assert [v.tag for v in registry.versions("plain")] == [second]
    with pytest.raises(DeploymentError, match="not in the model store"):
        registry.version(first)
    assert promote(registry, "a") == first
    assert registry.open(first)
    (registry.folder(first) / "inner" / "weights").write_text("damaged")
    with pytest.raises(ArtifactError, match="corrupt"):
        registry.open(first)
    assert promote(registry, "a") == first
    assert registry.open(first).file("inner/weights").read_text() == "a"


def test_a_corrupt_package_is_not_promoted(registry: Registry) -> None:
    promote(registry, "a")
    bad = package(registry, "b")
    bad.file("inner/weights").write_text("damaged")
    before = registry.pointer.read_bytes()
    with pytest.raises(ArtifactError, match="corrupt"):
        registry.promote("plain", bad, reason="", metrics={})
    assert registry.pointer.read_bytes() == before
    assert len(registry.versions("plain")) == 1


def test_the_store_and_artifacts_are_separate(registry: Registry) -> None:
    artifact = package(registry, "a")
    tag = promote(registry, "a")
    ArtifactStore(registry.workspace.artifacts).remove(artifact)
    assert registry.open(tag)
