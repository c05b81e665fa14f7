"""Certificates: no byte can be changed, nothing is signed or believed that the evidence doesn't carry, and a check that
shares no code with ours says the same of every one."""

from __future__ import annotations

import base64
import copy
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lethe.config.promise import WITH_ASSIGNMENT
from lethe.core.envelope import PublicKey, seal, statement
from lethe.core.keys import secret
from lethe.errors import ArtifactError, EvidenceError, LetheError
from lethe.forgetting.certificate import check, read, sign, v1, write
from lethe.forgetting.certificate.claims import SENTENCES
from lethe.forgetting.certificate.content import PREDICATE
from lethe.forgetting.certificate.files import SCHEMAS, schema
from tests.forgetting.certificates import content, inexact, sampled, verification

TOOL = Path(__file__).parents[2] / "tools" / "check_certificate.py"
NOT_RUN = verification("not run", reason="no rebuild was asked for")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_certificate", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    path = write(content(), tmp_path / "certificates")
    return path, path.with_name(PublicKey.own().file_name)


def predicate_of(path: Path) -> dict[str, Any]:
    return json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))["predicate"]


def forged(values: dict[str, Any], path: Path, subjects: dict[str, str] | None = None, kind: str = PREDICATE) -> Path:
    """What somebody with a key of their own can sign: anything."""
    path.write_bytes(seal(statement(content().subjects() if subjects is None else subjects, kind, values)))
    return path


def refused_by_tool(tool: ModuleType, path: Path, key: Path) -> str | None:
    try:
        tool.check(path.read_bytes(), tool.read_key(key))
    except tool.Refused as fault:
        return str(fault)
    return None


def refused(path: Path, key: Path) -> str | None:
    try:
        check(path, key)
    except LetheError as error:
        return str(error)
    return None


# --- signature -------------------------------------------------------------------------------------------------------


def test_a_certificate_passes_with_the_public_key_alone(signed, tmp_path, monkeypatch, tool):
    path, key = signed
    fingerprint = PublicKey.own().fingerprint
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "no-keys-here"))
    checked = check(path, key)
    assert (checked.signer, checked.pinned) == (fingerprint, True)
    assert not check(path).pinned, "a key beside the certificate is nobody's word"
    assert not (tmp_path / "no-keys-here").exists()
    assert refused_by_tool(tool, path, key) is None
    ran = subprocess.run([sys.executable, str(TOOL), str(path), "--key", str(key)], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, f"valid, signed by {fingerprint}")


def test_the_fingerprint_is_that_of_the_key_in_der(signed):
    pem = signed[1].read_text().splitlines()[1:-1]
    assert PublicKey.read(signed[1]).fingerprint == hashlib.sha256(base64.b64decode("".join(pem))).hexdigest()


def test_the_payload_is_an_in_toto_statement_about_what_is_served(signed):
    stated = json.loads(base64.b64decode(json.loads(signed[0].read_bytes())["payload"]))
    assert stated["_type"] == "https://in-toto.io/Statement/v1"
    names = [subject["name"] for subject in stated["subject"]]
    assert names == ["ml/interactions", "sharded/package"]
    assert stated["predicate"]["seconds"]["total"] == 12.5
    assert type(stated["predicate"]["scan"]["found"]) is int


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_is_seen_or_changes_nothing_that_is_said(signed, tool, place, byte):
    path, key = signed
    original = path.read_bytes()
    changed = bytearray(original)
    index = int(place * len(changed))
    changed[index] = byte if changed[index] != byte else byte ^ 1
    other = path.with_name("changed.json")
    other.write_bytes(changed)
    assert (refused(other, key) is None) == (refused_by_tool(tool, other, key) is None)
    if refused(other, key) is None:
        assert json.loads(changed) == json.loads(original), "only the blanks between values may differ"


