"""Plan and run, certificates, models, drift, and the page where the service is tried."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from filelock import FileLock

from lethe.build.decision import Decisions
from lethe.build.registry import Registry
from lethe.build.reports import read_reports
from lethe.config.params import Params
from lethe.console import charts
from lethe.console.asked import Console
from lethe.console.figures import over_time
from lethe.console.flow import Runs
from lethe.console.rooms import ROOMS
from lethe.core.envelope import PublicKey
from lethe.core.workspace import Workspace
from lethe.data.drift import write_drift
from lethe.errors import LetheError
from lethe.forgetting.erasure import dry_run
from lethe.forgetting.run import current_plan
from lethe.forgetting.standing import ledger
from tests import house
from tests.console.conftest import ASKING, GONE, OTHER, Visitor, problem, visitor, words


def seen(came: Visitor) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]+)"', came.get("/ui/run").text)
    assert found is not None
    return found[1]


def own_flow(workspace: Workspace, code: str) -> None:
    """A flow of the project's own, which comes before the one that Lethe ships."""
    (workspace.root / "flows").mkdir()
    (workspace.root / "flows" / "__init__.py").touch()
    (workspace.root / "flows" / "forgetting.py").write_text(code)


def ended(came: Visitor) -> str:
    for _ in range(200):
        if "The last run from here ended" in (said := words(came.get("/ui/run"))):
            return said
        time.sleep(0.05)
    raise AssertionError("the run never ended")


def test_the_plan_says_what_the_run_will_do(ann: Visitor, lived: Workspace) -> None:
    (id,) = house.ask(lived, ASKING)
    said, plan = words(ann.get("/ui/run")), current_plan(lived)
    assert "1 request together" in said
    for family in plan.families:
        touched = f"Rows that leave {family.rows:,} Shards trained anew {len(family.touched)}"
        assert f"{family.served.family} {touched}" in said
        assert ", ".join(family.touched) in said
    assert id in said
    assert ASKING not in said
    stores = words(ann.get("/ui/run/stores"))
    for share in dry_run(lived):
        assert f"{share.store} {share.bytes:,} {share.removed:,}" in stores


def test_a_run_begins_once_what_was_looked_at_is_what_waits(ann: Visitor, lived: Workspace) -> None:
    own_flow(lived, "print('it ran')\n")
    assert problem(ann.post("/ui/run", seen="")).startswith("plan: it has changed")
    house.ask(lived, ASKING)
    before = seen(ann)
    visitor(lived, "ben").get("/ui/run")
    house.ask(lived, OTHER)
    refused = ann.post("/ui/run", seen=before)
    assert (refused.status_code, problem(refused)[:50]) == (409, "plan: it has changed since this page was loaded; n")
    assert not (lived.state / "console-run.json").exists(), "nothing was started"
    ann.post("/ui/run", seen=seen(ann))
    assert "started by ann: well" in ended(ann)
    assert "started by ann: well" in ended(visitor(lived, "ben")), "any console tells"
    assert (lived.state / "logs" / "console-run.log").read_text() == "it ran\n"


def test_a_run_that_fails_says_its_line_and_one_that_breaks_down_where_to_look(ann: Visitor, lived: Workspace) -> None:
    house.ask(lived, ASKING)
    own_flow(lived, "import sys\nprint('error: service: it was started elsewhere')\nsys.exit(1)\n")
    ann.post("/ui/run", seen=seen(ann))
    assert "started by ann: service: it was started elsewhere." in ended(ann)
    (lived.state / "console-run.json").unlink()
    (lived.root / "flows" / "forgetting.py").write_text("raise ValueError('of somebody')\n")
    ann.post("/ui/run", seen=seen(ann))
    said = ended(ann)
    assert "it broke down, see .lethe/logs/console-run.log" in said
    assert "of somebody" not in said


