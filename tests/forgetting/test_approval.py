"""Four eyes: one rule for every way in, read from a log that nobody can change."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lethe.cli import app
from lethe.config.params import Forgetting, Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError, RequestError
from lethe.forgetting import intake
from lethe.forgetting import run as runs
from lethe.forgetting.intake import Terms
from lethe.forgetting.ledger.requests import Held

GONE = "user-004"


@pytest.fixture
def asked(tiny: Workspace) -> tuple[Workspace, str]:
    """A workspace that asks for four eyes, and a request that ann entered."""
    settings(tiny, requires=["approval"], four_eyes=True)
    params = Params.read(tiny.params)
    build_data(tiny, params, "tiny", list(params.pipeline.shardings))
    return tiny, intake.submit(tiny, None, GONE, terms=Terms(actor="ann")).id


def settings(workspace: Workspace, **values: object) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["forgetting"] = values
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))


def test_who_entered_it_can_not_approve_it_and_another_can(asked: tuple[Workspace, str]) -> None:
    workspace, id = asked
    for actor in ("ann", " ANN ", "ａｎｎ"):
        with pytest.raises(RequestError, match="actor: who entered a request can't approve it"):
            intake.establish(workspace, id, "approval", actor)
    with pytest.raises(RequestError, match="actor: must say who approves"):
        intake.establish(workspace, id, "approval")
    assert (intake.ledger(workspace).get(id).facts, intake.ledger(workspace).get(id).state) == ((), "received")
    assert intake.establish(workspace, id, "identity", "ann").state == "received", "the other fact is anybody's"
    assert intake.establish(workspace, id, "approval", "ben").state == "accepted"
    approved = intake.ledger(workspace).events(id)[2]
    assert approved.detail == {"established": "approval", "actor": "ben"}
    assert approved.at
    intake.ledger(workspace).check_chain()


def test_no_run_and_no_command_gets_round_it(asked: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, id = asked
    assert intake.take_up(workspace) == []
    assert runs.begin(workspace) is None, "a flow takes it up no more than a person"
    monkeypatch.chdir(workspace.root)
    refused = CliRunner().invoke(app, ["forget", "establish", id, "approval", "--actor", "ann"])
    assert isinstance(refused.exception, RequestError)
    assert intake.ledger(workspace).get(id).state == "received"


def test_an_approval_of_before_counts_only_if_it_was_anothers(asked: tuple[Workspace, str]) -> None:
    workspace, id = asked
    settings(workspace, requires=["identity", "approval"])
    assert intake.establish(workspace, id, "approval", "ann").state == "received"
    settings(workspace, requires=["identity", "approval"], four_eyes=True)
    assert intake.establish(workspace, id, "identity", "ann").state == "received", "ann's own approval is none"
    assert intake.establish(workspace, id, "approval", "ben").state == "accepted"


def test_what_another_took_up_meanwhile_is_left_alone(
    asked: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, id = asked
    look = intake.look

    def slowly(*arguments: Any) -> Any:
        """Between the looking and the accepting another console is faster."""
        monkeypatch.setattr(intake, "look", look)
        intake.take_up(workspace)
        return look(*arguments)

    monkeypatch.setattr(intake, "look", slowly)
    assert intake.establish(workspace, id, "approval", "ben").state == "accepted"
    states = [event.state for event in intake.ledger(workspace).events(id)]
    assert states == ["received", "received", "accepted"]


def test_four_eyes_without_an_approval_are_refused() -> None:
    with pytest.raises(ConfigError, match="four_eyes needs an approval to look at"):
        Forgetting.parse({"four_eyes": True}, "forgetting")
    assert Forgetting.parse({"four_eyes": True, "requires": ["approval"]}, "forgetting").four_eyes


def test_what_is_on_hold_is_not_in_the_plan(asked: tuple[Workspace, str]) -> None:
    workspace, id = asked
    intake.establish(workspace, id, "approval", "ben")
    assert [request.id for request in runs.current_plan(workspace).requests] == [id]
    intake.ledger(workspace).hold(id, True, "ann")
    assert runs.current_plan(workspace).lines() == ["nothing to forget"], "as the run would have it"
    assert intake.ledger(workspace).get(id).held != Held()
