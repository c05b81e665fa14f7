"""What came of a request keeps the form it was written in: the log's chain holds its digest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.core.canonical import digest_json
from lethe.forgetting.ledger.result import FORGOTTEN, NOTHING_WAS_HELD, Removed, Result, Work

WORK = Work(
    ("f/00",), ("f/00",), ("f/01",), (Removed("artifacts", 3),), 14, 0, {"total": 9.5, "training": 2.25}, "equal"
)
FORGOT = {
    "outcome": "forgotten",
    "suppressed": ["ab"],
    "certificate": "certificates/req-1.json",
    "certificate_digest": "cd",
    "shards_touched": ["f/00"],
    "shards_retrained": ["f/00"],
    "shards_reused": ["f/01"],
    "purged": [{"store": "artifacts", "removed": 3}],
    "scan": {"stores": 14, "found": 0},
    "verification": "equal",
    "seconds": {"total": 9.5, "training": 2.25},
}
HELD_NOTHING = {
    "outcome": "nothing held",
    "suppressed": ["ab"],
    "looked_at": {"tables": 0, "remotes": {}, "source": None},
    "certificate": "certificates/req-2.json",
    "certificate_digest": "ef",
}


def test_each_kind_has_one_form() -> None:
    forgot = Result(FORGOTTEN, ("ab",), "certificates/req-1.json", "cd", WORK)
    assert forgot.plain() == FORGOT
    assert Result.parse(FORGOT) == forgot
    nothing = Result.parse(HELD_NOTHING)
    assert nothing.plain() == HELD_NOTHING
    assert (nothing.outcome, nothing.work, nothing.suppressed) == (NOTHING_WAS_HELD, None, ("ab",))


@pytest.mark.parametrize(
    "gone", [(), ("verification",), ("suppressed", "certificate_digest"), ("shards_reused",), ("scan",)]
)
def test_of_an_older_one_is_read_what_there_is(gone: tuple[str, ...]) -> None:
    older = {name: value for name, value in FORGOT.items() if name not in gone} | {"of_old": 1}
    result = Result.parse(older)
    assert result.plain() == older
    assert result.work is not None
    assert (result.outcome, result.certificate, result.work.touched) == (FORGOTTEN, FORGOT["certificate"], ("f/00",))
    assert (result.suppressed is None) == ("suppressed" in gone)


VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())


@given(
    st.dictionaries(st.text(), VALUES),
    st.dictionaries(st.sampled_from(["certificate", "certificate_digest", "looked_at", "rows"]), VALUES),
)
def test_whatever_was_written_stays_to_the_letter(strange: dict[str, Any], known: dict[str, Any]) -> None:
    written = {"outcome": "nothing held", **known, **strange}
    assert digest_json(Result.parse(written).plain()) == digest_json(written)
