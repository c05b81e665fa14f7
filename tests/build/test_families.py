"""Every family of params.yaml with side data: trained, its winner registered, loaded and asked as the service does."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import yaml

from lethe.build.candidates import jobs
from lethe.build.registry import Registry
from lethe.build.reports import read_reports
from lethe.config.params import Params
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.data.stages import build_data
from lethe.evaluation.ranking import evaluate
from lethe.learning.ensemble import Ensemble
from lethe.serving.package import Package
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables
from tests import house
from tests.conftest import ROOT

FAMILIES = ("social", "multibehaviour", "knowledge", "sequential", "feature")


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Workspace, dict[str, Package], dict[str, dict[str, float]]]:
    folder = tmp_path_factory.mktemp("families")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["families"] = {name: params["families"][name] for name in FAMILIES}
    params["pipeline"] = {
        "datasets": sorted({family["dataset"] for family in params["families"].values()}),
        "shardings": ["whole"],
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "suppression").mkdir()
    shutil.copy(ROOT / "dvc.yaml", folder)
    workspace = Workspace(folder)
    chosen = Params.read(workspace.params)
    for dataset in chosen.pipeline.datasets:
        build_data(workspace, chosen, dataset, ["whole"])
    outcomes = [house.build(workspace, chosen, job) for job in jobs(workspace, chosen)]
    house.promote(workspace, chosen, outcomes)
    registry = Registry(workspace)
    packages = {name: Package.load(registry.folder(version.tag)) for name, version in registry.served().items()}
    measured = {f"{o.job.family}/{o.job.recipe.model}": o.metrics(workspace)["test"]["ndcg@10"] for o in outcomes}
    return workspace, packages, measured


@pytest.mark.parametrize("family", FAMILIES)
def test_no_default_loses_to_popularity(served, family: str) -> None:
    _, packages, measured = served
    values = {name.split("/")[1]: value for name, value in measured.items() if name.startswith(f"{family}/")}
    popular = values.pop("mostpop")
    assert values
    assert all(value > popular for value in values.values()), values
    assert packages[family].info.model != "mostpop"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_registered_winner_answers(served, family: str) -> None:
    answer = served[1][family].recommend(7, 5)
    assert answer.source == "model"
    assert len(answer.items) == 5
    assert served[1][family].recommend("nobody", 5).source == "popular"


def test_an_answer_follows_the_context(served) -> None:
    package = served[1]["feature"]
    assert package.info.model == "ensfm"
    answers = {
        time: package.recommend(7, 10, context={"daytime": time}).items for time in ("morning", "evening", "night")
    }
    assert {item for item, _ in answers["morning"]} != {item for item, _ in answers["evening"]}
    assert answers["night"] == package.recommend(7, 10).items, "a context nobody has seen says nothing"


def test_an_answer_follows_the_history_even_of_a_stranger(served) -> None:
    workspace, packages, _ = served
    package = packages["sequential"]
    rows = Interactions.read(workspace.split("made-sequences", "train"))
    one, other = (rows.item_ids[rows.user_ids == user][:8].tolist() for user in (3, 4))
    stranger = package.recommend("nobody", 10, history=one)
    assert stranger.source == "model"
    assert not {item for item, _ in stranger.items} & set(one), "what is followed is not offered again"
    assert stranger.items != package.recommend("nobody", 10, history=other).items
    assert package.recommend("nobody", 5, history=["no item"]).source == "popular"


def test_what_follows_histories_is_tested_after_the_validation_rows(served) -> None:
    """A service that knows them would answer from them; other models answer from what they learnt."""
    workspace = served[0]
    (report,) = (report for report in read_reports(workspace) if report.family == "sequential")
    history = {candidate.model: candidate.history for candidate in report.candidates}
    assert history == {"mostpop": "training", "gru4rec": "training and validation", "ra-lst": "training and validation"}
    version = Registry(workspace).served()["sequential"]
    folder = ArtifactStore(workspace.artifacts).get("ensemble", version.comparison).path
    ensemble, parts = Ensemble.load(folder), {p: Interactions.read(workspace.split("made-sequences", p)) for p in PARTS}
    known = Interactions.concatenate(parts["train"], parts["valid"])
    stale = evaluate(ensemble.score, ensemble.catalogue, known, parts["test"])["ndcg@10"]
    assert served[2][f"sequential/{version.info.model}"] > stale


def test_side_tables_lie_beside_the_shard_they_belong_to(served) -> None:
    workspace = served[0]
    tables = SideTables.read(workspace.shard_side("made", "whole", "00"))
    assert set(tables.tables) == {"links", "user_features", "item_features", "triples"}
    held = Interactions.concatenate(*(Interactions.read(workspace.split("made", part)) for part in ("valid", "test")))
    pairs = set(zip(held.user_ids.tolist(), held.item_ids.tolist(), strict=True))
    view = tables.behaviours["view"]
    assert not pairs & set(zip(view.user_ids.tolist(), view.item_ids.tolist(), strict=True))
    assert len(np.unique(view.user_ids)) == 400