def test_two_consoles_at_once_start_one_run(lived: Workspace) -> None:
    own_flow(lived, "import sys\nsys.stdin.read()\nimport time\ntime.sleep(0.5)\nprint('it ran')\n")
    one, other = Runs(lived), Runs(lived)
    assert one.start("ann") is True
    assert other.busy, "before the flow has the workspace to itself, too"
    assert other.start("ben") is False
    assert other.last() is None
    assert one._waiting is not None
    one._waiting.join()
    assert (lived.state / "logs" / "console-run.log").read_text() == "it ran\n"
    assert other.last() == one.last()
    assert not other.busy


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("error: service: it was started elsewhere\n", "service: it was started elsewhere"),
        ("all is well\n", "no console saw its end, see .lethe/logs/console-run.log"),
    ],
)
def test_a_run_whose_console_was_killed_has_ended_for_every_other(lived: Workspace, said: str, line: str) -> None:
    (lived.state / "logs").mkdir(parents=True, exist_ok=True)
    (lived.state / "logs" / "console-run.log").write_text(said)
    begun = {"at": "2026-01-02T03:04:05+00:00", "by": "ann", "pid": os.getpid(), "created": 1.0}
    (lived.state / "console-begun.json").write_text(json.dumps(begun))
    last = Runs(lived).last()
    assert last is not None
    assert (last.by, last.code, last.line) == ("ann", 1, line)


def test_while_another_flow_runs_none_is_started(ann: Visitor, lived: Workspace) -> None:
    house.ask(lived, ASKING)
    looked = seen(ann)
    with FileLock(lived.state / "flow.lock"):
        assert "A flow is running in this workspace" in words(ann.get("/ui/run"))
        refused = ann.post("/ui/run", seen=looked)
    assert (refused.status_code, problem(refused)[:22]) == (409, "run: a flow is running")


def test_a_certificate_is_read_taken_along_and_checked(ann: Visitor, lived: Workspace) -> None:
    (done,) = ledger(lived).in_state("completed")
    assert done.id in words(ann.get("/ui/certificates"))
    said = words(ann.get(f"/ui/certificates/{done.id}"))
    assert "Certificate of erasure" in said
    assert "the signer is this project's own key" in said
    assert "What was not in reach" in said
    file = ann.get(f"/ui/certificates/{done.id}/file").content
    assert file == (lived.certificates / f"{done.id}.json").read_bytes()
    assert ann.get(f"/ui/certificates/{done.id}/key").content == PublicKey.own().pem
    ann.get("/ui/certificates")
    for files, by in (({}, "this project's own key"), ({"key": PublicKey.own().pem}, "the key that was sent")):
        checked = ann.post("/ui/certificates", {"certificate": file, **files})
        assert "The certificate is valid" in words(checked)
        assert by in words(checked)
    assert list(lived.temporary.iterdir()) == []


def test_a_certificate_that_is_none_or_was_changed_is_refused(ann: Visitor, lived: Workspace) -> None:
    (done,) = ledger(lived).in_state("completed")
    file = (lived.certificates / f"{done.id}.json").read_bytes()
    changed = json.loads(file)
    changed["payload"] = changed["payload"].replace("A", "B", 1)
    ann.get("/ui/certificates")
    for files in (
        {},
        {"certificate": b"{}"},
        {"certificate": json.dumps(changed).encode()},
        {"certificate": file, "key": b"none"},
        {"certificate": file, "receipt": b"{}"},
    ):
        answer = ann.post("/ui/certificates", files)
        assert answer.status_code == 422, files
        assert "\n" not in problem(answer)
        assert str(lived.temporary) not in problem(answer)
    for id in ("req-0", "%2e%2e%2fparams", "req-x"):
        assert ann.get(f"/ui/certificates/{id}").status_code == 404


