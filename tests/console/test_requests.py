"""Requests in the console: entered, in a file, approved, ended; what is refused is one line and loses nothing."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from lethe.core.envelope import PublicKey
from lethe.core.workspace import Workspace
from lethe.forgetting import receipt
from lethe.forgetting.standing import ledger
from lethe.tables.interactions import Interactions
from tests.console.conftest import ASKING, GONE, OTHER, Visitor, problem, settings, visitor, words


def enter(came: Visitor, user: str = ASKING, **fields: str) -> str:
    """Id of a request that was entered."""
    came.get("/ui/requests/new")
    answer = came.post("/ui/requests/new", **{"user": user, "dataset": "tiny", **fields})
    assert answer.status_code == 200, problem(answer)
    return answer.url.path.rpartition("/")[2]


def test_one_is_entered_and_its_page_says_what_is_held(ann: Visitor, lived: Workspace, caplog) -> None:
    with caplog.at_level(logging.DEBUG):
        ann.get("/ui/requests/new")
        answer = ann.post("/ui/requests/new", user=ASKING, dataset="tiny", reason="objection", ticket="T-17")
    id = answer.url.path.rpartition("/")[2]
    request = ledger(lived).get(id)
    assert (request.state, request.user, request.reason, request.ticket) == ("accepted", ASKING, "objection", "T-17")
    assert answer.url.query == b"done=taken"
    said = words(answer)
    assert f"Held at acceptance {request.held}" in said
    assert "Entered by ann" in said
    assert "30 days left" in said or "29 days left" in said
    assert ASKING not in answer.text, "the page of a request never names anybody"
    assert ASKING not in caplog.text + str(answer.url)
    log = [json.loads(record.getMessage()) for record in caplog.records if record.name == "lethe.access"]
    assert {line["key"] for line in log} == {"ann"}
    assert {"/ui/requests/new", "/ui/requests/{id}"} <= {line["route"] for line in log}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"user": ""}, "user: "),
        ({"user": "nobody-here"}, "user: nobody has this id in tiny"),
        ({"reason": "whim"}, "reason: must be one of user-request"),
        ({"ticket": "call me"}, "ticket: must be a number"),
        ({"dataset": "none"}, "dataset: unknown 'none'"),
        ({"also_item": "perhaps"}, "also_item: must be empty, yes or no"),
        ({"items": "item-1\nitem-1"}, "items: each must be named once"),
        ({"external_id": ASKING}, "external_id: must not contain the id of the user"),
    ],
)
def test_bad_values_are_refused_in_one_line_and_nothing_typed_is_lost(
    ann: Visitor, lived: Workspace, fields: dict[str, str], line: str
) -> None:
    before = ledger(lived).all()
    ann.get("/ui/requests/new")
    sent = {"user": ASKING, "dataset": "tiny", "nonce": "a-word-of-mine", **fields}
    answer = ann.post("/ui/requests/new", **sent)
    assert answer.status_code == 422
    assert problem(answer).startswith(line)
    assert "a-word-of-mine" in answer.text, "the form as it was filled in"
    assert ledger(lived).all() == before


def test_the_same_person_again_is_the_same_request_on_any_console(ann: Visitor, lived: Workspace) -> None:
    first, ben = enter(ann), visitor(lived, "ben")
    ben.get("/ui/requests/new")
    answer = ben.post("/ui/requests/new", user=ASKING, dataset="tiny")
    assert answer.url.path.endswith(first)
    assert "There is such a request already" in words(answer)


def test_a_file_is_taken_whole_or_not_at_all(ann: Visitor, lived: Workspace) -> None:
    before = len(ledger(lived).all())
    ann.get("/ui/requests/file")
    for content, line in (
        (f"{ASKING}\nnobody\n".encode(), "user: 1 of 2 ids are nobody's, the first of them is number 2"),
        (b"\xff\xfe\x00", "file: what was sent: must be CSV in UTF-8"),
        (b"a,b\nc,d\n", "file: 2 lines have several columns"),
        (b"\n\n", "file: must hold at least one id"),
    ):
        answer = ann.post("/ui/requests/file", {"file": content}, dataset="tiny")
        assert (answer.status_code, problem(answer)[: len(line)]) == (422, line)
    assert len(ledger(lived).all()) == before
    assert problem(ann.post("/ui/requests/file", {}, dataset="tiny")).startswith("file: must be a CSV file")
    rows = Interactions.read(lived.interactions("tiny"))
    item = rows.item_ids[rows.user_ids == OTHER][0]
    both = f"user,item\n{ASKING},\n{OTHER},{item}\n"
    answer = ann.post("/ui/requests/file", {"file": both.encode()}, dataset="tiny")
    assert answer.status_code == 200
    assert "2 requests taken" in words(answer)
    assert ASKING not in answer.text
    assert {(r.user, r.kind) for r in ledger(lived).open()} == {(ASKING, "user"), (OTHER, "interaction")}


def test_what_is_sent_is_not_written_anywhere_but_into_the_ledger(
    ann: Visitor, lived: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", lambda self: made.append(self))
    ann.get("/ui/requests/file")
    many = "".join(f"user-{number:07d}\n" for number in range(150_000))
    assert len(many) > 1_048_576, "more than a form's parser keeps in memory by itself"
    answer = ann.post("/ui/requests/file", {"file": many.encode()}, dataset="none")
    assert answer.status_code == 422
    assert made == []


def test_four_eyes_hold_in_the_console_too(ann: Visitor, lived: Workspace) -> None:
    settings(lived, "forgetting", requires=["approval"], four_eyes=True)
    id, ben = enter(ann), visitor(lived, "ben")
    assert "the approval must be another's" in words(ann.get(f"/ui/requests/{id}"))
    refused = ann.post(f"/ui/requests/{id}", action="approval")
    assert refused.status_code == 422
    assert problem(refused).startswith("actor: who entered a request can't approve it")
    assert ledger(lived).get(id).state == "received"
    ben.get(f"/ui/requests/{id}")
    answer = ben.post(f"/ui/requests/{id}", action="approval")
    assert "Approved by ben" in words(answer)
    assert ledger(lived).get(id).state == "accepted"
    assert {"established": "approval", "actor": "ben"} in [event.detail for event in ledger(lived).events(id)]


@pytest.mark.parametrize(
    ("action", "state", "said"), [("cancel", "cancelled", "is cancelled"), ("withdraw", "withdrawn", "is withdrawn")]
)
def test_one_is_ended_and_a_second_console_is_told(
    ann: Visitor, lived: Workspace, action: str, state: str, said: str
) -> None:
    id, ben = enter(ann), visitor(lived, "ben")
    ben.get(f"/ui/requests/{id}")
    assert said in words(ann.post(f"/ui/requests/{id}", action=action))
    late = ben.post(f"/ui/requests/{id}", action="cancel")
    assert late.status_code == 422
    assert problem(late) == f"state: {id} is {state}, it can't become cancelled"
    assert ledger(lived).get(id).state == state
    assert ledger(lived).events(id)[-1].detail == {"actor": "ann"}


def test_hold_release_retry_and_what_is_no_button(ann: Visitor, lived: Workspace) -> None:
    id = enter(ann)
    assert "on hold" in words(ann.post(f"/ui/requests/{id}", action="hold"))
    assert "Nothing waits" in words(ann.get("/ui/run"))
    assert f"Left out {id} : it is on hold" in words(ann.get("/ui/run"))
    ann.post(f"/ui/requests/{id}", action="release")
    ledger(lived).fail([id], "rows-left")
    assert "It failed: rows-left" in words(ann.get(f"/ui/requests/{id}"))
    assert "takes part in the next run again" in words(ann.post(f"/ui/requests/{id}", action="retry"))
    assert ledger(lived).get(id).state == "accepted"
    assert problem(ann.post(f"/ui/requests/{id}", action="erase")).startswith("action: must be one of")
    assert ann.get("/ui/requests/req-none").status_code == 404


@pytest.mark.parametrize("also", [True, False], ids=["the person", "another"])
def test_whether_data_that_came_later_name_the_person_is_answered(ann: Visitor, lived: Workspace, also: bool) -> None:
    id = enter(ann)
    ledger(lived).fail([id], "unsaid-item")
    page = words(ann.get(f"/ui/requests/{id}"))
    assert "The id is the person" in page
    assert "Try again" not in page
    assert problem(ann.post(f"/ui/requests/{id}", action="retry")).startswith("also_item: its user's id is an item now")
    ann.post(f"/ui/requests/{id}", action="also-item" if also else "not-item")
    asked = ledger(lived).get(id)
    assert (asked.state, asked.also_item, asked.said_item) == ("accepted", also, True)


def test_a_receipt_is_the_requesters(ann: Visitor, lived: Workspace, tmp_path: Path) -> None:
    id, path = enter(ann), tmp_path / "receipt.json"
    answer = ann.post(f"/ui/requests/{id}", action="receipt")
    assert answer.headers["content-disposition"] == f'attachment; filename="receipt-{id}.json"'
    path.write_bytes(answer.content)
    assert receipt.check(path, PublicKey.own(), ASKING).request == id


def test_the_list_is_filtered_and_a_filter_that_is_none_is_refused(ann: Visitor, lived: Workspace) -> None:
    id = enter(ann)
    (done,) = ledger(lived).in_state("completed")
    assert (id in ann.get("/ui/requests").text, done.id in ann.get("/ui/requests").text) == (True, False)
    completed = ann.get("/ui/requests", state="completed", dataset="tiny").text
    assert (id in completed, done.id in completed) == (False, True)
    assert "0 requests" in words(ann.get("/ui/requests", due="overdue"))
    settings(lived, "forgetting", lead_hours=10_000)
    assert id in ann.get("/ui/requests", due="soon").text
    for query in ({"state": GONE}, {"due": GONE}, {"dataset": GONE}, {"page": GONE}):
        answer = ann.get("/ui/requests", **query)
        assert answer.status_code == 422
        assert GONE not in answer.text, "what was asked for is not repeated"


def test_more_than_a_page_is_paged(ann: Visitor, lived: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lethe.console.requests.PAGE", 1)
    ids = {enter(ann), enter(ann, OTHER)}
    first, second = (ann.get("/ui/requests", page=page) for page in (1, 2))
    assert "2 requests, page 1 of 2" in words(first)
    for beyond in ("0", "-1", "3", "9" * 5000, "\u0661", "x"):
        refused = ann.get("/ui/requests", page=beyond)
        assert problem(refused) == "page: must be a whole number of 1 to 2; by now there may be fewer"
    shown = [{id for id in ids if id in page.text} for page in (first, second)]
    assert sorted(map(len, shown)) == [1, 1]
    assert shown[0] | shown[1] == ids