def test_sound_content_under_another_contents_signature_is_refused(signed, tool):
    """Nothing in it contradicts itself, and it names the right key: only the signature can tell."""
    path, key = signed
    envelope = json.loads(path.read_bytes())
    others = content(request=content().request.plain() | {"reason": "another one"})
    envelope["payload"] = json.loads(sign(others))["payload"]
    other = path.with_name("changed.json")
    other.write_text(json.dumps(envelope))
    assert "the signature does not fit the content" in str(refused(other, key))
    assert refused_by_tool(tool, other, key)


def test_another_spelling_of_the_signature_fails(signed, tool):
    """The digit before the padding has four bits that decode to nothing."""
    path, key = signed
    values = json.loads(path.read_bytes())
    text = values["signatures"][0]["sig"]
    assert text.endswith("==")
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    own = digits.index(text[-3])
    values["signatures"][0]["sig"] = text[:-3] + digits[own ^ 1] + "=="
    other = path.with_name("changed.json")
    other.write_text(json.dumps(values))
    assert refused(other, key)
    assert refused_by_tool(tool, other, key)


def test_a_forger_with_a_key_of_their_own_is_not_the_signer(signed, tmp_path, monkeypatch, tool):
    path, trusted = signed
    known = tmp_path / "known"
    known.write_text(f"# ours\n{PublicKey.own().fingerprint} the operator\n")
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "forger"))
    theirs = write(content(), tmp_path / "forged")
    with pytest.raises(ArtifactError, match="not by the key"):
        check(theirs, trusted)
    assert "not signed by the key" in str(refused_by_tool(tool, theirs, trusted))
    with pytest.raises(ArtifactError, match="is not in"):
        check(theirs, known_keys=known)
    assert check(path, known_keys=known).pinned
    assert not check(theirs).pinned
    known.write_text("abc\n")
    with pytest.raises(ArtifactError, match="line 1 must begin with a fingerprint of 64"):
        check(path, known_keys=known)


def test_bad_files_are_one_line(signed, tmp_path, tool, monkeypatch):
    path, key = signed
    (tmp_path / "known").write_bytes(b"\xff\xfe")
    command = [TOOL.name, str(path), "--key", str(key), "--known-keys", str(tmp_path / "known")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=r"^REFUSED: a file or what was typed can't be read"):
        tool.main()
    (tmp_path / "other.pem").write_text("no key")
    (tmp_path / "twice.json").write_bytes(path.read_bytes().replace(b"{\n", b'{\n "payload": "",\n', 1))
    for bad in ("none.json", "other.pem", "twice.json"):
        with pytest.raises(ArtifactError) as caught:
            check(tmp_path / bad, key)
        assert "\n" not in str(caught.value)
    for bad in ("none.pem", "other.pem"):
        with pytest.raises(ArtifactError) as caught:
            check(path, tmp_path / bad)
        assert "\n" not in str(caught.value)
    assert refused_by_tool(tool, tmp_path / "twice.json", key)
    for name in ("none.json", "other.pem"):
        command = [sys.executable, str(TOOL), str(tmp_path / name), "--key", str(key)]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 1
        assert ran.stderr.startswith("REFUSED: ")
        assert ran.stderr.count("\n") == 1


