"""What shops ask for: lists, filters, caps, variety, scores and reasons; at the desk, and over HTTP without BentoML."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from lethe.core.keys import subject_digest
from lethe.errors import DataError
from lethe.learning.ensemble import FactorEnsemble
from lethe.models.parts.fold_in import SquareLossRows
from lethe.serving import features
from lethe.serving.choosing import Cap, Choice, best, varied
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers, publish
from lethe.serving.package import Package
from lethe.serving.routes import application
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from tests.serving.conftest import package_info

# Eight items in two kinds; user 1 took 1 and 2, user 2 took 5, users 3 and 4 took the rest.
ROWS = Interactions.of(np.array([1, 1, 2, 3, 3, 3, 4, 4]), np.array([1, 2, 5, 3, 4, 8, 6, 7]))
VECTORS = np.array([[1, 0], [1, 0.1], [0.9, 0], [0.8, 0], [0, 1], [0, 0.9], [0.1, 0.8], [0.7, 0.1]], np.float32)
TABLE = (
    "item,kind,price,in_stock\n1,red,1,true\n2,red,2,true\n3,red,3,true\n4,red,4,false\n5,blue,5,true\n6,blue,,true\n"
)


def served(dataset: str = "tiny", rows: Interactions = ROWS) -> Package:
    catalogue = Catalogue.of(rows)
    users = np.array([[1, 0.2], [0, 1], [1, 1], [1, 1]], np.float32)[: catalogue.shape.num_users]
    fold_in = SquareLossRows.of(VECTORS, np.full(8, 0.2), dropout=0.0, reg=0.1)
    ensemble = FactorEnsemble(catalogue, users, VECTORS, fold_in)
    matrix = catalogue.encode(rows)
    info = package_info().model_copy(update={"dataset": dataset})
    return Package(ensemble, matrix.indptr, matrix.items, matrix.item_counts, info)


def test_what_nobody_has_had_is_offered_for_its_content(tmp_path: Path) -> None:
    known = served()
    ids = replace(known.ensemble.catalogue, new_items=Ids(np.array([4])))
    package = replace(
        known, ensemble=replace(known.ensemble, catalogue=ids), counts=np.where(VECTORS[:, 0] == 0.8, 0, 1)
    )
    values = {"bento": "b:1", "families": {"f": "t:1"}, "default": "f"}
    desk = Desk(Deployment.parse(values, "test"), {"f": package}, HiddenUsers(tmp_path / "hidden.json"), None)
    publish(tmp_path / "hidden.json", [])
    offered = {item.item_id: item.reason for item in desk.recommend(1, 3).items}
    assert (offered[3], offered[4]) == ("taste", "content")
    assert {item.reason for item in desk.recommend(99, 8).items} == {"popular"}
    assert 4 in [item.item_id for item in desk.similar_items(3, 3).items]
    assert desk.similar_items(4, 1).items[0].item_id == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "features"
    path.mkdir()
    (path / "tiny.csv").write_text(TABLE)
    return path


@pytest.fixture
def desk(tmp_path: Path, folder: Path) -> Desk:
    other = Interactions.of(ROWS.user_ids + 100, ROWS.item_ids)
    packages = {"f": served(), "g": served("other", other)}
    values = {"bento": "b:1", "families": {"f": "t:1", "g": "t:2"}, "default": "f"}
    publish(tmp_path / "hidden.json", [subject_digest("tiny", 2)])
    return Desk(Deployment.parse(values, "test"), packages, HiddenUsers(tmp_path / "hidden.json"), folder)


@pytest.fixture
def client(desk: Desk) -> TestClient:
    app = application()
    app.state.desk = desk
    return TestClient(app)


def ids(answer: dict[str, Any]) -> list[int]:
    return [item["item_id"] for item in answer["items"]]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, [3, 4, 8, 7, 5, 6]),
        ({"keep_seen": True, "k": 3}, [2, 1, 3]),
        ({"allow": [4, 5, 99]}, [4, 5]),
        ({"deny": [3, 4, 99], "k": 2}, [8, 7]),
        ({"filter": {"kind": "red"}}, [3, 4]),
        ({"filter": {"kind": ["red", "blue"], "in_stock": True}}, [3, 5, 6]),
        ({"filter": {"price": {"min": 4}}}, [4, 5]),
        ({"filter": {"kind": {"not": ["red"]}}}, [5, 6]),
        ({"filter": {"kind": "red"}, "allow": [3, 5]}, [3]),
        ({"caps": {"kind": 1}}, [3, 8, 7, 5]),
        ({"history": [3], "exclude_history": False, "k": 1, "keep_seen": True}, [1]),
        ({"filter": {"kind": "green"}}, []),
    ],
    ids=str,
)
def test_only_what_is_wished_for_is_answered_best_first(
    client: TestClient, wish: dict[str, Any], expected: list[int]
) -> None:
    answer = client.post("/v1/recommend", json={"user_id": 1} | wish).json()
    assert ids(answer) == expected
    batch = client.post("/v1/recommend/batch", json={"user_ids": [1, 3]} | wish)
    if "history" not in wish:
        assert ids(batch.json()["answers"][0]) == expected


@pytest.mark.parametrize(
    ("wish", "status", "line"),
    [
        ({"allow": []}, 422, "allow: [] List should have at least 1 item after validation, not 0"),
        ({"allow": [98, 99]}, 422, "allow: none of the 2 items is one of the family 'f'; name some, or no list"),
        ({"filter": {"colour": 1}}, 422, "filter: unknown field 'colour'; known fields: kind, price, in_stock"),
        ({"filter": {"kind": {"min": 1}}}, 422, "filter: field 'kind' holds text, so it has no least or most"),
        ({"caps": {"colour": 1}}, 422, "caps: unknown field 'colour'; known fields: kind, price, in_stock"),
        ({"diversity": 2}, 422, "diversity: 2 Input should be less than or equal to 1"),
        ({"family": "g", "filter": {"kind": 1}}, 422, "filter: unknown field 'kind'; known fields: none, there is no"),
        ({"history": [1], "ratings": [1, 2]}, 422, "ratings: 2 given, must be as many as the history's 1 items"),
    ],
    ids=str,
)
def test_a_wish_that_cannot_be_is_one_line(client: TestClient, wish: dict[str, Any], status: int, line: str) -> None:
    answer = client.post("/v1/recommend", json={"user_id": 1} | wish)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(line)


def test_a_table_of_features_is_read_again_and_a_damaged_one_changes_nothing(
    desk: Desk, client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(features, "LOOK", 0.0)
    asked = {"user_id": 1, "filter": {"kind": "blue"}}
    assert ids(client.post("/v1/recommend", json=asked).json()) == [5, 6]
    (folder / "tiny.csv").write_text("item,kind\n8,blue\n")
    assert ids(client.post("/v1/recommend", json=asked).json()) == [8]
    time.sleep(0.01)
    (folder / "tiny.csv").write_text("item,kind\n8,blue\n8,red\n")
    assert ids(client.post("/v1/recommend", json=asked).json()) == [8]
    assert "each item must have one row" in caplog.text


def test_items_of_a_table_are_read_as_they_are_written(tmp_path: Path) -> None:
    items = Ids.of(np.array(["007", "7", "8"], dtype=object))
    (tmp_path / "shop.csv").write_text("item,kind\n007,spy\n7,digit\n")
    table = features.FeatureFile(tmp_path, "shop", items).now()
    assert table.columns["kind"].tolist() == ["spy", "digit", None]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"item": [1.0, 2.0]}, "column 'item': must hold ids as text or integers, got float"),
        ({"item": [True]}, "column 'item': must hold ids as text or integers, got bool"),
        ({"item": [b"1"]}, "column 'item': must hold ids as text or integers, got bytes"),
    ],
)
def test_a_table_whose_items_are_no_ids_is_refused(columns: dict[str, Any], line: str) -> None:
    with pytest.raises(DataError, match=f"^{line}$"):
        features.Features.aligned(columns, Ids.of(np.array([1, 2])))


def test_a_table_with_two_columns_of_a_name_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "shop.csv").write_text("item,kind,kind\n1,a,b\n")
    assert features.FeatureFile(tmp_path, "shop", Ids.of(np.array([1]))).now().columns == {}
    assert "shop.csv: column 'kind' stands there twice" in caplog.text


def test_variety_takes_items_unlike_each_other_and_none_of_it_the_best() -> None:
    scores = np.array([1.0, 0.99, 0.98, 0.5, 0.1])
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float64)
    for diversity, expected in ((0.0, [0, 1, 2]), (0.4, [0, 3, 1]), (1.0, [0, 3, 1])):
        chosen = varied(scores, 3, Choice(diversity=diversity), lambda places: vectors[places])
        assert chosen.tolist() == expected, diversity
    capped = varied(scores, 4, Choice(caps=(Cap(np.array([0, 0, 0, -1, -1]), 2),)), lambda places: vectors[places])
    assert capped.tolist() == [0, 1, 3, 4]
    assert best(np.array([1.0, -np.inf, 1.0, 0.0]), 5).tolist() == [0, 2, 3]
    assert best(np.full(4, -np.inf), 2).tolist() == []


def test_every_item_says_where_it_comes_from(client: TestClient) -> None:
    for asked, source, reason in (
        ({"user_id": 1}, "model", "taste"),
        ({"user_id": 1, "history": [5]}, "model", "taste and history"),
        ({"user_id": "new", "history": [5]}, "model", "history"),
        ({"user_id": "new"}, "popular", "popular"),
    ):
        answer = client.post("/v1/recommend", json=asked).json()
        assert {(item["source"], item["reason"]) for item in answer["items"]} == {(source, reason)}, asked
    first, second = (client.post("/v1/recommend", json={"user_id": 1}).json() for _ in range(2))
    assert first["recommendation_id"] != second["recommendation_id"]


def test_scores_of_given_items_seen_or_not(client: TestClient) -> None:
    asked = {"user_id": 1, "item_ids": [5, 1, 99]}
    assert client.post("/v1/score", json=asked).json()["scores"] == pytest.approx([0.2, 1.0, None])
    popular = client.post("/v1/score", json=asked | {"user_id": "new"}).json()
    assert (popular["scores"], popular["source"]) == ([1.0, 1.0, None], "popular")
    assert client.post("/v1/score", json=asked | {"user_id": 2}).json() == popular, "a hidden user is nobody"


def test_an_explanation_is_what_the_score_is_made_of(client: TestClient, desk: Desk) -> None:
    answer = client.post("/v1/explain", json={"user_id": 1, "item_id": 3, "history": [5]}).json()
    assert (answer["by"], [share["item_id"] for share in answer["items"]]) == ("model", [1, 2, 5])
    scored = client.post("/v1/score", json={"user_id": 1, "item_ids": [3], "history": [5]}).json()["scores"][0]
    assert sum(share["share"] for share in answer["items"]) == pytest.approx(scored, abs=1e-5)
    assert client.post("/v1/explain", json={"user_id": 2, "item_id": 3}).json()["items"] == []
    assert client.post("/v1/explain", json={"user_id": 1, "item_id": 99}).status_code == 404


def test_items_like_several(client: TestClient) -> None:
    assert ids(client.post("/v1/similar_items", json={"item_ids": [1, 4], "k": 2}).json()) == [3, 2]
    one, several = ({"item_id": 1}, {"item_ids": [1]})
    assert ids(client.post("/similar_items", json=one).json()) == ids(
        client.post("/similar_items", json=several).json()
    )
    assert client.post("/similar_items", json=one | several).json() == {
        "error": "body: {'item_id': 1, 'item_ids': [1]} must have one of item_id, item_ids"
    }


def test_who_asks_the_wrong_family_is_told_unless_the_user_is_hidden_there(client: TestClient, tmp_path: Path) -> None:
    answer = client.post("/v1/recommend", json={"user_id": 101}).json()
    assert answer["note"] == "user_id: not known to the family 'f', but to g"
    assert "note" not in client.post("/v1/recommend", json={"user_id": "new"}).json()
    publish(tmp_path / "hidden.json", [subject_digest("other", 101)])
    assert "note" not in client.post("/v1/recommend", json={"user_id": 101}).json()


def test_the_privacy_officer_sees_who_is_known_and_hidden(client: TestClient) -> None:
    assert client.post("/v1/person", json={"user_id": 2}).json() == {"known_to": ["f"], "hidden_in": ["tiny"]}
    assert client.post("/v1/person", json={"user_id": "new"}).json()["known_to"] == []


def test_the_schema_has_an_example_of_every_request_that_is_answered(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, about in methods.items():
            if method == "post":
                name = about["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
                assert schema["components"]["schemas"][name]["examples"], path


def test_a_large_request_is_answered_beside_the_loop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from lethe.serving import routes

    aside: list[Any] = []

    async def run_sync(work: Any) -> Any:
        aside.append(work)
        return work()

    monkeypatch.setattr(routes.to_thread, "run_sync", run_sync)
    limits = desk.deployment.limits.model_copy(update={"scored_aside": 16})
    app = application()
    app.state.desk = Desk(desk.deployment.model_copy(update={"limits": limits}), desk.packages, desk.hidden)
    client = TestClient(app)
    assert len(client.post("/v1/recommend/batch", json={"user_ids": [1, 3]}).json()["answers"]) == 2
    assert not aside
    assert len(client.post("/v1/recommend/batch", json={"user_ids": [1, 3, 4]}).json()["answers"]) == 3
    assert len(aside) == 1
