"""Inputs as they come in the real world, made small: each stands for a kind, and ends as it should."""

from __future__ import annotations

import csv
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data, suppressed_rows
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import ConfigError, RequestError
from lethe.forgetting import certificate, completion, erasure
from lethe.forgetting import run as runs
from lethe.forgetting.earlier import earlier_files
from lethe.forgetting.intake import Ask, Terms, submit, submit_all
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.removal import subjects, take_out
from lethe.forgetting.respelt import respelt
from lethe.forgetting.standing import ledger, lift
from lethe.proof import daily
from lethe.serving import hidden
from lethe.serving.package import Package
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables
from tests.conftest import make_workspace
from tests.house import ask, forget, fulfil, rebuild, train

USERS, ITEMS, EACH = 24, 20, 6
SEVEN = "7"
Row = tuple[object, ...]


def rows(users: list[object] | None = None, step: int = 60, unit: int = 1) -> list[Row]:
    """EACH rows of each user, at times a minute apart, in ``unit`` parts of a second."""
    rng, made = np.random.default_rng(5), []
    for user in users or list(range(USERS)):
        for item in rng.choice(ITEMS, size=EACH, replace=False):
            made.append((user, int(item), 1 + len(made) % 5, (1_700_000_000 + step * len(made)) * unit))
    return made


def write(path: Path, table: list[Row], timed: bool = True) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "rating", "timestamp"][: 4 if timed else 3])
        writer.writerows(row[: 4 if timed else 3] for row in table)


def workspace_of(
    folder: Path, table: list[Row], *, timed: bool = True, unit: str = "s", names: tuple[str, ...] = ("tiny",)
) -> Workspace:
    """A workspace over one file, under each of these dataset names; one small family of each."""
    few = Interactions.of(np.array([1]), np.array([1]), np.array([1.0]), np.array([1]))
    workspace = make_workspace(folder, few)
    write(workspace.root / "ratings.csv", table, timed)
    params = yaml.safe_load(workspace.params.read_text())
    dataset = params["datasets"].pop("tiny")
    dataset["source"]["timestamp_unit"] = unit
    dataset["source"]["columns"]["timestamp"] = "timestamp" if timed else None
    params["datasets"] = dict.fromkeys(names, dataset)
    params["pipeline"] = {"datasets": list(names), "shardings": ["whole"]}
    only = [{"model": "mostpop", "sharding": "whole"}]
    params["families"] = {f"of-{name}": {"dataset": name, "candidates": only} for name in names}
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return workspace


def say(workspace: Workspace, dataset: str = "tiny", **settings: object) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["datasets"][dataset] |= settings
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))


def data(workspace: Workspace, dataset: str = "tiny") -> Interactions:
    """The data as the stages make it of the source as it is."""
    build_data(workspace, Params.read(workspace.params), dataset, ["whole"])
    return Interactions.read(workspace.interactions(dataset))


def of(table: Interactions, user: object) -> int:
    return int((table.user_ids == user).sum())


def served_popular(workspace: Workspace, user: object, dataset: str = "tiny") -> str:
    package = Package.load(Registry(workspace).folder(Registry(workspace).served()[f"of-{dataset}"].tag))
    return package.recommend(user, 3).source  # type: ignore[arg-type]


@pytest.mark.parametrize(("unit", "parts"), [("ms", 1000), ("s", 1), ("position", 1)])
def test_times_in_any_unit_all_rows_held_go(tmp_path: Path, unit: str, parts: int) -> None:
    workspace = workspace_of(tmp_path / "w", rows(unit=parts), unit=unit)
    train(workspace)
    assert served_popular(workspace, 7) == "model"
    (id,) = forget(workspace, SEVEN)
    done = ledger(workspace).get(id)
    assert (done.state, done.held.interactions) == ("completed", EACH)
    assert of(data(workspace), 7) == 0
    assert served_popular(workspace, 7) == "popular"


def test_a_row_of_the_future_goes_too(tmp_path: Path) -> None:
    later = int(datetime(2031, 1, 1, tzinfo=UTC).timestamp())
    there = {item for user, item, *_ in rows() if user == 7}
    extra = next(item for item in range(ITEMS) if item not in there)
    workspace = workspace_of(tmp_path / "w", [*rows(), (7, extra, 3, later)])
    train(workspace)
    (id,) = forget(workspace, SEVEN)
    assert ledger(workspace).get(id).held.interactions == EACH + 1
    assert of(data(workspace), 7) == 0


