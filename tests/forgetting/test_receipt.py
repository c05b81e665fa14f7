"""The receipt: about the subject alone, to be checked without us, and answered by one certificate."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from lethe.core.envelope import PublicKey
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, ConfigError, EvidenceError, LetheError, RequestError
from lethe.forgetting import certificate, completion, erasure, intake
from lethe.forgetting import receipt as receipts
from lethe.forgetting.ledger.requests import ForgetRequest
from tests.forgetting.certificates import content
from tests.forgetting.test_cases import data, rows, workspace_of
from tests.forgetting.test_certificate import tool as tool
from tests.house import ask, rebuild

GONE = "user-004"


@pytest.fixture
def asked(trained: Workspace, tmp_path: Path) -> tuple[Path, Path, str]:
    """The receipt of a request, the signer's key, and the request's id."""
    (id,) = ask(trained, GONE)
    path, key = tmp_path / "receipt.json", tmp_path / "key.pem"
    path.write_text(receipts.issue(intake.ledger(trained).get(id), GONE))
    key.write_bytes(PublicKey.own().pem)
    return path, key, id


def both(tool: ModuleType, path: Path, key: Path, user: str | None = None) -> str | None:
    """Why a receipt is refused: by our check, which must be why the other one refuses it too."""
    ours = theirs = None
    try:
        receipts.check(path, PublicKey.read(key), user)
    except LetheError as error:
        ours = str(error)
    try:
        tool.check_receipt(path.read_bytes(), tool.read_key(key), user)
    except tool.Refused as fault:
        theirs = str(fault)
    assert (ours is None) == (theirs is None)
    return ours


def test_a_receipt_is_about_its_subject_alone_and_names_nobody(asked, tool) -> None:
    path, key, id = asked
    assert GONE not in path.read_text()
    assert both(tool, path, key) is None
    assert both(tool, path, key, GONE) is None
    assert "another subject" in str(both(tool, path, key, "user-007"))
    assert receipts.check(path, PublicKey.read(key)).request == id


def said(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """What the tool ends with, as a command."""
    monkeypatch.setattr(sys, "argv", ["check_certificate.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    return str(ended.value.code)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--user", GONE], "--user, --item: are looked for in a receipt, which --receipt names"),
        (["--item", "i1"], "--user, --item: are looked for in a receipt, which --receipt names"),
        (["--receipt", "RECEIPT", "--item", "i1"], "--item: goes with --user"),
        (["--receipt", "RECEIPT", "--user", GONE], "it is about another subject"),
        (["--receipt", "RECEIPT", "--user", GONE, "--item", "i1"], "it is about another subject"),
        # The receipt is theirs; the certificate is of another request.
        (
            ["--receipt", "RECEIPT", "--user", GONE, "--item", "i2", "--item", "i1"],
            "another subject_digest than the certificate's",
        ),
    ],
)
def test_the_tool_looks_for_the_person_and_their_items_or_says_that_it_did_not(
    arguments: list[str], line: str, tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = certificate.write(content(), tmp_path / "certificates")
    request = ForgetRequest.new("tiny", GONE, ["i1", "i2"], now=datetime.now(UTC), datasets=["tiny"])
    receipt = tmp_path / "receipt.json"
    receipt.write_text(receipts.issue(request, GONE, ("i1", "i2")))
    given = [str(receipt) if word == "RECEIPT" else word for word in arguments]
    key = signed.with_name(PublicKey.own().file_name)
    ended = said(tool, monkeypatch, signed, "--key", key, *given)
    assert ended.startswith("REFUSED: ")
    assert line in ended


def test_the_command_writes_it_at_acceptance(trained: Workspace, tool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(trained.root)
    key, path = tmp_path / "key.pem", tmp_path / "receipt.json"
    key.write_bytes(PublicKey.own().pem)
    command = ["forget", "add", "--receipt", str(path), "--nonce", "n0nce"]
    done = CliRunner().invoke(app, [*command, "--user", "-"], input=f"{GONE}\n")
    assert done.exit_code == 0, done.exception
    assert both(tool, path, key, GONE) is None
    assert path.stat().st_mode & 0o777 == 0o600, "the salt is the requester's"
    (request,) = intake.ledger(trained).pending()
    assert request.nonce == "n0nce"
    again = CliRunner().invoke(app, [*command, "--user", "nobody", "--confirm-unknown"])
    assert isinstance(again.exception, ConfigError), "the salt of a receipt stands nowhere else"
    path.unlink()
    nobody = CliRunner().invoke(app, [*command, "--user", "nobody", "--confirm-unknown"])
    assert nobody.exit_code == 0, nobody.exception
    assert both(tool, path, key, "nobody") is None, "also where nothing was held"
    path.unlink()
    for refused in (["--everywhere", "--user", GONE], ["--user", "user-007", "--nonce", "user-007"]):
        assert isinstance(CliRunner().invoke(app, [*command[:-2], *refused]).exception, RequestError)


def test_many_get_one_each_in_a_private_file_in_the_order_asked(
    trained: Workspace, tool, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(trained.root)
    users = [GONE, "user-007", "nobody", "user-009"]
    (tmp_path / "ids.csv").write_text("\n".join(users))
    key, path = tmp_path / "key.pem", tmp_path / "receipts.jsonl"
    key.write_bytes(PublicKey.own().pem)
    command = ["forget", "add", "--confirm-unknown", "--file", str(tmp_path / "ids.csv"), "--receipts"]
    done = CliRunner().invoke(app, [*command, str(path)])
    assert done.exit_code == 0, done.exception
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    assert len(lines) == len(users)
    assert len({json.loads(line)["salt"] for line in lines}) == len(users)
    for user, line in zip(users, lines, strict=True):
        one = tmp_path / "receipt.json"
        one.write_text(line)
        assert both(tool, one, key, user) is None
        assert user not in line
    known = {request.id for request in intake.ledger(trained).all()}
    assert {receipts.check(one, PublicKey.own()).request} <= known
    for taken in (path, tmp_path / "no-folder" / "receipts.jsonl"):
        refused = CliRunner().invoke(app, [*command, str(taken)])
        assert "must be a new file in a folder that is there" in str(refused.exception)
    assert path.read_text().splitlines() == lines, "the salts of those that were given stand nowhere else"


def test_everywhere_each_dataset_in_turn_has_its_receipts(tmp_path: Path, tool, monkeypatch) -> None:
    workspace = workspace_of(tmp_path / "w", rows(), names=("one", "two"))
    for name in ("one", "two"):
        data(workspace, name)
    monkeypatch.chdir(workspace.root)
    key, path = tmp_path / "key.pem", tmp_path / "receipts.jsonl"
    key.write_bytes(PublicKey.own().pem)
    command = ["forget", "add", "--everywhere", "--file", "-", "--not-item", "--receipts", str(path)]
    done = CliRunner().invoke(app, command, input="7\n8\n")
    assert done.exit_code == 0, done.exception
    said = []
    for place, line in enumerate(path.read_text().splitlines()):
        one = tmp_path / f"{place}.json"
        one.write_text(line)
        assert both(tool, one, key, ("7", "8")[place % 2]) is None
        said.append(receipts.check(one, PublicKey.own()).dataset)
    assert said == ["one", "one", "two", "two"]


def test_without_the_salt_nobody_can_be_guessed(asked, tool) -> None:
    path, key, _ = asked
    values = json.loads(path.read_text())
    assert values["salt"] not in json.dumps(values["receipt"])
    path.write_text(json.dumps(values | {"salt": "0" * 64}))
    assert both(tool, path, key) is None, "the signed part is whole"
    assert "another subject" in str(both(tool, path, key, GONE))


def test_another_signer_or_a_changed_one_is_refused(asked, tool, monkeypatch, tmp_path) -> None:
    path, key, _ = asked
    whole = path.read_text()
    for spoilt in (whole.replace('"payload": "ey', '"payload": "eY'), "{}", "[]", whole.replace("salt", "pepper")):
        path.write_text(spoilt)
        assert both(tool, path, key)
    path.write_text(whole)
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "others"))
    key.write_bytes(PublicKey.own().pem)
    assert "signed by" in str(both(tool, path, key))
    with pytest.raises(ArtifactError, match="No such file"):
        receipts.check(tmp_path / "none", PublicKey.read(key))


def test_a_certificate_answers_one_receipt(asked, tool, trained: Workspace, tmp_path: Path) -> None:
    path, key, id = asked
    (other,) = ask(trained, "user-007")
    theirs = tmp_path / "theirs.json"
    theirs.write_text(receipts.issue(intake.ledger(trained).get(other), "user-007"))
    completion.complete(trained, erasure.erase(trained, rebuild(trained)))
    content = certificate.read(trained.certificates / f"{id}.json")
    receipts.answers(content, receipts.check(path, PublicKey.read(key), GONE))
    with pytest.raises(EvidenceError, match="another request than the certificate's"):
        receipts.answers(content, receipts.check(theirs, PublicKey.read(key)))
    it = tool.check((trained.certificates / f"{id}.json").read_bytes(), tool.read_key(key))
    signed = str(trained.certificates / f"{id}.json")
    command = ["certificate", "check", signed, "--key", str(key), "--receipt"]
    assert "answers the receipt" in CliRunner().invoke(app, [*command, str(path)]).output
    assert isinstance(CliRunner().invoke(app, [*command, str(theirs)]).exception, EvidenceError)
    mine, others = (tool.check_receipt(one.read_bytes(), tool.read_key(key)) for one in (path, theirs))
    assert list(tool.receipt_faults(it, mine)) == []
    assert list(tool.receipt_faults(it, others))
