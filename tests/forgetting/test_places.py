"""Who was forgotten in production is asked about in staging, by whatever way they asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from lethe.cli import app
from lethe.cli import forget as commands
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from lethe.forgetting import intake
from lethe.forgetting import run as runs
from lethe.forgetting.places import follow_places
from lethe.forgetting.standing import ledger
from lethe.tables.side_tables import SideTable
from tests.conftest import make_workspace, taste_blocks
from tests.forgetting.test_cases import data, of
from tests.house import ask, forget, fulfil, train

WHOLE, PART, KEPT = "user-003", "user-004", "user-005"


@pytest.fixture
def production(tmp_path: Path) -> Workspace:
    made = make_workspace(tmp_path / "production", taste_blocks())
    train(made)
    return made


@pytest.fixture
def staging(tmp_path: Path) -> Workspace:
    made = make_workspace(tmp_path / "staging", taste_blocks())
    values = yaml.safe_load(made.params.read_text())
    values["forgetting"] = {"follows": ["../production"]}
    made.params.write_text(yaml.safe_dump(values, sort_keys=False))
    return made


def test_forgetting_reaches_both(production: Workspace, staging: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    train(staging)
    assert follow_places(staging) == 0
    ask(production, WHOLE)
    rows = data(staging)
    item = str(rows.item_ids[rows.user_ids == PART][0])
    intake.submit(production, "tiny", PART, [item])
    assert follow_places(staging) == 0, "what is only accepted there may yet be withdrawn"
    forget(production)
    monkeypatch.chdir(staging.root)
    monkeypatch.setattr(commands, "run_flow", lambda name: forget(staging))
    said = CliRunner().invoke(app, ["forget", "run"]).output.splitlines()
    done = ledger(staging).all()
    assert said[-2:] == [f"{request.id} completed" for request in done], "though nobody asked here"
    assert [(one.state, one.kind) for one in done] == [("completed", "user"), ("completed", "interaction")]
    left = data(staging)
    assert of(left, WHOLE) == 0
    assert not ((left.user_ids == PART) & (left.item_ids == item)).any()
    assert of(left, PART) == of(rows, PART) - 1
    assert of(left, KEPT) == of(rows, KEPT)
    assert runs.begin(staging) is None, "nobody is asked about twice"


def test_a_place_that_is_not_there_stops_the_run_in_one_line(staging: Workspace) -> None:
    train(staging)
    with pytest.raises(ConfigError, match=r"^forgetting\.follows: no project is at \.\./production; correct it"):
        runs.begin(staging)
    assert ledger(staging).all() == []


def test_whom_data_of_here_name_is_asked_about_and_nobody_else_waits(production: Workspace, staging: Workspace) -> None:
    train(staging)
    made_by = {"item": "item-000", "relation": "made by", "entity": WHOLE}
    facts = SideTable.of("triples", **{name: np.array([value], dtype=object) for name, value in made_by.items()})
    facts.write(staging.side("tiny") / "triples.parquet")
    forget(production, WHOLE, PART)
    assert runs.begin(staging) is not None
    asked, going = ledger(staging).all()
    assert [(one.state, one.failure) for one in (asked, going)] == [("failed", "unsaid-item"), ("planned", None)]
    assert follow_places(staging) == 0, "nobody is asked about twice"


def test_who_was_forgotten_as_an_item_too_is_so_here(production: Workspace, staging: Workspace) -> None:
    train(staging)
    thing = str(data(staging).item_ids[0])
    forget(production, WHOLE)
    intake.submit(production, "tiny", thing, terms=intake.Terms(also_item=True))
    fulfil(production)
    assert follow_places(staging) == 2
    person, item = sorted(ledger(staging).open(), key=lambda one: one.also_item)
    assert (person.also_item, item.also_item, item.kind) == (False, True, "user"), "of nobody else is anything asked"
    fulfil(staging)
    assert thing not in set(data(staging).item_ids)
