"""A clock that jumps: what was received in the future waits and is told of; what would be signed of the past is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lethe.core.workspace import Workspace
from lethe.errors import EvidenceError
from lethe.forgetting import completion, erasure
from lethe.forgetting import run as runs
from lethe.forgetting.aside import left_out
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.standing import due_soon, ledger
from tests.house import ask, rebuild

NOW = datetime.now(UTC)
JUMP = timedelta(days=400)


def received_at(workspace: Workspace, user: str, at: datetime) -> str:
    """A request as a machine takes it whose clock says so."""
    request = ForgetRequest.new("tiny", user, now=at, datasets=["tiny"])
    return ledger(workspace).take([request])[0][0].id


def test_a_request_that_was_received_by_a_clock_ahead_waits_and_is_told_of(trained: Workspace) -> None:
    ahead, soon = (
        received_at(trained, "user-003", NOW + JUMP),
        received_at(trained, "user-004", NOW + timedelta(seconds=90)),
    )
    near = due_soon(trained)
    assert near is not None
    assert (near.waiting, near.hours_left) == (1, 0.0), "its due date is as wrong as its receipt"
    (line,) = left_out(trained)
    assert line.startswith(f"{ahead} is left out: it was received at {NOW + JUMP:%Y-%m-%d}")
    assert line.endswith("which is to come; set this machine's clock right, or withdraw it and enter it anew")
    run = runs.begin(trained)
    assert run is not None
    assert run.requests == (soon,), "a minute and a half is no jump"
    assert ledger(trained).get(ahead).state == "accepted"


def test_once_the_clock_is_right_it_goes_its_way(trained: Workspace) -> None:
    id = received_at(trained, "user-003", NOW + JUMP)
    assert runs.begin(trained) is None
    run = runs.begin(trained, now=NOW + JUMP)
    assert run is not None
    assert run.requests == (id,)


def test_a_clock_that_goes_back_during_a_run_signs_nothing_and_loses_nothing(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id,) = ask(trained, "user-003")
    run = erasure.erase(trained, rebuild(trained))

    class Before(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return NOW - JUMP

    with monkeypatch.context() as patch:
        patch.setattr(completion, "datetime", Before)
        with pytest.raises(EvidenceError, match=r"dates are out of order$") as refused:
            completion.complete(trained, run)
    assert "\n" not in str(refused.value)
    assert ledger(trained).get(id).state == "verified"
    assert list(trained.certificates.glob("req-*.json")) == []
    completion.complete(trained, run)
    assert ledger(trained).get(id).state == "completed"
    ledger(trained).check_chain()
