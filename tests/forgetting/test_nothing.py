"""A request of whose subject nothing is held ends with a certificate: what was searched, and what was there."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lethe.cli import app
from lethe.config.params import Params
from lethe.core.envelope import PublicKey, seal, statement
from lethe.core.workspace import Workspace
from lethe.data.dvc_objects import Memory
from lethe.data.stages import build_data
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import EvidenceError, LetheError, RequestError
from lethe.forgetting import intake, page
from lethe.forgetting import nothing as nothings
from lethe.forgetting import receipt as receipts
from lethe.forgetting import run as runs
from lethe.forgetting.certificate import NothingHeld, check, sign, write
from lethe.forgetting.certificate import nothing as claims
from lethe.forgetting.certificate.files import SCHEMAS
from lethe.forgetting.intake import Terms
from lethe.forgetting.standing import ledger
from lethe.proof import daily
from lethe.tables.interactions import Interactions
from tests.forgetting.certificates import SUBJECT, nothing
from tests.forgetting.test_certificate import VALUES, changed, places, predicate_of, refused, refused_by_tool
from tests.forgetting.test_certificate import tool as tool
from tests.house import ask

NOBODY = "nobody@example.org"
CONFIRMED = Terms(confirm_unknown=True)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(PublicKey.own().pem)
    return path


# --- what is signed --------------------------------------------------------------------------------------------------


def test_each_claim_is_the_most_that_the_search_carries(tmp_path: Path, tool: ModuleType, key: Path) -> None:
    cases = {
        claims.CLAIM: nothing(),
        claims.CLAIM + claims.SOURCE_HOLDS: nothing(source=4),
        claims.CLAIM + claims.SOURCE_UNREAD: nothing(source=None),
        claims.CLAIM + claims.ELSEWHERE: nothing(elsewhere={"books": 2, "films": 0}),
        claims.CLAIM + "; the dvc remote a could not be read; the dvc remote b could not be read": nothing(
            remotes={"dvc remote b": None, "dvc remote a": None, "dvc remote c": 0}
        ),
        claims.CLAIM + claims.SOURCE_HOLDS + claims.ELSEWHERE: nothing(source=1, elsewhere={"books": 1}),
    }
    for place, (claim, content) in enumerate(cases.items()):
        path = write(content, tmp_path / str(place))
        assert check(path, key).content.claims() == {"ml": claim}
        assert refused_by_tool(tool, path, key) is None
        jsonschema.validate(predicate_of(path), json.loads(list(SCHEMAS)[1].read_bytes()))


SPOILT: dict[str, tuple[dict[str, Any], str]] = {
    "rows": ({"held": nothing().held | {"ingested tables": 3}}, "held in ingested tables: must be 0, is 3"),
    "a version": ({"held": nothing().held | {"versions": 1}}, "held in versions: must be 0, is 1"),
    "a place left out": (
        {"held": {name: 0 for name in nothing().held if name != "DVC objects"}},
        "held in DVC objects: must be 0, is not searched",
    ),
    "a place of its own": ({"held": nothing().held | {"attic": 0}}, "held: attic is no place that is searched"),
    "a remote": ({"remotes": {"dvc remote backup": 2}}, "held in dvc remote backup: must be 0, is 2"),
    "not suppressed": ({"suppressed": []}, "on the suppression list: must be 1, is 0"),
    "somebody else suppressed": ({"suppressed": ["0" * 64]}, "what stands on the list is not the subject"),
    "some interactions not suppressed": (
        {"named": 2, "request": nothing().request.plain() | {"kind": "interaction"}},
        "on the suppression list: must be 2, is 1",
    ),
    "itself elsewhere": ({"elsewhere": {"ml": 0}}, "elsewhere: ml is no other dataset"),
    "before it was asked": (
        {"request": nothing().request.plain() | {"completed": "2025-01-01T00:00:00+00:00"}},
        "dates are out of order",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_nothing_is_signed_or_believed_that_the_search_does_not_carry(
    name: str, tmp_path: Path, tool: ModuleType, key: Path
) -> None:
    changes, fault = SPOILT[name]
    with pytest.raises(EvidenceError, match=fault):
        sign(nothing(**changes))
    sound = claims.derived(nothing()).plain()
    for verdicts in (sound, claims.derived(nothing(**changes)).plain()):
        told = {field: verdicts[field] for field in ("claim", "invariants")}
        path = forged(nothing(**changes).plain() | told, tmp_path)
        assert refused(path, key)
        assert refused_by_tool(tool, path, key)


def test_a_forger_who_claims_more_is_refused(tmp_path: Path, tool: ModuleType, key: Path) -> None:
    values = claims.derived(nothing(source=4)).plain() | {"claim": claims.CLAIM}
    for path in (
        forged(values, tmp_path),
        forged(claims.derived(nothing()).plain(), tmp_path, {"ml/interactions": "0" * 64}),
    ):
        assert refused(path, key)
        assert refused_by_tool(tool, path, key)


def forged(values: dict[str, Any], folder: Path, subjects: dict[str, str] | None = None) -> Path:
    path = folder / "forged.json"
    path.write_bytes(seal(statement(subjects or nothing().subjects(), claims.PREDICATE, values)))
    return path


SOUND = json.loads(json.dumps(claims.derived(nothing()).plain()))
PLACES = sorted(places(SOUND), key=str)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_checks_say_the_same_of_mutated_content(tmp_path: Path, tool: ModuleType, key: Path, data: Any) -> None:
    values = changed(copy.deepcopy(SOUND), data.draw(st.sampled_from(PLACES)), data.draw(VALUES | st.just(SUBJECT)))
    path = forged(values, tmp_path)
    assert (refused(path, key) is None) == (refused_by_tool(tool, path, key) is None)


# --- what is done ----------------------------------------------------------------------------------------------------


def test_who_is_not_held_is_certified_to_be_suppressed_and_the_audit_reads_it(trained: Workspace, key: Path) -> None:
    request = intake.submit(trained, None, NOBODY, terms=CONFIRMED)
    assert request.certificate is not None
    path = trained.root / request.certificate
    content = check(path, key).content
    assert isinstance(content, NothingHeld)
    assert (content.request.id, content.suppressed) == (request.id, (request.subject_digest,))
    assert (content.source, content.elsewhere, set(content.held.values())) == (0, {}, {0})
    assert NOBODY not in path.read_text()
    assert Suppressed.user("tiny", NOBODY) in SuppressionList.read(trained.suppression)
    assert daily.check_log(trained)["certificates"] == 1
    path.unlink()
    with pytest.raises(LetheError, match="is missing or was changed"):
        daily.check_log(trained)


def test_rows_of_the_source_alone_are_said(trained: Workspace, key: Path) -> None:
    source = trained.root / "ratings.csv"
    source.write_text(source.read_text() + f"{NOBODY},item-000,3,5000\n")
    request = intake.submit(trained, None, NOBODY)
    assert request.certificate is not None
    content = check(trained.root / request.certificate, key).content
    assert content.claims() == {"tiny": claims.CLAIM + claims.SOURCE_HOLDS}


def test_whom_only_a_remote_holds_is_not_nothing_held(tiny: Workspace, tmp_path: Path, key: Path) -> None:
    """And of one that can't be read nothing is claimed."""
    data_of(tiny)
    remote = tmp_path / "remote"
    with (tiny.root / ".dvc" / "config").open("a") as config:
        config.write(f"['remote \"backup\"']\n    url = {remote}\n")
    earlier = remote / "files" / "md5" / "ab" / ("c" * 30)
    Interactions.of(np.array(["user-777"], object), np.array(["item-001"], object)).write(earlier)
    request = intake.submit(tiny, None, "user-777")
    assert (request.state, request.held.rows, request.held.earlier) == ("accepted", 0, 1)
    assert certified(tiny, NOBODY, key).remotes == {"dvc remote backup": 0}
    remote.rename(tmp_path / "away")
    unread = certified(tiny, "nobody.else@example.org", key)
    assert unread.remotes == {"dvc remote backup": None}
    assert unread.claim == claims.CLAIM + "; the dvc remote backup could not be read"


