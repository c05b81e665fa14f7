"""``lethe data add`` with tables beside the interactions: columns and kinds found, told, and read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lethe.build.checks import check_params
from lethe.config.params import Params
from lethe.config.reading import Reading
from lethe.core.workspace import Workspace
from lethe.data.add import NewDataset, add
from lethe.data.sources.find_side import find_features
from lethe.errors import DataError, LetheError
from tests.data.made_sources import ROWS, table

USERS = sorted({row[0] for row in ROWS})
ITEMS = sorted({row[1] for row in ROWS})


def write(path: Path, header: str, rows: list[tuple[object, ...]], separator: str = ",") -> str:
    lines = [header.replace(",", separator), *(separator.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    features = [(i, f"Item no. {i} of all", 10 + i * 1.5, "a|b" if i % 2 else "a", i % 3) for i in ITEMS]
    return {
        "links": write(tmp_path / "follows.csv", "user,follows,since", [(u, u % 20 + 1, 2020) for u in USERS]),
        "behaviours.view": write(tmp_path / "views.csv", "item;user", [(i, u) for u, i, *_ in ROWS], ";"),
        "user_features": write(
            tmp_path / "people.csv", "UserID\tregion\tage", [(u, u % 4, 20 + u) for u in USERS], "\t"
        ),
        "item_features": write(tmp_path / "products.csv", "sku,title,price,tags,shelf", features),
        "triples": write(tmp_path / "facts.csv", "head,relation,tail", [(i, "made_by", i % 5) for i in ITEMS]),
    }


def added(workspace: Workspace, tmp_path: Path, side: dict[str, str], **given: Any) -> NewDataset:
    return add(workspace, "shop", table(tmp_path / "r.csv"), Reading(given=given, side=side, assume=True))


def test_every_table_is_found_told_and_can_be_trained_from(
    tiny: Workspace, tmp_path: Path, files: dict[str, str]
) -> None:
    new = added(tiny, tmp_path, files)
    side = new.section.side
    assert (side["links"]["user"], side["links"]["friend"]) == ("user", "follows")
    assert side["behaviours"]["view"]["columns"] == {"user": "user", "item": "item"}
    assert side["behaviours"]["view"]["separator"] == ";"
    assert (side["user_features"]["key"], side["user_features"]["separator"]) == ("UserID", "\t")
    assert side["user_features"]["fields"] == {"region": {}, "age": {}}
    assert side["item_features"]["key"] == "sku"
    assert side["item_features"]["fields"] == {"price": {"kind": "number"}, "tags": {"kind": "categories"}, "shelf": {}}
    assert "title left out, as names or descriptions" in "\n".join(new.notes)
    assert {"collective-social", "collective-behaviours", "collective-graph", "ensfm"} < set(new.family.models)
    check_params(tiny, Params.read(tiny.params))


def test_a_table_of_other_ids_is_refused_and_nothing_is_written(tiny: Workspace, tmp_path: Path) -> None:
    before = tiny.params.read_bytes()
    other = write(tmp_path / "follows.csv", "user,friend", [("ann", "bob"), ("bob", "ann")])
    with pytest.raises(LetheError) as caught:
        added(tiny, tmp_path, {"links": other})
    assert "\n" not in str(caught.value)
    assert "ann" not in str(caught.value)
    assert tiny.params.read_bytes() == before


@pytest.mark.parametrize(
    ("what", "header", "role"),
    [
        ("user_features", "product,shelf", "user"),
        ("item_features", "customer,shelf", "item"),
        ("triples", "head,relation,tail", "item"),
        ("behaviours.view", "user,item", "user"),
    ],
)
def test_a_table_about_nobody_of_the_interactions_is_refused(
    tiny: Workspace, tmp_path: Path, what: str, header: str, role: str
) -> None:
    """It would be read, and nothing be learnt from it, unsaid."""
    other = write(tmp_path / "other.csv", header, [(f"x{n}", f"p{n % 5}", "a")[: header.count(",") + 1] for n in USERS])
    orders = write(tmp_path / "orders.csv", "user,item,at", [(f"u{u}", f"i{i}", at) for u, i, _, at in ROWS])
    said = rf"^other\.csv: as {what} it says nothing of any {role} of the interactions; name another file, or write the"
    with pytest.raises(DataError, match=said):
        add(tiny, "shop", orders, Reading(side={what: other}, assume=True))
    assert "shop" not in Params.read(tiny.params).datasets


@pytest.mark.parametrize("header", ["who,what,where", "user,item_1,item_2"])
def test_columns_of_a_behaviour_that_are_not_clear_ask_for_no_option_of_the_interactions(
    tiny: Workspace, tmp_path: Path, header: str
) -> None:
    views = write(tmp_path / "views.csv", header, [(f"u{u}", f"i{u}", f"i{u}") for u in USERS])
    shop = write(tmp_path / "orders.csv", "user,item", [(f"u{u}", f"i{i}") for u, i, *_ in ROWS])
    with pytest.raises(DataError, match=r"^views\.csv: [^-]*; call them as in the interactions: user, item$"):
        add(tiny, "shop", shop, Reading(side={"behaviours.view": views}, assume=True))
    write(tmp_path / "views.csv", "user,item", [(f"u{u}", f"i{u}") for u in USERS])
    new = add(tiny, "shop", shop, Reading(side={"behaviours.view": views}, assume=True))
    assert [note for note in new.notes if "views" in note and "--" in note] == []


def test_ids_of_a_behaviour_are_written_as_those_of_the_interactions(tiny: Workspace, tmp_path: Path) -> None:
    """Whoever viewed something is called by figures, but not everybody who ordered is."""
    orders = [("guest" if u == USERS[0] else u, i) for u, i, *_ in ROWS]
    views = write(tmp_path / "views.csv", "user,item", [(u, i) for u, i in orders if u != "guest"])
    shop = write(tmp_path / "orders.csv", "user,item", orders)
    new = add(tiny, "shop", shop, Reading(side={"behaviours.view": views}, assume=True))
    view = new.section.side["behaviours"]["view"]
    assert (view["ids"], view["item_ids"]) == ("text", "integer")


def test_names_alone_are_no_features(tmp_path: Path) -> None:
    file = write(tmp_path / "products.csv", "item,title", [(i, f"Thing {i}") for i in range(100)])
    with pytest.raises(DataError, match="no column beside 'item' can be a feature"):
        find_features(Path(file), "item", "item")


def test_a_context_is_a_column_of_the_interactions(tiny: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("user,item,daytime\n" + "".join(f"{u},{i},{'am' if u % 2 else 'pm'}\n" for u, i, *_ in ROWS))
    new = add(tiny, "shop", path, Reading(context=("daytime",)))
    assert new.section.columns == {"user": "user", "item": "item", "context": ["daytime"]}