def test_it_fits_the_published_schema_and_a_stray_field_does_not(signed):
    # To publish changed schemas: for path, of in SCHEMAS.items(): path.write_bytes(schema(of)).
    for path, described in SCHEMAS.items():
        assert path.read_bytes() == schema(described)
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_bytes()))
    published = json.loads(next(iter(SCHEMAS)).read_bytes())
    document = predicate_of(signed[0])
    jsonschema.validate(document, published)
    for changed in ({**document, "user": "42"}, {k: v for k, v in document.items() if k != "scan"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, published)


# --- claims ----------------------------------------------------------------------------------------------------------


def claimed(path: Path) -> str:
    return predicate_of(path)["families"]["sharded"]["claim"]


def family(**changes: Any) -> dict[str, Any]:
    return {"families": {"sharded": content().families["sharded"].plain() | changes}}


def everything() -> dict[str, Any]:
    after = content().after
    return verification("equal", served=after, rebuilt=after)


def test_each_claim_is_the_most_that_the_evidence_carries(tmp_path, tool):
    different = content().after | {"sharded/package": "0" * 64}
    cases = {
        "equal": content(**everything()),
        "touched": content(),
        "sampled": sampled(1, "mine", "yours"),
        "removed": content(**NOT_RUN),
    }
    for kind, one in cases.items():
        path = write(one, tmp_path / kind)
        assert claimed(path) == SENTENCES[kind]
        assert refused_by_tool(tool, path, path.with_name(PublicKey.own().file_name)) is None
        assert refused(path, path.with_name(PublicKey.own().file_name)) is None
    downgraded = (
        content(**verification("not comparable", reason="built by other code")),
        content(**inexact("equal")),
        content(**inexact("different", different)),
    )
    far = "; the scores of 5 users and 8 items differ from a rebuild's by at most 0.25, relatively 0.0123"
    for place, one in enumerate(downgraded):
        path = write(one, tmp_path / str(place))
        assert claimed(path) == SENTENCES["removed"] + (far if place else "")
        assert refused_by_tool(tool, path, path.with_name(PublicKey.own().file_name)) is None
        assert refused(path, path.with_name(PublicKey.own().file_name)) is None
    assert claimed(write(content(**family(frozen=True)), tmp_path / "frozen")) == SENTENCES["touched"] + WITH_ASSIGNMENT


def test_no_claim_says_more_than_equality_with_a_rebuild():
    assert not any(word in sentence for sentence in SENTENCES.values() for word in ("unconditional", "never having"))


def test_the_sample_is_drawn_by_the_nonces_alone(tmp_path):
    picked = {tuple(sorted(sampled(1, f"nonce {n}").verification.served)) for n in range(20)}
    assert len(picked) == 2, "either of two sub-models comes up"


def spoilt(**changes: Any) -> Callable[[], Any]:
    return lambda: content(**changes)


def rows(**changes: Any) -> dict[str, Any]:
    return {"rows": content().rows.plain() | changes}


def scan(**changes: Any) -> dict[str, Any]:
    return {"scan": content().scan.plain() | changes}


def request(**changes: Any) -> dict[str, Any]:
    return {"request": content().request.plain() | changes}


def compared(**changes: Any) -> dict[str, Any]:
    return {"verification": content().verification.plain() | changes}


OTHER = content().after | {"sharded/package": "0" * 64}
SPOILT = {
    "nothing removed": (rows(removed={}), "rows removed: must be at least 10 and more than 0, is 0"),
    "fewer removed": (rows(removed={"interactions": 9}), "rows removed: must be at least 10"),
    "another kind removed": (rows(removed={"links": 10}), "rows removed"),
    "no scores": (
        family(repeatable=False) | verification("equal", served=content().after, rebuilt=content().after),
        "scores must be compared of exactly the families that don't repeat",
    ),
    "scores of an exact family": (
        {name: value for name, value in inexact("equal").items() if name != "families"},
        "scores must be compared of exactly the families that don't repeat",
    ),
    "nothing held": (rows(held={}), "rows removed: must be at least 0 and more than 0, is 10"),
    "rows left": (rows(left=1), "rows left: must be 0, is 1"),
    "same data": ({"before": content().after_keyed}, "data changed: must be other than c"),
    "no data before": ({"before": {}}, "data changed: must be other than unknown"),
    "not hidden": (request(hidden=False), "hidden from acceptance on: must be yes, is no"),
    "no needles": (scan(needles={}), "kinds of needles: must be more than 0, is 0"),
    "an empty list of needles": (scan(needles={"subjects": 0, "digests": 5}), "needles: subjects: must be more than 0"),
    "nothing searched": (scan(stores={}), "stores searched: must be more than 0, is 0"),
    "something found": (scan(stores={"dvc": ["x: user id"]}, found=1), "places found: must be 0, is 1"),
    "found hidden": (scan(stores={"dvc": ["x: user id"]}), "scan: 0 found, which is not the number of places"),
    "different": (
        verification("different", served=content().after, rebuilt=OTHER),
        "served differs from rebuilt: must",
    ),
    "called equal": (compared(rebuilt=OTHER), "served differs from rebuilt: must be 0, is"),
    "one not compared": (verification("equal", served=OTHER, rebuilt=OTHER), "compared with another digest than that"),
    "nothing compared": (verification("equal"), "says equal, its digests say otherwise"),
    "no reason": (verification("not run"), "says not run, and not why"),
    "not run but compared": (compared(result="not run", reason="x"), "says not run, and lists what it compared"),
    "a reason, compared": (compared(reason="x"), "a reason for not comparing, and a comparison"),
    "a sub-model left out": (compared(left_out=["sharded/sub-model/00"]), "is no table that was left out"),
    "a table left out, compared": (compared(left_out=["ml/interactions"]), "is no table that was left out"),
    "left out, not run": (verification("not run", reason="x", left_out=["ml/interactions"]), "lists what it compared"),
    "a touched one carried": (family(shards={"touched": ["01"], "retrained": [], "reused": []}), "had to be"),
    "a changed one carried": ({"before": content().before | {"sharded/sub-model/01": "0" * 64}}, "had to be"),
    "completed too early": (request(completed="2025-12-31T23:59:59+00:00"), "dates are out of order"),
    "due before received": (request(due="2025-12-31T23:59:59+00:00"), "dates are out of order"),
    "no such day": (request(completed="2026-02-30T00:00:00+00:00"), "a date is not in the calendar"),
    "a family without package": (
        {"families": content().plain()["families"] | {"other": content().plain()["families"]["sharded"]}},
        "the package of other is missing",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_the_evidence_does_not_carry_is_not_signed(name):
    changes, problem = SPOILT[name]
    with pytest.raises(EvidenceError) as caught:
        sign(content(**changes))
    assert problem in str(caught.value)
    assert str(caught.value).startswith("req-0123456789abcdef: nothing is signed: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SPOILT)
def test_what_somebody_else_signs_of_it_is_refused_by_both_checks(name, signed, tool):
    """A forger leaves the verdicts of the sound certificate as they were."""
    path, key = signed
    sound, changes = predicate_of(path), SPOILT[name][0]
    values = sound | {field: content(**changes).plain()[field] for field in changes}
    for one in values["families"].values():
        one["claim"] = sound["families"]["sharded"]["claim"]
    other = forged(values, path.with_name("forged.json"))
    assert refused(other, key)
    assert refused_by_tool(tool, other, key)


def changed(values: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    values = copy.deepcopy(values)
    inner: Any = values
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return values


FORGERIES = {
    "seven found": (("scan", "found"), 7),
    "a claim of its own": (("families", "sharded", "claim"), "unconditional: equal to never having had the data"),
    "more claimed": (("families", "sharded", "claim"), SENTENCES["equal"]),
    "no invariants": (("invariants",), []),
    "an invariant that doesn't hold": (("invariants", 0, "holds"), False),
    "an invariant rewritten": (("invariants", 0, "actual"), "11"),
    "a stray field": (("user",), "42"),
    "a number as text": (("scan", "typed_only"), "0"),
    "a flag as number": (("request", "hidden"), 1),
    "a short digest": (("after", "sharded/package"), "a" * 63),
    "an empty end": (("outside_reach", 0, "until"), ""),
    "another package": (("after", "sharded/package"), "0" * 64),
    "a keyed digest missing": (("after_keyed",), {}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_self_signed_forgery_is_refused_by_both_checks(name, signed, tool):
    path, key = signed
    other = forged(changed(predicate_of(path), *FORGERIES[name]), path.with_name("forged.json"))
    assert refused(other, key)
    assert refused_by_tool(tool, other, key)


def test_other_statements_are_no_certificates(signed, tool):
    path, key = signed
    values = predicate_of(path)
    others = (
        {"kind": "https://slsa.dev/provenance/v1"},
        {"subjects": {}},
        {"subjects": content().subjects() | {"more/package": "0" * 64}},
    )
    for other in others:
        spoilt_file = forged(values, path.with_name("forged.json"), **other)
        assert refused(spoilt_file, key)
        assert refused_by_tool(tool, spoilt_file, key)


def test_a_sample_that_the_nonces_do_not_draw_is_refused(signed, tool):
    path, key = signed
    sound = sampled(1, "mine")
    path.write_bytes(sign(sound))
    assert refused(path, key) is None
    values = predicate_of(path)
    for nonces in (["other 1"], ["other 2"], ["other 3"], ["other 4"], ["other 5"], ["other 6"]):
        other = forged(changed(values, ("verification", "sample", "nonces"), nonces), path.with_name("forged.json"))
        same = sampled(1, *nonces).verification.served == sound.verification.served
        assert (refused(other, key) is None) == same
        assert (refused_by_tool(tool, other, key) is None) == same


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*at, name)
        yield from places(one, (*at, name))


SOUND = json.loads(json.dumps(content().plain()))
PLACES = sorted(places(SOUND), key=str)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "equal", "different", "not run", "00", "01", "a" * 64, "0" * 64, "2026-01-01T00:00:00+00:00"]
    )
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["", "dvc", "links"]), inner, max_size=2)
    ),
    max_leaves=3,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), number=st.integers(1, 2))
