"""What a request covers, and which can't be taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.errors import RequestError
from lethe.forgetting.ledger.requests import ForgetRequest, digest_of, holds
from lethe.tables.ids import same_id
from lethe.tables.interactions import Interactions

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
CANARY = "canary-person@example.org"


def new(user, items=(), reason="user request", dataset="ml", **options):
    return ForgetRequest.new(dataset, user, items, reason, now=NOW, datasets=["ml", "other"], **options)


def test_a_user_request_covers_all_rows_of_the_user_and_an_interaction_request_only_its_items():
    rows = Interactions.of(np.array([1, 1, 11, 2]), np.array([5, 6, 5, 5]))
    assert holds(rows, new("1")) == 2
    assert holds(rows, new("1", ["6", "99"])) == 1
    assert holds(rows, new("1", [5, 6])) == 2
    assert holds(rows, new("3")) == 0


def test_ids_of_text_and_of_integers_are_compared_by_their_one_spelling():
    assert same_id(np.array(["1", "01"], dtype=object), "01").tolist() == [False, True]
    assert same_id(np.array([1, 42]), "42").tolist() == [False, True]
    for other in ("042", " 42", "42.0", "+42", "٤٢", "9" * 30, "x"):
        assert not same_id(np.array([1, 42]), other).any()


def test_times_are_whole_seconds_in_utc_and_due_after_the_days():
    request = new("1", due_days=7)
    assert request.received == NOW.replace(microsecond=0)
    assert request.due - request.received == timedelta(days=7)
    assert new("1").due - NOW.replace(microsecond=0) == timedelta(days=30)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"user": ""}, "user: an id must not be empty"),
        ({"user": "  "}, "user: an id must not be empty"),
        ({"user": CANARY + "\0"}, "user: an id must not hold a NUL character"),
        ({"user": CANARY + "\ud800"}, "user: an id must be valid Unicode"),
        ({"user": CANARY, "items": ["7", "8", "7"]}, "items: each must be named once, 1 are repeated"),
        ({"user": CANARY, "items": ["7", ""]}, "items: an id must not be empty"),
        ({"user": CANARY, "dataset": "mistyped"}, "dataset: unknown 'mistyped'; known: ml, other"),
        ({"user": CANARY, "reason": ""}, "reason: must be one line"),
        ({"user": CANARY, "reason": "two\nlines"}, "reason: must be one line"),
        ({"user": CANARY, "ticket": f"4711({CANARY})"}, "ticket: must not contain the id"),
        ({"user": CANARY, "external_id": CANARY.upper()}, "external_id: must not contain the id"),
        ({"user": "4711", "external_id": "desk/4711"}, "external_id: must not contain the id"),
        ({"user": CANARY, "items": ["7"], "also_item": True}, "also_item: is for a request about all of a person"),
    ],
)
def test_a_malformed_request_is_one_line_without_ids(arguments, rule):
    with pytest.raises(RequestError) as caught:
        new(**arguments)
    text = str(caught.value)
    assert rule in text
    assert "\n" not in text
    assert CANARY not in text


def test_a_short_id_within_a_number_is_chance():
    assert new("7", ticket="4711-7b", external_id="a71").ticket == "4711-7b"


def test_a_person_who_is_an_item_is_covered_as_both():
    rows = Interactions.of(np.array([1, 2, 2, 3]), np.array([2, 1, 3, 1]))
    assert holds(rows, new("1")) == 1
    both = new("1", also_item=True)
    assert holds(rows, both) == 3
    assert both.subject != new("1").subject
    assert both.subject_digest == new("1").subject_digest


def test_days_left_are_whole_and_go_below_zero():
    request = new("1", due_days=30)
    assert request.days_left(NOW) == 29
    assert request.days_left(request.due) == 0
    assert request.days_left(request.due + timedelta(hours=1)) == -1


def test_neither_json_nor_repr_shows_an_id():
    request = new(CANARY, ["secret-item"])
    for text in (repr(request), str(request.to_json())):
        assert CANARY not in text
        assert "secret-item" not in text
        assert request.subject_digest in text


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), unique=True), st.randoms())
def test_the_digest_of_a_subject_does_not_depend_on_the_order_of_items(items, random):
    shuffled = random.sample(items, len(items))
    assert digest_of("ml", "u", items) == digest_of("ml", "u", shuffled)
    assert digest_of("ml", "u", items) != digest_of("ml", "u", [*items, "one more "])
    assert digest_of("ml", "u", items) != digest_of("other", "u", items)