def test_rows_that_were_not_ingested_yet_never_enter(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    train(workspace)
    write(workspace.root / "ratings.csv", [*rows(), *[("99", item, 4, 1_800_000_000) for item in range(4)]])
    request = submit(workspace, None, "99")
    assert (request.state, request.held.source, request.user) == ("completed", 4, None)
    assert request.result is not None
    assert request.result.outcome == "nothing held"
    assert (request.result.looked_at or {})["source"] == 4
    assert of(data(workspace), 99) == 0
    assert suppressed_rows(workspace, "tiny") == 4
    lift(workspace, None, "99")
    assert of(data(workspace), 99) == 0, "what was there when they asked does not come back"


def test_whom_only_earlier_versions_hold_is_purged_from_them(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows([f"person-{n}" for n in range(USERS)]))
    train(workspace)
    write(
        workspace.root / "ratings.csv",
        [row for row in rows([f"person-{n}" for n in range(USERS)]) if row[0] != "person-7"],
    )
    assert of(data(workspace), "person-7") == 0
    request = submit(workspace, None, "person-7")
    assert request.state == "accepted", "nothing in the tables, and yet not nothing held"
    assert (request.held.rows, request.held.earlier > 0) == (0, True)
    old = Registry(workspace).served()["of-tiny"].tag
    completion.complete(workspace, erasure.erase(workspace, rebuild(workspace)))
    assert ledger(workspace).get(request.id).state == "completed"
    assert Registry(workspace).is_retired(old)
    assert Suppressed.user("tiny", "person-7") in SuppressionList.read(workspace.suppression)
    assert earlier_files(workspace, "tiny", [request]) == [0]


@pytest.mark.parametrize("late", [False, True], ids=["asked before", "asked after"])
def test_whom_the_source_lost_and_a_training_with_it_is_purged_from_earlier_files(tmp_path: Path, late: bool) -> None:
    """Nothing changes in the data by such a request, and what was made of them before is what it removes."""
    workspace = workspace_of(tmp_path / "w", rows())
    train(workspace)
    ids = [] if late else ask(workspace, SEVEN, "8")
    write(workspace.root / "ratings.csv", [row for row in rows() if row[0] not in (7, 8)])
    train(workspace)
    going, held = ids or ask(workspace, SEVEN, "8")
    ledger(workspace).hold(held, True)
    fulfil(workspace)
    done = certificate.read(workspace.certificates / f"{going}.json")
    assert {kind for kind, count in done.rows.held.items() if count} == {"earlier"}
    assert (done.rows.removed, done.rows.left) == (done.rows.held, 0)
    ledger(workspace).hold(held, False)
    assert runs.begin(workspace) is None, "of the other nothing was left then"
    assert [ledger(workspace).get(id).state for id in (going, held)] == ["completed"] * 2
    asked = [ForgetRequest.new("tiny", user, now=datetime.now(UTC), datasets=["tiny"]) for user in (SEVEN, "8")]
    assert earlier_files(workspace, "tiny", asked) == [0, 0]


def test_under_another_key_nothing_is_read_and_nobody_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    train(workspace)
    forget(workspace, SEVEN)
    write(workspace.root / "ratings.csv", [*rows(), (7, 19, 3, 1_800_000_000)])
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "elsewhere"))
    for command in (
        lambda: data(workspace),
        lambda: ledger(workspace),
        lambda: submit(workspace, None, "8"),
        lambda: daily.check_suppression(workspace),
    ):
        with pytest.raises(ConfigError, match=r"^key: .* was made under the key [0-9a-f]{16}, but there is none in"):
            command()
    assert not (tmp_path / "elsewhere").exists(), "no key was made silently"
    monkeypatch.undo()
    assert of(data(workspace), 7) == 0