def certified(workspace: Workspace, user: str, key: Path) -> NothingHeld:
    request = intake.submit(workspace, None, user, terms=CONFIRMED)
    assert request.certificate is not None
    content = check(workspace.root / request.certificate, key).content
    assert isinstance(content, NothingHeld)
    return content


def test_whom_only_a_cache_outside_the_project_holds_is_not_nothing_held(tiny: Workspace, tmp_path: Path) -> None:
    data_of(tiny)
    cache, md5 = tmp_path / "cache", "ab" + "c" * 30
    Memory(frozenset({md5}), (cache,)).write(tiny)
    Interactions.of(np.array(["user-777"], object), np.array(["item-001"], object)).write(
        cache / "files" / "md5" / md5[:2] / md5[2:]
    )
    request = intake.submit(tiny, None, "user-777")
    assert (request.state, request.held.rows, request.held.earlier) == ("accepted", 0, 1)


def test_where_the_search_finds_something_it_is_accepted_instead(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a training ends between the first look and the second."""
    monkeypatch.setattr(nothings, "files_by_place", lambda *_: {"versions": [1], "artifacts": [0], "DVC objects": [0]})
    assert intake.submit(trained, None, NOBODY, terms=CONFIRMED).state == "accepted"
    assert not list(trained.certificates.glob("req-*.json"))


def test_an_interaction_that_never_was_is_nothing_held_though_the_user_is_known(trained: Workspace, key: Path) -> None:
    own = {line.split(",")[1] for line in (trained.root / "ratings.csv").open() if line.startswith("user-004,")}
    never = next(item for n in range(20) if (item := f"item-{n:03d}") not in own)
    # The tables that the model was built from stay beside today's, and the user is in both.
    (trained.root / "ratings.csv").write_text("".join((trained.root / "ratings.csv").read_text().splitlines(True)[:-1]))
    data_of(trained)
    with pytest.raises(RequestError, match="items: there is no such interaction in tiny;"):
        intake.submit(trained, None, "user-004", (never,))
    request = intake.submit(trained, None, "user-004", (never,), terms=CONFIRMED)
    assert request.certificate is not None
    assert isinstance(check(trained.root / request.certificate, key).content, NothingHeld)


def test_an_interaction_that_only_an_earlier_snapshot_holds_is_accepted(trained: Workspace) -> None:
    source = trained.root / "ratings.csv"
    gone = next(line for line in source.open() if line.startswith("user-004,"))
    source.write_text("".join(line for line in source.open() if line != gone))
    data_of(trained)
    request = intake.submit(trained, None, "user-004", (gone.split(",")[1],))
    assert (request.state, request.held.rows, request.held.earlier > 0) == ("accepted", 0, True)


def test_whose_rows_went_by_another_way_before_the_run_gets_one_too(tiny: Workspace, key: Path) -> None:
    data_of(tiny)
    (id,) = ask(tiny, "user-004")
    assert ledger(tiny).get(id).state == "accepted"
    source = tiny.root / "ratings.csv"
    source.write_text("".join(line for line in source.open() if not line.startswith("user-004,")))
    data_of(tiny)
    assert runs.begin(tiny) is None
    done = ledger(tiny).get(id)
    assert done.certificate is not None
    assert isinstance(check(tiny.root / done.certificate, key).content, NothingHeld)


def test_what_was_only_received_gets_one_when_it_is_taken_up(tiny: Workspace, key: Path) -> None:
    data_of(tiny)
    params = yaml.safe_load(tiny.params.read_text())
    params["forgetting"] = params.get("forgetting", {}) | {"requires": ["identity"]}
    tiny.params.write_text(yaml.safe_dump(params, sort_keys=False))
    request = intake.submit(tiny, None, NOBODY, terms=CONFIRMED)
    assert request.state == "received"
    assert not list(tiny.certificates.glob("req-*.json"))
    done = intake.establish(tiny, request.id, "identity")
    assert done.certificate is not None
    assert isinstance(check(tiny.root / done.certificate, key).content, NothingHeld)


def data_of(workspace: Workspace) -> None:
    build_data(workspace, Params.read(workspace.params), "tiny", ["whole"])


def test_commands_show_and_check_it_and_it_answers_its_receipt(
    trained: Workspace, tmp_path: Path, key: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.root)
    receipt, html = tmp_path / "receipt.json", tmp_path / "page.html"
    command = ["forget", "add", "--user", NOBODY, "--confirm-unknown", "--receipt", str(receipt)]
    added = CliRunner().invoke(app, command)
    name = added.output.split("certificate ")[1].split()[0]
    checked = CliRunner().invoke(app, ["certificate", "check", name, "--key", str(key), "--receipt", str(receipt)])
    assert checked.exit_code == 0, checked.exception
    assert f"tiny: {claims.CLAIM}" in checked.output
    assert "answers the receipt" in checked.output
    it = tool.check((trained.root / name).read_bytes(), tool.read_key(key))
    assert list(tool.receipt_faults(it, tool.check_receipt(receipt.read_bytes(), tool.read_key(key), NOBODY))) == []
    assert any(claims.CLAIM in line for line in tool.summary(it))
    CliRunner().invoke(app, ["certificate", "show", name, "--html", str(html)], catch_exceptions=False)
    assert "nothing was there" in html.read_text()
    assert receipts.check(receipt, PublicKey.own(), NOBODY).request == it["request"]["id"]
    built = CliRunner().invoke(app, ["reproduce", name])
    assert "nothing was erased or built" in str(built.exception)


def test_the_page_says_what_stands_outside(tmp_path: Path) -> None:
    said = page.text(page.page_of(check(write(nothing(source=4, elsewhere={"books": 2}), tmp_path))))
    for part in ("nothing was there", "the source as it was then | 4", "dataset books | 2", "ingested tables | 0"):
        assert part in said
    away = nothing(source=None, remotes={"dvc remote backup": None})
    unread = page.text(page.page_of(check(write(away, tmp_path / "unread"))))
    assert "source could not be read" in unread
    assert "dvc remote backup could not be read" in unread
    assert "lethe reproduce" not in unread
