"""What a worker loads of the packages that take memory: what its families need, and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lethe.core.random import Stream
from lethe.learning.aggregation import mean
from lethe.learning.ensemble import Ensemble, FactorEnsemble
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.models.parts.fold_in import FoldIn, RatingRows, SquareLossRows
from lethe.serving.packing import write_package
from lethe.tables.catalogue import Catalogue
from tests.cli.test_imports import HEAVY
from tests.serving.conftest import ROWS, fixed_ensemble, package_info

WEB = {"bentoml", "fastapi", "httpx"}
"""What the service itself stands on."""
TABLES = {"numpy", "pyarrow"}

ASK = """
import json
from pathlib import Path

import lethe.serving.service
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers
from lethe.serving.watching import looks


def answers(folders):
    looks({}, HiddenUsers(None))
    deployment = Deployment.parse({"bento": "b:1", "families": folders, "default": next(iter(folders))}, "test")
    desk = Desk.load(deployment, Path, HiddenUsers(None))
    asked = [desk.describe()]
    for family, package in desk.packages.items():
        items = package.ensemble.catalogue.items.decode(package.seen(0)).tolist()
        user = package.ensemble.catalogue.users.values[0]
        asked += desk.recommend_many([user, "nobody"], 5, family)
        asked += [desk.recommend(who, 5, family, history=after) for who in (user, "nobody") for after in ([], items)]
        asked += [desk.recommend("nobody", 5, family, history=items, ratings=[4.0] * len(items))]
        asked += [desk.similar_items(items[0], 5, family), desk.scores(user, items, family)]
        asked += [desk.explain(user, items[0], 5, family)]
    return json.dumps([answer.model_dump() for answer in asked])
"""
PROGRAM = (
    ASK
    + """
import sys
print(answers(json.loads(sys.argv[1])))
print(*(name for name in json.loads(sys.argv[2]) if name in sys.modules))
"""
)


def factors(fold_in: str) -> FactorEnsemble:
    bare = fixed_ensemble(ROWS, 5)
    number = np.array
    kinds: dict[str, FoldIn] = {
        "square": SquareLossRows.of(bare.items, np.full(len(bare.items), 0.3), dropout=0.2, reg=0.1),
        "ratings": RatingRows(bare.items, number(0.1), number(5.0), number(np.nan)),
    }
    return FactorEnsemble(bare.catalogue, bare.users, bare.items, kinds[fold_in])


def of_models(name: str = "item-knn", **config: int) -> Ensemble:
    catalogue = Catalogue.of(ROWS)
    model = MODELS[name](configure(name, config), catalogue.shape)
    train(model, catalogue.encode(ROWS), Stream(1))
    return mean.fit([SubModel("00", model.eval(), catalogue)], ROWS, mean.Config(), Stream(1))[0]


def packages(folder: Path, ensembles: dict[str, tuple[str, Ensemble]]) -> dict[str, str]:
    """{family: folder} of what is served."""
    for family, (model, ensemble) in ensembles.items():
        write_package(folder / family, ensemble, ROWS, package_info(family, model=model))
    return {family: str(folder / family) for family in ensembles}


def worker(folders: dict[str, str]) -> tuple[str, set[str]]:
    """What a process that imports the service alone answers, and what it has loaded then."""
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        json.dumps(folders),
        json.dumps([*HEAVY, "llvmlite", "safetensors.torch"]),
    ]
    watching = {"LETHE_LEDGER_URL": "sqlite:////nowhere/ledger.sqlite", "LETHE_REPORTS": "/nowhere"}
    ran = subprocess.run(command, env={**os.environ, **watching}, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    *_, said, loaded = ran.stdout.splitlines()
    return said, set(loaded.split())


def here(folders: dict[str, str]) -> str:
    """What this process answers, which has loaded everything."""
    assert {"torch", "scipy", "numba"} <= set(sys.modules)
    scope: dict[str, Any] = {}
    exec(ASK, scope)
    said: str = scope["answers"](folders)
    return said


def test_a_worker_of_two_towers_loads_no_torch_and_answers_to_the_letter_as_one_that_has(tmp_path: Path) -> None:
    folders = packages(
        tmp_path,
        {
            "plain": ("wmf", fixed_ensemble(ROWS, 4)),
            "square": ("wmf", factors("square")),
            "als": ("als", factors("ratings")),
        },
    )
    said, loaded = worker(folders)
    assert loaded == WEB | TABLES
    assert said == here(folders)
    described = json.loads(said)[0]["families"]
    assert {family: part["engine"] for family, part in described.items()} == dict.fromkeys(folders, "numpy")


def test_a_worker_of_models_loads_torch_and_says_for_which_family(tmp_path: Path) -> None:
    folders = packages(tmp_path, {"models": ("item-knn", of_models()), "square": ("wmf", factors("square"))})
    said, loaded = worker(folders)
    assert "torch" in loaded
    assert said == here(folders)
    engines = {family: part["engine"] for family, part in json.loads(said)[0]["families"].items()}
    assert engines == {"models": "torch", "square": "numpy"}


def test_a_worker_of_a_model_by_gradients_loads_nothing_that_only_training_needs(tmp_path: Path) -> None:
    folders = packages(tmp_path, {"features": ("ensfm", of_models("ensfm", epochs=1))})
    said, loaded = worker(folders)
    assert "torch" in loaded
    assert not {"numba", "llvmlite", "pandas"} & loaded
    assert said == here(folders)


def test_a_package_of_an_older_lethe_is_described_by_the_class_of_its_model(tmp_path: Path) -> None:
    folders = packages(tmp_path, {"als": ("als", factors("ratings")), "wmf": ("wmf", factors("square"))})
    said = here(folders)
    for folder in folders.values():
        info = json.loads((Path(folder) / "info.json").read_bytes())
        assert info.pop("rates") == (info["model"] == "als")
        assert info.pop("repeatable")
        (Path(folder) / "info.json").write_text(json.dumps(info))
    assert here(folders) == said