def test_models_have_lineage_and_metrics_over_time(ann: Visitor, lived: Workspace) -> None:
    version = Registry(lived).served()["sharded"]
    assert version.tag in words(ann.get("/ui/models"))
    said = words(ann.get("/ui/models/sharded"))
    for part in (version.info.data_digest, version.digest, version.code, version.recipe.model, "user-hash-3"):
        assert part in said
    assert "had seen somebody who is forgotten, and is gone for good" in said
    report = next(one for one in read_reports(lived) if one.family == "sharded")
    for name in ("ndcg@10", "recall@20"):
        shown = words(ann.get("/ui/models/sharded", metric=name))
        (candidate,) = report.candidates
        assert f"bpr-user-hash-3 served {candidate.valid[name]:.4f} {candidate.metrics[name]:.4f}" in shown
    assert ann.get("/ui/models/sharded", metric="beauty").status_code == 422
    assert ann.get("/ui/models/none").status_code == 404


def test_a_metric_over_time_is_of_versions_and_of_a_training_that_kept_them(lived: Workspace) -> None:
    version, decision = Registry(lived).served()["sharded"], Decisions.read(lived).last["sharded"]
    first, second = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    history = [replace(version, made=first, metrics={"m": 0.1}), replace(version, made=second, metrics={"m": 0.3})]
    points = [("2026-11-01 00:00", 0.1), ("2026-11-02 00:00", 0.3)]
    kept = decision.model_copy(update={"metric": "m", "new": 0.2, "outcome": "kept", "at": "2026-11-03T00:00:00+00:00"})
    assert over_time(history, None, "m") == points
    assert over_time(history, kept, "m") == [*points, ("2026-11-03 00:00", 0.2)]
    assert over_time(history, kept.model_copy(update={"outcome": "replaced"}), "m") == points
    assert over_time(history, kept, "other") == []
    rebuilt = [history[0], replace(version, made=second, metrics={})]
    assert over_time(rebuilt, kept.model_copy(update={"outcome": "replaced"}), "m")[1:] == [("2026-11-03 00:00", 0.2)]


def test_a_line_lies_between_its_marks_and_one_point_is_no_line() -> None:
    assert charts.line([("a", 0.5)], "ndcg") is None
    drawn = charts.line([("a", 0.1), ("b", 0.3), ("c", 0.2)], "ndcg")
    assert drawn is not None
    xs, ys, _ = zip(*drawn.points, strict=True)
    assert list(xs) == sorted(xs)
    assert ys[1] < ys[2] < ys[0], "more is higher"
    assert all(0 < y < charts.HEIGHT for y in ys)
    assert [text for _, text in drawn.marks] == ["0.3000", "0.1000"]
    same = charts.line([("a", 0.0), ("b", 0.0)], "ndcg")
    assert same is not None
    assert same.points[0][1] == same.points[1][1]


def test_drift_says_what_has_moved_and_what_was_not_compared(ann: Visitor, lived: Workspace) -> None:
    params = Params.read(lived.params)
    write_drift(lived, params, "tiny", 1, {"ratings": {1.0: 50, 5.0: 1}}, {"ratings": {1.0: 1, 5.0: 50}})
    assert re.search(r"ratings [\d.]+ [\d.]+ moved away", words(ann.get("/ui/drift")))
    (lived.reports / "drift" / "tiny.json").unlink()
    assert "Its gates have not compared it yet" in words(ann.get("/ui/drift"))


def test_a_project_that_was_never_trained_has_all_pages(tiny: Workspace) -> None:
    ben = visitor(tiny, "ben")
    said = {path: words(ben.get(path)) for path in (room.path for room in ROOMS.values())}
    assert "0 requests" in said["/ui/requests"]
    assert "Nothing waits" in said["/ui/run"]
    assert "No request has been completed yet" in said["/ui/certificates"]
    for path in ("/ui/models", "/ui/try"):
        assert "Nothing is promoted yet" in said[path]
    assert "Its gates have not compared it yet" in said["/ui/drift"]
    ben.get("/ui/requests/new")
    refused = ben.post("/ui/requests/new", user=ASKING, dataset="tiny")
    assert problem(refused).startswith("dataset: tiny has no data yet")


