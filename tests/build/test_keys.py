"""Under which keys results are kept: those of the code that made them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lethe.build.builder import Builder, slices_before
from lethe.build.recipes import candidate_recipe
from lethe.build.registry import Registry
from lethe.build.tuning import tune
from lethe.config.evaluation import Evaluation
from lethe.config.params import Candidate, Params
from lethe.core.artifacts import Artifact
from lethe.core.environment import closure, code_digest
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import NotComparable
from lethe.forgetting.intake import ledger
from lethe.models import MODELS
from lethe.models.wmf import WMF
from lethe.proof.verification import verify
from tests.conftest import make_workspace, taste_blocks
from tests.core.test_environment import MADE
from tests.edits import edited, with_code, with_words
from tests.house import forget, train


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose shards are laid: a sharding of stacked sub-models, and one in slices."""
    workspace = make_workspace(tmp_path_factory.mktemp("keys") / "workspace", taste_blocks())
    params = yaml.safe_load(workspace.params.read_text())
    layout = {"partition": "user-hash", "num_shards": 2, "aggregator": "stacked"}
    params["shardings"] |= {"stacked": layout, "sliced": layout | {"slices": 2}}
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    build_data(workspace, Params.read(workspace.params), "tiny", ["stacked", "sliced"])
    return workspace


def builder(workspace: Workspace, model: str = "wmf", sharding: str = "stacked") -> Builder:
    params, candidate = Params.read(workspace.params), Candidate(model=model, sharding=sharding)
    return Builder(workspace, candidate_recipe(workspace, params, "tiny", candidate))


def everything(workspace: Workspace) -> dict[str, Artifact]:
    """One artifact of each kind, made or found."""
    whole, sliced = builder(workspace), builder(workspace, sharding="sliced")
    sub_models = {name: whole.sub_model(name) for name in whole.shard_names()}
    ensemble = whole.ensemble({name: artifact.key for name, artifact in sub_models.items()})
    return {
        "sub-model": sub_models["00"],
        "slice": slices_before(sliced.store, sliced.sub_model("00"))[0],
        "ensemble": ensemble,
        "evaluation": whole.evaluation(ensemble.key, Evaluation(cutoffs=(5,))),
        "package": whole.package(ensemble.key, "family", Params.read(workspace.params)),
    }


def test_a_key_holds_the_code_that_makes_what_it_names(built: Workspace) -> None:
    made = everything(built)
    assert {kind: artifact.kind for kind, artifact in made.items()} == {kind: kind for kind in made}
    assert {kind: artifact.inputs["code"] for kind, artifact in made.items()} == {
        kind: code_digest(*MADE[kind]) for kind in made
    }


@pytest.mark.parametrize(
    ("module", "moved"),
    [
        ("lethe.evaluation.contextual", {"evaluation"}),
        ("lethe.build.measuring", {"evaluation"}),
        ("lethe.serving.packing", {"package"}),
        ("lethe.learning.aggregation.stacked", {"ensemble", "evaluation", "package"}),
        ("lethe.learning.slices", {"slice"}),
        ("lethe.learning.checkpoint", {"sub-model", "slice", "ensemble", "evaluation", "package"}),
        ("lethe.config.params", set()),
        ("lethe.build.judging", set()),
        ("lethe.data.stages", set()),
        ("lethe.models.bpr", set()),
    ],
)
def test_an_edit_of_code_makes_anew_what_it_makes_and_what_is_made_of_that(
    built: Workspace, module: str, moved: set[str]
) -> None:
    before = everything(built)
    with edited(module, with_code):
        after = everything(built)
    assert {kind for kind in before if before[kind].key != after[kind].key} == moved


def test_words_make_nothing_anew(built: Workspace) -> None:
    before = {kind: artifact.key for kind, artifact in everything(built).items()}
    for module in sorted(closure(*(what for made in MADE.values() for what in made))):
        with edited(module, with_words):
            assert code_digest(*MADE["sub-model"]) == everything(built)["sub-model"].inputs["code"]
    with edited("lethe.errors", with_words):
        assert {kind: artifact.key for kind, artifact in everything(built).items()} == before


class Plugged(WMF):
    """A model from outside the package."""


def test_a_new_model_has_keys_of_its_own_and_changes_no_other(
    built: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {kind: artifact.key for kind, artifact in everything(built).items()}
    monkeypatch.setitem(MODELS, "plugged", Plugged)
    with edited(
        "lethe.models", lambda source: source + b"\nfrom tests.build.test_keys import Plugged\nMODELS['p'] = 1\n"
    ):
        assert {kind: artifact.key for kind, artifact in everything(built).items()} == before
        own = builder(built, "plugged").sub_model("00")
    assert own.key not in before.values()
    with edited("tests.build.test_keys", with_code):
        assert builder(built, "plugged").sub_model("00").key != own.key
        assert {kind: artifact.key for kind, artifact in everything(built).items()} == before


def test_a_search_begins_anew_after_an_edit_of_what_it_runs_and_of_nothing_else(built: Workspace) -> None:
    params, ran = Params.read(built.params), []

    def search() -> int:
        ran.clear()
        grid = {"reg": [0.01]}
        tune(built, params, "wmf", "tiny", command="here", trials=2, grid=grid, progress=ran.append)
        return len(ran)

    assert search() == 2
    assert search() == 0
    for module in ("lethe.config.params", "lethe.build.judging", "lethe.models.bpr"):
        with edited(module, with_code):
            assert search() == 0, module
    for module in ("lethe.build.trials", "lethe.build.objectives", "lethe.evaluation.contextual", "lethe.models.wmf"):
        with edited(module, with_code):
            assert search() == 2, module
    with edited("lethe.build.trials", with_words):
        assert search() == 0


def test_the_data_are_read_again_after_an_edit_of_any_stage(built: Workspace) -> None:
    from lethe.data.stages import source_stage

    params = Params.read(built.params)

    def stamp() -> str:
        source_stage(built, params, "tiny")
        return Path(built.source_digest("tiny")).read_text()

    before = stamp()
    for module in (
        "data.sources.table",
        "data.partition.balanced",
        "data.partition.slices",
        "models.wmf",
        "data.split",
    ):
        with edited(f"lethe.{module}", with_code):
            assert stamp() != before, module
        with edited(f"lethe.{module}", with_words):
            assert stamp() == before, module


def test_after_an_edit_of_code_a_training_renews_what_is_served_and_it_can_be_verified(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny)
    before = {family: version.tag for family, version in Registry(tiny).served().items()}
    train(tiny)
    assert {family: version.tag for family, version in Registry(tiny).served().items()} == before
    monkeypatch.setattr("lethe.build.registry.whole_code_digest", lambda: "e" * 64)
    with edited("lethe.learning.training", with_code):
        with pytest.raises(NotComparable, match="made by other code"):
            verify(tiny)
        train(tiny)
        after = Registry(tiny).served()
        assert {family: version.tag for family, version in after.items()}.items().isdisjoint(before.items())
        assert all(version.reason.startswith("the same recipe on today's data") for version in after.values())
        assert verify(tiny).equal


def test_an_edit_of_code_since_the_training_hinders_no_request(tiny: Workspace) -> None:
    train(tiny)
    with edited("lethe.learning.training", with_code):
        (id_,) = forget(tiny, "user-004")
        assert ledger(tiny).get(id_).state == "completed"
        assert verify(tiny).equal