def test_a_list_that_is_missing_is_told_with_the_way_to_restore_it(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    train(workspace)
    forget(workspace, SEVEN)
    workspace.suppression.unlink()
    with pytest.raises(ConfigError, match=r"1 of 1 that the ledger says are forgotten are not on it.*keys restore"):
        submit(workspace, None, "8")


def test_a_reason_is_a_code_and_a_request_can_be_cancelled(tmp_path: Path) -> None:
    people = [f"p{n:03d}@example.org" for n in range(USERS)]
    workspace = workspace_of(tmp_path / "w", rows(people))
    data(workspace)
    for terms in (
        Terms(reason="ticket 4711 (p007@example.org)"),
        Terms(ticket="p007@example.org"),
        Terms(ticket="4711 (P007@Example.org)"),
    ):
        with pytest.raises(RequestError) as caught:
            submit(workspace, None, people[7], terms=terms)
        assert "p007" not in str(caught.value).lower()
        assert "\n" not in str(caught.value)
    for spelt in ("desk/P007@EXAMPLE.ORG", "to=p007%40example.org"):
        with pytest.raises(RequestError, match="external_id: must not contain the id"):
            submit_all(workspace, None, [Ask(people[7], external_id=spelt)])
    assert ledger(workspace).all() == []
    request = submit(workspace, None, people[7], terms=Terms("objection", "4711"))
    assert (request.reason, request.ticket) == ("objection", "4711")
    ended = ledger(workspace).advance(request.id, "cancelled")
    assert ended.user is None
    assert hidden.read(workspace.hidden_users) == frozenset()


def test_people_who_are_items_go_as_both_or_the_request_asks(tmp_path: Path) -> None:
    table = [row for row in rows() if row[0] != row[1]]
    workspace = workspace_of(tmp_path / "w", table)
    as_item = sum(row[1] == 7 for row in table)
    train(workspace)
    (answer,) = submit_all(workspace, None, [Ask(SEVEN)])
    assert answer.rows_as_item == as_item > 0, "numbers are items too by chance: it is asked, not assumed"
    ledger(workspace).advance(answer.request.id, "withdrawn")
    say(workspace, items_are_users=True)
    (id,) = forget(workspace, SEVEN)
    left = data(workspace)
    assert of(left, 7) == 0
    assert 7 not in left.item_ids
    assert ledger(workspace).get(id).held.interactions == as_item + sum(row[0] == 7 for row in table)
    other = next(user for user in range(USERS) if user != 7 and (user, 7) not in {row[:2] for row in table})
    write(workspace.root / "ratings.csv", [*table, (other, 7, 5, 1_800_000_000)])
    assert 7 not in data(workspace).item_ids, "nor does a row that names the person later enter"
    (answer,) = submit_all(workspace, None, [Ask("8")])
    assert answer.rows_as_item == 0, "said once for all"


def test_text_that_is_both_a_user_and_an_item_is_asked_about(tmp_path: Path) -> None:
    table = [(f"person-{user}", f"person-{item}", star, time) for user, item, star, time in rows() if user != item]
    workspace = workspace_of(tmp_path / "w", table)
    data(workspace)
    with pytest.raises(RequestError, match=r"user: 1 of 1 ids are items of tiny too, .*; say --also-item .* or --not"):
        submit(workspace, None, "person-7")
    assert not submit(workspace, None, "person-7", terms=Terms(also_item=False)).also_item
    assert submit(workspace, None, "person-7", terms=Terms(also_item=True)).also_item, "another request: it covers more"


def test_a_person_whom_facts_about_items_name_is_asked_about(tiny: Workspace) -> None:
    data(tiny)
    text = {name: np.array([value], dtype=object) for name, value in (("item", "item-000"), ("relation", "made by"))}
    facts = SideTable.of("triples", **text, entity=np.array(["user-007"], dtype=object))
    facts.write(tiny.side("tiny") / "triples.parquet")
    with pytest.raises(
        RequestError, match=r"1 of 1 ids are items of tiny too, or named by facts, features or contexts; say"
    ):
        submit(tiny, None, "user-007")
    assert submit(tiny, None, "user-008").state == "accepted"
    assert submit(tiny, None, "user-007", terms=Terms(also_item=True)).also_item


def test_a_person_whom_a_feature_names_is_asked_about_and_taken_out_of_it(tiny: Workspace) -> None:
    """A word that is somebody's id, however short; a number is nobody's."""
    data(tiny)
    names = np.array(["user-007", "user-008", "7"], dtype=object)
    fields = np.array(["seller", "seller", "size"], dtype=object)
    items, ones = np.array(["item-000"] * 3, dtype=object), np.ones(3, dtype=np.float32)
    sold = SideTable.of("item_features", item=items, field=fields, value=names, weight=ones)
    sold.write(tiny.side("tiny") / "item_features.parquet")
    with pytest.raises(
        RequestError, match="1 of 1 ids are items of tiny too, or named by facts, features or contexts; say"
    ):
        submit(tiny, None, "user-007")
    request = submit(tiny, None, "user-007", terms=Terms(also_item=True))
    assert request.held.features == 1
    listed = SuppressionList.read(tiny.suppression).add([*subjects([request]), Suppressed.item("tiny", "7")])
    left = listed.drop_side(SideTables({"item_features": sold}, {}), "tiny").tables["item_features"]
    assert left["value"].tolist() == ["user-008", "7"]


def test_the_same_people_under_two_names_are_told_or_forgotten_everywhere(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows(), names=("one", "two"))
    train(workspace)
    with pytest.raises(
        RequestError, match=r"dataset: must be named where there are several \(one, two\), or take --every"
    ):
        submit(workspace, None, SEVEN)
    with pytest.raises(RequestError, match=r"where there are several \(one, two\)$"):
        lift(workspace, None, SEVEN)  # which has no --everywhere
    (answer,) = submit_all(workspace, "one", [Ask(SEVEN)])
    assert answer.elsewhere == {"two": EACH}
    answers = submit_all(workspace, None, [Ask(SEVEN), Ask("8")], everywhere=True)
    assert [(a.request.dataset, a.is_new) for a in answers] == [
        ("one", False),
        ("one", True),
        ("two", True),
        ("two", True),
    ]
    completion.complete(workspace, erasure.erase(workspace, rebuild(workspace)))
    for name in ("one", "two"):
        left = data(workspace, name)
        assert of(left, 7) == of(left, 8) == 0


def test_another_dataset_that_only_links_know_somebody_by_is_told(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows(), names=("one", "two"))
    for name in ("one", "two"):
        data(workspace, name)
    links = SideTable.of("links", user=np.array([8, 99, 99]), friend=np.array([99, 8, 9]))
    links.write(workspace.side("two") / "links.parquet")
    terms = Terms(confirm_unknown=True)
    assert [a.elsewhere for a in submit_all(workspace, "one", [Ask("99")], terms)] == [{"two": 3}]
    assert [a.elsewhere for a in submit_all(workspace, "two", [Ask("99")], terms)] == [{}]


def test_who_consents_again_comes_back_by_new_rows_alone(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows(), timed=False)
    train(workspace)
    forget(workspace, SEVEN)
    old = {row[1] for row in rows() if row[0] == 7}
    new = [(7, item, 5) for item in range(ITEMS) if item not in old][:4]
    write(workspace.root / "ratings.csv", [*rows(), *new], timed=False)
    assert of(data(workspace), 7) == 0
    assert suppressed_rows(workspace, "tiny") == EACH + 4
    with pytest.raises(RequestError, match="since: dataset tiny has no time"):
        lift(workspace, None, SEVEN, datetime(2026, 1, 1, tzinfo=UTC))
    assert lift(workspace, None, SEVEN) == 1
    back = data(workspace)
    assert sorted(back.item_ids[back.user_ids == 7].tolist()) == [item for _, item, _ in new]
    assert daily.check_suppression(workspace)["forgotten"] == 0, "the audit knows that it was lifted"
    (again,) = forget(workspace, SEVEN)
    assert ledger(workspace).get(again).held.interactions == 4
    assert of(data(workspace), 7) == 0


def test_of_whom_single_interactions_went_there_is_nothing_to_lift(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows(), timed=False)
    train(workspace)
    mine = [str(row[1]) for row in rows() if row[0] == 7]
    forget(workspace, SEVEN, items=(mine[0],))
    with pytest.raises(RequestError, match="was completed in tiny, but of single interactions, which stay forgotten"):
        lift(workspace, None, SEVEN)
    forget(workspace, SEVEN)
    assert lift(workspace, None, SEVEN) == 1


def test_positions_are_no_times_so_rows_that_move_stay_out(tmp_path: Path) -> None:
    there = [(user, item, rating, place) for place, (user, item, rating, _) in enumerate(rows())]
    workspace = workspace_of(tmp_path / "w", there, unit="position")
    train(workspace)
    forget(workspace, SEVEN)
    with pytest.raises(RequestError, match="since: dataset tiny has no time"):
        lift(workspace, None, SEVEN, datetime(2026, 1, 1, tzinfo=UTC))
    lift(workspace, None, SEVEN)
    moved = [(user, item, rating, place + 1) for user, item, rating, place in there]
    write(workspace.root / "ratings.csv", moved)
    assert of(data(workspace), 7) == 0, "the same rows, one place further down"


def test_positions_of_another_behaviour_are_no_times_either(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    views = [(user, item, rating, place) for place, (user, item, rating, _) in enumerate(rows())]
    write(workspace.root / "views.csv", views)
    columns = {"user": "user", "item": "item", "timestamp": "timestamp"}
    view = {"path": "views.csv", "columns": columns, "timestamp_unit": "position"}
    say(workspace, side={"behaviours": {"view": view}})
    train(workspace)
    forget(workspace, SEVEN)
    lift(workspace, None, SEVEN)
    free = next(item for item in range(ITEMS) if item not in {row[1] for row in rows() if row[0] == 7})
    write(workspace.root / "ratings.csv", [*rows(), (7, free, 5, 1_800_000_000)])
    moved = [(user, item, rating, place + 1) for user, item, rating, place in views]
    write(workspace.root / "views.csv", [*moved, (7, free, 5, len(views) + 1)])
    assert of(data(workspace), 7) == 1
    seen = SideTables.read(workspace.side("tiny")).behaviours["view"]
    assert seen.item_ids[seen.user_ids == 7].tolist() == [free], "what moved stays out, what is new enters"


def test_with_times_a_lift_may_begin_at_one(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    train(workspace)
    forget(workspace, SEVEN)
    free = [item for item in range(ITEMS) if item not in {row[1] for row in rows() if row[0] == 7}]
    began = datetime(2026, 12, 1, tzinfo=UTC)
    at = int(began.timestamp())
    write(workspace.root / "ratings.csv", [*rows(), (7, free[0], 5, at - 1), (7, free[1], 5, at)])
    lift(workspace, None, SEVEN, began)
    back = data(workspace)
    assert back.item_ids[back.user_ids == 7].tolist() == [free[1]]


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text.upper(),
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: text + " ",
    ],
    ids=["case", "NFD", "blank"],
)
def test_another_spelling_of_an_id_is_asked_about_and_not_completed(tmp_path: Path, spelling) -> None:  # type: ignore[no-untyped-def]
    person = "josé@example.org"
    workspace = workspace_of(tmp_path / "w", rows([person, *(f"p{n}@example.org" for n in range(20))]))
    data(workspace)
    with pytest.raises(RequestError, match=r"nobody has this id in tiny, but 1 ids are the same .* --confirm-unknown"):
        submit(workspace, None, spelling(person))
    assert ledger(workspace).all() == []
    assert not workspace.suppression.exists()
    done = submit(workspace, None, spelling(person), terms=Terms(confirm_unknown=True))
    assert done.state == "completed"
    assert Suppressed.user("tiny", spelling(person)) in SuppressionList.read(workspace.suppression)
    assert of(data(workspace), person) == EACH, "the other spelling is somebody else until the operator says so"
    assert submit(workspace, None, person).state == "accepted"


ODD = ["\U0001f469\u200d\U0001f4bb", "Jean\xa0Luc", "tab\there", "x" * 300, "‮right to left", "a\u200bb"]


def test_every_id_that_a_gate_lets_in_can_be_forgotten(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows([*ODD, *(f"p{n:02d}" for n in range(18))]))
    train(workspace)
    ids = forget(workspace, *ODD)
    assert {ledger(workspace).get(id).state for id in ids} == {"completed"}
    left = data(workspace)
    assert not set(ODD) & set(left.user_ids)
    assert len(set(left.user_ids)) == 18


@pytest.mark.parametrize("spelt", ["7.0", "007", " 7", "+7", "mailto:7"])
def test_who_comes_back_in_another_spelling_is_told_of(spelt: str, tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    data(workspace)
    request = submit(workspace, None, "7")
    take_out(workspace, Params.read(workspace.params), "tiny", [request])
    assert of(data(workspace), 7) == 0
    assert respelt(workspace) == {}
    others = [("somebody", *row[1:]) if row[0] == 8 else row for row in rows()]
    write(workspace.root / "ratings.csv", [(spelt, *row[1:]) if row[0] == 7 else row for row in others])
    assert spelt in set(data(workspace).user_ids), "who knows whether it is the same person"
    assert respelt(workspace) == {"tiny": 1}
