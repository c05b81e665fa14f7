"""``lethe init``: a project from a file, written whole or not at all, and renewed by ``lethe upgrade``."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from lethe.cli import app
from lethe.cli.init import _slug
from lethe.cli.project import _first_line
from lethe.config.params import Params
from lethe.core.project import RECORD, renew_project, write_project
from lethe.core.shipped import shipped
from lethe.core.workspace import Workspace
from lethe.data.proposal import BESIDE
from lethe.errors import LetheError
from tests.conftest import ROOT
from tests.data.made_sources import ROWS, table


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    return table(tmp_path / "Ratings 2024.csv", header="UserID,movie_id,stars,when")


def test_a_project_says_what_it_found_and_what_comes_next(ratings: Path, tmp_path: Path) -> None:
    ran = run("init", tmp_path / "shop", "--csv", ratings, "--yes")
    assert ran.exit_code == 0, ran.output
    assert "user is column 'UserID', item is column 'movie_id', rating is column 'stars'" in ran.output
    assert "rows     200" in ran.output
    assert "parts    train 160, valid 20, test 20" in ran.output
    assert ran.output.splitlines()[-1].endswith("lethe train && lethe serve")

    params = Params.read(tmp_path / "shop" / "params.yaml")
    assert list(params.datasets) == list(params.families) == ["ratings-2024"]
    dataset = params.datasets["ratings-2024"]
    assert (dataset.split.by, dataset.positive) == ("newest", ">= 3")
    assert [candidate.model for candidate in params.families["ratings-2024"].candidates] == ["mostpop", "ease", "wmf"]
    assert params.models == {"wmf": {"embedding_dim": 16}}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("2024-01-01.csv", "data-2024-01-01"),
        ("no.csv", "data-no"),
        ("1e3.csv", "data-1e3"),
        ("a.b.csv", "a"),
        ("Orders 2024 (1).csv", "orders-2024-1"),
        ("2024-orders.csv", "2024-orders"),
        ("заказы.csv", "data"),
    ],
)
def test_a_file_gives_its_dataset_a_name_that_yaml_takes_for_one(file: str, name: str) -> None:
    assert _slug(f"/home/{file}") == name == yaml.safe_load(name)


def test_a_project_holds_the_repositorys_own_flows_and_no_row(ratings: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    run("init", shop, "--csv", ratings, "--yes")
    assert {p.name for p in (shop / "flows").iterdir()} == {p.name for p in (ROOT / "flows").glob("*.py")}
    assert all((shop / name).read_bytes() == content for name, content in shipped().items())
    text = "".join(path.read_text() for path in shop.rglob("*") if path.is_file())
    assert str(ROWS[0][3]) not in text


def test_json_is_one_document(ratings: Path, tmp_path: Path) -> None:
    report = json.loads(run("init", tmp_path / "shop", "--csv", ratings, "--yes", "--json").output)
    assert report["profile"]["users"] == 20
    assert report["models"] == ["mostpop", "ease", "wmf"]


def test_what_was_said_wins_over_what_is_likely(ratings: Path, tmp_path: Path) -> None:
    ran = run(
        *("init", tmp_path / "shop", "--csv", ratings, "--yes", "--name", "films"),
        *("--item-column", "stars", "--positive", "all", "--duplicates", "latest"),
    )
    assert ran.exit_code == 0, ran.output
    dataset = Params.read(tmp_path / "shop" / "params.yaml").datasets["films"]
    assert dataset.source.columns.item == "stars"  # type: ignore[union-attr]
    assert dataset.positive is None


@pytest.mark.parametrize("there", ["params.yaml", "dvc.yaml", "flows/training.py"])
def test_nothing_is_overwritten(there: str, ratings: Path, tmp_path: Path) -> None:
    path = tmp_path / "shop" / there
    path.parent.mkdir(parents=True)
    path.write_text("mine\n")
    ran = run("init", tmp_path / "shop", "--csv", ratings, "--yes")
    assert isinstance(ran.exception, LetheError)
    assert "\n" not in str(ran.exception)
    assert "lethe data add" in str(ran.exception)
    assert [p for p in (tmp_path / "shop").rglob("*") if p.is_file()] == [path]
    assert path.read_text() == "mine\n"


def test_a_readme_and_a_gitignore_of_ones_own_stay(ratings: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "README.md").write_text("mine\n")
    ran = run("init", tmp_path / "shop", "--csv", ratings, "--yes")
    assert "README.md: kept as it was" in ran.output
    assert (tmp_path / "shop" / "README.md").read_text() == "mine\n"


@pytest.mark.parametrize("fault", ["nobody to ask", "no such file", "unclear columns"])
def test_a_refusal_is_one_line_that_leads_on_and_writes_nothing(fault: str, ratings: Path, tmp_path: Path) -> None:
    unclear = tmp_path / "unclear.csv"
    unclear.write_text("a,b,c\n" + "".join(f"x{n % 7},y{n % 5},z{n}\n" for n in range(50)))
    arguments, said = {
        "nobody to ask": (("--csv", ratings), "--yes"),
        "no such file": (("--csv", tmp_path / "none.csv", "--yes"), "does not exist"),
        "unclear columns": (("--csv", unclear, "--yes"), "give --user-column and --item-column"),
    }[fault]
    ran = run("init", tmp_path / "shop", *arguments)
    assert isinstance(ran.exception, LetheError), ran.output
    assert said in str(ran.exception)
    assert "\n" not in str(ran.exception)
    assert not (tmp_path / "shop").exists()


def test_at_a_terminal_what_is_proposed_is_asked_for(
    ratings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lethe.cli.init._is_terminal", lambda: True)
    # Not right: the columns as proposed but for the time, which is none; likes from 4; then it is right.
    answers = "n\n\n\n\n-\n>= 4\ny\n"
    ran = CliRunner().invoke(app, ["init", str(tmp_path / "shop"), "--csv", str(ratings)], input=answers)
    assert ran.exit_code == 0, ran.output
    dataset = Params.read(tmp_path / "shop" / "params.yaml").datasets["ratings-2024"]
    assert dataset.positive == ">= 4"
    assert dataset.source.columns.timestamp is None  # type: ignore[union-attr]
    assert dataset.split.by == "random"


def test_what_is_asked_for_at_a_terminal_leaves_the_column_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lethe.cli.init._is_terminal", lambda: True)
    plays = tmp_path / "plays.csv"
    plays.write_text("user,item,plays\n" + "".join(f"{n % 9},{n % 7},{n % 5 + 1}\n" for n in range(63)))
    command = ["init", str(tmp_path / "shop"), "--csv", str(plays), "--weight-column", "plays"]
    ran = CliRunner().invoke(app, command, input="n\n\n\n\n\ny\n")
    assert ran.exit_code == 0, ran.output
    dataset = Params.read(tmp_path / "shop" / "params.yaml").datasets["plays"]
    assert dataset.source.columns.weight == "plays"  # type: ignore[union-attr]


def test_without_data_it_begins_with_generated_ones(tmp_path: Path) -> None:
    assert run("init", tmp_path / "shop").exit_code == 0
    assert Params.read(tmp_path / "shop" / "params.yaml").datasets["made"].source.kind == "synthetic"


def test_upgrade_renews_what_lethe_wrote_and_keeps_what_was_changed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_project(tmp_path, {"params.yaml": "mine\n"})
    assert renew_project(workspace) == []

    # As an older Lethe left it: other content of which the record holds the digest; a file it no longer ships.
    record = json.loads((tmp_path / RECORD).read_text())
    for name in ("flows/data.py", "flows/training.py", "flows/gone.py"):
        (tmp_path / name).write_text("older\n")
        record["files"][name] = hashlib.sha256(b"older\n").hexdigest()
    (tmp_path / "flows" / "training.py").write_text("my own\n")
    (tmp_path / "dvc.yaml").unlink()
    (tmp_path / RECORD).write_text(json.dumps(record))

    lines = renew_project(workspace)
    assert [line.partition(",")[0] for line in lines] == [
        "dvc.yaml: written",
        "flows/data.py: renewed",
        "flows/gone.py: removed",
        "flows/training.py: kept",
    ]
    assert (tmp_path / "flows" / "training.py").read_text() == "my own\n"
    assert (tmp_path / "flows" / "data.py").read_bytes() == shipped()["flows/data.py"]
    assert not (tmp_path / "flows" / "gone.py").exists()
    assert (tmp_path / "params.yaml").read_text() == "mine\n"
    assert renew_project(workspace) == [lines[-1]]


def test_the_wheel_is_told_to_carry_what_is_shipped() -> None:
    """Every shipped file is in the list of what the wheel carries, and no package but lethe is installed."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["src/lethe"]
    carried = wheel["force-include"]
    assert all(target == f"lethe/project/{source}" for source, target in carried.items())
    assert {name.split("/")[0] if name.startswith("flows/") else name for name in shipped()} == set(carried)


def test_params_of_a_project_are_commented(ratings: Path, tmp_path: Path) -> None:
    run("init", tmp_path / "shop", "--csv", ratings, "--yes")
    text = (tmp_path / "shop" / "params.yaml").read_text()
    assert text.count("#") > 10
    assert set(yaml.safe_load(text)) == {
        *("seed", "pipeline", "datasets", "shardings", "families", "models", "training", "serving", "forgetting"),
    }


def test_init_waits_for_no_torch(ratings: Path, tmp_path: Path) -> None:
    script = "import sys; from typer.testing import CliRunner; from lethe.cli import app; "
    script += f"CliRunner().invoke(app, ['init', {str(tmp_path / 'shop')!r}, '--csv', {str(ratings)!r}, '--yes']); "
    done = subprocess.run(
        [sys.executable, "-c", script + "print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert (done.stdout, (tmp_path / "shop" / "params.yaml").is_file()) == ("False\n", True)


def test_every_model_that_is_proposed_has_a_line(tmp_path: Path) -> None:
    for model in ("mostpop", "ease", "item-knn", "wmf", *BESIDE.values()):
        assert _first_line(model)
