"""Answers of two versions side by side: figures counted by hand, limits, and what a deployment records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.config.serving import Shadow
from lethe.core.keys import subject_digest
from lethe.core.reports import report_path
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.learning.ensemble import FactorEnsemble
from lethe.serving import deploy
from lethe.serving.bentos import bento_folder, deployment_of
from lethe.serving.deployment import Deployment
from lethe.serving.hidden import HiddenUsers, publish
from lethe.serving.package import Package
from lethe.serving.packing import write_package
from lethe.serving.shadow import Compared, compare, keep_limits
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.serving.conftest import package_info, promote

NOBODY_HIDDEN = HiddenUsers(None)
USERS = [f"u{n}" for n in range(6)]
ITEMS = ["i0", "i1", "i2", "i3"]
"""Each user took i0, and u0 and u1 took i1 too: the popular order is i0, i1, i2, i3."""


def package(folder: Path, scores: list[list[float]], seed: int = 0) -> Package:
    """Six users and four items, whose scores [user][item] are given."""
    users = np.array([*USERS, "u0", "u1", "u2", "u2"], dtype=object)
    items = np.array(["i0"] * 6 + ["i1", "i1", "i2", "i3"], dtype=object)
    rows = Interactions.of(users, items)
    # Scores are products: with the identity as items, a user's vector is the scores.
    ensemble = FactorEnsemble(Catalogue.of(rows), np.array(scores, np.float32), np.eye(4, dtype=np.float32))
    write_package(folder, ensemble, rows, package_info("a", seed))
    return Package.load(folder)


LIKE_POPULAR = [4.0, 3.0, 2.0, 1.0]
OTHERS = [1.0, 2.0, 3.0, 4.0]


def test_the_figures_are_those_counted_by_hand(tmp_path: Path) -> None:
    # By one item: what u0 and u1 have not seen begins with i2 in the popular order, u2 has i1 left alone, others i1.
    served = package(tmp_path / "served", [OTHERS] * 6)
    new = package(tmp_path / "new", [OTHERS] * 3 + [LIKE_POPULAR] * 3)
    figures = compare({"a": served}, {"a": new}, Shadow(items=1), NOBODY_HIDDEN)["a"]
    # u0 and u1 keep i3, u2 keeps i1, the only one left and so the popular one; u3 to u5 get i1 in place of i3.
    assert figures == Compared(users=6, items=1, overlap=0.5, empty=0, popular=4 / 6, lost=0.5).model_copy(
        update={"popular": 0.6667}
    )
    # Two items: u0, u1 offered both they have left; u2 its one; u3..u5 had {i3, i2}, have {i1, i2}.
    figures = compare({"a": served}, {"a": new}, Shadow(items=2), NOBODY_HIDDEN)["a"]
    assert figures.overlap == 0.75
    broken = replace(new, ensemble=replace(new.ensemble, users=np.full((6, 4), np.nan, np.float32)))
    figures = compare({"a": served}, {"a": broken}, Shadow(items=1), NOBODY_HIDDEN)["a"]
    assert (figures.overlap, figures.empty, figures.lost) == (0, 1, 0.8333)


def test_a_sample_is_even_the_same_again_and_has_nobody_hidden(tmp_path: Path) -> None:
    made = package(tmp_path / "a", [OTHERS] * 6)
    path = tmp_path / "hidden.json"
    publish(path, [subject_digest("tiny", "u3")])
    assert compare({"a": made}, {"a": made}, Shadow(), HiddenUsers(path))["a"].users == 5
    assert compare({"a": made}, {"a": made}, Shadow(users=5), NOBODY_HIDDEN)["a"].users == 5
    assert compare({"a": made}, {"a": made}, Shadow(users=4), NOBODY_HIDDEN) == {}, "a mean over four is about people"
    publish(path, [subject_digest("tiny", user) for user in USERS[:2]])
    assert compare({"a": made}, {"a": made}, Shadow(), HiddenUsers(path)) == {}
    assert compare({"b": made}, {"a": made}, Shadow(), NOBODY_HIDDEN) == {}
    elsewhere = replace(made, info=made.info.model_copy(update={"dataset": "other"}))
    assert compare({"a": elsewhere}, {"a": made}, Shadow(), NOBODY_HIDDEN) == {}


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ({}, None),
        ({"min_overlap": 0.5, "max_lost": 0.25}, None),
        ({"min_overlap": 0.51}, r"overlap 0\.5 is below serving\.shadow\.min_overlap 0\.51"),
        ({"max_lost": 0.2}, r"0\.25 of users are lost, above serving\.shadow\.max_lost 0\.2"),
    ],
)
def test_limits(limits: dict[str, float], line: str | None) -> None:
    compared = {"a": Compared(users=8, items=10, overlap=0.5, empty=0, popular=0.3, lost=0.25)}
    if line is None:
        keep_limits(compared, Shadow(**limits))
        return
    with pytest.raises(DeploymentError, match=f"^shadow comparison: family 'a': {line}") as caught:
        keep_limits(compared, Shadow(**limits))
    assert "\n" not in str(caught.value)


def deployed(workspace: Workspace, seed: int, **how: bool) -> dict[str, Compared]:
    """Deploy packages of that seed, without a server and without BentoML."""
    deployment = deployment_of(workspace, {family: promote(workspace, family, seed) for family in "ab"})
    deployment.write(bento_folder(workspace, deployment.bento) / "src" / "deployment.json")
    return deploy.redeploy(workspace, deployment, **how)


def recorded(workspace: Workspace) -> dict[str, object]:
    record: dict[str, object] = json.loads(report_path(workspace, "deployment").read_bytes())
    return record


def limit(workspace: Workspace, **settings: float) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["serving"]["shadow"] = settings
    workspace.params.write_text(yaml.safe_dump(params))


def test_a_deployment_records_how_it_answers_and_is_refused_beyond_a_limit(workspace: Workspace) -> None:
    assert deployed(workspace, 0) == {}
    served = Deployment.read(workspace.deployment)
    assert recorded(workspace) == {"bento": served.bento, "families": served.families, "shadow": {}}
    assert deployed(workspace, 0) == {}, "nothing is replaced"

    compared = deployed(workspace, 1)
    assert sorted(compared) == ["a", "b"]
    assert 0 < compared["a"].overlap < 1
    served, record = Deployment.read(workspace.deployment), report_path(workspace, "deployment").read_bytes()
    assert recorded(workspace)["shadow"] == {family: figures.plain() for family, figures in compared.items()}
    assert b"user-" not in record

    limit(workspace, min_overlap=1)
    with pytest.raises(
        DeploymentError, match=r"is not deployed: shadow comparison: family 'a': overlap .*min_overlap 1 "
    ):
        deployed(workspace, 2)
    assert Deployment.read(workspace.deployment) == served
    assert report_path(workspace, "deployment").read_bytes() == record


def test_forgetting_is_never_refused_and_leaves_no_figure_of_what_was_forgotten(workspace: Workspace) -> None:
    deployed(workspace, 0)
    limit(workspace, min_overlap=1)
    assert deployed(workspace, 1, limited=False)["a"].overlap < 1
    assert recorded(workspace)["shadow"] == {}


def test_a_served_package_that_is_gone_or_damaged_hinders_no_deployment(workspace: Workspace) -> None:
    deployed(workspace, 0)
    tag = Deployment.read(workspace.deployment).families["a"]
    workspace.bentoml_home.joinpath("models", *tag.split(":"), "info.json").write_bytes(b"damaged")
    assert sorted(deployed(workspace, 1)) == ["b"]
    workspace.deployment.write_bytes(b"damaged")
    assert deployed(workspace, 2) == {}
    limit(workspace, users=0)
    assert deployed(workspace, 3) == {}
