"""An auditor builds what a certificate names from the data themselves, and sees the same bytes or that they differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe.build.recipe import Recipe
from lethe.cli import app
from lethe.config.params import Params
from lethe.core.environment import numeric_environment
from lethe.core.workspace import Workspace
from lethe.data.stages import kept_assignment
from lethe.errors import NotComparable
from lethe.forgetting import certificate
from lethe.forgetting.certificate import Erasure
from lethe.learning import device
from lethe.proof import reproduce as auditing
from lethe.proof.rebuild import clean_workspace
from lethe.proof.reproduce import reproduce
from tests.house import forget

GONE = "user-004"


@pytest.fixture
def forgotten(trained: Workspace) -> tuple[Workspace, Erasure]:
    (id,) = forget(trained, GONE)
    return trained, certificate.read(trained.certificates / f"{id}.json")


def test_an_auditor_who_may_read_the_data_sees_the_same_bytes(
    forgotten, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of what was built is at hand, but for the data, the parameters and the suppression list."""
    workspace, content = forgotten
    elsewhere = Workspace(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    for name in ("params.yaml", "dvc.yaml", "ratings.csv", "suppression"):
        source, target = workspace.root / name, elsewhere.root / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    with monkeypatch.context() as machine:  # It has a GPU, that it would pay to use.
        machine.setattr(device, "WORTH", 0)
        for module in (device, auditing):
            machine.setattr(module, "fault", lambda: None)
        here = numeric_environment("cpu")
        kinds = {"cpu": here, "cuda": {**here, "device": "a card"}}
        machine.setattr(auditing, "numeric_environment", kinds.__getitem__)
        comparison = reproduce(elsewhere, content)
    assert comparison.equal
    assert set(comparison.compared) == set(content.after)
    assert list(elsewhere.temporary.iterdir()) == []


def test_what_was_served_otherwise_is_different(forgotten) -> None:
    workspace, content = forgotten
    for name in ("plain/package", "sharded/sub-model/00"):
        other = content.model_copy(update={"after": content.after | {name: "0" * 64}})
        assert reproduce(workspace, other).differing == (name,)
    family = content.families["plain"]
    reseeded = family.model_copy(update={"recipe": family.recipe | {"seed": 8}})
    other = content.model_copy(update={"families": {"plain": reseeded}})
    assert not reproduce(workspace, other).equal
    with workspace.params.open("a") as file:
        file.write("audit: {sample: 3}\n")
    with pytest.raises(NotComparable, match="differs, and so does params"):
        reproduce(workspace, other)


def test_other_data_code_or_environment_are_not_compared(forgotten) -> None:
    workspace, content = forgotten
    for name in ("code", "environment"):
        other = content.model_copy(update={"materials": content.materials | {name: "0" * 64}})
        with pytest.raises(NotComparable, match=f"{name} differ from the certificate's"):
            reproduce(workspace, other)
    with pytest.raises(NotComparable, match="no dataset 'other'"):
        reproduce(workspace, content.model_copy(update={"dataset": "other"}))
    family = content.families["plain"]
    recipe, layout = family.recipe, {"partition": "ubp", "num_shards": 2, "aggregator": "mean"}
    for changes, why in (
        ({"recipe": recipe | {"dataset": "other"}}, "the recipe of plain is of another dataset"),
        ({"repeatable": False}, "plain was built where the same inputs give other bytes"),
        ({"recipe": recipe | {"layout": layout, "epoch": 2}}, "the assignment to shards that epoch 2 of tiny began"),
    ):
        other = content.model_copy(update={"families": {"plain": family.model_copy(update=changes)}})
        with pytest.raises(NotComparable, match=why):
            reproduce(workspace, other)
    nameless = {name: digest for name, digest in content.after.items() if name != "tiny/interactions"}
    with pytest.raises(NotComparable, match="they have changed since"):
        reproduce(workspace, content.model_copy(update={"after": nameless}))
    with (workspace.root / "ratings.csv").open("a") as file:
        file.write("user-001,item-new,3,9999\n")
    with pytest.raises(NotComparable, match="they have changed since"):
        reproduce(workspace, content)


def test_a_kept_assignment_goes_along_though_params_dropped_its_sharding(tiny: Workspace, tmp_path: Path) -> None:
    layout = {"partition": "ubp", "num_shards": 2, "aggregator": "mean"}
    values = {"dataset": "tiny", "model": "wmf", "config": {}, "sharding": "dropped", "layout": layout, "seed": 7}
    recipe = Recipe.parse({**values, "aggregator": {}}, "recipe")
    params = Params.read(tiny.params)
    kept = params.model_copy(update={"pipeline": params.pipeline.model_copy(update={"datasets": ("other",)})})
    then = auditing._as_then(kept, recipe, "cpu")
    folder = tiny.assignment("tiny", "dropped")
    folder.mkdir(parents=True)
    begun = {"sharding": recipe.layout.plain(), "seed": 7, "epoch": 1}
    (folder / "epoch.json").write_text(json.dumps(begun))
    clean = clean_workspace(tiny, then, tmp_path / "clean")
    assert kept_assignment(clean, then, "tiny", "dropped", "train") is not None
    later = then.model_copy(update={"seed": 8})
    assert kept_assignment(clean, later, "tiny", "dropped", "train") is None


def test_the_command_says_equal_or_why_not(forgotten, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, content = forgotten
    monkeypatch.chdir(workspace.root)
    path = workspace.certificates / f"{content.request.id}.json"
    done = CliRunner().invoke(app, ["reproduce", str(path), "--json"])
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["result"] == "equal"
    with (workspace.root / "ratings.csv").open("a") as file:
        file.write("user-001,item-new,3,9999\n")
    failed = CliRunner().invoke(app, ["reproduce", str(path)])
    assert isinstance(failed.exception, NotComparable)
