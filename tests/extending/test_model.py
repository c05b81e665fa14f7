"""Where do I add a model? One file below models/, one entry in ``MODELS``: it keeps the contract, and can forget."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import yaml
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from lethe.core.artifacts import ArtifactStore
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.forgetting.state import state_of
from lethe.models import MODELS
from lethe.models.parts import base
from lethe.tables.matrix import InteractionMatrix, Shape
from tests import house
from tests.conftest import make_workspace, taste_blocks
from tests.contract import LAWS, Law
from tests.side import side_tables, without_user
from tools import reference

# --- the model: what would stand in src/lethe/models/kin.py -----------------------------------------------------


class Kin(base.Model):
    """score(u, v) = Σ_w cos(x_u, x_w) y_wv: people are alike by what they took (y) and by what is known of them."""

    optional = frozenset({"user_features"})

    class Config(base.Config):
        solver: Literal["count"] = "count"
        feature_weight: float = Field(0.1, ge=0)
        """Weight of a feature of a user, beside 1 of an item that they took."""

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("taken", torch.zeros(shape.num_users, shape.num_items))
        self.register_buffer("known", torch.zeros(shape.num_users, shape.num_user_features))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        self.taken = torch.from_numpy(data.csr().toarray())
        if (features := data.side.user_features) is not None:
            rows = np.repeat(np.arange(data.num_users), np.diff(features.indptr))
            self.known[rows, features.columns] = torch.from_numpy(features.weights)

    def score(self, users: Tensor) -> Tensor:
        x = functional.normalize(torch.cat([self.taken, self.config.feature_weight * self.known], dim=1))
        return x[users] @ x.T @ self.taken


# --- what then holds ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "kin", Kin)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_it_keeps_every_law_of_the_contract(law: Law) -> None:
    law("kin", {})


def test_its_options_are_on_the_reference_page() -> None:
    assert reference.undocumented() == []
    assert "| `feature_weight` | number ≥ 0 | `0.1` | Weight of a feature of a user" in reference.models_page()


def trained(folder: Path, left: str | None = None) -> Workspace:
    """A workspace that serves it from three shards; without whoever left."""
    rows = taste_blocks()
    tables = side_tables(rows)
    if left is not None:
        rows, tables = rows.take(rows.user_ids != left), without_user(tables, left)
    workspace = make_workspace(folder, rows, ("kin",), tables)
    values = yaml.safe_load(workspace.params.read_text())
    candidates = [{"model": "kin", "sharding": "mean-3"}]
    values["pipeline"]["shardings"] = ["mean-3"]
    values["families"] = {"kin": {"dataset": "tiny", "candidates": candidates}}
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))
    house.train(workspace)
    return workspace


def ensemble(workspace: Workspace) -> str:
    return state_of(workspace).families["kin"].ensemble


def test_the_features_that_it_reads_reach_its_shards_and_forgetting_is_never_having_had(tmp_path: Path) -> None:
    workspace = trained(tmp_path / "all")
    made = [artifact for artifact in ArtifactStore(workspace.artifacts).all() if artifact.kind == "sub-model"]
    assert len(made) == 6, "of the shards of training rows, and of all rows"
    assert all(load_file(artifact.file("weights.safetensors"))["known"].any() for artifact in made)
    before = ensemble(workspace)
    house.forget(workspace, "user-003")
    assert ensemble(workspace) != before
    assert ensemble(workspace) == ensemble(trained(tmp_path / "never", left="user-003"))
