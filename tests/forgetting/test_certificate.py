"""The certificate: its schema, and that no byte of it can be changed."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lethe.errors import ArtifactError
from lethe.forgetting.certificate import SCHEMA, check, key_beside, public_key_name, public_key_pem, schema, sign, write

DIGESTS = {
    "data": "d" * 64,
    "shards": {"ml/hash-5/00": "a" * 64},
    "artifacts": {"sharded/package": "b" * 64},
    "code": "c" * 64,
    "environment": "e" * 64,
}
FIELDS = {
    "request": {
        "id": "req-0123456789abcdef",
        "kind": "user",
        "subject_digest": "f" * 64,
        "reason": "user request: émigré",
        "received": "2026-01-01T00:00:00+00:00",
        "completed": "2026-01-02T00:00:00+00:00",
    },
    "dataset": "ml",
    "guarantee": {"sharded": "unconditional"},
    "residues": {"sharded": ["hyper-parameters"]},
    "outside_reach": ["the file that was imported"],
    "before": DIGESTS,
    "after": DIGESTS,
    "shards": {"sharded": {"touched": ["00"], "retrained": ["00"], "reused": ["01"]}},
    "seconds": {"training": 0.1, "total": 12.5},
    "purged": [{"store": "dvc", "removed": 7, "bytes": 12345}],
    "scan": {"stores": {"dvc": []}, "found": 0},
    "verify": {"result": "equal", "compared": 12, "differing": []},
    "ledger_head": "9" * 64,
}


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    certificate = sign(**FIELDS)
    path = write(certificate, tmp_path / "certificates")
    return path, path.with_name(public_key_name(certificate.signature.public_key))


def test_a_certificate_passes_with_the_public_key_alone(signed, tmp_path, monkeypatch):
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "no-keys-here"))
    certificate = check(*signed)
    assert key_beside(signed[0]) == signed[1]
    assert certificate.request.id == "req-0123456789abcdef"
    assert certificate.after.plain() == DIGESTS
    assert not (tmp_path / "no-keys-here").exists()


def test_it_fits_the_published_schema_and_a_stray_field_does_not(signed):
    # To publish a changed schema: SCHEMA.write_bytes(schema()).
    assert SCHEMA.read_bytes() == schema()
    published = json.loads(SCHEMA.read_bytes())
    jsonschema.Draft202012Validator.check_schema(published)
    document = json.loads(signed[0].read_bytes())
    jsonschema.validate(document, published)
    for changed in ({**document, "user": "42"}, {k: v for k, v in document.items() if k != "scan"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, published)
    with pytest.raises(ValidationError):
        sign(**FIELDS, user="42")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_fails(signed, place, byte):
    path, key = signed
    content = bytearray(path.read_bytes())
    index = int(place * len(content))
    if content[index] == byte:
        byte ^= 1
    content[index] = byte
    changed = path.with_name("changed.json")
    changed.write_bytes(content)
    with pytest.raises(ArtifactError):
        check(changed, key)


def test_another_spelling_of_the_signature_fails(signed):
    """The digit before the padding has four bits that decode to nothing."""
    path, key = signed
    content = path.read_bytes()
    place = content.index(b'=="') - 1
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    own = digits.index(content[place])
    for other in range(own // 16 * 16, own // 16 * 16 + 16):
        if other != own:
            changed = path.with_name("changed.json")
            changed.write_bytes(content[:place] + digits[other : other + 1] + content[place + 1 :])
            with pytest.raises(ArtifactError):
                check(changed, key)


def test_added_or_missing_bytes_fail(signed):
    path, key = signed
    content = path.read_bytes()
    double = content.replace(b"{\n", b'{\n "dataset": "ml",\n', 1)
    for other in (content + b"\n", content[:-1], b" " + content, json.dumps(json.loads(content)).encode(), double, b""):
        changed = path.with_name("changed.json")
        changed.write_bytes(other)
        with pytest.raises(ArtifactError):
            check(changed, key)
    check(path, key)


def test_a_certificate_of_another_key_fails_even_with_its_own_key_inside(signed, tmp_path, monkeypatch):
    _, trusted = signed
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "forger"))
    assert public_key_pem() != trusted.read_bytes()
    forged = write(sign(**FIELDS), tmp_path / "forged")
    with pytest.raises(ArtifactError, match="signed with another key"):
        check(forged, trusted)


def test_bad_files_are_one_line(signed, tmp_path):
    path, key = signed
    (tmp_path / "other.pem").write_text("no key")
    with pytest.raises(ArtifactError, match="not a certificate"):
        key_beside(tmp_path / "other.pem")
    for arguments in ((tmp_path / "none.json", key), (path, tmp_path / "none.pem"), (path, tmp_path / "other.pem")):
        with pytest.raises(ArtifactError) as caught:
            check(*arguments)
        assert "\n" not in str(caught.value)


def test_a_new_key_leaves_the_old_public_key_beside_old_certificates(signed, monkeypatch, tmp_path):
    path, key = signed
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "later"))
    later = FIELDS | {"request": FIELDS["request"] | {"id": "req-later"}}
    write(sign(**later), path.parent)
    assert len(list(path.parent.glob("*.pem"))) == 2
    check(path, key)
