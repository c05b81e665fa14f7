"""``lethe data add`` from elsewhere: Parquet folders, URLs, databases; rows chosen by value; what is proposed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lethe.config.params import Params
from lethe.config.reading import Reading
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.add import NewDataset, add
from lethe.errors import ConfigError, LetheError
from lethe.tables.interactions import Interactions
from tests.conftest import ROOT
from tests.data.made_sources import ROWS, expected, table

ASSUMED = Reading(given={"positive": "all"}, assume=True)
COLUMNS = dict(zip(("user", "item", "rating", "timestamp"), map(list, zip(*ROWS, strict=True)), strict=True))


def rows(workspace: Workspace) -> Interactions:
    source = Params.read(workspace.params).datasets["shop"].source
    read = sources.read(source, root=workspace.root, copy=workspace.source_copy("shop"))
    assert isinstance(read, Interactions)
    digest = sources.digest(source, root=workspace.root, copy=workspace.source_copy("shop"))
    assert digest == sources.digest(source, root=workspace.root, copy=workspace.source_copy("shop"))
    assert digest["reach"] == "outside"
    return read


def leftovers(workspace: Workspace) -> list[Path]:
    return list(workspace.temporary.rglob("*"))


@pytest.mark.parametrize("partitioned", [False, True])
def test_a_folder_of_parquet_files_is_one_table(partitioned: bool, tiny: Workspace, tmp_path: Path) -> None:
    for part in range(4):
        folder = tmp_path / "orders" / (f"part={part}" if partitioned else "")
        folder.mkdir(parents=True, exist_ok=True)
        columns = {name: values[part::4] for name, values in COLUMNS.items()}
        pq.write_table(pa.table(columns), folder / f"{part}.parquet")
    (tmp_path / "orders" / "_SUCCESS").touch()
    add(tiny, "shop", tmp_path / "orders", ASSUMED)
    assert rows(tiny).digest() == expected().digest()
    before = sources.digest(Params.read(tiny.params).datasets["shop"].source, root=tiny.root, copy=tmp_path)
    pq.write_table(pa.table({name: values[:1] for name, values in COLUMNS.items()}), folder / "9.parquet")
    assert before != sources.digest(Params.read(tiny.params).datasets["shop"].source, root=tiny.root, copy=tmp_path)


def test_a_file_behind_a_url(tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").pipe("/bucket/orders.csv", table(tmp_path / "orders.csv").read_bytes())
    monkeypatch.setenv("BUCKET", "bucket")
    add(tiny, "shop", "memory://${BUCKET}/orders.csv", ASSUMED)
    assert rows(tiny).digest() == expected().digest()
    assert leftovers(tiny) == []
    assert "${BUCKET}" in tiny.params.read_text()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://bucket/none.csv", "memory://bucket/none.csv is not there"),
        ("https://me:hush@example.org/orders.csv", "must hold no password"),
        ("https://example.org/orders.csv?X-Amz-Signature=hush", "must hold no secret"),
        ("https://example.org/orders.csv?token=${NOT_SET_HERE}", "environment variable NOT_SET_HERE is not set"),
        ("nonesuch://bucket/orders.csv", "could not be read"),
    ],
)
def test_a_url_that_is_refused_shows_no_secret(url: str, said: str, tiny: Workspace) -> None:
    before = tiny.params.read_bytes()
    with pytest.raises(LetheError, match=said.replace("$", "[$]")) as caught:
        add(tiny, "shop", url, ASSUMED)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tiny.params.read_bytes() == before
    assert leftovers(tiny) == []


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (customer INTEGER, product INTEGER, stars INTEGER, at INTEGER)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{path}")
    return path


def test_a_query_to_a_database(tiny: Workspace, database: Path) -> None:
    reading = Reading(given={"positive": "all"}, query="SELECT * FROM orders", assume=True)
    new = add(tiny, "shop", "env:SHOP_URL", reading)
    assert new.section.columns == {
        "user": "customer",
        "item": "product",
        "rating": "stars",
        "timestamp": "at",
    }
    assert rows(tiny).digest() == expected().digest()
    assert str(database) not in tiny.params.read_text()
    assert leftovers(tiny) == []


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("postgresql://me:hush@db/shop", "SELECT 1", "give env: and the variable's name"),
        ("env:SHOP_URL", None, "query: missing"),
        ("env:NOT_SET_HERE", "SELECT 1", "NOT_SET_HERE is not set"),
        ("env:SHOP_URL", "SELECT hush FROM orders", "refuses it"),
        ("env:SHOP_URL", "SELECT customer FROM orders WHERE stars > 9", "has no rows"),
    ],
)
def test_a_database_that_is_refused_shows_nothing_of_it(
    path: str, query: str | None, said: str, tiny: Workspace, database: Path
) -> None:
    with pytest.raises(LetheError, match=said) as caught:
        add(tiny, "shop", path, Reading(query=query))
    assert "hush" not in str(caught.value)
    assert str(database) not in str(caught.value)


def chosen(tiny: Workspace, path: Path, where: dict[str, str]) -> Interactions:
    add(tiny, "shop", path, Reading(columns={"user": "user", "item": "item"}, given={"where": where}))
    return rows(tiny)


@pytest.mark.parametrize("value", ["5", "5.0", " 5"])
def test_rows_are_chosen_by_a_value(value: str, tiny: Workspace, tmp_path: Path) -> None:
    fives = [row for row in ROWS if row[2] == 5]
    assert len(chosen(tiny, table(tmp_path / "r.csv"), {"rating": value})) == len(fives) < len(ROWS)


def test_rows_are_chosen_in_parquet_and_by_several_values(tiny: Workspace, tmp_path: Path) -> None:
    kinds = ["view" if stars < 3 else "buy" for stars in COLUMNS["rating"]]
    pq.write_table(pa.table({**COLUMNS, "kind": kinds}), tmp_path / "r.parquet")
    wanted = [row for row in ROWS if row[2] == 4]
    assert len(chosen(tiny, tmp_path / "r.parquet", {"kind": "buy", "rating": "4"})) == len(wanted)


def test_a_value_that_no_row_has_is_named(tiny: Workspace, tmp_path: Path) -> None:
    with pytest.raises(LetheError, match="no rows where rating is '9'"):
        chosen(tiny, table(tmp_path / "r.csv"), {"rating": "9"})
    with pytest.raises(LetheError, match="column 'label' is missing"):
        chosen(tiny, table(tmp_path / "r.csv"), {"label": "1"})


def proposed(tiny: Workspace, path: Path, **given: Any) -> NewDataset:
    return add(tiny, "shop", path, Reading(given=given, assume=True))


def test_what_is_proposed_goes_by_the_data(tiny: Workspace, tmp_path: Path) -> None:
    lines = table(tmp_path / "thumbs.csv", rating=lambda r: r % 2).read_text().splitlines()
    (tmp_path / "thumbs.csv").write_text("\n".join([*lines, lines[-1]]) + "\n")
    new = proposed(tiny, tmp_path / "thumbs.csv")
    assert (new.section.positive, new.section.duplicates) == ("> 0", "latest")
    assert new.section.to_json()["split"] == {"by": "newest", "valid": 0.1, "test": 0.1}
    assert new.profile.repeated == 1
    assert new.profile.likes == sum(row[2] % 2 for row in ROWS)
    assert sum(new.profile.parts.values()) == len(ROWS)
    assert [note.partition(":")[0] for note in new.notes][-2:] == [
        "1 of 201 rows repeat a pair",
        "ratings > 0 count as likes; --positive says otherwise",
    ]


def test_few_rows_a_user_are_split_by_one_row_each(tiny: Workspace, tmp_path: Path) -> None:
    pairs = [(user, (user * 7 + n) % 30, 1_700_000_000 + n) for user in range(60) for n in range(4)]
    (tmp_path / "r.csv").write_text("user,item,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in pairs))
    new = proposed(tiny, tmp_path / "r.csv")
    assert new.section.to_json()["split"]["by"] == "leave-one-out"
    assert new.profile.parts == {"train": 120, "valid": 60, "test": 60}


def test_the_family_is_trained_on_what_was_added(tiny: Workspace, tmp_path: Path) -> None:
    new = proposed(tiny, table(tmp_path / "r.csv"))
    params = Params.read(tiny.params)
    assert [c.model for c in params.families["shop"].candidates] == list(new.family.models)
    assert params.families["shop"].dataset == "shop"
    add(tiny, "other", tmp_path / "r.csv", ASSUMED, family=False)
    assert "other" not in Params.read(tiny.params).families


def test_params_keep_every_line_that_says_nothing_else(tiny: Workspace, tmp_path: Path) -> None:
    """The repository's own file, with comments between sections, in lists, and lists laid out in both ways."""
    own = (ROOT / "params.yaml").read_text()
    tiny.params.write_text(own)
    proposed(tiny, table(tmp_path / "r.csv"))
    text = tiny.params.read_text()
    changed = [line for line in own.splitlines() if line not in text.splitlines()]
    assert changed == ["  datasets: [ml-latest-small, made, made-contexts, made-sequences]"]
    assert "\n\n# How rows are laid into shards" in text
    assert "\n\n# Chosen on the validation part of ml-latest-small.\naggregators:" in text
    before, after = yaml.safe_load(own), yaml.safe_load(text)
    assert after["datasets"].pop("shop")
    assert after["families"].pop("shop")
    assert after["pipeline"]["datasets"].pop() == "shop"
    assert after == before


def test_a_condition_needs_a_value() -> None:
    from lethe.cli.reading import reading

    assert reading(where=["label=1", "kind = buy"]).given["where"] == {"label": "1", "kind": "buy"}
    with pytest.raises(ConfigError, match="where: 'label' must be a name and its value"):
        reading(where=["label"])
    with pytest.raises(ConfigError, match="where: label is given twice, must be given once"):
        reading(where=["label=1", "label=2"])
