"""Lethe from Python: a model by itself on a frame, a project as an object, and the examples in the docstrings."""

from __future__ import annotations

import doctest
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import lethe
from lethe.build.registry import Registry
from lethe.cli import app
from lethe.cli.opened import Project
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, DataError, DeploymentError, LetheError, RequestError
from lethe.learning.ensemble import Ensemble
from lethe.models import MODELS, rates
from lethe.tables.interactions import Interactions
from tests import house
from tests.conftest import ROOT, taste_blocks


def frame_of(rows: Interactions) -> pd.DataFrame:
    assert rows.ratings is not None
    columns = {"user": rows.user_ids, "item": rows.item_ids, "rating": rows.ratings, "timestamp": rows.timestamps}
    return pd.DataFrame(columns)


FRAME = frame_of(taste_blocks())
SMALL = {"embedding_dim": 8}
PLAIN = sorted(name for name, model in MODELS.items() if not model.needs)


def test_the_examples_of_the_docstring_work() -> None:
    assert doctest.testmod(lethe).attempted == 3
    assert doctest.testmod(lethe).failed == 0


def test_importing_lethe_loads_nothing_heavy() -> None:
    script = (
        "import sys, lethe; lethe.__version__; print([m for m in ('torch', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["mostpop", "ease", "wmf", "als", "bpr"])
def test_a_model_by_itself_recommends_what_is_of_the_users_taste(name: str) -> None:
    settings = {} if name in ("mostpop", "ease") else SMALL
    rating = "rating" if rates(name) else None
    fitted = lethe.recommender(name, **settings).fit(FRAME, rating=rating, timestamp="timestamp")
    answer = fitted.recommend(["user-000", "user-001"], k=2)
    assert list(answer.columns) == ["user", "item", "score", "source"]
    assert list(answer["user"]) == ["user-000"] * 2 + ["user-001"] * 2
    assert set(answer["source"]) == {"model"}
    own = set(FRAME[FRAME["user"] == "user-000"]["item"])
    assert not own & set(answer[answer["user"] == "user-000"]["item"])
    if name in ("ease", "wmf"):
        halves = answer["item"].str[-3:].astype(int) // 10
        assert list(halves) == [0, 0, 1, 1]


def test_it_scores_to_the_bit_as_the_same_candidate_of_a_project(tiny: Workspace) -> None:
    params = yaml.safe_load(tiny.params.read_text())
    params["families"] = {"plain": {"dataset": "tiny", "candidates": [{"model": "wmf", "sharding": "whole"}]}}
    params["pipeline"]["shardings"] = ["whole"]
    params["training"] = {"metric": "ndcg@10"}
    tiny.params.write_text(yaml.safe_dump(params))
    house.train(tiny)
    registry = Registry(tiny)
    version = registry.served()["plain"]
    built = Ensemble.load(registry.folder(version.tag) / "ensemble")
    rows = Interactions.read(tiny.interactions("tiny"))
    learnt = (
        rows if getattr(version.recipe, "rows", "train") == "all" else Interactions.read(tiny.split("tiny", "train"))
    )
    alone = lethe.WMF(**SMALL).fit(frame_of(learnt), rating="rating", timestamp="timestamp", seed=7).ensemble
    users = np.arange(len(built.catalogue.users))
    assert np.array_equal(alone.score(users), built.score(users))


def test_somebody_unknown_gets_popular_items_and_seen_ones_may_be_had() -> None:
    fitted = lethe.EASE().fit(FRAME)
    answer = fitted.recommend(["nobody"], k=3)
    assert set(answer["source"]) == {"popular"}
    assert list(answer["item"]) == list(FRAME["item"].value_counts(sort=False).sort_index().nlargest(3).index)
    assert len(fitted.recommend(["user-000"], k=20)) == 12
    assert len(fitted.recommend(["user-000"], k=20, seen=True)) == 20
    assert len(fitted.recommend([], k=3)) == 0
    assert len(fitted.recommend(["user-000"], k=np.int64(10_000), seen=True)) == 20
    for wrong in (0, -1, 2.0, "3", True, None):
        with pytest.raises(ConfigError, match=f"^k: {wrong!r} must be a whole number, at least 1$"):
            fitted.recommend(["user-000"], k=wrong)  # type: ignore[arg-type]


def test_repeated_rows_and_whole_numbers_and_dates() -> None:
    frame = pd.DataFrame({"u": [7, 7, 8, 8], "i": [1, 1, 1, 2], "t": pd.to_datetime(["2024-01-01"] * 4)})
    answer = lethe.ItemKNN().fit(frame, user="u", item="i", timestamp="t").recommend([7, "7"], k=5)
    assert list(answer["item"]) == [2, 2]


@pytest.mark.parametrize(
    ("frame", "options", "said"),
    [
        (FRAME, {"user": "customer"}, "column 'customer' is missing, it has user, item, rating, timestamp"),
        (FRAME.iloc[:0], {}, "it has no rows"),
        (FRAME.assign(user=None), {}, "column 'user' must have no empty values"),
    ],
)
def test_a_frame_that_is_refused_says_why(frame: pd.DataFrame, options: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        lethe.EASE().fit(frame, **options)


def test_every_model_is_there_by_name_and_unknown_ones_are_refused() -> None:
    assert all(getattr(lethe, model.__name__)().name == name for name, model in MODELS.items())
    with pytest.raises(ConfigError, match="did you mean 'wmf'"):
        lethe.recommender("wfm")
    with pytest.raises(ConfigError, match="did you mean 'embedding_dim'"):
        lethe.WMF(embeding_dim=8)
    with pytest.raises(AttributeError):
        _ = lethe.Nonesuch


def test_a_project_answers_measures_forgets_and_verifies(tiny: Workspace) -> None:
    project = lethe.open(tiny.root)
    with pytest.raises(LetheError, match="nothing is trained yet"):
        project.metrics()
    with pytest.raises(DeploymentError, match="run lethe train first"):
        project.recommend("user-003")
    house.train(tiny)
    answer = project.recommend("user-003", 4, "plain")
    assert (answer.source, len(answer.items)) == ("model", 4)
    item = answer.items[0].item_id
    assert item not in [near.item_id for near in project.similar(item, 5, "plain").items]
    assert "valid" in project.metrics()["tiny"]["plain"]["wmf-whole"]  # type: ignore[index,call-overload,operator]
    assert project.verify(sample=1).equal
    for wrong in (None, True, 5.0, [], "anna\0"):
        with pytest.raises(LetheError, match=r"^user_id: "):
            project.recommend(wrong, 4)  # type: ignore[arg-type]
        with pytest.raises(RequestError) as caught:
            project.forget(wrong)  # type: ignore[arg-type]
        assert "anna" not in str(caught.value)
    for refused in (
        lambda: project.recommend("user-003", "4"),
        lambda: project.recommend("user-003", history="item-001"),
        lambda: project.similar(None),
        lambda: project.similar([]),
        lambda: project.forget("user-003", items="item-001"),
        lambda: project.verify(sample=0),
    ):
        with pytest.raises(LetheError):
            refused()
    assert project.recommend(np.str_("user-003"), np.int64(4), "plain") == answer
    (taken,) = project.forget("user-003")
    assert taken.request.state == "accepted"
    assert project.recommend("user-003", 4, "plain").source == "popular"


def test_the_notebook_goes_from_a_frame_to_a_forgotten_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells as they stand; what the flows do is done in this process."""

    def run(project: Project, flow: str) -> None:
        {"training": house.train, "forgetting": house.fulfil}[flow](project.workspace)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Project, "_run", run)
    cells = json.loads((ROOT / "docs" / "frame-to-forgotten.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            _run_cell("".join(cell["source"]), names)
    assert set(names["answer"]["source"]) == {"model", "popular"}
    assert names["waiting"].source == "popular"
    assert names["request"].state == "completed"
    assert names["comparison"].equal
    left = pd.read_parquet(tmp_path / "shop" / "data" / "orders" / "ingested" / "interactions.parquet")
    assert "c006" in set(left["user"])
    assert "c007" not in set(left["user"])


def _run_cell(text: str, names: dict[str, Any]) -> None:
    code = [line for line in text.splitlines() if not line.startswith("!")]
    exec(compile("\n".join(code), "cell", "exec"), names)
    for line in text.splitlines():
        if line.startswith("!lethe "):
            assert CliRunner().invoke(app, shlex.split(line)[1:]).exit_code == 0, line


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lethe init makes a project"):
        lethe.open(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        lethe.open(tmp_path / "none")