# --- trying the service ------------------------------------------------------------------------------------------

ANSWER = {
    "items": [
        {"item_id": "item-001", "score": 1.5, "source": "model", "reason": "taste"},
        {"item_id": "item-002", "score": 0.5, "source": "model", "reason": "taste"},
    ],
    "family": "sharded",
    "version": "lethe-sharded:0123",
    "source": "model",
    "known": True,
}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """A service that answers the same to everything, and what it was asked."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=ANSWER)

    monkeypatch.setenv("LETHE_SERVICE_URL", "http://service")
    real = httpx.Client

    def made(**_: object) -> httpx.Client:
        return real(base_url="http://service", transport=httpx.MockTransport(answer))

    monkeypatch.setattr("lethe.serving.client.httpx.Client", made)
    return asked


def test_the_service_is_tried_and_items_have_titles(lived: Workspace, service: list[httpx.Request]) -> None:
    ben = visitor(lived, "ben")
    ben.get("/ui/try")
    (lived.root / "features").mkdir()
    (lived.root / "features" / "tiny.csv").write_text("item,title\nitem-001,The first of them\n")
    answer = ben.post("/ui/try", family="sharded", kind="user", user=OTHER, k="2", items="item-004\nitem-005")
    said = words(answer)
    assert re.search(r"1 item-001 The first of them taste model 1\.5000 2 item-002 – taste model 0\.5000", said)
    assert "from the model. The model knows this person." in said
    assert json.loads(service[0].content) == {
        "user_id": OTHER, "k": 2, "family": "sharded", "history": ["item-004", "item-005"]
    }  # fmt: skip
    assert OTHER not in str(answer.url)
    ben.post("/ui/try", family="sharded", kind="items", items="item-004", k="2")
    assert service[1].url.path == "/v1/similar_items"
    shop = visitor(lived, "shop")
    shop.get("/ui/try")
    said = words(shop.post("/ui/try", family="sharded", kind="user", user=OTHER, k="2"))
    assert "The model knows" not in said, "who is known is for operators"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"k": "0"}, "k: must be a whole number of 1 to 100"),
        ({"k": "²"}, "k: must be a whole number of 1 to 100"),
        ({"k": "many"}, "k: must be a whole number of 1 to 100"),
        ({"family": "none"}, "family: must be one that is served"),
        ({"kind": "why"}, "kind: must be one of user, items"),
        ({"user": ""}, "user: must be an id"),
        ({"kind": "items"}, "items: must name at least one"),
        ({}, "service: none runs here; start it with lethe serve"),
    ],
)
def test_a_question_that_is_none_is_refused(lived: Workspace, fields: dict[str, str], line: str) -> None:
    ben = visitor(lived, "ben")
    ben.get("/ui/try")
    answer = ben.post("/ui/try", **{"family": "sharded", "kind": "user", "user": GONE, "k": "5", **fields})
    assert answer.status_code == 422
    assert problem(answer).startswith(line)


def test_no_more_items_are_asked_for_than_the_service_gives(lived: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    params = Params.read(lived.params)
    few = params.model_copy(update={"serving": params.serving.model_copy(update={"max_k": 3})})
    monkeypatch.setattr(Console, "params", few)
    ben = visitor(lived, "ben")
    ben.get("/ui/try")
    answer = ben.post("/ui/try", family="sharded", kind="user", user=GONE, k="4")
    assert problem(answer).startswith("k: must be a whole number of 1 to 3")


def test_the_console_listens_only_where_it_may(lived: Workspace) -> None:
    from lethe.console.serving import serve

    with pytest.raises(LetheError, match=r"host: 0\.0\.0\.0 is open to other machines, which needs keys"):
        serve(lived, "0.0.0.0", None, print)
