"""Who is hidden, from the ledger's database: for replicas that share no file with whoever takes the requests."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lethe.core.keys import subject_digest
from lethe.errors import DeploymentError
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.ledger.result import FORGOTTEN, Result
from lethe.serving.hidden import AS_ITEM, is_url
from lethe.serving.hidden_ledger import STALE, HiddenByLedger


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def ask(book: Ledger, user: str, items: tuple[str, ...] = ()) -> str:
    """The id of an accepted request."""
    request = ForgetRequest.new("tiny", user, items, now=datetime.now(UTC), datasets=["tiny"])
    return book.take([request])[0][0].id


def complete(book: Ledger, id: str) -> None:
    for state in ("planned", "executing", "verified"):
        book.advance(id, state)  # type: ignore[arg-type]
    book.complete(id, Result(FORGOTTEN))


def test_replicas_agree_within_a_second(url: str) -> None:
    book = Ledger(url)
    replicas = [HiddenByLedger.begin(url) for _ in range(2)]
    assert not any(replica.holds("tiny", "anna") for replica in replicas)
    ask(book, "anna")
    time.sleep(1.0)
    assert all(replica.holds("tiny", "anna") for replica in replicas)
    assert not any(replica.holds("tiny", "bert") for replica in replicas)
    assert {replica.answers for replica in replicas} == {"models"}


def test_who_is_hidden_is_whoever_asked_until_it_was_undone(url: str) -> None:
    book, users = Ledger(url), HiddenByLedger(url)
    forgotten, cancelled, single = ask(book, "anna"), ask(book, "bert"), ask(book, "cora", ("film",))
    users.look()
    assert all(users.holds("tiny", name) for name in ("anna", "bert", "cora"))
    book.advance(cancelled, "cancelled")
    complete(book, forgotten)
    complete(book, single)
    users.look()
    assert users.holds("tiny", "anna"), "what was built before the request may still be served here"
    assert not users.holds("tiny", "bert")
    assert not users.holds("tiny", "cora")
    book.lift("tiny", subject_digest("tiny", "anna"))
    users.look()
    assert not users.holds("tiny", "anna")


def test_who_is_an_item_too_is_named_as_one(url: str) -> None:
    book, users = Ledger(url), HiddenByLedger(url)
    book.take([ForgetRequest.new("tiny", "anna", now=datetime.now(UTC), datasets=["tiny"], also_item=True)])
    ask(book, "bert")
    users.look()
    anna = subject_digest("tiny", "anna")
    assert users.digests() == {anna, anna + AS_ITEM, subject_digest("tiny", "bert")}
    assert users.count() == 2


def test_a_ledger_that_is_gone_hides_everybody_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(f"sqlite:///{path}")
    users = HiddenByLedger.begin(f"sqlite:///{path}")
    assert not users.holds("tiny", "anna")
    path.rename(tmp_path / "away")
    time.sleep(STALE + 0.1)
    assert users.holds("tiny", "anna")
    assert users.answers == "popular items only"
    assert not path.exists(), "reading makes no ledger"
    (tmp_path / "away").rename(path)
    time.sleep(STALE)
    assert not users.holds("tiny", "anna")
    levels = [record.levelno for record in caplog.records if record.name.endswith("hidden_ledger")]
    assert levels == [logging.ERROR, logging.WARNING], "said once, and that it is over"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("sqlite:////nowhere/ledger.sqlite", "can't be read from the ledger .unable to open database file.$"),
        ("postgresql://nobody@127.0.0.1:1/none", "can't be read from the ledger"),
        ("postgresql://host:port/ledger", "must be a file, sqlite:///PATH or postgresql"),
    ],
)
def test_a_service_does_not_begin_where_it_cannot_read(url: str, line: str) -> None:
    assert is_url(url)
    with pytest.raises(DeploymentError, match=f"^LETHE_HIDDEN_USERS: .*{line}"):
        HiddenByLedger.begin(url)


def test_a_service_does_not_begin_under_another_key(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    ask(Ledger(url), "anna")
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(DeploymentError, match=r"^key: the ledger was made under the key .* there is none"):
        HiddenByLedger.begin(url)
    assert not (tmp_path / "elsewhere").exists()
