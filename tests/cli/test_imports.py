"""What each light command loads of the packages that take long to load. Seconds are benchmarks' (``idle``)."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lethe.build.inputs import PackageInputs
from lethe.build.recipe import Recipe
from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import NUMERIC, Workspace
from lethe.data.stages import build_data
from lethe.forgetting.standing import ledger
from tests.conftest import make_workspace, taste_blocks
from tests.serving.conftest import package_info

HEAVY = (
    *("alembic", "bentoml", "boto3", "dvc", "fastapi", "great_expectations", "httpx", "matplotlib", "numba", "numpy"),
    *("optuna", "pandas", "prefect", "pyarrow", "scipy", "securesystemslib", "sqlalchemy", "torch"),
)
TABLES = {"numpy", "pyarrow"}
LEDGER = {"sqlalchemy"}
LOADED = {
    "--help": set(),
    "--version": set(),
    "forget add --help": set(),
    "env": set(),
    "status": {*TABLES, *LEDGER, "httpx"},
    "forget list": {*TABLES, *LEDGER},
    "forget add --user user-001": {*TABLES, *LEDGER},
}
"""All that a command loads of those. Of a service, httpx asks."""

PROGRAM = """
import sys
from lethe.cli import main
sys.argv[0] = "lethe"
try:
    main()
finally:
    print(*(name for name in %r if name in sys.modules))
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with tables and a promoted version."""
    workspace = make_workspace(tmp_path_factory.mktemp("imports") / "workspace", taste_blocks())
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", [])
    layout = params.shardings["whole"]
    recipe = Recipe(dataset="tiny", model="wmf", config={}, sharding="whole", layout=layout, aggregator={}, seed=7)
    info = package_info().model_copy(update={"recipe": recipe.plain()})
    package = ArtifactStore(workspace.artifacts).make(
        "package", PackageInputs(info=info, code="c" * 64).plain(), lambda folder: _write(folder / "weights")
    )
    Registry(workspace).promote("plain", package, reason="test", metrics={})
    # The first to look into a ledger makes it, by alembic.
    ledger(workspace).all()
    return workspace


def _write(path: Path) -> None:
    path.write_text("nothing")


@pytest.mark.parametrize("command", LOADED)
def test_a_light_command_loads_what_it_needs_and_no_more(command: str, used: Workspace) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM % (HEAVY,), *shlex.split(command)],
        cwd=used.root,
        env={**os.environ, **NUMERIC},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert set(ran.stdout.splitlines()[-1].split()) == LOADED[command]


def test_what_a_training_came_to_is_told_without_what_trained() -> None:
    """``lethe train`` trains in a process of its own, and then reads reports."""
    told = "import lethe.build.reports, lethe.cli.tables, sys; print(*(name for name in %r if name in sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", told % (HEAVY,)], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.split() == []
