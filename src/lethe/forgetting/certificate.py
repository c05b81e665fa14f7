"""The certificate: what was forgotten (by keyed digest), what was promised, and the evidence, signed with Ed25519.

The signature is over the canonical JSON of everything but its own value. The file has one form, so that any changed
byte of it is seen, not only a changed value.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import StringConstraints

from lethe.config.section import Section
from lethe.core.canonical import canonical_json
from lethe.core.files import write_whole
from lethe.core.keys import secret
from lethe.errors import ArtifactError

SCHEMA = Path(__file__).with_name("certificate.schema.json")


class Subject(Section):
    """The request. Times are ISO 8601 in UTC."""

    id: str
    kind: Literal["user", "interactions"]
    subject_digest: str
    """HMAC-SHA256 of the subject under the operator's key: recognisable to who knows the subject and holds the key."""
    reason: str
    received: str
    completed: str


class Digests(Section):
    """SHA-256 of what there was at one time; ``shards`` and ``artifacts`` by name."""

    data: str
    shards: dict[str, str]
    artifacts: dict[str, str]
    code: str
    environment: str


class Shards(Section):
    """What happened to the shards of one family."""

    touched: tuple[str, ...]
    retrained: tuple[str, ...]
    reused: tuple[str, ...]


class Purged(Section):
    """What left one store."""

    store: str
    removed: int
    bytes: int


class Absence(Section):
    """The absence scan: places found in each store that was searched."""

    stores: dict[str, tuple[str, ...]]
    found: int


class Verification(Section):
    """The rebuild from the remaining data, compared with what is deployed."""

    result: Literal["equal", "different", "not comparable", "not run"]
    compared: int
    differing: tuple[str, ...]


class Signature(Section):
    """``public_key``: 32 bytes in hex; ``value``: 64 bytes in base64."""

    algorithm: Literal["Ed25519"]
    public_key: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    value: str


class Certificate(Section):
    """A signed statement that a forget request was fulfilled. ``guarantee``, ``residues`` and ``shards`` by family."""

    version: Literal[1] = 1
    request: Subject
    dataset: str
    guarantee: dict[str, str]
    residues: dict[str, tuple[str, ...]]
    outside_reach: tuple[str, ...]
    before: Digests
    after: Digests
    shards: dict[str, Shards]
    seconds: dict[str, float]
    purged: tuple[Purged, ...]
    scan: Absence
    verify: Verification
    ledger_head: str
    """Hash of the newest event of the ledger's log when this was signed."""
    signature: Signature


def sign(**fields: Any) -> Certificate:
    """A certificate with these fields (all but version and signature, as plain values), signed with our key."""
    private = _private_key()
    unsigned = Signature(algorithm="Ed25519", public_key=private.public_key().public_bytes_raw().hex(), value="")
    certificate = Certificate(**fields, signature=unsigned)
    value = base64.b64encode(private.sign(_message(certificate))).decode()
    return certificate.model_copy(update={"signature": unsigned.model_copy(update={"value": value})})


def write(certificate: Certificate, folder: Path) -> Path:
    """Write FOLDER/REQUEST.json, and beside it the public key that checks it; returns the certificate's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / public_key_name(certificate.signature.public_key), public_key_pem())
    path = folder / f"{certificate.request.id}.json"
    write_whole(path, render(certificate))
    return path


def render(certificate: Certificate) -> bytes:
    """The file's one form."""
    return (json.dumps(certificate.plain(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def check(path: Path, public_key: Path) -> Certificate:
    """Check a certificate offline against a public key (PEM). Raises ArtifactError if a byte of it was changed, if it
    is no certificate, or if another key signed it. Take the key from whom you trust, not from beside the file."""
    key = _read_public_key(public_key)
    content, certificate = _read(path)
    if certificate.signature.public_key != key.public_bytes_raw().hex():
        raise ArtifactError(f"{path.name}: signed with another key than {public_key.name}")
    try:
        value = base64.b64decode(certificate.signature.value, validate=True)
        # The last digit has bits that decode to nothing: only one spelling of a signature is ours.
        if base64.b64encode(value).decode() != certificate.signature.value:
            raise InvalidSignature
        key.verify(value, _message(certificate))
    except (InvalidSignature, ValueError):
        raise ArtifactError(f"{path.name}: the signature does not fit the content, it was changed") from None
    if render(certificate) != content:
        raise ArtifactError(f"{path.name}: the file was changed, though not in its values")
    return certificate


def key_beside(path: Path) -> Path:
    """The public key that was written beside a certificate. Convenient, but who changes the one can change the other:
    it shows damage, not who signed. Raises ArtifactError if the file is no certificate."""
    return path.with_name(public_key_name(_read(path)[1].signature.public_key))


def public_key_pem() -> bytes:
    """The public half of our signing key."""
    return (
        _private_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def public_key_name(public_key: str) -> str:
    """File name of a public key (hex): a new key never overwrites the one that older certificates need."""
    return f"signing-key-{public_key[:16]}.pem"


def schema() -> bytes:
    """The published JSON schema, as the file ``SCHEMA`` holds it."""
    published = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Certificate.model_json_schema()}
    return (json.dumps(published, indent=1, sort_keys=True) + "\n").encode()


def _private_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret("signing.key")[:32])


def _read(path: Path) -> tuple[bytes, Certificate]:
    try:
        content = path.read_bytes()
        return content, Certificate.model_validate_json(content)
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ArtifactError(f"{path.name}: not a certificate, or it was changed") from None


def _read_public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ArtifactError(f"{path}: not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ArtifactError(f"{path}: must be an Ed25519 key, got {type(key).__name__}")
    return key


def _message(certificate: Certificate) -> bytes:
    values = certificate.plain()
    del values["signature"]["value"]
    return canonical_json(values)
