"""What we sign: in-toto statements in DSSE envelopes, by Ed25519.

The signature is over the bytes of the payload as they stand in the envelope, so that checking it needs no canonical
form of JSON. A key is named by its fingerprint, the SHA-256 of its DER form:
``openssl pkey -pubin -in KEY.pem -outform DER | sha256sum`` shows the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lethe.core.canonical import Json, canonical_json, strict_json
from lethe.core.keys import secret
from lethe.errors import ArtifactError, EvidenceError

# securesystemslib is loaded by whoever signs or checks: with it come the clients of every key store that is installed.
if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True)
class PublicKey:
    """A key that signatures are checked with."""

    key: Ed25519PublicKey

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """From a PEM file. Raises ArtifactError."""
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise ArtifactError(f"{path}: {error.strerror}") from None
        except ValueError:
            raise ArtifactError(f"{path}: not a public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ArtifactError(f"{path}: must be an Ed25519 key, got {type(key).__name__}")
        return cls(key)

    @classmethod
    def own(cls) -> PublicKey:
        """The public half of our signing key."""
        return cls(_private_key().public_key())

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self._bytes(serialization.Encoding.DER)).hexdigest()

    @property
    def pem(self) -> bytes:
        return self._bytes(serialization.Encoding.PEM)

    @property
    def file_name(self) -> str:
        """A new key never overwrites the one that older statements need."""
        return f"signing-key-{self.fingerprint[:16]}.pem"

    def _bytes(self, encoding: serialization.Encoding) -> bytes:
        return self.key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def statement(subjects: Mapping[str, str], predicate_type: str, predicate: Json) -> Json:
    """An in-toto statement about subjects {name: SHA-256}; plain values, since typed ones turn 1 into 1.0."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [*subject_list(subjects)],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def subject_list(subjects: Mapping[str, str]) -> list[Json]:
    """Subjects {name: SHA-256} in the form that a statement has them."""
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())]


def seal(statement: Json) -> bytes:
    """The envelope's file: a statement signed with our key."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

    private = _private_key()
    public = SSlibKey.from_crypto(private.public_key(), keyid=PublicKey.own().fingerprint)
    envelope = Envelope(canonical_json(statement), PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(private, public))
    return (json.dumps(envelope.to_dict(), indent=1) + "\n").encode()


def unseal(content: bytes, key: PublicKey, name: str) -> bytes:
    """The payload of an envelope that ``key`` signed. Raises ArtifactError, which calls the file ``name``."""
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    envelope = _envelope(content, name)
    if key.fingerprint not in envelope.signatures:
        signers = ", ".join(signer[:16] for signer in sorted(envelope.signatures))
        raise ArtifactError(f"{name}: signed by {signers or 'nobody'}, not by the key {key.fingerprint[:16]}")
    try:
        envelope.verify([SSlibKey.from_crypto(key.key, keyid=key.fingerprint)], 1)
    except VerificationError:
        raise ArtifactError(f"{name}: the signature does not fit the content, it was changed") from None
    return envelope.payload


def predicate_type(payload: bytes, name: str) -> str:
    """The type of a statement's predicate. Raises ArtifactError for what is no statement."""
    return str(_statement(payload, name)["predicateType"])


def stated(payload: bytes, predicate_type: str, name: str) -> tuple[Any, Any]:
    """(subjects, predicate) of a statement of that type. Raises ArtifactError for what is no statement, EvidenceError
    for one of another type."""
    values = _statement(payload, name)
    if values["predicateType"] != predicate_type:
        raise EvidenceError(f"{name}: predicate {values['predicateType']!r} is not {predicate_type}")
    return values["subject"], values["predicate"]


def _statement(payload: bytes, name: str) -> Json:
    try:
        values = strict_json(payload)
        if set(values) != {"_type", "subject", "predicateType", "predicate"} or values["_type"] != STATEMENT_TYPE:
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise ArtifactError(f"{name}: signed, but not a statement") from None
    return dict(values)


def signers(content: bytes, name: str) -> tuple[str, ...]:
    """Fingerprints of the keys that an envelope says it was signed with; nothing is checked yet."""
    return tuple(sorted(_envelope(content, name).signatures))


def _envelope(content: bytes, name: str) -> Envelope:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature

    try:
        values = strict_json(content)
        if set(values) != {"payload", "payloadType", "signatures"} or values["payloadType"] != PAYLOAD_TYPE:
            raise ValueError
        signatures = {}
        for one in values["signatures"]:
            if set(one) != {"keyid", "sig"} or one["keyid"] in signatures:
                raise ValueError
            signatures[one["keyid"]] = Signature(one["keyid"], _decoded(one["sig"]).hex())
        return Envelope(_decoded(values["payload"]), PAYLOAD_TYPE, signatures)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ArtifactError(f"{name}: not a signed statement, or it was changed") from None


def _decoded(text: str) -> bytes:
    # The last digit may have bits that decode to nothing: only one spelling is ours.
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError
    return content


def _private_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret("signing.key")[:32])
