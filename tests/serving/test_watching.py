"""What Prometheus is told: how much, how old, how far; never of whom."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lethe.core.keys import subject_digest
from lethe.errors import DeploymentError
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import OPEN, ForgetRequest
from lethe.serving import hidden, watching
from lethe.serving.access import Role
from lethe.serving.figures import Figures
from lethe.serving.hidden import HiddenUsers
from tests.conftest import ROOT
from tests.serving.test_gate import ASK, client, served

Samples = dict[tuple[str, ...], float]
NOW = datetime.now(UTC)
DECISION = {"family": "films", "outcome": "kept", "why": "…", "at": (NOW - timedelta(hours=3)).isoformat()}
MOVED = {"psi": 0.3, "ks": 0.1, "p_value": 0.0, "above": True}


def passed() -> float:
    """Seconds since NOW, which was when the tests were collected."""
    return (datetime.now(UTC) - NOW).total_seconds()


def samples(text: bytes) -> dict[str, Samples]:
    """{name: {values of labels: value}}."""
    together: dict[str, Samples] = {}
    for family in text_string_to_metric_families(text.decode()):
        for name, labels, value, *_ in family.samples:
            together.setdefault(name, {})[tuple(labels.values())] = value
    return together


def told(*looks: watching.Look) -> dict[str, Samples]:
    return samples(Figures(*looks).text())


def all_looks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[watching.Look]:
    """Of a service with one model, one hidden user, one request and a full set of reports below ``folder``."""
    url, list_of_hidden = f"sqlite:///{folder / 'ledger.sqlite'}", folder / "hidden.json"
    hidden.publish(list_of_hidden, [subject_digest("tiny", "anna")])
    ask(Ledger(url))
    (folder / "drift").mkdir()
    (folder / "drift" / "tiny.json").write_text(
        json.dumps({"dataset": "tiny", "epoch": 2, "moved": [{"of": "ratings", **MOVED}]})
    )
    (folder / "training.json").write_text(json.dumps({"winners": {"films": {"decision": DECISION, "more": 1}}}))
    monkeypatch.setenv("LETHE_LEDGER_URL", url)
    monkeypatch.setenv("LETHE_REPORTS", str(folder))
    return watching.looks({"films": NOW - timedelta(days=2)}, HiddenUsers(list_of_hidden))


def ask(book: Ledger, user: str = "anna", days: int = 30) -> None:
    request = ForgetRequest.new("tiny", user, now=NOW, datasets=["tiny"], due_days=days)
    book.take([request])


def test_answers_are_counted_by_what_they_came_from() -> None:
    gate = served()
    reader, monitor = client(gate, Role.READER), client(gate, Role.MONITOR)
    reader.post("/v1/recommend", json=ASK)
    reader.post("/recommend/batch", json={"user_ids": [1, 2, 987654]})
    reader.post("/recommend", json={"user_id": 1, "k": 0})
    answer = monitor.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    told = samples(answer.content)
    assert told["lethe_answers_total"] == {("f", "model"): 3, ("f", "popular"): 1}
    assert told["lethe_request_seconds_count"] == {
        ("/recommend", "200"): 1,
        ("/recommend/batch", "200"): 1,
        ("/recommend", "422"): 1,
    }


def test_nothing_that_was_asked_is_told() -> None:
    gate = served()
    operator = client(gate, Role.OPERATOR)
    for path in ("/v1/users/987654", "/987654", "/recommend?user=987654"):
        operator.get(path)
        client(gate).get(path)
    operator.post("/recommend", json={"user_id": 987654, "family": "987654"})
    text = operator.get("/metrics").text
    assert "987654" not in text
    assert 'lethe_request_seconds_count{route="other",status="404"}' in text


def test_the_age_of_models_and_how_many_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = told(*all_looks(tmp_path, monkeypatch))
    assert figures["lethe_model_age_seconds"][("films",)] == pytest.approx(2 * 86_400 + passed(), abs=60)
    assert figures["lethe_answers_from_models"] == {(): 1}
    assert figures["lethe_hidden_users"] == {(): 1}
    (tmp_path / "hidden.json").unlink()
    figures = told(*watching.looks({}, HiddenUsers(tmp_path / "hidden.json")))
    assert figures["lethe_answers_from_models"] == {(): 0}
    assert "lethe_hidden_users" not in figures, "nobody knows how many"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_ledger(
    database: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ledger.sqlite"
    url = f"sqlite:///{file}" if database == "sqlite" else request.getfixturevalue("postgres_url")
    monkeypatch.setenv("LETHE_LEDGER_URL", url)
    looks = watching.looks({}, HiddenUsers(None))
    if database == "sqlite":
        assert told(*looks)["lethe_ledger_up"] == {(): 0}, "and none is made"
        assert not file.exists()
    book = Ledger(url)
    figures = told(*looks)
    assert figures["lethe_requests_waiting"] == {(state,): 0 for state in OPEN}
    assert "lethe_request_due_seconds" not in figures
    ask(book, "anna", days=30)
    ask(book, "bert", days=2)
    ask(book, "cora", days=1)
    book.advance(book.all()[-1].id, "cancelled")
    figures = told(*looks)
    assert figures["lethe_requests_waiting"][("accepted",)] == 2
    assert sum(figures["lethe_requests_waiting"].values()) == 2
    assert figures["lethe_request_due_seconds"][()] == pytest.approx(2 * 86_400 - passed(), abs=60)


def test_a_service_whose_hidden_users_stand_in_the_ledger_watches_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LETHE_LEDGER_URL", raising=False)
    monkeypatch.delenv("LETHE_REPORTS", raising=False)
    monkeypatch.setenv("LETHE_HIDDEN_USERS", "sqlite:////nowhere/ledger.sqlite")
    assert told(*watching.looks({}, HiddenUsers(None)))["lethe_ledger_up"] == {(): 0}
    monkeypatch.setenv("LETHE_HIDDEN_USERS", "/nowhere/hidden-users.json")
    assert "lethe_ledger_up" not in told(*watching.looks({}, HiddenUsers(None)))
    monkeypatch.setenv("LETHE_LEDGER_URL", "nonsense")
    with pytest.raises(DeploymentError, match=r"^LETHE_LEDGER_URL: must be sqlite:///PATH or postgresql://USER"):
        watching.looks({}, HiddenUsers(None))


def test_what_the_last_training_decided_and_how_far_the_data_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = told(*all_looks(tmp_path, monkeypatch))
    assert figures["lethe_decision"] == {("films", "replaced"): 0, ("films", "kept"): 1}
    assert figures["lethe_decision_age_seconds"][("films",)] == pytest.approx(3 * 3600 + passed(), abs=60)
    assert figures["lethe_drift_psi"] == {("tiny", "ratings"): 0.3}
    assert figures["lethe_drift_ks"] == {("tiny", "ratings"): 0.1}
    assert figures["lethe_drift_above"] == {("tiny", "ratings"): 1}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"winners": {"films": 1}}', '{"moved": "of"}'])
def test_a_report_that_cant_be_read_hides_no_other_figure(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = all_looks(tmp_path, monkeypatch)
    (tmp_path / "training.json").write_text(content)
    (tmp_path / "drift" / "tiny.json").write_text(content)
    figures = told(*looks)
    assert {"lethe_decision", "lethe_drift_psi"} & set(figures) == set()
    assert figures["lethe_hidden_users"] == {(): 1}


def names_that_exist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    figures = Figures(*all_looks(folder, monkeypatch))
    figures.answered("films", "model")
    figures.took("/recommend", 200, 0.01)
    return set(samples(figures.text()))


def expressions(content: object) -> list[str]:
    """Every query of a dashboard or of a file of rules, whatever it lies below."""
    if isinstance(content, Mapping):
        own = [str(content[key]) for key in ("expr", "query", "definition") if isinstance(content.get(key), str)]
        return own + [text for value in content.values() for text in expressions(value)]
    return [text for value in content for text in expressions(value)] if isinstance(content, list) else []


def test_every_query_of_the_dashboard_names_what_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = json.loads((ROOT / "deploy" / "grafana" / "lethe.json").read_bytes())
    asked = {name for text in expressions(board) for name in re.findall(r"\blethe_\w+", text)}
    there = names_that_exist(tmp_path, monkeypatch)
    assert asked <= there
    assert {name for name in there if re.search("_(bucket|sum|count|created)$", name) is None} <= asked, "all are shown"
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert all(panel["targets"] and panel["title"] for panel in panels)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_alert_names_what_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
    asked = [re.findall(r"\blethe_\w+", text) for text in expressions(rules)]
    assert all(asked)
    assert {name for names in asked for name in names} <= names_that_exist(tmp_path, monkeypatch)
