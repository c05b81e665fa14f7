"""Requests that don't go along hold up no other: on hold, failed, with params.yaml edited in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.errors import DataError, LetheError, RequestError
from lethe.forgetting import completion, erasure, intake
from lethe.forgetting import run as runs
from lethe.forgetting.aside import left_out
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.record import Run
from lethe.forgetting.standing import ledger
from lethe.tables.interactions import Interactions
from tests.forgetting.test_cases import USERS, data, of, rows, workspace_of
from tests.house import ask, forget, rebuild, train

PEOPLE = SEVEN, EIGHT, NINE = ["seven@example.org", "eight@example.org", "nine@example.org"]


@pytest.fixture
def small(tmp_path: Path) -> Workspace:
    """Seven, eight and nine among others."""
    workspace = workspace_of(tmp_path / "w", rows([*PEOPLE, *(f"person-{n}" for n in range(20))]))
    train(workspace)
    return workspace


def states(workspace: Workspace, ids: list[str]) -> list[str]:
    return [ledger(workspace).get(id).state for id in ids]


def finish(workspace: Workspace, run: Run) -> None:
    completion.complete(workspace, erasure.erase(workspace, run))


def leave_rows(workspace: Workspace, user: str) -> None:
    """As if a stage had brought them back."""
    path = workspace.interactions("tiny")
    kept = Interactions.read(path)
    gone = Interactions.read(workspace.root / "before.parquet")
    Interactions.concatenate(kept, gone.take(gone.user_ids == user)).write(path)


def test_on_hold_is_left_out_and_stays_hidden(small: Workspace) -> None:
    held, going = ask(small, SEVEN, EIGHT)
    ledger(small).hold(held, True)
    run = rebuild(small)
    assert run.requests == (going,)
    finish(small, run)
    assert states(small, [held, going]) == ["accepted", "completed"]
    assert left_out(small) == [f"{held} is left out: it is on hold; lethe forget release {held}"]
    ledger(small).hold(held, False)
    finish(small, rebuild(small))
    assert states(small, [held]) == ["completed"]


def test_rows_that_a_failed_stage_took_are_asked_for_and_then_forgotten(small: Workspace) -> None:
    ids = ask(small, SEVEN)
    small.ingested("tiny").rename(small.root / "aside")
    with pytest.raises(DataError, match=r"^data/tiny/ingested: not there, .*; lethe data repro makes it, or says why"):
        runs.begin(small)
    assert states(small, ids) == ["accepted"]
    (small.root / "aside").rename(small.ingested("tiny"))
    assert runs.begin(small) is not None


def test_what_is_cancelled_or_put_on_hold_after_planning_is_not_executed(small: Workspace) -> None:
    ids = ask(small, SEVEN, EIGHT, NINE)
    run = runs.begin(small)
    assert run is not None
    ledger(small).advance(ids[0], "withdrawn")
    ledger(small).hold(ids[1], True)
    finish(small, rebuild(small))
    assert states(small, ids) == ["withdrawn", "planned", "completed"]
    left = data(small)
    assert of(left, SEVEN) > 0 < of(left, EIGHT)
    assert of(left, NINE) == 0


def test_a_request_whose_rows_are_still_there_is_set_aside_and_the_others_complete(small: Workspace) -> None:
    Interactions.read(small.interactions("tiny")).write(small.root / "before.parquet")
    stuck, going = ask(small, SEVEN, EIGHT)
    run = runs.begin(small)
    assert run is not None
    runs.remove_rows(small, run)
    train(small, ["tiny"])
    clean = small.interactions("tiny").read_bytes()
    leave_rows(small, SEVEN)
    with pytest.raises(LetheError, match="was not rebuilt from the remaining data"):
        runs.confirm(small, run)
    train(small, ["tiny"])
    original = runs.held_now
    with pytest.MonkeyPatch.context() as patch:
        held = ledger(small).get(stuck).held
        patch.setattr(runs, "held_now", lambda *arguments: original(*arguments) | {stuck: held})
        runs.confirm(small, run)
    assert small.interactions("tiny").read_bytes() == clean
    finish(small, run)
    assert states(small, [stuck, going]) == ["failed", "completed"]
    assert ledger(small).get(stuck).failure == "rows-left"
    assert left_out(small) == [f"{stuck} is left out: it failed (rows-left); lethe forget retry {stuck}"]
    assert runs.begin(small) is None, "the next run leaves it out"
    intake.retry(small, stuck)
    finish(small, rebuild(small))
    assert states(small, [stuck]) == ["completed"]


def test_what_is_still_found_of_one_holds_up_no_other(small: Workspace) -> None:
    stuck, going = ask(small, SEVEN, EIGHT)
    run = rebuild(small)
    planted = small.certificates / "note.json"
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(json.dumps({"user_id": SEVEN}))
    finish(small, run)
    assert states(small, [stuck, going]) == ["failed", "completed"]
    assert ledger(small).get(stuck).failure == "still-found"
    assert "user_id" in planted.read_text(), "found, not removed"
    planted.unlink()
    intake.retry(small, stuck)
    finish(small, rebuild(small))
    assert states(small, [stuck]) == ["completed"]
    assert not list((small.state / "set-aside").iterdir())


def test_one_alone_that_fails_is_told_and_the_next_is_not_held_up(small: Workspace) -> None:
    (stuck,) = ask(small, SEVEN)
    run = rebuild(small)
    small.certificates.mkdir(exist_ok=True)
    (small.certificates / "note.json").write_text(json.dumps({"user_id": SEVEN}))
    with pytest.raises(LetheError, match=rf"note.json.*set aside as failed, once mended: lethe forget retry {stuck}"):
        erasure.erase(small, run)
    (small.certificates / "note.json").unlink()
    (going,) = forget(small, EIGHT)
    assert states(small, [stuck, going]) == ["failed", "completed"]
    with pytest.raises(RequestError, match="is completed, only what failed can be tried again"):
        intake.retry(small, going)


def edit(workspace: Workspace, **changes: object) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    for path, value in changes.items():
        section = params
        *outer, last = path.split("__")
        for name in outer:
            section = section[name]
        if value is None:
            del section[last]
        else:
            section[last] = value
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))


def test_a_dataset_that_left_params_is_still_within_reach(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows(), names=("one", "two"))
    train(workspace)
    edit(workspace, pipeline__datasets=["one"], datasets__two=None)
    edit(workspace, **{"families__of-two": None})
    (answer,) = intake.submit_all(workspace, "one", [intake.Ask("7")])
    assert "two" in answer.elsewhere
    assert intake.submit(workspace, "two", "7").state == "accepted"
    finish(workspace, rebuild(workspace))
    tables = sorted((workspace.root / "data").rglob("*.parquet"))
    assert any("two" in path.parts for path in tables)
    for path in tables:
        assert 7 not in Interactions.read(path).user_ids, path


def test_the_last_people_of_a_dataset_hold_up_no_other_and_leave_with_it(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows(), names=("one", "two"))
    train(workspace)
    last = [request.id for request in (intake.submit(workspace, "two", str(user)) for user in range(USERS))]
    with pytest.raises(LetheError, match=r"^dataset two: no interaction would be left .*; set aside as failed"):
        runs.begin(workspace)
    for id in last:
        intake.retry(workspace, id)
    going = intake.submit(workspace, "one", "7")
    finish(workspace, rebuild(workspace))
    assert states(workspace, [going.id, *last]) == ["completed", *["failed"] * USERS]
    assert left_out(workspace)[0].startswith(f"{last[0]} is left out: it failed (last-rows, of its dataset no interact")
    edit(workspace, pipeline__datasets=["one"], datasets__two=None, **{"families__of-two": None})
    for id in last:
        intake.retry(workspace, id)
    finish(workspace, rebuild(workspace))
    assert set(states(workspace, last)) == {"completed"}


def test_a_sharding_that_left_params_keeps_no_row(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    edit(workspace, pipeline__shardings=["whole", "user-hash-3"])
    train(workspace)
    edit(workspace, pipeline__shardings=["whole"], **{"shardings__user-hash-3": None})
    forget(workspace, "7")
    for path in sorted((workspace.root / "data").rglob("*.parquet")):
        assert 7 not in Interactions.read(path).user_ids, path


@pytest.mark.parametrize("change", ["sharding removed", "sharding edited", "family renamed"])
def test_params_edited_between_training_and_forgetting_are_one_line_or_none(tmp_path: Path, change: str) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    only = [{"model": "mostpop", "sharding": "mean-3"}]
    edit(
        workspace,
        pipeline__shardings=["whole", "mean-3"],
        **{"families__of-tiny": {"dataset": "tiny", "candidates": only}},
    )
    train(workspace)
    whole = [{"model": "mostpop", "sharding": "whole"}]
    family = {"dataset": "tiny", "candidates": whole}
    if change == "sharding removed":
        edit(workspace, pipeline__shardings=["whole"], **{"families__of-tiny": family, "shardings__mean-3": None})
    elif change == "sharding edited":
        edit(workspace, **{"shardings__mean-3": {"partition": "user-hash", "num_shards": 5, "aggregator": "mean"}})
    else:
        edit(workspace, families={"other": family})
    Params.read(workspace.params)
    ask(workspace, "7")
    told = None
    try:
        finish(workspace, rebuild(workspace))
    except LetheError as error:
        told = str(error)
    if told is not None:
        assert "\n" not in told
        train(workspace)
        finish(workspace, rebuild(workspace))
    assert of(data(workspace), 7) == 0


def test_our_own_copy_of_the_source_is_counted_and_rewritten(small: Workspace) -> None:
    copy = small.source_copy("tiny")
    Interactions.read(small.interactions("tiny")).write(copy)
    (id,) = forget(small, SEVEN)
    held = ledger(small).get(id).held
    assert held.source_copy == held.interactions > 0
    left = Interactions.read(copy)
    assert of(left, SEVEN) == 0 < of(left, EIGHT)


def test_nothing_is_signed_while_the_ledger_still_holds_the_subject(
    small: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id,) = ask(small, SEVEN)
    run = erasure.erase(small, rebuild(small))
    monkeypatch.setattr(Ledger, "erase", lambda *_: [])
    with pytest.raises(LetheError, match="nothing is signed: the ledger still holds its subject"):
        completion.complete(small, run)
    assert not list(small.certificates.glob("req-*"))
    assert states(small, [id]) == ["verified"]
    monkeypatch.undo()
    completion.complete(small, run)
    assert states(small, [id]) == ["completed"]
