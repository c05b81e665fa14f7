"""docs/families, and the pages on data: what they show works as shown; their figures, models and messages are there."""

from __future__ import annotations

import re
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lethe.build.checks import check_params
from lethe.cli import app
from lethe.config.dataset import Dataset
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.models import MODELS, configure
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import Shape
from tests.conftest import ROOT
from tools.messages import messages

FOLDER = ROOT / "docs" / "families"
INDEX = (FOLDER / "index.md").read_text(encoding="utf-8")
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md")) if path.stem != "index"}
PARTS = ["Tables", "Models", "Forgetting", "Somebody new", "Mistakes"]
RESULT = re.compile(
    r"^\| \[([\w-]+)\]\(\.\./\.\./benchmarks/results/([\w-]+)\.md\) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE
)
FIGURES = [(page, *found) for page, text in PAGES.items() for found in RESULT.findall(text)]
USERS, ITEMS = range(1, 61), range(1, 41)


def write(path: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A project with a made dataset alone, and the small files that the pages name."""
    rows = [(user, 1 + (7 * user + 3 * place) % 40, place) for user in USERS for place in range(10)]
    at = [(u, i, 1_700_000_000 + 1000 * u + 10 * place) for u, i, place in rows]
    write(
        tmp_path / "orders.csv", "customer,product,when,daytime", [(*row, "am" if row[2] % 3 else "pm") for row in at]
    )
    write(tmp_path / "ratings.csv", "customer,product,stars,when", [(u, i, 1 + (u + i) % 5, when) for u, i, when in at])
    write(tmp_path / "follows.csv", "customer,follows", [(user, user % 60 + 1) for user in USERS])
    write(tmp_path / "views.csv", "customer,product", [(user, 1 + item % 40) for user, item, _ in rows])
    write(tmp_path / "carts.csv", "customer,product", [(user, item) for user, item, _ in rows if item % 2])
    write(
        tmp_path / "customers.csv", "customer,region,age", [(u, "north" if u % 2 else "south", 20 + u) for u in USERS]
    )
    write(
        tmp_path / "products.csv",
        "product,price,tags",
        [(i, 10 + i * 1.5, "new|red" if i % 2 else "red") for i in ITEMS],
    )
    write(tmp_path / "facts.csv", "subject,relation,object", [(i, "made_by", f"maker {i % 5}") for i in ITEMS])
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"families": {}, "pipeline": {"datasets": ["made"], "shardings": ["whole", "user-hash-5"]}}
    params["datasets"] = {"made": params["datasets"]["made"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return Workspace(tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short_and_answers_all(page: str) -> None:
    assert len(PAGES[page].splitlines()) <= 60
    assert re.findall(r"^## (.+)$", PAGES[page], flags=re.MULTILINE) == PARTS
    assert f"]({page}.md)" in INDEX


@pytest.mark.parametrize("page", PAGES)
def test_its_command_writes_what_it_shows_and_its_family_can_be_trained(page: str, shop: Workspace) -> None:
    (command,) = re.findall(r"```console\n(.+)\n```", PAGES[page])
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGES[page], flags=re.DOTALL)
    ran = CliRunner().invoke(app, shlex.split(command)[1:])
    assert ran.exit_code == 0, ran.output
    written, shown = yaml.safe_load(shop.params.read_text(encoding="utf-8")), yaml.safe_load(block)
    (name,) = shown["datasets"]
    assert written["datasets"][name] == shown["datasets"][name]
    for part in ("datasets", "shardings"):
        shown[part] = written[part] | shown.get(part, {})
    check_params(shop, Params.parse(written | shown, "params.yaml"))


def test_what_the_page_on_your_data_adds_is_added(shop: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command on a file or a database, as it stands there, one after the other under names of their own."""
    page = (ROOT / "docs" / "your-data.md").read_text(encoding="utf-8").replace(" \\\n", "")
    commands = re.findall(r"(?:^|`)(lethe data add shop [^`\n]+)", page, flags=re.MULTILINE)
    commands = [command for command in commands if "s3://" not in command]
    assert [re.findall(r"ratings|SHOP_URL|facts", command) for command in commands] == [
        ["ratings"],
        ["SHOP_URL"],
        ["facts"],
    ]
    with sqlite3.connect(shop.root / "shop.sqlite") as database:
        database.execute("CREATE TABLE orders (customer, product, at)")
        rows = [line.split(",")[:3] for line in (shop.root / "orders.csv").read_text().splitlines()[1:]]
        database.executemany("INSERT INTO orders VALUES (?, ?, CAST(? AS INTEGER))", rows)
    database.close()
    monkeypatch.setenv("SHOP_URL", "sqlite:///shop.sqlite")
    for number, command in enumerate(commands):
        ran = CliRunner().invoke(app, shlex.split(command.replace(" shop ", f" shop-{number} ", 1))[1:])
        assert ran.exit_code == 0, f"{command}: {ran.output} {ran.exception}"
    check_params(shop, Params.read(shop.params))


def test_the_section_of_the_page_on_side_data_reads_what_it_names(shop: Workspace) -> None:
    page = (ROOT / "docs" / "side-data.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    write(shop.root / "products.csv", "product,tags,subject", [(i, "new|red", f"thing-{i}") for i in ITEMS])
    write(shop.root / "facts.csv", "subject,relation,object", [(f"thing-{i}", "made_by", "a") for i in ITEMS])
    dataset = Dataset.parse(yaml.safe_load(block)["datasets"]["shop"], "datasets.shop")
    rows = sources.read(dataset.source, root=shop.root, copy=shop.root / "none")
    assert isinstance(rows, Interactions)
    assert set(rows.contexts or ()) == {"daytime"}
    users, items = Ids.of(rows.user_ids), Ids.of(rows.item_ids)
    side = sources.read_side(dataset, users, items, root=shop.root, strict=True)
    assert set(side.tables) == {"links", "user_features", "item_features", "triples"}
    assert len(side.tables["triples"]) == len(ITEMS)
    assert len(side.behaviours["view"])


def test_every_model_is_on_a_page() -> None:
    words = {word for text in (INDEX, *PAGES.values()) for word in re.findall(r"`([a-z0-9-]+)`", text)}
    assert set(MODELS) - words == set()


def test_the_index_says_who_follows_no_history() -> None:
    (listed,) = re.findall(r"These can't: (.*?)\. ", INDEX, flags=re.DOTALL)
    models = {name: model(configure(name, {}), Shape(2, 2)) for name, model in MODELS.items()}
    without = {name for name, model in models.items() if "history" not in model.accepts and model.fold_in() is None}
    assert set(re.findall(r"`([^`]+)`", listed)) == without


@pytest.mark.parametrize(("page", "named", "file", "metric", "rows"), FIGURES)
def test_its_figures_are_those_of_the_committed_results(
    page: str, named: str, file: str, metric: str, rows: str
) -> None:
    assert named == file
    text = (ROOT / "benchmarks" / "results" / f"{file}.md").read_text(encoding="utf-8")
    table = [line.strip("| ").split(" | ") for line in text.split("| --- |")[0].splitlines()[-1:]]
    column = table[0].index(metric)
    cells = {line.strip("| ").split(" | ")[0]: line.strip("| ").split(" | ") for line in text.splitlines()[::-1]}
    for shown in rows.split(" · "):
        name, _, figure = shown.rpartition(" ")
        assert re.match(r"[\d.]+", cells[name][column].strip("*"))[0] == figure, name  # type: ignore[index]


def test_there_are_figures_of_every_page() -> None:
    assert {page for page, *_ in FIGURES} == set(PAGES)
    assert len(FIGURES) > 15


@pytest.mark.parametrize("page", PAGES)
def test_its_mistakes_end_in_messages_of_the_code(page: str) -> None:
    named = re.findall(r"^\| `([^`]+)` \| \S", PAGES[page].split("## Mistakes")[1], flags=re.MULTILINE)
    assert len(named) >= 3
    written = [text for texts in messages().values() for text, _ in texts]
    assert [name for name in named if not any(name in text for text in written)] == []
