"""What single models promise beyond the contract."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from lethe.errors import ConfigError
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from tests.contract import build, checkerboard


def test_unknown_models_keys_and_values_are_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'wmff' \(did you mean 'wmf'\?\); known models: .*wmf"):
        configure("wmff", {})
    with pytest.raises(
        ConfigError, match=r"models\.wmf\.sweep: unknown key \(did you mean 'sweeps'\?\); known keys: .*sweeps"
    ):
        configure("wmf", {"sweep": 3})
    with pytest.raises(ConfigError, match=r"models\.enmf-u\.dropout: 1\.0 .*less than 1"):
        configure("enmf-u", {"dropout": 1.0})
    with pytest.raises(ConfigError, match=r"models\.bpr\.solver: 'als'"):
        configure("bpr", {"solver": "als"})


def test_the_names_of_models_are_known_before_any_is_loaded() -> None:
    program = (
        "import sys\nfrom lethe.models import MODELS\n"
        "assert 'wmf' in MODELS and 'wmff' not in MODELS and 'wmf' in MODELS.classes() and list(MODELS)\n"
        "print([name for name in sys.modules if name.startswith('lethe.models') or name == 'torch'])\n"
        "MODELS['mostpop']\nprint('lethe.models.mostpop' in sys.modules, 'lethe.models.wmf' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["['lethe.models']", "True False"]
    assert MODELS.classes() == {name: model.__name__ for name, model in MODELS.items()}
    assert all(MODELS.name_of(model) == name for name, model in MODELS.items())


@pytest.mark.parametrize("name", MODELS)
def test_configs_are_plain_values_and_back(name: str) -> None:
    config = configure(name, {})
    assert configure(name, config.plain()) == config


def test_mostpop_counts() -> None:
    data = checkerboard()
    model = build("mostpop", {}, data)
    counts = np.bincount(Catalogue.of(data).items.encode(data.item_ids))
    assert model.score(torch.tensor([0]))[0].tolist() == counts.tolist()


def test_wmf_by_gradient_reaches_the_solvers_optimum() -> None:
    values = {"embedding_dim": 2, "init_std": 0.1, "dropout": 0.2}
    descent = {"solver": "gradient", "optimizer": "adam", "epochs": 800, "decay": "linear"}
    users = torch.arange(40)
    exact = build("wmf", {**values, "sweeps": 100}, checkerboard()).score(users)
    descended = build("wmf", {**values, **descent}, checkerboard()).score(users)
    assert (exact - descended).abs().max() < 0.01


def test_enmf_learns_its_h() -> None:
    model = build("enmf-u", {"epochs": 30}, checkerboard())
    h = model.state_dict()["h"]
    assert h.std() > 0
    assert (h != model.config.init_std).all()
