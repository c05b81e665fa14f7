"""A workspace with two families to serve, small enough to load in no time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.build.inputs import PackageInputs
from lethe.build.registry import Registry
from lethe.core.artifacts import ArtifactStore, Reference
from lethe.core.workspace import Workspace
from lethe.learning.ensemble import FactorEnsemble
from lethe.models import rates
from lethe.serving.hidden import publish
from lethe.serving.package_info import PackageInfo
from lethe.serving.packing import write_package
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.conftest import ROOT, taste_blocks

ROWS = taste_blocks()


def fixed_ensemble(rows: Interactions, seed: int) -> FactorEnsemble:
    rng = np.random.default_rng(seed)
    catalogue = Catalogue.of(rows)
    shape = catalogue.shape
    return FactorEnsemble(
        catalogue,
        rng.normal(size=(shape.num_users, 3)).astype(np.float32),
        rng.normal(size=(shape.num_items, 3)).astype(np.float32),
    )


def package_info(family: str = "plain", seed: int = 0, model: str = "wmf") -> PackageInfo:
    """What a package made of nothing says of itself."""
    nothing = Reference("0" * 64, "0" * 64)
    return PackageInfo(
        family=family,
        dataset="tiny",
        model=model,
        sharding="whole",
        guarantee="exact",
        positive=None,
        recipe={},
        snapshot=nothing,
        tables={"interactions": f"data-{seed}"},
        ensemble=nothing,
        sub_models={},
        rates=rates(model),
        repeatable=True,
    )


def promote(workspace: Workspace, family: str, seed: int) -> str:
    """Promote a package of that family that is a function of the seed; its tag."""
    info = package_info(family, seed)
    package = ArtifactStore(workspace.artifacts).make(
        "package",
        PackageInputs(info=info, code="c" * 64).plain(),
        lambda folder: write_package(folder, fixed_ensemble(ROWS, seed), ROWS, info),
    )
    return Registry(workspace).promote(family, package, reason="test", metrics={})


def make_workspace(folder: Path) -> Workspace:
    families = {name: {"dataset": "tiny", "candidates": [{"model": "wmf", "sharding": "whole"}]} for name in "ba"}
    params = {
        "pipeline": {"datasets": ["tiny"], "shardings": ["whole"]},
        "datasets": {"tiny": {"source": {"kind": "synthetic"}}},
        "shardings": {"whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"}},
        "families": families,
        "serving": {"workers": 2, "max_k": 15},
    }
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "dvc.yaml").write_text("stages: {}\n")
    shutil.copyfile(ROOT / "bentofile.yaml", folder / "bentofile.yaml")
    workspace = Workspace(folder)
    publish(workspace.hidden_users, [])
    return workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "workspace")