def test_both_checks_say_the_same_of_mutated_content(signed, tool, data, number):
    path, key = signed
    values = predicate_of(path)
    for _ in range(number):
        place = data.draw(st.sampled_from(PLACES))
        with suppress(KeyError, IndexError, TypeError):  # The first change may take the second's place away.
            values = changed(values, place, data.draw(VALUES))
    other = forged(values, path.with_name("forged.json"))
    assert (refused(other, key) is None) == (refused_by_tool(tool, other, key) is None)


# --- the old kind ----------------------------------------------------------------------------------------------------


def old(tmp_path: Path, **changes: Any) -> tuple[Path, Path]:
    digests = {"data": "d", "shards": {}, "artifacts": {}, "code": "c", "environment": "e"}
    private = Ed25519PrivateKey.from_private_bytes(secret("signing.key")[:32])
    public = private.public_key().public_bytes_raw().hex()
    subject = {"id": "req-1", "kind": "user", "subject_digest": "f", "reason": "r", "received": "t", "completed": "t"}
    values = {
        "version": 1,
        "request": subject,
        "dataset": "ml",
        "guarantee": {"plain": "unconditional: equal to never having had the data"},
        "residues": {},
        "outside_reach": [],
        "before": digests,
        "after": digests,
        "shards": {},
        "seconds": {},
        "purged": [],
        "scan": {"stores": {"dvc": []}, "found": 0},
        "verify": {"result": "not run", "compared": 0, "differing": []},
        "ledger_head": "9",
        "signature": {"algorithm": "Ed25519", "public_key": public, "value": ""},
    }
    unsigned = v1.Certificate.model_validate(values | changes)
    value = base64.b64encode(private.sign(v1.message(unsigned))).decode()
    signature = unsigned.signature.model_copy(update={"value": value})
    path = tmp_path / "old.json"
    path.write_bytes(v1.render(unsigned.model_copy(update={"signature": signature})))
    key = tmp_path / f"signing-key-{public[:16]}.pem"
    key.write_bytes(PublicKey.own().pem)
    return path, key


def test_a_certificate_of_the_old_kind_is_read_for_what_it_is(tmp_path, tool):
    path, key = old(tmp_path)
    for checked in (check(path, key), check(path)):
        assert isinstance(checked.content, v1.Certificate)
    assert "of the old kind" in str(refused_by_tool(tool, path, key))
    with pytest.raises(ArtifactError, match=r"old\.json: a certificate of the old kind: .* not shown by it"):
        read(path)


def test_an_old_one_that_contradicts_itself_or_was_changed_is_refused(tmp_path):
    path, key = old(tmp_path, scan={"stores": {"dvc": []}, "found": 7})
    with pytest.raises(EvidenceError, match="places found: must be 0, is 7"):
        check(path, key)
    path, key = old(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"found": 0', b'"found": 1'))
    with pytest.raises(ArtifactError, match="it was changed"):
        check(path, key)
