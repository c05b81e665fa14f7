"""Witnesses keep heads; a chain written anew, or a kept head that was changed, is seen."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from lethe.config.params import Audit
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, ConfigError
from lethe.forgetting import completion, intake, witness
from lethe.forgetting.standing import ledger
from lethe.forgetting.witness import TimestampAuthority, WitnessLog, witness_of
from lethe.proof import daily
from tests.house import forget, train

HEADS = ["1" * 64, "2" * 64, "3" * 64]
OPENSSL = """
[tsa]
serial = {folder}/serial
certs = {folder}/tsa.pem
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
[tsa_extensions]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = critical, timeStamping
keyUsage = critical, digitalSignature
[root_extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
"""


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """URL and root certificate of a time-stamping authority of our own."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path / "authority"
    folder.mkdir()
    (folder / "openssl.cnf").write_text(OPENSSL.format(folder=folder))
    (folder / "serial").write_text("01\n")

    def openssl(*arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True).stdout

    config = ("-config", "openssl.cnf")
    rsa = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *rsa, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root", "-days", "9")
    openssl("req", *rsa, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=time")
    signing = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "9")
    extensions = ("-extfile", "openssl.cnf", "-extensions", "tsa_extensions")
    openssl("x509", "-req", "-in", "tsa.csr", "-out", "tsa.pem", *signing, *extensions)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            openssl("ts", "-reply", *config, "-section", "tsa", "-queryfile", "query", "-out", "reply")
            self.send_response(200)
            self.end_headers()
            self.wfile.write((folder / "reply").read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder / "root.pem"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_log_keeps_heads_in_order_and_each_once(tmp_path: Path) -> None:
    log = WitnessLog(tmp_path / "elsewhere" / "heads.jsonl")
    assert log.heads() == []
    for head in (*HEADS, HEADS[1]):
        log.tell(head)
    assert log.heads() == HEADS


@pytest.mark.parametrize("number", [0, 1])
def test_a_line_that_was_changed_or_taken_out_of_a_log_is_seen(tmp_path: Path, number: int) -> None:
    log = WitnessLog(tmp_path / "heads.jsonl")
    for head in HEADS:
        log.tell(head)
    lines = log.path.read_text().splitlines()
    changed = json.dumps(json.loads(lines[number]) | {"head": "9" * 64})
    listed = json.dumps(json.loads(lines[0]) | {"head": []})
    without = [*lines[:number], *lines[number + 1 :]]
    for spoilt in ([*lines[:number], changed, *lines[number + 1 :]], without, ["x"], [listed]):
        log.path.write_text("\n".join(spoilt) + "\n")
        with pytest.raises(ArtifactError, match=r"witness: line . of heads\.jsonl was changed"):
            log.heads()
        with pytest.raises(ArtifactError):
            log.tell("4" * 64)


def test_a_line_that_was_being_written_when_the_disk_was_full_was_never_told(tmp_path: Path) -> None:
    log = WitnessLog(tmp_path / "heads.jsonl")
    for head in HEADS:
        log.tell(head)
    whole = log.path.read_bytes()
    for cut in (1, 100):
        log.path.write_bytes(whole[:-cut])
        assert log.heads() == HEADS[:2]
        log.tell(HEADS[2])
        assert log.heads() == HEADS


def test_a_log_that_others_hold_or_that_is_none_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "_SECONDS", 0.01)
    log = WitnessLog(tmp_path / "heads.jsonl")
    with FileLock(f"{log.path}.lock"), pytest.raises(ConfigError, match=r"heads\.jsonl: is locked by another process"):
        log.tell(HEADS[0])
    with pytest.raises(ConfigError, match="Is a directory; the head was not kept"):
        WitnessLog(tmp_path).tell(HEADS[0])
    with pytest.raises(ConfigError, match="Is a directory; its heads can't be read"):
        WitnessLog(tmp_path).heads()


def test_the_log_of_another_project_is_left_as_it_is(tiny: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    with tiny.params.open("a") as file:
        file.write("audit: {witness: heads.jsonl}\n")
    log = WitnessLog(tiny.root / "heads.jsonl")
    log.tell(HEADS[0])
    completion._witness(tiny, ledger(tiny))
    assert log.heads() == [HEADS[0]]
    assert "or they are another project's; lethe audit run tries again" in caplog.text


def test_an_authority_stamps_heads_and_nothing_else_passes_for_a_stamp(authority, tmp_path: Path) -> None:
    pytest.importorskip("rfc3161_client")
    url, root = authority
    one = TimestampAuthority(url, root, tmp_path / "witnessed")
    for head in (*HEADS, HEADS[0]):
        one.tell(head)
    assert one.heads() == HEADS
    stamp = tmp_path / "witnessed" / f"{HEADS[0]}.tsr"
    shutil.copyfile(stamp, stamp.with_name(f"{'9' * 64}.tsr"))
    with pytest.raises(ArtifactError, match="time stamp of head 9999"):
        one.heads()
    stamp.with_name(f"{'9' * 64}.tsr").unlink()
    content = bytearray(stamp.read_bytes())
    content[-1] ^= 1
    stamp.write_bytes(content)
    with pytest.raises(ArtifactError, match="time stamp of head 1111"):
        one.heads()


def test_another_root_or_no_answer_is_one_line(authority, tmp_path: Path) -> None:
    pytest.importorskip("rfc3161_client")
    url, root = authority
    nowhere = TimestampAuthority("http://127.0.0.1:9", root, tmp_path / "witnessed")
    with pytest.raises(ConfigError, match="the head was not time-stamped"):
        nowhere.tell(HEADS[0])
    with pytest.raises(ConfigError, match="InvalidURL; the head was not time-stamped"):
        TimestampAuthority("http://authority:none", root, tmp_path / "witnessed").tell(HEADS[0])
    assert not (tmp_path / "witnessed").exists()
    with pytest.raises(ConfigError, match="can't be read as a certificate"):
        TimestampAuthority(url, tmp_path / "none.pem", tmp_path / "witnessed").tell(HEADS[0])
    with pytest.raises(ConfigError, match=r"audit\.witness_root: must name"):
        witness_of(Workspace(tmp_path), Audit(witness=url))
    assert witness_of(Workspace(tmp_path), Audit()) is None


def test_a_chain_that_was_written_anew_does_not_hold_what_was_witnessed(tiny: Workspace, monkeypatch) -> None:
    with tiny.params.open("a") as file:
        file.write("audit: {witness: ../elsewhere/heads.jsonl}\n")
    train(tiny)
    forget(tiny, "user-004")
    log = WitnessLog(tiny.root / "../elsewhere/heads.jsonl")
    assert log.heads() == [ledger(tiny).check_chain()], "told at completion"
    intake.submit(tiny, None, "user-007")
    assert daily.check_log(tiny)["witnessed"] == 2, "the audit tells the tail"
    lost = Workspace(tiny.root)
    ledger(lost).path.unlink()
    with pytest.raises(ConfigError, match="ledger: is empty, but 1 users are hidden"):
        daily.check_log(lost)
    lost.hidden_users.unlink()
    with pytest.raises(ArtifactError, match="3 hashes that certificates or the witness name are not in the log"):
        daily.check_log(lost)


def test_a_witness_out_of_reach_holds_up_no_completion(tiny: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    with tiny.params.open("a") as file:
        file.write("audit: {witness: 'http://127.0.0.1:9', witness_root: root.pem}\n")
    train(tiny)
    (id,) = forget(tiny, "user-004")
    assert ledger(tiny).get(id).state == "completed"
    assert "lethe audit run tries again" in caplog.text
    assert completion.logger.name in {record.name for record in caplog.records}
    with pytest.raises(ConfigError, match="witness: "):
        daily.check_log(tiny)
